"""The transport: authenticated frames between peers.

A *path* is one connection, dialled by either side. After its greeting it carries frames both ways. A peer is up
from its first path to its last. A dialler knows which peer it wants (the key is pinned). An acceptor learns it
from the greeting, and holds that against the connection's own key. What a peer may say is not decided here: the
first frames of a path carry its certificates (`hello`).
"""

from collections import Counter
from collections.abc import Callable, Set
from typing import Protocol

import msgspec

from protocol.terms.address import Address, address_of, is_one_host
from protocol.terms.ids import PeerId
from protocol.terms.problem import Trouble

SCHEME = "tcp://"


class Up(msgspec.Struct, frozen=True):
    """The first path to a peer stands. The peer has the key it says; nothing else is known of it."""

    peer: PeerId
    accepted: bool = False
    """The peer dialled it."""


class Down(msgspec.Struct, frozen=True):
    """The last path to a peer is gone, or the peer is another process than before (Up follows)."""

    peer: PeerId
    why: str


class Arrived(msgspec.Struct, frozen=True):
    """One whole frame, as it was sent. It comes between Up and Down of its sender."""

    peer: PeerId
    frame: bytes


class Refused(msgspec.Struct, frozen=True):
    """An attempt came to nothing. A dialled one (`peer` is known) is tried again by itself."""

    address: str
    """The far end, `tcp://IP:PORT`; empty if unknown."""
    why: str
    peer: PeerId | None = None
    trouble: Trouble = Trouble.CLOSED
    """The same as `why` for a program, of a dialled one."""


class Knocked(msgspec.Struct, frozen=True):
    """What came of a knock: whether the peer itself answers at that address."""

    peer: PeerId
    reached: bool


class Slept(msgspec.Struct, frozen=True):
    """This process did nothing for a while: it was stopped, or had no core. Said before what came meanwhile."""

    for_s: float


TransportEvent = Up | Down | Arrived | Refused | Knocked | Slept


class Traffic(msgspec.Struct):
    """Bytes of frames from and to one peer since the transport was opened, without greetings."""

    bytes_in: int = 0
    bytes_out: int = 0


def dialled(text: str) -> Address | None:
    """The host and port of `tcp://HOST:PORT`; None if it is no one host's: no wildcard, no other transport.

    Addresses come from gossip, and ZeroMQ would take `ipc://` and worse. A name has to be looked up yet.
    """
    address = address_of(text.removeprefix(SCHEME)) if text.startswith(SCHEME) else None
    if address is None or (address.ip is not None and not is_one_host(address.ip)):
        return None
    return address


class TransportError(Exception):
    """The transport cannot listen. The text says where and why."""


class Transport(Protocol):
    """Nothing blocks, and no event is given from inside a call: events come from the loop.

    Frames of one path arrive in order, at most once. A frame that `send` took may still be lost when its path
    breaks. A path whose far end says nothing for some seconds is closed. Transports keep idle paths alive by
    themselves.
    """

    @property
    def address(self) -> str:
        """The address it listens at, with the real port. Raises TransportError before `open`."""

    @property
    def traffic(self) -> dict[PeerId, Traffic]:
        """Counters by peer. Above a bound the least recently met are forgotten."""

    @property
    def refused(self) -> Counter[str]:
        """Connections and frames that were turned away, by a short reason."""

    async def open(self, listen: str, on_event: Callable[[TransportEvent], None]) -> None:
        """Listens on `tcp://HOST:PORT` (port 0: any). Raises TransportError."""

    def dial(self, peer: PeerId, address: str) -> None:
        """Keeps a path to the peer at `tcp://HOST:PORT`, and retries with back-off until hang_up.
        A name is looked up before each try.

        A second call changes nothing but the address for the next try. An address of another form, a denied
        peer and this peer itself are Refused, and not tried again.
        """

    def knock(self, peer: PeerId, address: str) -> None:
        """Tries once, whatever paths there are, whether the peer answers at `tcp://HOST:PORT`. Knocked says so.

        No path comes of it, at either end. If there are too many at once they are dropped without an answer.
        """

    def hang_up(self, peer: PeerId, *, parting: bool = False) -> None:
        """Stops dialling and closes every path. The peer may dial us again.

        With `parting` what was handed over before gets a moment to go out. Nothing is heard in that time.
        """

    def deny(self, peers: Set[PeerId]) -> None:
        """Refuses these peers, and only these, from now on. Their paths are closed."""

    def send(self, peer: PeerId, frame: bytes) -> bool:
        """Hands over one frame. False: no path, a full queue, or a frame that is empty or above the limit."""

    async def close(self) -> None:
        """Closes everything at once, and drops what is queued. There is no event after this."""
