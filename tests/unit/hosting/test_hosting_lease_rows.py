"""What follows from a lease's row and the time: its window, its room, its words; each at its edges."""

import msgspec
import pytest
from negotiating import ADMIN, AUTHORITY, MIB, NOW, A, record_of, shop

from protocol.capacity.ledger import Yields
from protocol.capacity.quantum import Quantum
from protocol.capacity.room import FOREVER
from protocol.capacity.timetable import Occupancy, Window
from protocol.grid.lifecycle import Phase, Power, Wanted
from protocol.grid.model import LeaseTerms, OnExpiry
from protocol.hosting.lease import (
    Lease,
    LeaseStage,
    Pending,
    end_of,
    is_past,
    next_change_s,
    next_warning,
    spans,
    stage_of,
    yielded,
    yields_of,
)
from protocol.terms.ids import GridId
from protocol.terms.limits import CLEAR_S, LAPSE_EARLY_S

SAVES = LeaseTerms(best_effort=True, grace_s=500)
ORDER = ADMIN.up(shop(1, lease=SAVES, lease_s=1000), NOW)
(WEB,) = AUTHORITY.deployment(ORDER, NOW, fresh=True).workspaces
END = NOW + 1000
LEASE = Lease(
    record_of(ORDER, {"web-1": A}),
    (Wanted("web-1"),),
    lease_until_s=END,
    made_s=NOW,
    terms=LeaseTerms(grace_s=500),
)
ALL = Quantum(500, 128 * MIB, 144 * MIB)
"""What it takes; its disk is for its memory."""
DISK = ALL.kept


def but(**changes: object) -> Lease:
    return msgspec.structs.replace(LEASE, **changes)


def pending(*by_s: int) -> tuple[Pending, ...]:
    return tuple(Pending(GridId(f"{n}"), s, NOW + 8) for n, s in enumerate(by_s))


# -- its time


def test_its_window_is_with_what_is_promised_and_time_to_clear() -> None:
    assert LEASE.window == Window(NOW, END + CLEAR_S, END + 500 + CLEAR_S)
    longer = but(pending=pending(60, 600))
    assert longer.window == Window(NOW, END + 660 + CLEAR_S, END + 660 + 500 + CLEAR_S)
    deleted = but(terms=LeaseTerms(grace_s=0))
    assert deleted.window == Window(NOW, END + CLEAR_S, END + CLEAR_S)


def test_a_stage_begins_at_its_very_second() -> None:
    later = but(record=record_of(ORDER, {"web-1": A}, start_s=NOW + 10))
    for at_s, stage in (
        (NOW, LeaseStage.UPCOMING),
        (NOW + 9.999, LeaseStage.UPCOMING),
        (NOW + 10, LeaseStage.CURRENT),
        (END - 0.001, LeaseStage.CURRENT),
        (END, LeaseStage.OVER),
        (END + 499.999, LeaseStage.OVER),
        (END + 500, LeaseStage.LAPSED),
    ):
        assert stage_of(later, at_s) is stage, at_s


def test_when_the_next_change_is() -> None:
    warns = but(terms=LeaseTerms(grace_s=500, warn_s=(300, 100)))
    for stage, at_s in (
        (LeaseStage.UPCOMING, NOW),
        (LeaseStage.CURRENT, END - 300),
        (LeaseStage.OVER, END + 500),
        (LeaseStage.LAPSED, None),
    ):
        assert next_change_s(warns, stage) == at_s
        assert next_change_s(msgspec.structs.replace(warns, stopped_s=NOW + 1), stage) is None
    assert next_change_s(LEASE, LeaseStage.CURRENT) == END


def test_each_warning_is_given_once_the_longest_first() -> None:
    row = but(terms=LeaseTerms(warn_s=(100, 300)))
    for warned_s, next_s in ((row.warned_s, 300), (300.0, 100), (100.0, 0.0)):
        assert next_warning(msgspec.structs.replace(row, warned_s=warned_s)) == next_s


def test_others_clocks_may_say_a_little_sooner_that_it_is_past() -> None:
    assert not is_past(END, END - LAPSE_EARLY_S - 0.001)
    assert is_past(END, END - LAPSE_EARLY_S)


# -- its room


def taken(
    row: Lease, power: Power = Power.RUNNING, phase: Phase | None = None
) -> tuple[Occupancy, ...]:
    return spans(row, WEB, Wanted("web-1", power), phase)


