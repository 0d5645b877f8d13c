"""The transport: authenticated frames between peers.

A *path* is one connection, dialled by either side; after its greeting it carries frames both ways.
A peer is up from its first path to its last. A dialler knows whom it wants (the key is pinned); an
acceptor learns it from the greeting and holds it against the connection's own key. What a peer may
say is not decided here: the first frames of a path carry its certificates (`hello`).
"""

import re
from collections import Counter
from collections.abc import Callable, Set
from ipaddress import AddressValueError, IPv4Address
from typing import Protocol

import msgspec

from protocol.terms.ids import PeerId

_ADDRESS = re.compile(r"tcp://([0-9.]{7,15}):([0-9]{1,5})")
_BROADCAST = IPv4Address("255.255.255.255")


class Up(msgspec.Struct, frozen=True):
    """The first path to a peer stands. It is who it says; nothing else is known of it."""

    peer: PeerId
    accepted: bool = False
    """The peer dialled it."""


class Down(msgspec.Struct, frozen=True):
    """The last path to a peer is gone, or the peer is another process than before (Up follows)."""

    peer: PeerId
    why: str


class Arrived(msgspec.Struct, frozen=True):
    """One frame, whole, as it was sent. Between Up and Down of its sender."""

    peer: PeerId
    frame: bytes


class Refused(msgspec.Struct, frozen=True):
    """An attempt came to nothing. Dialled ones (`peer` is known) are tried again by themselves."""

    address: str
    """The far end, `tcp://IP:PORT`; empty if unknown."""
    why: str
    peer: PeerId | None = None


class Knocked(msgspec.Struct, frozen=True):
    """What came of a knock: whether the peer itself answers at that address."""

    peer: PeerId
    reached: bool


class Slept(msgspec.Struct, frozen=True):
    """This process did nothing for a while: it was stopped, or had no core. Told before what came meanwhile."""

    for_s: float


TransportEvent = Up | Down | Arrived | Refused | Knocked | Slept


class Traffic(msgspec.Struct):
    """Frames and bytes of one peer since the transport was opened, greetings left out."""

    frames_in: int = 0
    bytes_in: int = 0
    frames_out: int = 0
    bytes_out: int = 0
    dropped_out: int = 0
    """Frames `send` answered False for."""


def is_address(text: str) -> bool:
    """Whether `text` is `tcp://IPv4:PORT` of one host: no name, no wildcard, no other transport.

    Addresses come out of gossip; ZeroMQ would take `ipc://` and worse.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match[2]) < 65536:
        return False
    try:
        ip = IPv4Address(match[1])
    except AddressValueError:
        return False
    return not (ip.is_multicast or ip.is_unspecified or ip == _BROADCAST)


class TransportError(Exception):
    """The transport cannot listen; the text says where and why."""


class Transport(Protocol):
    """Nothing blocks, and no event is given from inside a call: events come from the loop.

    Frames of one path arrive in order, at most once. A frame that `send` took may still be lost
    when its path breaks. A path whose far end says nothing for some seconds is closed; transports keep
    idle ones alive by themselves.
    """

    @property
    def address(self) -> str:
        """Where it listens, with the real port. TransportError before `open`."""

    @property
    def traffic(self) -> dict[PeerId, Traffic]:
        """Counters by peer; the least recently met are forgotten above a bound."""

    @property
    def refused(self) -> Counter[str]:
        """Connections and frames turned away, by a short reason."""

    async def open(self, listen: str, on_event: Callable[[TransportEvent], None]) -> None:
        """Listens on `tcp://IPv4:PORT` (port 0: any). TransportError."""

    def dial(self, peer: PeerId, address: str) -> None:
        """Keeps a path to the peer at `tcp://IPv4:PORT`, retrying with back-off until hang_up.

        Dialling again changes nothing, or the address for the next try. An address of another form,
        a denied peer, oneself: Refused, and not tried again.
        """

    def knock(self, peer: PeerId, address: str) -> None:
        """Tries once, whatever paths there are, whether the peer answers at `tcp://IPv4:PORT`; Knocked says.

        No path comes of it, at either end. Too many at once are dropped without an answer.
        """

    def hang_up(self, peer: PeerId) -> None:
        """Stops dialling and closes every path. The peer may dial us again."""

    def deny(self, peers: Set[PeerId]) -> None:
        """These, and only these, are refused from now on; what paths they have are closed."""

    def send(self, peer: PeerId, frame: bytes) -> bool:
        """Hands over one frame. False: no path, its queue is full, it is empty or above the limit."""

    async def close(self) -> None:
        """Everything closed at once, what is queued is dropped. No event after this."""
