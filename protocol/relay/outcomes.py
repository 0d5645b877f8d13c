"""What this room asks of others, and what it must be told of them."""

from typing import Protocol

import msgspec

from protocol.terms.effects import Effect
from protocol.terms.ids import PeerId
from protocol.terms.reach import Reach


class PathUp(msgspec.Struct, frozen=True):
    """A path to that peer stands, authenticated at both ends: as good as a connection."""

    peer: PeerId


class PathDown(msgspec.Struct, frozen=True):
    """The path is over."""

    peer: PeerId
    why: str


class Came(msgspec.Struct, frozen=True):
    """A frame of that peer came on a path, once, behind those before it."""

    peer: PeerId
    frame: bytes


class Spoilt(msgspec.Struct, frozen=True):
    """A peer broke a rule that only it can have broken."""

    peer: PeerId
    reason: str


class DirectFound(msgspec.Struct, frozen=True):
    """A peer that was talked with through a relay can be dialled."""

    peer: PeerId


class ReachChanged(msgspec.Struct, frozen=True):
    """This peer found out something else about whether others can dial it."""

    reach: Reach


Outcome = PathUp | PathDown | Came | Spoilt | DirectFound | ReachChanged


class Locator(msgspec.Struct, frozen=True):
    """What a live peer's presence says."""

    site: str
    address: str
    reach: Reach
    via: tuple[PeerId, ...]
    suspect: bool = False
    """Somebody hears nothing from it."""


class Around(Protocol):
    """What is around this peer, asked for when it is needed."""

    def direct(self) -> list[PeerId]:
        """Peers with an introduced connection of their own, in an order that does not change by itself."""

    def is_direct(self, peer: PeerId) -> bool:
        """Whether that one has."""

    def is_dialled(self, peer: PeerId) -> bool:
        """Whether the transport is trying to dial it."""

    def told(self, peer: PeerId) -> Locator | None:
        """None if the peer is not known to be alive."""

    def call(self, peer: PeerId, now: float) -> list[Effect]:
        """Makes a connection to a peer for a moment, so that something can be passed on to it."""
