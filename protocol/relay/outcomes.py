"""What this room asks of others, and what it must be told of them."""

from typing import Protocol

import msgspec

from protocol.terms.effects import Effect
from protocol.terms.ids import PeerId
from protocol.terms.reach import Reach


class PathUp(msgspec.Struct, frozen=True):
    """A path to that peer stands. It is authenticated at both ends, and as good as a connection."""

    peer: PeerId


class PathDown(msgspec.Struct, frozen=True):
    """The path to that peer is over."""

    peer: PeerId
    why: str


class Came(msgspec.Struct, frozen=True):
    """A frame of that peer came on a path: once, and behind the frames before it."""

    peer: PeerId
    frame: bytes


class Spoilt(msgspec.Struct, frozen=True):
    """A peer broke a rule that no relay could have broken for it."""

    peer: PeerId
    reason: str


class DirectFound(msgspec.Struct, frozen=True):
    """A peer that was reached through a relay can be dialled."""

    peer: PeerId


class ReachChanged(msgspec.Struct, frozen=True):
    """What this peer knows of whether others can dial it has changed."""

    reach: Reach


Outcome = PathUp | PathDown | Came | Spoilt | DirectFound | ReachChanged


class Locator(msgspec.Struct, frozen=True):
    """What a live peer's presence says of how to reach it."""

    site: str
    address: str
    reach: Reach
    via: tuple[PeerId, ...]
    suspect: bool = False
    """Some observer hears nothing from it."""


class Around(Protocol):
    """What is around this peer. This room asks for it when it needs it."""

    def direct(self) -> list[PeerId]:
        """Peers with an introduced connection of their own, in an order that does not change by itself."""

    def is_direct(self, peer: PeerId) -> bool:
        """Whether that peer has one."""

    def is_dialled(self, peer: PeerId) -> bool:
        """Whether the transport is trying to dial it."""

    def told(self, peer: PeerId) -> Locator | None:
        """What that peer's presence says; None if the peer is not known to be alive."""

    def call(self, peer: PeerId, now: float) -> list[Effect]:
        """Makes a connection to a peer for a moment, so that a message can be passed on to it."""
