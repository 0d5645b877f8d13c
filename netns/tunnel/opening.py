"""What only root can open for a forwarder: taps and its UDP socket.

They belong to the network namespace of the calling thread. The forwarder itself has no rights: it is given
them open.
"""

import fcntl
import os
import socket
import struct

from netns import tun
from netns.failures import NetnsError
from netns.tunnel.batches import may_be_cut

_TUNSETOFFLOAD, _TUNSETVNETHDRSZ = 0x400454D0, 0x400454D8
_OFFLOADS = (
    0x01 | 0x02 | 0x04 | 0x08
)  # CSUM, TSO4, TSO6, TSO_ECN; UDP's (USO) need newer kernels, which cut those
VNET_HEADER_BYTES = 10
SOCKET_BUFFER_BYTES = 4 << 20
"""What the kernel keeps for us each way: 2,800 datagrams of 1,500 bytes."""
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33


def open_tap(name: str) -> int:
    """A descriptor of the tap, which is there already; the caller's. It does not block. Raises NetnsError."""
    handle = tun.opened(os.O_NONBLOCK)
    try:
        socket.if_nametoindex(name)  # it would be made
        tun.be_tap(handle, name)
        offload(handle)
    except OSError as error:
        os.close(handle)
        raise NetnsError(f"cannot open the tap {name}: {error.strerror or error}") from error
    return handle


def offload(tap: int) -> None:
    """Has the kernel give the open tap TCP segments uncut and without checksums, and take them so.

    Raises OSError.
    """
    fcntl.ioctl(tap, _TUNSETVNETHDRSZ, struct.pack("i", VNET_HEADER_BYTES))
    fcntl.ioctl(tap, _TUNSETOFFLOAD, _OFFLOADS)


def open_socket(port: int) -> socket.socket:
    """A UDP socket at all of the host's addresses; the caller closes it. Port 0 is any free one.

    It is of both families if the kernel has IPv6.
    What does not fit a path that is narrower than the card is sent in fragments. Raises NetnsError.
    """
    handle = _udp_socket()
    try:
        may_be_cut(handle, True)
        if handle.family is socket.AF_INET6:
            handle.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        for buffer in (_SO_RCVBUFFORCE, _SO_SNDBUFFORCE):
            handle.setsockopt(socket.SOL_SOCKET, buffer, SOCKET_BUFFER_BYTES)
        handle.bind(("", port))
    except OSError as error:
        handle.close()
        raise NetnsError(
            f"cannot take UDP port {port} for sealed networks: {error.strerror}; "
            "choose another tunnel port for this host"
        ) from error
    return handle


def _udp_socket() -> socket.socket:
    kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
    try:
        return socket.socket(socket.AF_INET6, kind)
    except OSError:  # a kernel without IPv6
        return socket.socket(socket.AF_INET, kind)
