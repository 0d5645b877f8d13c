"""What the orders in a record have changed of its grid since it was made.

Stewards and hosts read it alike. They differ in what they believe an order by: a host looks at its certificates
by its clock, a steward at its signatures alone, so that every steward judges alike at any time.
"""

from collections.abc import Callable

import msgspec

from protocol.contract.permitting import require_later
from protocol.grid.record import GridRecord, lease_change
from protocol.grid.stopping import stop_terms
from protocol.grid.volumes import terminate_terms
from protocol.trust.order import Action, Order, SignedOrder, order_id
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import Malformed

Judged = Callable[[SignedOrder], Order]
"""Answers a signed order that may change a grid. Raises Untrusted if it may not."""


class Changed(msgspec.Struct, frozen=True):
    """What was ordered of a grid since it was made."""

    down: bool = False
    gone: tuple[str, ...] = ()
    """The workspaces that were ordered gone, since the last order was applied to it."""
    extra_s: int = 0
    """By how many seconds its lease was changed."""


def changed(record: GridRecord, believed: Judged) -> Changed:
    """What a record's orders changed. `believed` raises Untrusted if one may not change that grid.

    Raises Untrusted, also if one cannot be read, if one is there twice, or if the record's lease is not what
    they make of it.
    """
    down, gone, extra_s = False, dict[str, None](), 0
    seen: set[str] = set()
    for number, signed in enumerate(record.changes):
        if order_id(signed) in seen:
            raise Untrusted(Reason.MALFORMED, "a record with one order twice")
        seen.add(order_id(signed))
        order = believed(signed)
        if number >= record.folded:
            require_later(order, record)
        try:
            match order.action:
                case Action.DOWN:
                    stop_terms(order)
                    down = True
                case Action.TERMINATE:
                    terminate_terms(order)
                    if number >= record.folded:
                        gone[order.workspace] = None
                case Action.LEASE:
                    extra_s += lease_change(signed).by_s
                case _:
                    pass
        except Malformed as error:
            why = f"an order to {order.action} that cannot be read: {error}"
            raise Untrusted(Reason.MALFORMED, why) from None
    if record.extra_s != extra_s:
        raise Untrusted(Reason.MALFORMED, "a lease that nobody ordered so long, or so short")
    return Changed(down, tuple(gone), extra_s)
