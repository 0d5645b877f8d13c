"""What proposers and acceptors of a register say to each other.

A register's value is opaque here: bytes, empty if it was never written. The code that
proposes a change knows which values make sense.
"""

from typing import Annotated

import msgspec

from protocol.terms.ids import PeerId
from protocol.terms.ranges import Number
from protocol.wire.limits import MAX_FRAME_BYTES

MAX_ROUND = 1 << 48
"""No honest register comes near it. A greater one would overflow what the wire can say."""

MAX_KEY_CHARACTERS = 256
"""An owner's key and a grid's name have at most 128."""

Value = Annotated[bytes, msgspec.Meta(max_length=MAX_FRAME_BYTES - 8192)]
"""Bounded so that whatever is accepted fits in a promise: in one frame with its key and two ballots."""


class Ballot(msgspec.Struct, frozen=True, order=True, array_like=True):
    """Orders attempts, and is the fencing token. No two attempts ever have the same.

    Under a shared ballot two values could be accepted. So a ballot names the proposer and which of its lives
    it is: a peer that was restarted does not know what it asked before.
    """

    round: Annotated[int, msgspec.Meta(ge=0, le=MAX_ROUND)]
    peer: PeerId
    life: Number


class RegisterMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What all of them have: the register, and the attempt they are about."""

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
