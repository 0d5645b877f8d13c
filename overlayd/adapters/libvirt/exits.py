"""How a process ended that is not our child: a guest's QEMU is nobody's, so that it outlives us.

Since Linux 6.15 a process file descriptor that was opened in time tells the exit, also after somebody else has
reaped it (`PIDFD_GET_INFO` with `PIDFD_INFO_EXIT`, include/uapi/linux/pidfd.h). Older kernels tell nothing.
"""

import contextlib
import fcntl
import os
import signal
import struct
import threading

_INFO = struct.Struct("<QQ11Ii")
"""`struct pidfd_info`, first version: the mask, the control group, 11 numbers of ids, and the exit."""
_INFO_EXIT = 1 << 3
_GET_INFO = (3 << 30) | (_INFO.size << 16) | (0xFF << 8) | 11


class Exits:
    """The processes of some machines."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[int, int]] = {}
        self._opening = threading.Lock()

    def watch(self, name: str, run: int, pid: int) -> None:
        """That process is the machine's. `run` tells one start of it from the next."""
        with self._opening, contextlib.suppress(OSError):
            if not self.watches(name, run):
                self.forget(name)
                self._open[name] = (run, os.pidfd_open(pid))

    def watches(self, name: str, run: int) -> bool:
        """Whether this start of the machine is watched."""
        return self._open.get(name, (0, -1))[0] == run

    def how(self, name: str) -> str:
        """How the machine's process ended, in words; empty if that is not known."""
        watched = self._open.get(name)
        status = None if watched is None else _status(watched[1])
        return "" if status is None else words(status)

    def forget(self, name: str) -> None:
        """Nobody asks for that machine any more."""
        watched = self._open.pop(name, None)
        if watched is not None:
            os.close(watched[1])

    def close(self) -> None:
        """Forgets all."""
        for name in list(self._open):
            self.forget(name)


def words(status: int) -> str:
    """A wait status in words: `was killed (signal 9)` or `ended with status 1`."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        did = "was killed" if number in (signal.SIGKILL, signal.SIGTERM) else "crashed"
        return f"{did} (signal {number})"
    return f"ended with status {os.waitstatus_to_exitcode(status)}"


def _status(descriptor: int) -> int | None:
    """The wait status; None if the process has not ended or the kernel does not tell."""
    asked = bytearray(_INFO.pack(_INFO_EXIT, *[0] * 13))
    try:
        fcntl.ioctl(descriptor, _GET_INFO, asked)
    except OSError:
        return None
    told, *_, status = _INFO.unpack(asked)
    return status if told & _INFO_EXIT else None
