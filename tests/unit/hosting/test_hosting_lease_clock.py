"""What the time that has come means for leases: which is due when, and what it is told with."""

from random import Random

import msgspec
import pytest
from negotiating import ADMIN, AUTHORITY, NOW, ROOM, A, record_of, shop

from protocol.capacity.ledger import Ledger
from protocol.contract.outcomes import NoticeDue, RoomChanged
from protocol.grid.lifecycle import Phase, Status, Wanted
from protocol.grid.model import LeaseTerms, OnExpiry
from protocol.grid.record import GridState, grid_id
from protocol.hosting.auditing import Auditing
from protocol.hosting.lease import Lease, LeaseStage
from protocol.hosting.lease_book import LeaseBook
from protocol.hosting.lease_clock import LeaseClock
from protocol.terms.effects import Deadline, Effect, Note, Persist, Realise
from protocol.wire.codec import decode, encode

START = NOW + 3600.0
END = START + 1000
DELETED = END + 500
TERMS = LeaseTerms(start_s=START, grace_s=500, warn_s=(300, 100))
ORDER = ADMIN.up(shop(1, lease=TERMS, lease_s=1000), NOW)
GRID = grid_id(ORDER)
LEASE = Lease(
    record_of(ORDER, {"web-1": A}, start_s=START),
    (Wanted("web-1"),),
    lease_until_s=END,
    made_s=NOW,
    terms=TERMS,
)


class One:
    """One host that carries a lease since NOW, and its clock."""

    def __init__(self, lease: Lease = LEASE) -> None:
        self.ledger = Ledger(ROOM, NOW)
        self.book = LeaseBook(self.ledger, AUTHORITY, {GRID: encode(lease)}, NOW)
        self.auditing = Auditing(Random(1))
        self.clock = LeaseClock(self.book, self.auditing)
        self.clock.enter_stage(lease, NOW)

    def row(self) -> Lease:
        row = self.book.row(GRID)
        assert row is not None
        return row

    def turn(self, now: float) -> list[Effect]:
        self.ledger.advance(now)
        effects, outcomes = self.clock.turn(self.row(), now)
        told = [] if not effects else [NoticeDue(GRID)]
        moved = any(isinstance(effect, Realise) for effect in effects)
        assert outcomes == told + ([RoomChanged()] if moved else [])
        return effects

    def due(self) -> Deadline | None:
        return self.clock.next_deadline()

    def lapse_s(self) -> list[float]:
        """When stewards are to be asked to take it down."""
        deadline = self.auditing.next_deadline([self.row()])
        return [] if deadline is None or deadline.why != "lapse" else [deadline.at_s]


def told(note: str, detail: str) -> list[Effect]:
    return [Note(note, "shop", detail, GRID), Realise(GRID, GRID)]


def test_it_is_due_at_each_change_of_its_life_and_at_each_warning() -> None:
    one = One()
    for at_s, then_s in (
        (NOW, START),
        (START, END - 300),
        (END - 300, END - 100),
        (END - 100, END),
        (END, DELETED),
    ):
        one.turn(at_s)
        assert one.due() == Deadline(then_s, "lease")
        assert one.turn(then_s - 0.001) == [], "nothing before it is due"
    one.turn(DELETED)
    assert one.due() is None, "what is left to do is the stewards'"


def test_each_change_is_told_with_what_becomes_of_it() -> None:
    one = One()
    assert one.turn(START) == told("lease.started", "began, until 1970-01-12 15:03 UTC")
    one.book.change(msgspec.structs.replace(LEASE, warned_s=0.0))
    until = "1970-01-12 15:11 UTC"
    assert one.turn(END) == told("lease.ended", f"stopped; its disks are kept until {until}")
    assert one.turn(DELETED) == told("lease.lapsed", "what was kept of it is deleted")
    assert one.turn(DELETED + 1) == []


@pytest.mark.parametrize(
    ("now", "warned_s", "left"),
    [
        pytest.param(END - 300, 300, "5 min", id="when-it-is-due"),
        pytest.param(END - 299.6, 300, "5 min", id="to-the-second"),
        pytest.param(END - 40, 300, "40 s", id="late"),
        pytest.param(END - 0.4, 300, "0 s", id="at-the-last-moment"),
    ],
)
def test_a_warning_says_what_is_left_and_is_on_disk_first(
    now: float, warned_s: int, left: str
) -> None:
    one = One()
    one.turn(START)
    save, note = one.turn(now)
    what = "then stopped; its disks are kept until 1970-01-12 15:11 UTC"
    assert note == Note("lease.warning", "shop", f"ends in {left}, {what}", GRID)
    assert isinstance(save, Persist)
    assert save.rows[0].value is not None
    assert decode(save.rows[0].value, Lease).warned_s == warned_s
    assert one.row().warned_s == warned_s


def test_of_what_is_saved_it_says_so() -> None:
    terms = msgspec.structs.replace(TERMS, on_expiry=OnExpiry.SUSPEND)
    one = One(msgspec.structs.replace(LEASE, terms=terms))
    one.turn(START)
    _, note = one.turn(END - 300)
    assert isinstance(note, Note)
    assert note.detail.startswith("ends in 5 min, then suspended; it is kept until ")


def test_it_warns_only_while_it_runs() -> None:
    one = One()
    one.turn(END)
    assert one.turn(END + 1) == []
    assert one.row().warned_s > 300, "nothing was said"


def test_at_its_end_what_rests_already_gives_its_room_back() -> None:
    """It was to be restored, and was not in time."""
    one = One()
    one.turn(START)
    one.book.change(msgspec.structs.replace(LEASE, warned_s=0.0))
    one.book.tell(GRID, Status("web-1", Phase.EXPIRED))
    assert one.ledger.free != ROOM
    one.turn(END)
    assert one.ledger.free == ROOM


def test_what_is_over_is_to_be_taken_down_unless_it_is_down() -> None:
    one = One()
    one.turn(DELETED - 1)
    assert one.lapse_s() == []
    one.turn(DELETED)
    (lapse_s,) = one.lapse_s()
    assert DELETED <= lapse_s <= DELETED + 2
    down = msgspec.structs.replace(LEASE.record, state=GridState.DOWN)
    one = One(msgspec.structs.replace(LEASE, record=down))
    assert one.clock.enter_stage(one.row(), DELETED) is LeaseStage.LAPSED
    assert one.lapse_s() == []


def test_while_its_time_stands_still_it_does_not_warn() -> None:
    """Best-effort work that makes room has as much time left when it goes on."""
    one = One()
    one.turn(START)
    one.book.change(msgspec.structs.replace(one.row(), yields=True, stopped_s=END - 400))
    assert one.due() is None
    assert one.turn(END - 300) == []
    assert one.turn(END + 9000) == []
    one.book.change(msgspec.structs.replace(one.row(), stopped_s=0.0, lease_until_s=END + 9000))
    assert one.due() == Deadline(END + 8700, "lease"), "it is warned of its new end"
