"""When work must begin to be saved, which hosts are heard, and that nothing starts before others have left."""

from negotiating import ADMIN, AUTHORITY, MIB, NOW, A, B, record_of, shop

from protocol.capacity.ledger import Ledger, Yields
from protocol.capacity.quantum import Quantum
from protocol.capacity.rates import Rates
from protocol.capacity.room import FOREVER
from protocol.capacity.timetable import Window
from protocol.grid.lifecycle import Phase, Power, Status, Wanted
from protocol.hosting.lease import Lease
from protocol.hosting.preemption import Preemption
from protocol.hosting.readiness import Readiness
from protocol.terms.ids import GridId
from protocol.terms.limits import USEFUL_S, YIELD_EARLY_S

G, H = GridId("g"), GridId("h")
ROOM = Quantum(4000, 1024 * MIB, 4096 * MIB)
WORK = Quantum(1000, 256 * MIB, 256 * MIB)
RATES = Rates(64 * MIB, 64 * MIB, 2)
"""Rates by which one workspace takes four seconds."""
ALWAYS = Window(NOW, FOREVER, FOREVER)


def test_as_early_as_all_that_must_go_takes_one_after_another() -> None:
    ledger = Ledger(ROOM, NOW)
    yielding = Preemption(ledger, lambda: RATES)
    for grid, since_s in ((G, 1.0), (H, 2.0)):
        ledger.enter((grid, "w"), WORK, ALWAYS, Yields((grid, "web"), since_s, 256 * MIB))
    assert yielding.turn(NOW) == []
    assert yielding.next_s() == FOREVER
    assert yielding.lead_s() == YIELD_EARLY_S + 8.0
    start_s = NOW + 1000.0
    ledger.enter(("exam", "w"), Quantum(4000, 0, 0), Window(start_s, start_s + 100.0, 0))
    begin_s = start_s - YIELD_EARLY_S - 8.0
    assert yielding.next_s() == begin_s
    assert yielding.turn(begin_s - 0.1) == []
    assert yielding.turn(begin_s) == [H]
    assert yielding.turn(begin_s + 4.0) == [G]
    assert (yielding.off(G), yielding.hindered(H)) == (("web",), ("web",))
    ledger.advance(start_s + 50.0)
    assert yielding.turn(start_s + 50.0) == []
    assert yielding.next_s() == start_s + 100.0, "when there is room again"
    ledger.advance(start_s + 100.0)
    assert sorted(yielding.turn(start_s + 100.0)) == [G, H]
    assert yielding.off(G) == ()


def test_it_goes_on_only_where_that_is_worth_it() -> None:
    ledger = Ledger(ROOM, NOW)
    yielding = Preemption(ledger, lambda: RATES)
    ledger.enter((G, "w"), WORK, ALWAYS, Yields((G, "web"), 1.0, 256 * MIB))
    ledger.enter(("one", "w"), Quantum(4000), Window(NOW, NOW + 100.0, 0))
    assert yielding.turn(NOW) == [G]
    soon_s = NOW + 100.0 + USEFUL_S
    ledger.enter(("two", "w"), Quantum(4000), Window(soon_s, soon_s + 50.0, 0))
    ledger.advance(NOW + 100.0)
    assert yielding.turn(NOW + 100.0) == [], "it would be saved again at once"
    ledger.advance(soon_s + 50.0)
    assert yielding.turn(soon_s + 50.0) == [G]


def test_what_other_hosts_lack_counts_and_is_not_told_on() -> None:
    yielding = Preemption(Ledger(ROOM, NOW), lambda: RATES)
    assert yielding.heard(G, B, ("web",))
    assert not yielding.heard(G, B, ("web",)), "no news"
    assert yielding.off(G) == ("web",)
    assert yielding.hindered(G) == (), "or two hosts would wait for each other"
    assert yielding.heard(G, B, ())
    assert yielding.off(G) == ()
    assert yielding.heard(G, B, ("web",))
    yielding.unheard(G, B)
    assert yielding.off(G) == ()


def test_a_host_lacks_room_for_some_clusters_of_some_grids() -> None:
    ledger = Ledger(ROOM, NOW)
    yielding = Preemption(ledger, lambda: RATES)
    for grid, cluster in ((G, "web"), (G, "db"), (H, "web")):
        key = (grid, f"{cluster}-1")
        ledger.enter(key, WORK, ALWAYS, Yields((grid, cluster), 1.0, 256 * MIB))
    ledger.enter(("exam", "a"), Quantum(2000), Window(NOW, NOW + 100.0, 0))
    assert yielding.turn(NOW) == [H], "of those that came together one has no room"
    assert (yielding.hindered(G), yielding.hindered(H)) == ((), ("web",))
    ledger.enter(("exam", "b"), Quantum(2000), Window(NOW, NOW + 100.0, 0))
    assert yielding.turn(NOW) == [G], "that of another grid is no news"
    assert yielding.hindered(G) == ("db", "web")
    assert yielding.hindered(GridId("other")) == ()


def test_what_ended_while_it_made_room_makes_room_no_more() -> None:
    ledger = Ledger(ROOM, NOW)
    yielding = Preemption(ledger, lambda: RATES)
    ledger.enter((G, "w"), WORK, ALWAYS, Yields((G, "web"), 1.0, 256 * MIB))
    ledger.enter(("exam", "a"), Quantum(4000), Window(NOW, NOW + 100.0, 0))
    assert yielding.turn(NOW) == [G]
    assert yielding.next_s() == NOW + 100.0
    ledger.strike((G, "w"))
    assert yielding.next_s() == FOREVER, "nobody waits for room"
    assert yielding.turn(NOW) == [G]
    assert yielding.hindered(G) == ()
    assert yielding.turn(NOW) == []


def test_of_what_is_carried_no_more_nothing_is_remembered() -> None:
    yielding = Preemption(Ledger(ROOM, NOW), lambda: RATES)
    yielding.heard(G, B, ("web",))
    yielding.heard(H, B, ("web",))
    yielding.forget(G)
    assert (yielding.off(G), yielding.off(H)) == ((), ("web",))
    yielding.unheard(G, B)
    assert yielding.heard(G, B, ("web",)), "it is news again"


def test_nothing_starts_in_room_that_is_not_left_yet() -> None:
    told: dict[GridId, dict[str, Status]] = {}
    gate = Readiness(Ledger(Quantum(1000, 300 * MIB, 0), NOW), AUTHORITY, told)
    rows, wanted = {}, {}
    for name, power, phase in (
        ("work", Power.SUSPENDED, Phase.SAVING),
        ("exam", Power.RUNNING, Phase.HELD),
    ):
        record = record_of(ADMIN.up(shop(1, 256), NOW), {"web-1": A}, GridId(name))
        rows[record.id] = Lease(record, (), NOW + 100.0, NOW)
        wanted[record.id] = (Wanted("web-1", power),)
        told[record.id] = {"web-1": Status("web-1", phase)}
    exam, work = GridId("exam"), GridId("work")
    assert gate.blocked(exam, rows, wanted) == "waits for shop/web-1 to leave its room"
    assert gate.waiting(work) == [exam]
    told[work] = {"web-1": Status("web-1", Phase.HELD, "found at start")}
    assert gate.blocked(exam, rows, wanted), "it may well run: this daemon has just been started"
    told[work] = {"web-1": Status("web-1", Phase.SUSPENDED)}
    assert gate.blocked(exam, rows, wanted) == ""
    assert gate.waiting(work) == []
