"""An order about a grid that is only told of: what was decided of it is looked for first.

So no host's false word decides whom an order goes to, or that there is no such grid. If nobody shows anything
in time, the order goes by what is told: a site that is cut off with a host of a grid must still reach that.
A peer that has just started may not have heard of the grid at all yet.
"""

from protocol.requesting.request import Request
from protocol.terms.checking import FOUND_WITHIN_S
from protocol.terms.effects import Deadline
from protocol.terms.ids import GridId, RequestId
from protocol.trust.order import CheckedOrder, SignedOrder


class Finding(Request):
    """One such order, until it becomes the request that it asks for."""

    def __init__(
        self,
        request: RequestId,
        checked: CheckedOrder,
        signed: SignedOrder,
        now: float,
        within_s: float = FOUND_WITHIN_S,
        quote: str = "",
    ) -> None:
        super().__init__(request, checked.order.grid, now)
        self.kind = checked.order.action
        self.checked, self.signed, self.quote = checked, signed, quote
        self.grid_id = GridId(checked.order.grid)
        self.until_found_s = now + within_s
        self.stage = "asking what was decided"
        self.tell(now, "what is told of it is not confirmed: asking what was decided")

    def next_deadline(self) -> Deadline:
        """When it goes on anyway."""
        return Deadline(self.until_found_s, self.kind)
