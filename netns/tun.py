"""The kernel's device by which taps are made and opened; netlink cannot.

Every tap here has one queue and the virtio header, so that segments of 64 KiB cross in one piece. Who opens one
may have other flags; only the number of queues must agree.
"""

import fcntl
import os
import struct

from netns.failures import NetnsError

DEVICE = "/dev/net/tun"
IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
_TUNSETIFF = 0x400454CA


def opened(flags: int = 0) -> int:
    """A descriptor of the device, the caller's; `flags` are further ones of open(2). Raises NetnsError."""
    try:
        return os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC | flags)
    except OSError as error:
        raise NetnsError(
            f"cannot open {DEVICE}: {error.strerror}; the kernel needs CONFIG_TUN, and who runs this in a "
            "container gives it that device"
        ) from error


def be_tap(handle: int, name: str) -> None:
    """The descriptor is of that tap from now on, in the calling thread's namespace; it is made if need be.

    Raises OSError.
    """
    request = struct.pack("16sH22x", name.encode(), IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR)
    fcntl.ioctl(handle, _TUNSETIFF, request)
