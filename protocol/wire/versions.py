"""Versions: which ones this peer speaks, and which one two peers speak with each other.

A Hello carries the oldest and the newest version its sender speaks. Two peers speak the newest version both
know. With none in common they part, and both know why. A Hello itself is always in a frame of version GREETING,
as is the Unwelcome that answers one, and neither loses a field, so that any two versions can say that much. Who
does not speak that version reads nothing else in such a frame.

A new message type, a field without a default, or another meaning of a field needs a new version. A field with
a default does not, since unknown fields are left aside. A newer peer should not say what the agreed version
lacks. If it does, the message is counted and dropped, and nothing is held against the peer.

Version 2 is that of statements that prove themselves: what stewards sign names the store that has the seat, and
decisions are certificates. Version 1 had none of it, so nobody here speaks it any more.

Until release 1.0 the version may change without a greater number: nobody's federation runs two builds yet.
"""

from typing import Annotated

import msgspec

Number = Annotated[int, msgspec.Meta(ge=1, le=1 << 15)]
"""A version on the wire."""

GREETING = 1
"""The version of every Hello's frame, for ever."""

GREETINGS = ("hello", "unwelcome")
"""The types of message that are said before a version is agreed."""


class Span(msgspec.Struct, frozen=True):
    """Versions from the oldest to the newest, both included."""

    oldest: int
    newest: int

    def __contains__(self, version: int) -> bool:
        return self.oldest <= version <= self.newest

    def __str__(self) -> str:
        if self.oldest == self.newest:
            return f"version {self.oldest}"
        return f"versions {self.oldest} to {self.newest}"


SPOKEN = Span(oldest=2, newest=2)
"""The versions this code speaks."""


def agreed(mine: Span, theirs: Span) -> int | None:
    """The newest version both speak; None if they have none in common."""
    version = min(mine.newest, theirs.newest)
    return version if version in mine and version in theirs else None
