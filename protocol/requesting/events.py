"""What people ask of a peer."""

import msgspec

from protocol.grid.model import GridSpec
from protocol.terms.ids import RequestId
from protocol.trust.order import SignedOrder


class PlanAsked(msgspec.Struct, frozen=True):
    """Somebody here wants to know where a grid would go."""

    request: RequestId
    spec: GridSpec
    site: str = ""
    """Whose admin would order it; this peer's own, if none is named."""
    keep: bool = False
    """The answer is a quote, kept for a while so that exactly that can be ordered."""


class OrderGiven(msgspec.Struct, frozen=True):
    """Somebody here gave a signed order."""

    request: RequestId
    order: SignedOrder
    quote: str = ""
    """An `up` of exactly what that quote of this peer says."""


class CancelAsked(msgspec.Struct, frozen=True):
    """Somebody here changed their mind."""

    request: RequestId
