"""What can happen to a host's side of a peer: the shell reports."""

import msgspec

from protocol.grid.lifecycle import Phase
from protocol.terms.ids import GridId


class Progressed(msgspec.Struct, frozen=True):
    """Where a workspace on this host is."""

    grid: GridId
    workspace: str
    phase: Phase
    detail: str
    boot: int
    final: bool = False
    """No further phase is expected: it runs, and there is nothing to be reached by."""


class Cleared(msgspec.Struct, frozen=True):
    """Nothing unwanted of a grid is left on this host."""

    grid: GridId


class Measured(msgspec.Struct, frozen=True):
    """How long this host took to save a machine's memory to disk, or to restore it."""

    saved: bool
    """False: restored."""
    size_bytes: int
    took_s: float
