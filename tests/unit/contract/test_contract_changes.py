"""What a record's orders changed, whoever believes them and however."""

import msgspec
import pytest
from applying_world import RECORD as MADE
from applying_world import grown, spec_of, to_apply
from negotiating import ADMIN, NOW, A, B, record_of, shop

from protocol.contract.changes import Changed, changed
from protocol.grid.record import LeaseChange
from protocol.grid.volumes import TerminateTerms
from protocol.trust.order import Action, Order, SignedOrder, read_order
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import encode

RECORD = record_of(ADMIN.up(shop(2), NOW), {"web-1": A, "web-2": B})


def ordered(action: Action, workspace: str = "", body: bytes = b"") -> SignedOrder:
    return ADMIN.order(action, RECORD.id, NOW, workspace=workspace, body=body)


def found(*changes: SignedOrder, extra_s: int = 0) -> Changed:
    return changed(msgspec.structs.replace(RECORD, changes=changes, extra_s=extra_s), read_order)


def test_what_ends_and_how_long_the_lease_is() -> None:
    longer, shorter = (ordered(Action.LEASE, body=encode(LeaseChange(by))) for by in (90, -30))
    gone = ordered(Action.TERMINATE, "web-2")
    assert found() == Changed()
    assert found(longer, gone, shorter, extra_s=60) == Changed(gone=("web-2",), extra_s=60)
    assert found(gone, ordered(Action.DOWN)) == Changed(down=True, gone=("web-2",))
    with pytest.raises(Untrusted, match="a lease that nobody ordered so long"):
        found(longer)
    with pytest.raises(Untrusted, match="one order twice"):
        found(longer, longer, extra_s=180)


def test_who_was_terminated_before_the_last_change_is_there_again() -> None:
    longer = ordered(Action.LEASE, body=encode(LeaseChange(90)))
    deleted = encode(TerminateTerms(delete_volumes=True))
    gone, again = ordered(Action.TERMINATE, "db-1", deleted), ordered(Action.TERMINATE, "web-1")
    before = msgspec.structs.replace(MADE, epoch=3, changes=(longer, gone), extra_s=90)
    record = grown(to_apply(spec_of(), before), {"db-1": B}, before)
    assert changed(record, read_order) == Changed(extra_s=90)
    later = msgspec.structs.replace(record, changes=(*record.changes, again))
    assert changed(later, read_order) == Changed(gone=("web-1",), extra_s=90)


@pytest.mark.parametrize("action", [Action.DOWN, Action.TERMINATE, Action.LEASE])
def test_an_order_that_cannot_be_read_changes_nothing(action: Action) -> None:
    with pytest.raises(Untrusted, match=f"an order to {action} that cannot be read"):
        found(ordered(action, "web-1", b"\xc1"))


def test_who_asks_says_what_is_believed() -> None:
    def nobody(signed: SignedOrder) -> Order:
        raise Untrusted(Reason.WRONG_ROLE, "nobody's")

    assert changed(RECORD, nobody) == Changed()
    with pytest.raises(Untrusted, match="nobody's"):
        changed(msgspec.structs.replace(RECORD, changes=(ordered(Action.DOWN),)), nobody)