def test_it_takes_all_until_its_end_and_its_disk_until_it_is_deleted() -> None:
    end_s, kept_s = END + CLEAR_S, END + 500 + CLEAR_S
    assert taken(LEASE) == (Occupancy(NOW, end_s, ALL), Occupancy(end_s, kept_s, DISK))


def test_where_it_yields_its_disk_is_taken_for_good_and_all_of_it_while_it_stands() -> None:
    """Nobody knows when it will be over."""
    end_s = END + CLEAR_S
    yields = but(terms=SAVES, yields=True)
    assert taken(yields) == (Occupancy(NOW, end_s, ALL), Occupancy(end_s, FOREVER, DISK))
    stands = msgspec.structs.replace(yields, stopped_s=NOW + 5)
    assert taken(stands) == (Occupancy(NOW, FOREVER, ALL),)


@pytest.mark.parametrize("power", [Power.OFF, Power.GONE, Power.SUSPENDED])
def test_its_room_is_free_when_it_rests_not_when_it_is_to(power: Power) -> None:
    kept_s = END + 500 + CLEAR_S
    row = but(terms=LeaseTerms(grace_s=500, on_expiry=OnExpiry.SUSPEND))
    for phase in (None, Phase.RUNNING, Phase.SAVING, Phase.ENDING):
        busy = [s for s in taken(row, power, phase) if s.quantum.memory_bytes]
        assert [s.end_s for s in busy] == [END + CLEAR_S], phase
    for phase in (Phase.SUSPENDED, Phase.EXPIRED):
        assert taken(row, power, phase) == (Occupancy(NOW, kept_s, DISK),), phase


def test_disk_for_a_memory_that_nobody_foresaw_to_be_saved_is_taken_when_it_is() -> None:
    state = Quantum(disk_bytes=144 * MIB)
    kept_s = END + 500 + CLEAR_S
    saving = taken(LEASE, Power.SUSPENDED, Phase.SAVING)
    assert saving == (
        Occupancy(NOW, kept_s, DISK + state),
        Occupancy(NOW, END + CLEAR_S, Quantum(500, 128 * MIB)),
    )
    assert taken(LEASE, Power.SUSPENDED, Phase.SUSPENDED) == (Occupancy(NOW, kept_s, DISK + state),)
    assert taken(LEASE, Power.OFF, Phase.EXPIRED) == (Occupancy(NOW, kept_s, DISK),)


def test_of_one_that_was_terminated_only_its_volumes_are_left() -> None:
    disks = {"root_bytes": 20 * MIB, "scratch_bytes": 30 * MIB, "disk_bytes": 60 * MIB}
    web = msgspec.structs.replace(WEB, **disks)
    (left,) = spans(LEASE, web, Wanted("web-1", Power.GONE), Phase.GONE)
    assert left.quantum == Quantum(disk_bytes=10 * MIB)


def test_it_yields_with_its_cluster_since_it_was_made() -> None:
    assert yields_of(LEASE, WEB) is None
    row = but(yields=True)
    assert yields_of(row, WEB) == Yields((LEASE.record.id, "web"), NOW, 128 * MIB)


# -- its words


def test_what_becomes_of_it_in_words() -> None:
    until = "1970-01-12 14:11 UTC"
    assert end_of(LEASE) == f"stopped; its disks are kept until {until}"
    saves = LeaseTerms(grace_s=500, on_expiry=OnExpiry.SUSPEND)
    assert end_of(but(terms=saves)) == f"suspended; it is kept until {until}"
    for on_expiry in OnExpiry:
        assert end_of(but(terms=LeaseTerms(grace_s=0, on_expiry=on_expiry))) == "it is deleted"


# -- making room


def test_its_end_moves_when_it_goes_on_and_only_then() -> None:
    row = but(yields=True)
    assert yielded(row, (), NOW + 100, 10.0) == row, "it ran all the while"
    off = yielded(row, ("web",), NOW + 100, 10.0)
    assert off == msgspec.structs.replace(row, off=("web",), stopped_s=NOW + 100)
    more = yielded(off, ("web", "db"), NOW + 200, 10.0)
    assert more == msgspec.structs.replace(off, off=("web", "db")), "since the first of them"
    on = yielded(more, (), NOW + 300, 10.0)
    assert on == msgspec.structs.replace(row, lease_until_s=END + 200 + 10)
