"""What a host that carries a grid makes of it that other stewards keep the grid's record now."""

import msgspec

from protocol.contract.outcomes import Answer, NoticeDue
from protocol.grid.decision import Decision, is_later, majority, proof_of, succession_fault
from protocol.hosting.auditing import decidable
from protocol.hosting.lease import Lease
from protocol.hosting.lease_book import LeaseBook
from protocol.terms.effects import Note
from protocol.trust.signing import Reason, Untrusted


def stewards_told(book: LeaseBook, decision: Decision) -> Answer:
    """A decision about a grid says who its stewards are. If they are others than before, and the grid is as it
    was, that is kept, and everybody is told. A grid that is not carried here is nobody's matter.

    Raises Untrusted if others than the known stewards or their heirs decided it.
    """
    register = decision.register
    record = register.record
    old = book.row(record.id) if record is not None else None
    if record is None or old is None:
        return [], []
    newer = record.epoch > old.record.epoch
    if fault := succession_fault(register, old.proof, newer=newer):
        raise Untrusted(Reason.MALFORMED, fault)
    if record != old.record or not is_later(register, old.proof):
        return [], []
    save = book.change(msgspec.structs.replace(old, proof=proof_of(decision)), books=False)
    what = "a steward that was gone was replaced; `overlayctl show` says who they are now"
    return [save, Note("grid.stewards", record.name, what, record.id)], [NoticeDue(record.id)]


def joined(first: Answer, then: Answer) -> Answer:
    """What is to be done first, and then."""
    return first[0] + then[0], first[1] + then[1]


def waits_for(row: Lease) -> str:
    """What a grid waits for that its owner ordered down, while too few stewards answer.

    Nobody decides of one of an older build.
    """
    if not decidable(row):
        return "ended here by that order alone"
    return f"waits for {majority(row.stewards)} of {len(row.stewards)} stewards"
