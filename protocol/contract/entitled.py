"""Who may ask stewards for a step. Most steps show their owner's order; these are a peer's own word.

A vote against an attempt, or against a change of a lease, is believed from the peer that the order is for (its
`via`), and from the hosts that this peer asked, each about what it was asked for. An order without a `via` is
for whoever shows it. To finish what is begun is for who keeps the register, who carries the grid, and the peers
of its owner's site: each such step is a write at every steward.
"""

from protocol.capacity.allotments import Allot
from protocol.contract.permitting import permit
from protocol.contract.reading import Reading
from protocol.grid.asked import was_asked
from protocol.grid.record import GridRecord, attempt_of, order_part, register_key
from protocol.grid.steps import Decline, Finish, Lapse, Rescale, Step, Vote
from protocol.terms.ids import GridId, PeerId
from protocol.trust.order import Order, SignedOrder, order_key
from protocol.trust.signing import Reason, Untrusted


def require_voter(reading: Reading, order: SignedOrder, step: Vote, asker: PeerId) -> None:
    """Raises Untrusted unless that peer may vote against attempts of that order."""
    up, attempt = reading.signed(order).order, step.attempt
    if _is_for(up, asker):
        return
    mine = order_part(attempt) == register_key(order) and step.first <= attempt_of(attempt) + 1
    if not (mine and _was_asked(reading, up, attempt, asker, step.asked)):
        why = "who votes against an attempt was given its order, or was asked to hold the attempt"
        raise Untrusted(Reason.WRONG_ROLE, why)


def require_decliner(
    reading: Reading, record: GridRecord | None, step: Decline, asker: PeerId
) -> None:
    """Raises Untrusted unless that peer may vote against that change of the grid."""
    if record is None or record.id != step.grid or record.names(asker):
        return
    if step.order is None or order_key(step.order) != order_part(step.extension):
        raise Untrusted(Reason.WRONG_ROLE, "who votes against a change shows the order to change")
    grows = step.order == record.standing and record.names(step.by)
    if grows and was_asked(reading.verifier, step.by, step.extension, asker, step.asked):
        return
    change = reading.signed(step.order)
    if step.order != record.order:
        permit(change, record)
    if not _is_for(change.order, asker) and not _was_asked(
        reading, change.order, step.extension, asker, step.asked
    ):
        raise Untrusted(Reason.WRONG_ROLE, "who votes against a change was given its order")


def require_entitled(
    reading: Reading,
    order: SignedOrder,
    record: GridRecord | None,
    stewards: tuple[PeerId, ...],
    step: Step,
    asker: PeerId,
    site: str,
) -> None:
    """Raises Untrusted if a steward need not begin with a step: whoever asks may not have it.

    `record` and `stewards` are those that this steward knows, and may be behind. `site` is the asker's; empty
    if that is not known.
    """
    match step:
        case Vote():
            require_voter(reading, order, step, asker)
        case Decline():
            require_decliner(reading, record, step, asker)
        case Lapse():
            if record is not None and not record.names(asker):
                raise Untrusted(Reason.WRONG_ROLE, "only who carries a grid says that it is over")
        case Rescale():
            if record is not None and asker not in record.carriers():
                why = "only who carries a grid says that there is room for more of it, or less"
                raise Untrusted(Reason.WRONG_ROLE, why)
        case Allot(host=host):
            if asker != host or site != reading.signed(order).owner.site:
                why = "what a site's ceilings have left is its hosts', and each asks for itself"
                raise Untrusted(Reason.WRONG_ROLE, why)
        case Finish():
            up = reading.signed(order)
            near = site == up.owner.label or asker in (*up.order.stewards, *stewards)
            mine = record.names(asker) if record is not None else _is_for(up.order, asker)
            if not (near or mine or asker == up.order.via):
                why = "a register is finished for its stewards, hosts and owner's peers; look again"
                raise Untrusted(Reason.WRONG_ROLE, why)
        case _:
            return


def _is_for(order: Order, peer: PeerId) -> bool:
    return order.via in ("", peer)


def _was_asked(
    reading: Reading, order: Order, attempt: GridId, host: PeerId, signature: bytes
) -> bool:
    return was_asked(reading.verifier, PeerId(order.via), attempt, host, signature)
