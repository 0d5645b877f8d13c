"""What is on disk of a host's holds."""

import msgspec

from protocol.capacity.timetable import Window
from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.trust.order import SignedOrder


class HoldRow(msgspec.Struct, frozen=True):
    """What is on disk for the holds of one grid on this host."""

    grid: GridId
    key: str
    owner: KeyId
    name: str
    order: SignedOrder
    workspaces: tuple[str, ...]
    stewards: tuple[PeerId, ...]
    vnis: tuple[tuple[str, int], ...]
    until_s: float
    start_s: float = 0.0
    """When the lease is to begin; 0 if that is when it is committed."""
    window: Window = Window(0.0, 1e12, 1e12)
    """The time that is held for it in the timetable."""
    yields: bool = False
    """Whether it is best-effort work that can be suspended here."""
    owner_site: str = ""
    plan: bool = False
    """Whether it is a plan, which nobody can commit and which ends by itself."""
    requester: str = ""
    """The peer that asked for it: only that one lets go of it, or says that it is decided. Rows of older builds
    do not say it; then it is anybody."""
    asked: bytes = b""
    """What shows to stewards that this host was asked (grid/asked.py)."""


class HoldNotSaved(msgspec.Struct, frozen=True):
    """The store refused a hold. It was not promised, and the requester is told why."""

    grid: GridId
    workspaces: tuple[str, ...]
    requester: PeerId
    instead: str = ""
    why: str = "the host's store has no room for another promise"
