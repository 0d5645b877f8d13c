"""First words on a connection, pings, and the handshake of neighbours."""

import msgspec

from protocol.terms.ids import PeerId
from protocol.terms.reach import Reach
from protocol.trust.certificate import Chain
from protocol.trust.record import SignedRecord
from protocol.wire.versions import GREETING, Number


class Presence(msgspec.Struct, frozen=True):
    """Body of the record of kind `presence`: who a peer is and where it is found.

    The record's incarnation is the peer's: it rises at every start, and to refute a suspicion.
    """

    chain: Chain
    address: str
    """HOST:PORT others dial."""
    left: bool = False
    """It said goodbye."""
    reach: Reach = Reach.PUBLIC
    """Whether others can dial it there; `address` is empty for one that listens nowhere."""
    via: tuple[PeerId, ...] = ()
    """Of a peer that is not public: some it has standing connections with, at most VIA_MOST."""


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The first message on a connection, both ways; until it is checked nothing else is heard."""

    presence: SignedRecord
    oldest: Number = GREETING
    newest: Number = GREETING
    """The versions its sender speaks, from the oldest to the newest (wire/versions.py)."""


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Are you there? `sent_s` is the sender's clock and comes back as it was."""

    sent_s: float


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """Yes."""

    sent_s: float


class Neighbour(msgspec.Struct, frozen=True, tag="neighbour"):
    """HyParView's NEIGHBOR: let us watch each other. `urgent` if the sender has next to none."""

    urgent: bool


class NeighbourReply(msgspec.Struct, frozen=True, tag="neighbour-reply"):
    """Whether the receiver of a Neighbour agreed."""

    agreed: bool


class Disconnect(msgspec.Struct, frozen=True, tag="disconnect"):
    """HyParView's DISCONNECT: I made room for another; keep me among those you know."""


class Goodbye(msgspec.Struct, frozen=True, tag="goodbye"):
    """The sender stops, in order."""


MembershipMessage = Hello | Ping | Pong | Neighbour | NeighbourReply | Disconnect | Goodbye


class Suspicion(msgspec.Struct, frozen=True):
    """Body of the record of kind `suspicion`, named after the accused: its owner hears nothing from it.

    A record, so that it is signed: one peer cannot pretend to be two observers. `incarnation` -1 takes
    it back.
    """

    accused: PeerId
    incarnation: int
