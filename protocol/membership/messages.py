"""First words on a connection, pings, the handshake of neighbours, and walks through the overlay."""

from typing import Annotated

import msgspec

from protocol.grid.tunnel import TunnelEnd
from protocol.terms.coordinate import NOWHERE, Coordinate
from protocol.terms.ids import PeerId, StoreId
from protocol.terms.limits import JOIN_HOPS, SHUFFLE_HOPS, SHUFFLED
from protocol.terms.ranges import Moment, Name, NumberOrNone, Place
from protocol.terms.reach import Reach
from protocol.trust.certificate import Chain
from protocol.trust.record import SignedRecord
from protocol.wire.versions import GREETING, SPOKEN, Number, Span


class Presence(msgspec.Struct, frozen=True):
    """Body of the record of kind `presence`: who a peer is and where it is found.

    The record's incarnation is the peer's: it rises at every start, and to refute a suspicion.
    """

    chain: Chain
    address: Place
    """The HOST:PORT that others dial."""
    left: bool = False
    """The peer said goodbye."""
    reach: Reach = Reach.PUBLIC
    """Whether others can dial it there. `address` is empty for a peer that listens nowhere."""
    via: tuple[PeerId, ...] = ()
    """For a peer that is not public: peers it has standing connections with, at most VIA_MOST."""
    process: Annotated[str, msgspec.Meta(max_length=16)] = ""
    """What this process of the peer calls itself, another at each start. Two that alternate share a key."""
    tunnel: TunnelEnd | None = None
    """Where the host takes the traffic of its grids' networks; None while it does not know."""
    store: StoreId = StoreId("")
    """The store that remembers what the host promises (trust/own_store.py)."""
    leaving: bool = False
    """Whether the host is to be stopped for good, so that others take its seats as a steward."""


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The first message on a connection, both ways. Until it is checked nothing else is heard."""

    presence: SignedRecord
    oldest: Number = GREETING
    newest: Number = GREETING
    """The versions its sender speaks, from the oldest to the newest (wire/versions.py)."""
    yours: SignedRecord | None = None
    """The newest presence of the receiver that the sender has. A host that was restored from a backup, or
    cloned, sees there that it lost something, before it is asked anything."""


def greeting(
    presence: SignedRecord, speaks: Span = SPOKEN, yours: SignedRecord | None = None
) -> Hello:
    """The Hello of a peer that speaks those versions."""
    return Hello(presence, speaks.oldest, speaks.newest, yours)


class Unwelcome(msgspec.Struct, frozen=True, tag="unwelcome"):
    """The last message on a connection: the receiver's Hello was not good, and its sender hangs up.

    It is believed in nothing but the revocation, which proves itself.
    """

    reason: Annotated[str, msgspec.Meta(max_length=32)]
    """Why, as a word out of a closed list (peering/welcome.py); a word that is unknown means nothing."""
    time_s: Moment
    """The sender's clock."""
    revocation: SignedRecord | None = None
    """The revocation of a certificate that the receiver showed."""


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Are you there? `sent_s` is the sender's clock, and comes back as it was.

    One side of a connection pings. It says what round trip it measured last (0: none yet), so that the other
    side, too, learns how far apart they are.
    """

    sent_s: Moment
    round_trip_s: Moment = 0.0
    here: Coordinate = NOWHERE


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """Yes. `time_s` is the answering clock half a round trip ago, so clocks can be compared (Cristian)."""

    sent_s: Moment
    time_s: Moment = 0.0
    here: Coordinate = NOWHERE


class Contact(msgspec.Struct, frozen=True, array_like=True):
    """A peer that may be dialled. It is a hint until the peer has shown its certificates."""

    peer: PeerId
    site: Name
    address: Place


class Join(msgspec.Struct, frozen=True, tag="join"):
    """HyParView's JOIN: I am new here, you are my first contact."""


class ForwardJoin(msgspec.Struct, frozen=True, tag="forward-join"):
    """HyParView's FORWARDJOIN: a peer is new. The peer this walk ends at asks it to be a neighbour."""

    newcomer: Contact
    hops: Annotated[int, msgspec.Meta(ge=0, le=JOIN_HOPS)]
    """How many hops the walk still has to go."""


class Shuffle(msgspec.Struct, frozen=True, tag="shuffle"):
    """HyParView's SHUFFLE: contacts to be swapped with the peer this walk ends at.

    `walk` tells walks apart. The answer goes back the way the walk came, so it needs no connection of its own.
    """

    walk: Annotated[str, msgspec.Meta(max_length=16)]
    contacts: Annotated[tuple[Contact, ...], msgspec.Meta(max_length=SHUFFLED)]
    hops: Annotated[int, msgspec.Meta(ge=0, le=SHUFFLE_HOPS)]


class ShuffleReply(msgspec.Struct, frozen=True, tag="shuffle-reply"):
    """As many contacts in return. Without a walk, those that a newcomer's first contact can name."""

    walk: Annotated[str, msgspec.Meta(max_length=16)]
    contacts: Annotated[tuple[Contact, ...], msgspec.Meta(max_length=SHUFFLED)]


class Neighbour(msgspec.Struct, frozen=True, tag="neighbour"):
    """HyParView's NEIGHBOR: let us watch each other. `urgent`: the sender has next to no neighbours."""

    urgent: bool


class NeighbourReply(msgspec.Struct, frozen=True, tag="neighbour-reply"):
    """Whether the receiver of a Neighbour agreed."""

    agreed: bool


class Disconnect(msgspec.Struct, frozen=True, tag="disconnect"):
    """HyParView's DISCONNECT: I made room for another peer. Keep me among your contacts."""


class Goodbye(msgspec.Struct, frozen=True, tag="goodbye"):
    """The sender stops in an orderly way."""


MembershipMessage = (
    Hello
    | Unwelcome
    | Ping
    | Pong
    | Join
    | ForwardJoin
    | Shuffle
    | ShuffleReply
    | Neighbour
    | NeighbourReply
    | Disconnect
    | Goodbye
)


class Suspicion(msgspec.Struct, frozen=True):
    """Body of the record of kind `suspicion`, named after the accused: the owner hears nothing from it.

    It is a record so that it is signed: one peer cannot pretend to be two observers. An `incarnation` of -1
    takes it back.
    """

    accused: PeerId
    incarnation: NumberOrNone
    since_s: Moment = 0.0
    """When it fell silent, Unix seconds by the owner's clock; 0 if the owner does not say."""
