"""What the shell reports to the host's side of a peer."""

from enum import StrEnum

import msgspec

from protocol.grid.lifecycle import Phase, Power
from protocol.terms.ids import GridId


class Progressed(msgspec.Struct, frozen=True):
    """Where a workspace on this host is."""

    grid: GridId
    workspace: str
    phase: Phase
    detail: str
    boot: int
    final: bool = False
    """No further phase is expected: the workspace runs, and has no address at which it could be reached."""
    within_s: int = 0
    """Of one that is ending: how many seconds its guest has to shut down."""


class GuestSaid(msgspec.Struct, frozen=True):
    """A guest on this host said that it is ready, or what is wrong; or it has been silent for so long that it
    counts as ready; or it has begun anew, and takes its word back."""

    grid: GridId
    workspace: str
    boot: int
    """The start in which it said so."""
    host_keys: tuple[str, ...] = ()
    """Its public keys, as `host_keys` in grid/host_keys.py answers them."""
    problem: str = ""
    """What is wrong, in its own words: one line of plain text. It is not ready then."""
    taken_back: bool = False


class Happened(msgspec.Struct, frozen=True):
    """Something happened to a grid on this host, by itself or by somebody else: it is told as it is."""

    grid: GridId
    workspace: str
    """Empty if it concerns the whole grid."""
    kind: str
    detail: str


class MemorySeen(msgspec.Struct, frozen=True):
    """How much memory a machine on this host has, of which memory is to be given back."""

    grid: GridId
    workspace: str
    epoch: int
    """Of the grid, as the shell knew it when it looked."""
    memory_bytes: int


class Cleared(msgspec.Struct, frozen=True):
    """Nothing unwanted of a grid is left on this host."""

    grid: GridId


class Measured(msgspec.Struct, frozen=True):
    """How long this host took to save a machine's memory to disk, or to restore it."""

    saved: bool
    """False if it was restored."""
    size_bytes: int
    took_s: float


class Care(StrEnum):
    """How the upkeep of a grid's network on this host goes."""

    MENDED = "network.mended"
    """Somebody else had undone part of it. It is as it should be again."""
    UNSTEADY = "network.unsteady"
    """It is undone again and again, and is now mended with pauses."""
    BROKEN = "network.broken"
    """It cannot be mended. It is tried again."""


class Kept(msgspec.Struct, frozen=True):
    """The host looked after a network of a grid that was in force here, or after a guest's card."""

    grid: GridId
    subject: str
    """What people call it: GRID/NETWORK or GRID/WORKSPACE."""
    care: Care
    detail: str
    """What was wrong, and what was done."""


class Found(msgspec.Struct, frozen=True):
    """Something of ours is on this host, and this host carries no grid that it belongs to.

    It may be told again; the newest word on the same thing counts.
    """

    grid: GridId
    """Empty if nothing on the thing says it."""
    what: str
    """The thing, as people would look for it: `machine ovl-0123`, `disk 4567.0.data`."""
    workspace: str = ""
    """Empty for what belongs to no workspace, or if nothing on the thing says it."""
    detail: str = ""
    """What else is known of it, for people."""
    power: Power | None = None
    """What a machine does now; None for what is no machine."""
    boot: int = 0
    """Which of its starts a machine is in."""
    build: int = 0
    """Which of its workspace's root disks a machine has."""
    cpus_milli: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    keepsake: bytes = b""
    """What this host gave the machine when it was made (hosting/keepsake.py)."""
    is_gone: bool = False
    """Whether it was found before, and is there no more."""


Report = Progressed | GuestSaid | Happened | Cleared | Measured | MemorySeen | Kept | Found
