"""A change of what is leased: the lease, its room in the ledger and the write are one."""

import msgspec
import pytest
from negotiating import ADMIN, AUTHORITY, MIB, NOW, ROOM, A, record_of, shop

from protocol.capacity.ledger import Ledger
from protocol.grid.lifecycle import Phase, Power, Status, Wanted
from protocol.grid.record import grid_id
from protocol.hosting.lease import Lease, LeaseStage, Pending
from protocol.hosting.lease_book import TABLE, LeaseBook
from protocol.terms.effects import Persist, Row
from protocol.wire.codec import encode

ORDER = ADMIN.up(shop(2), NOW)
GRID = grid_id(ORDER)
RECORD = record_of(ORDER, {"web-1": A, "web-2": A})
WANTED = (Wanted("web-1"), Wanted("web-2"))
LEASE = Lease(RECORD, WANTED, lease_until_s=NOW + 1000, made_s=NOW)
EACH_BYTES = 128 * MIB


def book(*leases: Lease) -> tuple[LeaseBook, Ledger]:
    ledger = Ledger(ROOM, NOW)
    rows = {lease.record.id: encode(lease) for lease in leases}
    return LeaseBook(ledger, AUTHORITY, dict(rows), NOW), ledger


def used_bytes(ledger: Ledger, at_s: float = NOW) -> int:
    return ROOM.memory_bytes - ledger.room.at(at_s).memory_bytes


def test_a_change_is_in_memory_in_the_ledger_and_answers_its_write() -> None:
    made, ledger = book()
    held = Row("hold", GRID, None)
    save = made.change(LEASE, also=(held,))
    assert save == Persist((Row(TABLE, GRID, encode(LEASE)), held)), "one write"
    assert save.otherwise is None, "memory must not be ahead of the disk"
    assert made.row(GRID) == LEASE
    assert made.rows() == [LEASE]
    assert used_bytes(ledger) == 2 * EACH_BYTES
    made.check()


def test_room_that_the_row_needs_longer_is_taken_longer() -> None:
    made, ledger = book(LEASE)
    assert used_bytes(ledger, NOW + 1500) == 0
    longer = msgspec.structs.replace(LEASE, pending=(Pending(GRID, 1000, NOW + 8),))
    made.change(longer)
    assert used_bytes(ledger, NOW + 1500) == 2 * EACH_BYTES


def test_room_of_what_is_not_in_the_row_any_more_is_free() -> None:
    made, ledger = book(LEASE)
    made.change(msgspec.structs.replace(LEASE, wanted=WANTED[1:]), books=False)
    assert (GRID, "web-1") not in ledger
    assert (GRID, "web-2") in ledger
    assert used_bytes(ledger) == EACH_BYTES
    made.check()


def test_without_the_books_what_stays_keeps_the_room_it_has() -> None:
    made, ledger = book(LEASE)
    off = tuple(Wanted(w.workspace, Power.OFF) for w in WANTED)
    for w in WANTED:
        made.tell(GRID, Status(w.workspace, Phase.EXPIRED))
    stopped = msgspec.structs.replace(LEASE, wanted=off)
    made.change(stopped, books=False)
    assert used_bytes(ledger) == 2 * EACH_BYTES
    made.change(stopped)
    assert used_bytes(ledger) == 0, "what is stopped takes no memory"


def test_found_on_disk_it_is_where_its_time_has_it() -> None:
    made, ledger = book(LEASE)
    assert used_bytes(ledger) == 2 * EACH_BYTES
    assert made.stage(LEASE) is LeaseStage.CURRENT
    assert [(s.phase, s.detail) for s in made.told[GRID].values()] == 2 * [
        (Phase.HELD, "found at start")
    ]
    assert made.enter_stage(LEASE, NOW + 1000) is LeaseStage.OVER
    assert made.stage(LEASE) is LeaseStage.OVER


def test_clusters_that_make_room_are_suspended_and_no_others() -> None:
    """Whatever its owner suspended or ended stays so, and so does what the time has ended."""
    (web,) = shop(3).clusters
    db = msgspec.structs.replace(web, name="db", count=1)
    spec = msgspec.structs.replace(shop(3), clusters=(web, db))
    order = ADMIN.up(spec, NOW)
    names = ("web-1", "web-2", "web-3", "db-1")
    powers = (Power.RUNNING, Power.PAUSED, Power.GONE, Power.RUNNING)
    lease = Lease(
        record_of(order, dict.fromkeys(names, A)),
        tuple(Wanted(name, power) for name, power in zip(names, powers, strict=True)),
        lease_until_s=NOW + 1000,
        made_s=NOW,
        off=("web",),
    )
    made, _ = book(lease)
    suspended, gone = Power.SUSPENDED, Power.GONE
    assert [w.power for w in made.wanted(lease)] == [suspended, suspended, gone, Power.RUNNING]
    made.enter_stage(lease, NOW + 1000)
    assert [w.power for w in made.wanted(lease)] == [Power.OFF, Power.OFF, gone, Power.OFF]
    made.change(msgspec.structs.replace(lease, off=()))
    made.enter_stage(lease, NOW)
    assert [w.power for w in made.wanted(msgspec.structs.replace(lease, off=()))] == list(powers)


def test_what_is_wanted_twice_or_not_entered_is_a_fault() -> None:
    made, ledger = book(LEASE)
    made.check()
    ledger.strike((GRID, "web-2"))
    with pytest.raises(AssertionError):
        made.check()
    made, _ = book(msgspec.structs.replace(LEASE, wanted=WANTED + WANTED[:1]))
    with pytest.raises(AssertionError):
        made.check()


def test_what_is_cleared_is_told_of_once_more() -> None:
    made, _ = book(LEASE)
    assert made.clear(GRID) == Persist((Row(TABLE, GRID, None),))
    assert made.row(GRID) is None
    assert made.rows() == []
    assert made.last(GRID) == LEASE
    with pytest.raises(KeyError):
        made.stage(LEASE)
    made.forget(GRID)
    assert made.last(GRID) is None
    assert made.told == {}
