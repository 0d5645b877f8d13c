"""What people ask of a peer."""

import msgspec

from protocol.grid.model import GridSpec
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.trust.order import SignedOrder


class PlanAsked(msgspec.Struct, frozen=True):
    """Somebody here wants to know where a grid would go."""

    request: RequestId
    spec: GridSpec
    site: str = ""
    """The site whose admin would order it; empty for this peer's own site."""
    keep: bool = False
    """Whether the answer is a quote, which is kept for a while so that exactly that can be ordered."""
    change: GridId = GridId("")
    """The grid that is up and would become that; empty for a new one."""
    without: tuple[str, ...] = ()
    """Of a change: workspaces that would not be there, though their clusters have them."""


class OrderGiven(msgspec.Struct, frozen=True):
    """Somebody here gave a signed order."""

    request: RequestId
    order: SignedOrder
    quote: str = ""
    """A quote of this peer: the `up` is of exactly what that says. Empty for any other order."""


class GridsAsked(msgspec.Struct, frozen=True):
    """Somebody here asks what grids there are: what is told of them is checked."""

    about: str = ""
    """A name or an id; empty for all."""


class AttachGiven(msgspec.Struct, frozen=True):
    """Somebody here gave an order to attach this host to a network, or a newer one of the same."""

    grid: GridId
    network: str
    order: SignedOrder
    hosts: tuple[PeerId, ...]
    """Those that are known to carry the grid."""


class AttachDropped(msgspec.Struct, frozen=True):
    """Nobody here wants to be on that network any more."""

    grid: GridId
    network: str


class CancelAsked(msgspec.Struct, frozen=True):
    """Somebody here changed their mind."""

    request: RequestId
