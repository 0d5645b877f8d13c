"""What relays pass on, what is inside, and the small messages by which peers find out who can dial whom.

A `Relayed` goes from hop to hop. A relay sees from whom, to whom and how much, never what. Its box has a
sealed `Letter`, whose numbers and tokens show the two ends replays, gaps and each other's earlier lives.
"""

from typing import Annotated

import msgspec

from protocol.terms.ids import PeerId

Hops = Annotated[int, msgspec.Meta(ge=0, le=2)]
TOKEN_BYTES = 16
Token = Annotated[bytes, msgspec.Meta(min_length=TOKEN_BYTES, max_length=TOKEN_BYTES)]
"""One end chooses it, for one path. A peer that says it has lately read what was sealed for that peer."""
Number = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Relayed(msgspec.Struct, frozen=True, tag="relayed"):
    """Pass this on. The box is sealed by `origin` for `destination`."""

    destination: PeerId
    origin: PeerId
    hops: Hops
    """How many more relays may pass it on, this one among them; 0 when it has arrived."""
    ttl_ms: Annotated[int, msgspec.Meta(ge=0, le=10_000)]
    """How much longer it may wait. Each relay takes off the time it waited there."""
    box: bytes


class Unrelayed(msgspec.Struct, frozen=True, tag="unrelayed"):
    """A relay has no connection with that peer, so it cannot pass on to it. Try another."""

    destination: PeerId


class DialBack(msgspec.Struct, frozen=True, tag="dial-back"):
    """Can you dial me at the address in my presence?"""


class DialledBack(msgspec.Struct, frozen=True, tag="dialled-back"):
    """Whether the sender got through when it dialled the receiver. If it did not, this is also said unasked."""

    reached: bool


RelayMessage = Relayed | Unrelayed | DialBack | DialledBack


class Opening(msgspec.Struct, frozen=True, tag="opening"):
    """Let us have a path. `mine` is the sender's token."""

    mine: Token


class Accepting(msgspec.Struct, frozen=True, tag="accepting"):
    """Yes. `yours` is the token of the Opening, and shows that this answers it."""

    yours: Token
    mine: Token


class Word(msgspec.Struct, frozen=True, tag="word"):
    """One frame, or none: then the Word only says that the path works.

    Numbers rise by one with each Word. A Word not above the last is a replay or late, and is dropped.
    """

    yours: Token
    mine: Token
    number: Number
    heard: Number
    """The greatest number that the sender has had from the other end."""
    missed: Number
    """How many numbers below `heard` never came."""
    frame: bytes


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The path of these two tokens is over, or the sender does not know it."""

    yours: Token
    mine: Token


Letter = Opening | Accepting | Word | Ended
"""What may be in a box."""
