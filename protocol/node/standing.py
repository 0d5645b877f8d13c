"""What a grid is now, as its stewards decided it: what a change of it begins with. Faces in other processes
read it, so it imports little."""

import msgspec

from protocol.grid.expand import cluster_of
from protocol.grid.model import ClusterSpec, GridSpec
from protocol.grid.record import GridState
from protocol.terms.ids import GridId


class Placed(msgspec.Struct, frozen=True):
    """A workspace of a grid, and where it is."""

    workspace: str
    host: str
    site: str


class PastRow(msgspec.Struct, frozen=True):
    """A change that was decided."""

    epoch: int
    """What the grid became by it."""
    action: str
    """What was ordered: `up`, `apply`, `lease`, `terminate` ..."""
    at_s: float
    """When it was ordered, Unix seconds."""
    by: str
    """The name of who signed it."""
    said: str
    """What it changed, in a line; empty of the order that made the grid."""


class Standing(msgspec.Struct, frozen=True):
    """A grid as the record has it that this peer was shown last."""

    grid: GridId
    name: str
    owner_site: str
    epoch: int
    state: GridState
    spec: GridSpec
    placed: tuple[Placed, ...]
    before: GridSpec | None = None
    """What it was before its last change, of its lease apart; None if it was never changed. An ended workspace
    is a change as well."""
    past: tuple[PastRow, ...] = ()
    """The changes decided last, the oldest first."""
    ends_s: float = 0.0
    """When its lease ends, Unix seconds, as the last of its hosts tells it; 0 if none tells."""
    before_without: tuple[str, ...] = ()
    """The workspaces of `before` that were not there then."""
    out: tuple[str, ...] = ()
    """The workspaces of `spec` that were ordered gone, or left out. Others that are not there lack room."""

    def most_of(self, cluster: ClusterSpec) -> int:
        """How many of an elastic cluster of `spec` there are if there is room."""
        return cluster.count - sum(cluster_of(name) == cluster.name for name in self.out)
