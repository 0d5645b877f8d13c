"""Versions: which ones this peer speaks, and which one two peers speak with each other.

A Hello carries the oldest and the newest version its sender speaks. Two peers speak the newest version both
know. With none in common they part, and both know why. A Hello itself is always in a frame of version GREETING
and never loses a field, so that any two versions can say that much.

A new message type, a field without a default, or another meaning of a field needs a new version. A field with
a default does not, since unknown fields are left aside. A newer peer should not say what the agreed version
lacks. If it does, the message is counted and dropped, and nothing is held against the peer.

Until release 1.0 version 1 may change without becoming 2: nobody's federation runs two builds yet.
"""

from typing import Annotated

import msgspec

Number = Annotated[int, msgspec.Meta(ge=1, le=1 << 15)]
"""A version on the wire."""

GREETING = 1
"""The version of every Hello's frame, for ever."""


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


SPOKEN = Span(oldest=1, newest=1)
"""The versions this code speaks."""


def agreed(mine: Span, theirs: Span) -> int | None:
    """The newest version both speak; None if they have none in common."""
    version = min(mine.newest, theirs.newest)
    return version if version in mine and version in theirs else None
