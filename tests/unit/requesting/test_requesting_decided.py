"""The records that a peer was shown last."""

from negotiating import ADMIN, NOW, A, record_of, shop

from protocol.requesting.decided import DecidedRecords
from protocol.terms.ids import GridId
from protocol.terms.limits import RECORDS_REMEMBERED

ORDER = ADMIN.up(shop(1), NOW)


def test_the_newest_epoch_is_kept() -> None:
    decided = DecidedRecords()
    old = record_of(ORDER, {"web-1": A})
    new = record_of(ORDER, {"web-1": A}, epoch=2)
    for record in (old, new, old):
        decided.shown(record)
    assert decided.get(new.id) == new


def test_so_many_are_kept_and_no_more() -> None:
    decided = DecidedRecords()
    for number in range(RECORDS_REMEMBERED + 1):
        decided.shown(record_of(ORDER, {"web-1": A}, GridId(f"grid-{number}")))
    assert decided.get(GridId("grid-0")) is None
    assert decided.get(GridId(f"grid-{RECORDS_REMEMBERED}")) is not None
