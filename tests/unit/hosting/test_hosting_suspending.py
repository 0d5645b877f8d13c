"""Carried best-effort work follows what must make room: when, in which order, and what it costs no time of."""

import msgspec
import pytest
from negotiating import ADMIN, AUTHORITY, MIB, NOW, A, B, record_of, shop

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum
from protocol.capacity.rates import Rates
from protocol.capacity.room import FOREVER
from protocol.capacity.timetable import Window
from protocol.grid.lifecycle import Wanted
from protocol.grid.model import LeaseTerms
from protocol.grid.record import grid_id
from protocol.hosting.lease import Lease
from protocol.hosting.lease_book import LeaseBook
from protocol.hosting.preemption import Preemption
from protocol.hosting.suspending import Suspending
from protocol.terms.effects import Note, Persist, Realise
from protocol.terms.limits import HEARD_S, YIELD_EARLY_S
from protocol.wire.codec import decode, encode

ROOM = Quantum(4000, 1024 * MIB, 4096 * MIB)
TERMS = LeaseTerms(best_effort=True)
ORDER = ADMIN.up(shop(2, lease=TERMS, lease_s=1000), NOW)
GRID = grid_id(ORDER)
RUNS = Lease(
    record_of(ORDER, {"web-1": A, "web-2": A}),
    (Wanted("web-1"), Wanted("web-2")),
    lease_until_s=NOW + 1000,
    made_s=NOW - 10,
    terms=TERMS,
    yields=True,
)
STANDS = msgspec.structs.replace(RUNS, off=("web",), stopped_s=NOW - 5)
RATES = Rates(64 * MIB, 32 * MIB, 2)
"""Four seconds to save both, eight to restore them."""
HEARD = NOW + HEARD_S


class One:
    """One host in the first seconds of a life, with a lease that it found on disk."""

    def __init__(self, lease: Lease, room: Quantum = ROOM) -> None:
        self.ledger = Ledger(room, NOW)
        self.book = LeaseBook(self.ledger, AUTHORITY, {GRID: encode(lease)}, NOW)
        self.ledger.resize(room)
        self.preemption = Preemption(self.ledger, lambda: RATES)
        self.suspending = Suspending(
            self.book, self.preemption, self.ledger, AUTHORITY, lambda: RATES, NOW
        )

    def hears(self, *clusters: str) -> None:
        """Another of its hosts has no room for those."""
        self.preemption.heard(GRID, B, clusters)

    def row(self) -> Lease:
        row = self.book.row(GRID)
        assert row is not None
        return row

    def out_of_step(self, now: float) -> bool:
        return self.suspending.out_of_step(self.row(), now)


# -- when


def test_what_must_make_room_does_so_at_once() -> None:
    one = One(RUNS)
    assert not one.out_of_step(NOW)
    one.hears("web")
    assert one.out_of_step(NOW), "also in the first seconds of a life"


@pytest.mark.parametrize(("now", "goes_on"), [(HEARD - 0.001, False), (HEARD, True)])
def test_nothing_goes_on_before_other_hosts_were_heard(now: float, goes_on: bool) -> None:
    assert One(STANDS).out_of_step(now) is goes_on


def test_nothing_goes_on_before_the_host_was_probed() -> None:
    one = One(STANDS, Quantum())
    assert not one.out_of_step(HEARD)
    one.ledger.resize(ROOM)
    assert one.out_of_step(HEARD)


def test_what_stands_for_one_cluster_makes_room_for_another_at_once() -> None:
    one = One(STANDS)
    one.hears("db")
    assert one.out_of_step(NOW)
    one.hears("web")
    assert not one.out_of_step(HEARD), "it stands already"


def test_what_does_not_yield_follows_nobody() -> None:
    one = One(msgspec.structs.replace(RUNS, yields=False))
    one.hears("web")
    assert not one.out_of_step(HEARD)


# -- how


def test_it_is_on_disk_then_told_then_brought_about() -> None:
    one = One(RUNS)
    one.hears("web", "db")
    save, note, realise = one.suspending.follow(one.row(), NOW + 2)
    assert isinstance(save, Persist)
    assert save.rows[0].value is not None
    assert decode(save.rows[0].value, Lease) == one.row()
    assert note == Note("grid.yields", "shop", "makes room: web, db", GRID)
    assert realise == Realise(GRID, GRID)
    assert (one.row().off, one.row().stopped_s) == (("web", "db"), NOW + 2)
    assert one.row().lease_until_s == RUNS.lease_until_s


def test_it_goes_on_with_the_time_it_had_left_and_what_restoring_takes() -> None:
    one = One(STANDS)
    _, note, _ = one.suspending.follow(one.row(), NOW + 60)
    assert note == Note("grid.yields", "shop", "goes on", GRID)
    assert (one.row().off, one.row().stopped_s) == ((), 0.0)
    assert one.row().lease_until_s == RUNS.lease_until_s + 65 + 8


# -- when to look again


def test_it_looks_when_other_hosts_were_heard_if_anything_stands() -> None:
    one = One(STANDS)
    assert one.suspending.next_s() == HEARD
    one.ledger.advance(HEARD - 0.001)
    assert one.suspending.next_s() == HEARD
    one.ledger.advance(HEARD)
    assert one.suspending.next_s() == FOREVER, "it has looked"
    assert One(RUNS).suspending.next_s() == FOREVER


def test_it_looks_sooner_if_something_must_go_sooner() -> None:
    one = One(STANDS)
    start_s = NOW + YIELD_EARLY_S + 4 + 2
    one.ledger.enter(("exam", "a"), Quantum(4000), Window(start_s, start_s + 60, 0.0))
    assert one.suspending.next_s() == NOW + 2
