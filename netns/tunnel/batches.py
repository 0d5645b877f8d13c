"""Datagrams in batches: `recvmmsg` in, which Python's socket does not have, and UDP_SEGMENT out.

The kernel cuts one large send into datagrams of one size, of which the last may be shorter.
"""

import ctypes
import errno
import select
import socket
import struct
import sys
from collections.abc import Sequence
from typing import NamedTuple

BATCH = 64
"""Datagrams of one `recvmmsg`. As many buffers are kept."""
DATAGRAM_BYTES_MAX = 65_507
"""What UDP over IPv4 carries."""
SEGMENTS_MAX = 64
"""Datagrams of one send that every kernel with UDP_SEGMENT takes."""
SOURCE_BYTES = 28
"""Of an IPv6 source. What an IPv4 one leaves is not looked at."""
_STRIDE = (
    DATAGRAM_BYTES_MAX + 1_565
)  # apart, so that the buffers' beginnings do not share lines of the cache
_MAPPED = "::ffff:"
_SOL_UDP, _UDP_SEGMENT = 17, 103
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _PMTUDISC_DONT, _PMTUDISC_PROBE = 10, 23, 0, 3
_ROOM_MS = 5
_U16 = struct.Struct("=H")
_VECTOR = struct.Struct("@PN")
"""struct iovec: where, how long."""
_MESSAGE = struct.Struct("@PIPNPNi0PI0P")
"""struct mmsghdr: name, its length, vectors, their number, control, its length, flags; bytes received."""


class Datagram(NamedTuple):
    """What came, and the kernel's form of where it came from. Cut off if it was too long for a buffer."""

    data: bytes
    source: bytes
    is_truncated: bool


class Receiver:
    """Buffers for a batch, made once."""

    def __init__(self) -> None:
        self._view = memoryview(bytearray(_STRIDE * BATCH))
        self._sources = memoryview(bytearray(SOURCE_BYTES * BATCH))
        self._vectors = bytearray(_VECTOR.size * BATCH)
        self._headers = bytearray(_MESSAGE.size * BATCH)
        data, sources = _address(self._view), _address(self._sources)
        vectors = _address(self._vectors)
        for number in range(BATCH):
            at = number * _VECTOR.size
            _VECTOR.pack_into(self._vectors, at, data + number * _STRIDE, DATAGRAM_BYTES_MAX)
            name = sources + number * SOURCE_BYTES
            _MESSAGE.pack_into(
                self._headers,
                number * _MESSAGE.size,
                name,
                SOURCE_BYTES,
                vectors + at,
                1,
                0,
                0,
                0,
                0,
            )
        self._first = ctypes.c_void_p(_address(self._headers))
        self._recvmmsg = ctypes.CDLL(None, use_errno=True).recvmmsg

    def receive(self, descriptor: int) -> list[Datagram]:
        """What is there, a batch at most; nothing if nothing is, or the kernel reports an error."""
        count = self._recvmmsg(descriptor, self._first, BATCH, socket.MSG_DONTWAIT, None)
        got: list[Datagram] = []
        for number in range(count):  # -1 for an error
            *_, flags, length = _MESSAGE.unpack_from(self._headers, number * _MESSAGE.size)
            start, source = number * _STRIDE, number * SOURCE_BYTES
            got.append(
                Datagram(
                    bytes(self._view[start : start + length]),
                    bytes(self._sources[source : source + SOURCE_BYTES]),
                    bool(flags & socket.MSG_TRUNC),
                )
            )
        return got


def _address(buffer: bytearray | memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def endpoint(source: bytes) -> tuple[str, int]:
    """Address and port of a datagram's source. A socket of both families has IPv4 as `::ffff:192.0.2.7`."""
    port = int.from_bytes(source[2:4])
    if int.from_bytes(source[:2], sys.byteorder) == socket.AF_INET:
        return socket.inet_ntoa(source[4:8]), port
    return socket.inet_ntop(socket.AF_INET6, source[8:24]).removeprefix(_MAPPED), port


def runs(datagrams: Sequence[bytes]) -> list[Sequence[bytes]]:
    """The datagrams in order, in runs that one send can take: of one size, but that the last may be shorter."""
    found: list[Sequence[bytes]] = []
    start = 0
    while start < len(datagrams):
        size, end, total = len(datagrams[start]), start + 1, len(datagrams[start])
        while end < len(datagrams) and end - start < SEGMENTS_MAX:
            length = len(datagrams[end])
            if length > size or total + length > DATAGRAM_BYTES_MAX:
                break
            total, end = total + length, end + 1
            if length < size:
                break
        found.append(datagrams[start:end])
        start = end
    return found


def send(handle: socket.socket, to: tuple[str, int], datagrams: Sequence[bytes]) -> int:
    """Sends all of them there, in order; how many the kernel took."""
    if handle.family == socket.AF_INET6 and ":" not in to[0]:
        to = (_MAPPED + to[0], to[1])
    return sum(_send_run(handle, to, run) for run in runs(datagrams))


def may_be_cut(handle: socket.socket, may: bool) -> None:
    """Whether what does not fit a path goes in fragments; else it is lost, whatever was heard of the path.

    A socket of both families has the option of both.
    """
    how = _PMTUDISC_DONT if may else _PMTUDISC_PROBE
    handle.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, how)
    if handle.family is socket.AF_INET6:
        handle.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, how)


def _send_run(handle: socket.socket, to: tuple[str, int], run: Sequence[bytes]) -> int:
    control = [(_SOL_UDP, _UDP_SEGMENT, _U16.pack(len(run[0])))] if len(run) > 1 else []
    try:
        _patiently(handle, to, run, control)
        return len(run)
    except OSError as error:
        # Larger than the card's packets: then each by itself, in fragments.
        if len(run) > 1 and error.errno in (errno.EMSGSIZE, errno.EINVAL):
            return sum(_send_run(handle, to, [datagram]) for datagram in run)
        return 0


def _patiently(
    handle: socket.socket,
    to: tuple[str, int],
    run: Sequence[bytes],
    control: list[tuple[int, int, bytes]],
) -> None:
    """Waits a moment when the socket is full, once: who is slowed down by that is who sends."""
    try:
        handle.sendmsg(run, control, 0, to)
    except BlockingIOError:
        room = select.poll()
        room.register(handle, select.POLLOUT)
        room.poll(_ROOM_MS)
        handle.sendmsg(run, control, 0, to)
