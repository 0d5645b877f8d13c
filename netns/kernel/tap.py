"""Taps. The kernel makes them by ioctl on /dev/net/tun only, not by netlink.

One queue, with the virtio header (segments of 64 KiB cross to QEMU in one piece). QEMU may attach
with other flags; only the number of queues must agree with libvirt's `<driver queues=...>`.
"""

import fcntl
import os
import struct

from netns.failures import NetnsError

_DEVICE = "/dev/net/tun"
_TUNSETIFF = 0x400454CA
_TUNSETPERSIST = 0x400454CB
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000


def add_tap(name: str) -> None:
    """Makes a tap that outlives its maker, in the namespace of the calling thread. Idempotent."""
    try:
        handle = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise NetnsError(
            f"cannot open {_DEVICE}: {error.strerror}; the kernel needs CONFIG_TUN"
        ) from error
    try:
        request = struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR)
        fcntl.ioctl(handle, _TUNSETIFF, request)
        fcntl.ioctl(handle, _TUNSETPERSIST, 1)
    except OSError as error:
        raise NetnsError(f"cannot make the tap {name}: {error.strerror}") from error
    finally:
        os.close(handle)
