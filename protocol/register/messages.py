"""What proposers and acceptors of a register say to each other.

A register's value is opaque here (bytes; empty = never written). Which values make sense is the
business of whoever changes it.
"""

from typing import Annotated

import msgspec

from protocol.terms.ids import PeerId
from protocol.wire.limits import MAX_FRAME_BYTES

MAX_ROUND = 1 << 48
"""No honest register comes near it; one above would overflow what the wire can say."""

MAX_KEY_CHARACTERS = 256
"""An owner's key and a grid's name have 128."""

Value = Annotated[bytes, msgspec.Meta(max_length=MAX_FRAME_BYTES - 8192)]
"""Whatever is accepted can be promised: in a frame with its key and two ballots."""


class Ballot(msgspec.Struct, frozen=True, order=True, array_like=True):
    """Orders attempts; also the fencing token. No two attempts ever have the same.

    Two attempts under one ballot could have two values accepted under it. Hence the proposer, and which
    of its lives it was: a peer that was restarted does not know what it asked before.
    """

    round: Annotated[int, msgspec.Meta(ge=0, le=MAX_ROUND)]
    peer: Annotated[PeerId, msgspec.Meta(max_length=64)]
    life: int


class RegisterMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What they have in common: the register, and the attempt it is about."""

    key: Annotated[str, msgspec.Meta(max_length=MAX_KEY_CHARACTERS)]
    ballot: Ballot


class Prepare(RegisterMessage, frozen=True, tag="prepare"):
    """May I? Asks for the value last accepted and for a promise to take no older ballot."""


class Promise(RegisterMessage, frozen=True, tag="promise"):
    """Yes; this is what I accepted last, at `accepted` (None: nothing yet)."""

    accepted: Ballot | None
    value: Value


class Accept(RegisterMessage, frozen=True, tag="accept"):
    """Take this value."""

    value: Value


class Accepted(RegisterMessage, frozen=True, tag="accepted"):
    """Taken, and on disk."""


class Conflict(RegisterMessage, frozen=True, tag="conflict"):
    """No: I have promised a newer ballot."""

    promised: Ballot
