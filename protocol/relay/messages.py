"""What relays pass on, what is inside, and the small words by which peers find out who can dial whom.

A `Relayed` is between hops: a relay sees who, to whom and how much, never what. What is sealed in its box is
one of `Letter`, in whose numbers and tokens the two ends find replays, gaps and one another's earlier lives.
"""

from typing import Annotated

import msgspec

from protocol.terms.ids import PeerId

Hops = Annotated[int, msgspec.Meta(ge=0, le=2)]
TOKEN_BYTES = 16
Token = Annotated[bytes, msgspec.Meta(min_length=TOKEN_BYTES, max_length=TOKEN_BYTES)]
"""Chosen by one end for one path, never again: who says it has read what was sealed for it lately."""
Number = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Relayed(msgspec.Struct, frozen=True, tag="relayed"):
    """Pass this on. The box is sealed by `origin` for `destination`."""

    destination: PeerId
    origin: PeerId
    hops: Hops
    """How many more relays may pass it on, this one among them; 0 when it is where it is to go."""
    ttl_ms: Annotated[int, msgspec.Meta(ge=0, le=10_000)]
    """How much longer it may wait; each relay takes off what it made it wait."""
    box: bytes


class Unrelayed(msgspec.Struct, frozen=True, tag="unrelayed"):
    """A relay cannot pass on what is for that peer: it has no connection with it. Try another."""

    destination: PeerId


class DialBack(msgspec.Struct, frozen=True, tag="dial-back"):
    """Can you dial me, where my presence says?"""


class DialledBack(msgspec.Struct, frozen=True, tag="dialled-back"):
    """Whether the sender got through when it dialled the receiver. Also said unasked, when it did not."""

    reached: bool


RelayMessage = Relayed | Unrelayed | DialBack | DialledBack


class Opening(msgspec.Struct, frozen=True, tag="opening"):
    """Let us have a path. `mine` is the sender's token."""

    mine: Token


class Accepting(msgspec.Struct, frozen=True, tag="accepting"):
    """Yes: `yours` is the token of the Opening, which shows that this answers it."""

    yours: Token
    mine: Token


class Word(msgspec.Struct, frozen=True, tag="word"):
    """One frame, or none: then it only says that the path works.

    Numbers rise by one with each Word; one that is not above the last is a replay, or late, and is dropped.
    """

    yours: Token
    mine: Token
    number: Number
    heard: Number
    """The greatest number the sender has had from the other end."""
    missed: Number
    """How many below it never came."""
    frame: bytes


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The path of these two tokens is over, or is none the sender knows."""

    yours: Token
    mine: Token


Letter = Opening | Accepting | Word | Ended
"""What may be in a box."""
