"""Loop devices for containers' disks: a file as a block device, for as long as something has it open.

The kernel clears such a device with its last user. So nothing has to be remembered: the file's device goes when
its container ends, or when this process dies before the container has it.
"""

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Iterator

from overlayd.ports.compute import ComputeError

_CONTROL = "/dev/loop-control"
_GET_FREE, _CONFIGURE = 0x4C82, 0x4C0A  # linux/loop.h
_AUTOCLEAR = 4
_INFO = struct.Struct("=QQQQQIIII64s64s32sQQ")  # struct loop_info64
_CONFIG = struct.Struct(f"=II{_INFO.size}s64x")
_TRIES = 20
"""Between the asking for a free device and the taking of it somebody else may take it."""


@contextlib.contextmanager
def attached(path: str) -> Iterator[str]:
    """The device of a file. It is there until the block ends, and as long after as something has it open.

    Raises ComputeError.
    """
    try:
        device, name = _attach(path)
    except OSError as error:
        raise ComputeError(f"{path} cannot be made a disk of a container: {error}") from error
    try:
        yield name
    finally:
        os.close(device)


def _attach(path: str) -> tuple[int, str]:
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
        try:
            for _ in range(_TRIES):
                name = f"/dev/loop{fcntl.ioctl(control, _GET_FREE)}"
                device = os.open(name, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.ioctl(device, _CONFIGURE, _config(file, path))
                except OSError as error:
                    os.close(device)
                    if error.errno != errno.EBUSY:
                        raise
                else:
                    return device, name
        finally:
            os.close(control)
    finally:
        os.close(file)
    raise OSError(errno.EBUSY, "no loop device is free")


def _config(file: int, path: str) -> bytes:
    shown = os.fsencode(path)[-63:]
    info = _INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, _AUTOCLEAR, shown, b"", b"", 0, 0)
    return _CONFIG.pack(file, 0, info)
