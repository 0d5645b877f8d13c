"""What proposers and acceptors of a register say to each other.

A register's value is opaque here (bytes; empty = never written). Which values make sense is the
business of whoever changes it.
"""

from typing import Annotated

import msgspec

from protocol.terms.ids import PeerId

MAX_ROUND = 1 << 48
"""No honest register comes near it; one above would overflow what the wire can say."""


class Ballot(msgspec.Struct, frozen=True, order=True, array_like=True):
    """Orders attempts; also the fencing token. No two attempts ever have the same.

    Two attempts under one ballot could have two values accepted under it. Hence the proposer, and which
    of its lives it was: a peer that was restarted does not know what it asked before.
    """

    round: Annotated[int, msgspec.Meta(ge=0, le=MAX_ROUND)]
    peer: PeerId
    life: int


class RegisterMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What they have in common: the register, and the attempt it is about."""

    key: str
    ballot: Ballot


class Prepare(RegisterMessage, frozen=True, tag="prepare"):
    """May I? Asks for the value last accepted and for a promise to take no older ballot."""


class Promise(RegisterMessage, frozen=True, tag="promise"):
    """Yes; this is what I accepted last, at `accepted` (None: nothing yet)."""

    accepted: Ballot | None
    value: bytes


class Accept(RegisterMessage, frozen=True, tag="accept"):
    """Take this value."""

    value: bytes


class Accepted(RegisterMessage, frozen=True, tag="accepted"):
    """Taken, and on disk."""


class Conflict(RegisterMessage, frozen=True, tag="conflict"):
    """No: I have promised a newer ballot."""

    promised: Ballot
