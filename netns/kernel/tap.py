"""Taps: made, and given their carrier back."""

import errno
import fcntl
import os
import socket
import struct

from netns import tun
from netns.failures import NetnsError
from netns.kernel import rtnetlink

_TUNSETPERSIST = 0x400454CB
_TUNSETOWNER = 0x400454CC
_IFLA_CARRIER = 33


def add_tap(name: str) -> None:
    """Makes a tap that outlives its maker, in the namespace of the calling thread. Idempotent.

    It is root's, since the kernel lets anybody open a tap that is nobody's, and guests run as users of their
    own. QEMU is given it open, and libvirt's `<driver queues=...>` must agree with its one queue.
    """
    handle = tun.opened()
    try:
        tun.be_tap(handle, name)
        fcntl.ioctl(handle, _TUNSETOWNER, 0)
        fcntl.ioctl(handle, _TUNSETPERSIST, 1)
    except OSError as error:
        raise NetnsError(f"cannot make the tap {name}: {error.strerror}") from error
    finally:
        os.close(handle)


def other_end(mac: str) -> str:
    """The MAC of a container's tap, by the one of its card, and the other way round: one bit is turned."""
    return f"{int(mac[:2], 16) ^ 0x04:02x}{mac[2:]}"


def carry(name: str) -> bool:
    """Gives a tap that a process has open its carrier back, which somebody may have taken. False if none has.

    Raises NetnsError when the kernel refuses for another reason.
    """
    head = struct.pack("=BxHiII", 0, 0, socket.if_nametoindex(name), 0, 0)
    try:
        with rtnetlink.open_socket() as handle:
            carrier = struct.pack("=HHB3x", 5, _IFLA_CARRIER, 1)
            rtnetlink.change(handle, rtnetlink.SETLINK, head + carrier)
    except OSError as error:
        if error.errno == errno.EPERM:  # what a tap without a queue answers
            return False
        raise NetnsError(f"the kernel refused a carrier for {name}: {error}") from error
    return True
