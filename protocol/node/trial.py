"""Whether rows of a store can be lived with, seen by beginning a life with them that nobody hears of."""

from protocol.node.events import Started, Ticked
from protocol.node.node import Node
from protocol.peering.addresses import Rows
from protocol.terms.dice import Dice
from protocol.trust.identity import Identity

TRIES_S = 120.0
"""How long the life is that is tried, of its own time."""
_TICKS = 50


def lives(identity: Identity, rows: Rows, dice: Dice, now: float) -> bool:
    """Whether a peer can begin a life with these rows, and go on for a while."""
    copy = {table: dict(each) for table, each in rows.items()}
    try:
        node = Node(identity, None, (), (), copy, dice, now)
        node.handle(Started(), now)
        end_s = now + TRIES_S
        for _ in range(_TICKS):
            now = max(now, node.next_deadline().at_s)
            if now > end_s:
                break
            node.handle(Ticked(), now)
    except Exception:  # whatever it is, it ends a life
        return False
    return True
