"""What this host's answers to others' orders say in its audit log.

It reads the answer that goes out: whatever made the host refuse, a line says it, with the same words.
"""

from collections.abc import Callable

import msgspec

from protocol.contract.audited import audited, before_said
from protocol.contract.authority import Authority
from protocol.contract.messages import (
    Act,
    ActReply,
    Decided,
    DecidedAck,
    HoldAsk,
    HoldReply,
    LeaseAsk,
    LeaseReply,
    ToHost,
)
from protocol.contract.outcomes import Answer
from protocol.grid.record import GridRecord
from protocol.hosting.leases import Leases
from protocol.terms.effects import Persist, Send
from protocol.terms.ids import PeerId
from protocol.trust.order import SignedOrder


class Decisions:
    """The lines of one host about what is asked of it."""

    def __init__(self, authority: Authority, leases: Leases, site: Callable[[PeerId], str]) -> None:
        """`site` answers the site of a peer."""
        self._authority, self._leases, self._site = authority, leases, site

    def told(self, sender: PeerId, message: ToHost, answer: Answer, now: float) -> Answer:
        """What follows from a peer's message, with the line about the order in it if it has one."""
        effects, outcomes = answer
        changed = any(isinstance(effect, Persist) for effect in effects)
        for reply in [effect.message for effect in effects if isinstance(effect, Send)]:
            asked = self._asked(message, reply, changed)
            if asked is not None:
                what, order, forbids = asked
                via = sender, self._site(sender)
                line = audited(self._authority, what, order, via, now, forbids)
                return before_said(effects, line), outcomes
        return answer

    def _asked(
        self, message: ToHost, reply: msgspec.Struct, changed: bool
    ) -> tuple[str, SignedOrder, str] | None:
        """For what an order was shown, and what forbade it; None if the reply is to none."""
        match message, reply:
            case HoldAsk(change=None), HoldReply():
                return "hold", message.order, _forbids(reply)
            case HoldAsk(change=SignedOrder() as change), HoldReply():
                return "change", change, _forbids(reply)
            case Act(), ActReply():
                return "act", message.order, reply.problem
            case LeaseAsk(), LeaseReply():
                return "lease", message.order, reply.problem
            case Decided(), DecidedAck() if changed:
                row = self._leases.last(reply.grid)
                return ("record", newest_order(row.record), "") if row is not None else None
        return None


def _forbids(reply: HoldReply) -> str:
    """Why nothing is held; empty if anything is."""
    return str(reply.refused[0][1]) if reply.refused and not reply.held else ""


def newest_order(record: GridRecord) -> SignedOrder:
    """The order that made a record what it is."""
    since = record.changes[record.folded :]
    return since[-1] if since else record.standing
