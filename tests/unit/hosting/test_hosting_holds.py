"""The host's promises: on disk before they are said, said twice but given once, ended by the stewards' word."""

import msgspec
from deciding import committing, proposed, voiding
from negotiating import (
    ADMIN,
    AUTHORITY,
    MIB,
    NOW,
    RIVAL,
    ROOM,
    A,
    B,
    C,
    HostKey,
    claims,
    committed,
    granted,
    offer,
    record_of,
    said,
    shop,
)

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum
from protocol.capacity.timetable import Window
from protocol.contract.messages import HoldAsk, HoldRelease, HoldReply
from protocol.contract.outcomes import Propose, RoomChanged, VoidHold
from protocol.grid.model import (
    DeviceCount,
    Driver,
    LeaseTerms,
    PlacementSpec,
    Spread,
    Strict,
)
from protocol.grid.record import grid_id, vni_of
from protocol.hosting.hold_replies import Granting
from protocol.hosting.hold_row import HoldNotSaved
from protocol.hosting.holds import TABLE, Holds
from protocol.hosting.taken import Cotenant, Taken
from protocol.sim.people import Admin
from protocol.terms.architecture import Architecture
from protocol.terms.effects import Effect, Persist, Send
from protocol.terms.ids import GridId
from protocol.terms.limits import CLEAR_S, HOLD_S, SLACK_S, USEFUL_S
from protocol.terms.refusal import Constraint
from protocol.trust.order import SignedOrder

ORDER = ADMIN.up(shop(3), NOW)
FREE = Taken({}, {})


def host(room: Quantum = ROOM, rows: dict[str, bytes] | None = None) -> tuple[Holds, Ledger]:
    ledger = Ledger(room, NOW)
    return Holds(
        "alpha", ledger, AUTHORITY, claims(ledger), rows or {}, NOW, Granting(HostKey(A))
    ), ledger


def ask(*names: str, order: SignedOrder = ORDER, attempt: int = 0) -> HoldAsk:
    grid = grid_id(order, attempt)
    return HoldAsk(grid, order, names, (("lan", vni_of(grid, "lan")),), HOLD_S)


def reply(effects: list[Effect]) -> HoldReply:
    (found,) = [e.message for e in effects if isinstance(e, Send)]
    assert isinstance(found, HoldReply)
    return found


def hold(holds: Holds, wanted: HoldAsk, taken: Taken = FREE, now: float = NOW) -> list[Effect]:
    effects, _ = holds.ask(B, wanted, taken, offer(A), now)
    holds.check()
    return effects


def saved(effects: list[Effect]) -> dict[str, bytes]:
    rows = [row for e in effects if isinstance(e, Persist) for row in e.rows]
    return {row.key: row.value for row in rows if row.value is not None and row.table == TABLE}


def test_on_disk_then_said() -> None:
    holds, ledger = host()
    effects, outcomes = holds.ask(B, ask("web-1", "web-2"), FREE, offer(A), NOW)
    assert [type(effect).__name__ for effect in effects] == ["Persist", "Send", "Note"]
    assert reply(effects) == granted(A, ask("web-1", "web-2"))
    assert outcomes == [RoomChanged()]
    assert ROOM - ledger.free == Quantum(1000, 256 * MIB, 0)


def test_asking_twice_is_asking_once() -> None:
    holds, ledger = host()
    hold(holds, ask("web-1"))
    free = ledger.free
    again = hold(holds, ask("web-1"), now=NOW + 1)
    assert again == [Send(B, granted(A, ask("web-1")))], "nothing is written again"
    assert ledger.free == free


def test_some_fit() -> None:
    holds, ledger = host(Quantum(4000, 300 * MIB, 0))
    told = reply(hold(holds, ask("web-1", "web-2", "web-3")))
    assert told.held == ("web-1", "web-2")
    ((name, refusal),) = told.refused
    assert (name, refusal.constraint, refusal.asked, refusal.available) == (
        "web-3",
        Constraint.MEMORY,
        128 * MIB,
        44 * MIB,
    )
    assert ledger.free.memory_bytes == 44 * MIB


def test_none_fits_and_nothing_is_written() -> None:
    holds, _ = host(Quantum(100, 100, 100))
    effects = hold(holds, ask("web-1"))
    assert [type(effect).__name__ for effect in effects] == ["Send"]
    assert len(holds) == 0


def test_the_quantum_follows_from_the_order_not_from_who_carries_it() -> None:
    holds, _ = host()
    told = reply(hold(holds, ask("web-1", "web-9")))
    assert told.held == ("web-1",)
    assert told.refused[0][1].detail == "the order has no such workspace"


def test_another_orders_grid() -> None:
    holds, _ = host()
    other = msgspec.structs.replace(ask("web-1"), grid=GridId("0" * 20 + ".0"))
    assert reply(hold(holds, other)).refused[0][1].constraint is Constraint.AUTHORITY


def test_an_old_order_is_not_begun_but_may_be_gone_on_with() -> None:
    holds, _ = host()
    stale = reply(hold(holds, ask("web-1"), now=NOW + 601)).refused[0][1]
    assert stale.constraint is Constraint.AUTHORITY
    assert "sign it again" in stale.detail
    hold(holds, ask("web-1"), now=NOW + 599)
    assert reply(hold(holds, ask("web-2"), now=NOW + 601)).held == ("web-2",)


def test_a_name_or_a_network_id_in_use() -> None:
    holds, _ = host()
    key, vni = f"{ADMIN.signer.key}/shop", vni_of(ask().grid, "lan")
    other = GridId("other.0")
    for taken, constraint in (
        (Taken({key: (other, True)}, {}), Constraint.NAME),
        (Taken({key: (other, False)}, {}), Constraint.CONTENDED),
        (Taken({}, {vni: other}), Constraint.NETWORK_ID),
    ):
        assert reply(hold(holds, ask("web-1"), taken)).refused[0][1].constraint is constraint
    mine = Taken({key: (ask().grid, False)}, {vni: ask().grid})
    assert reply(hold(holds, ask("web-1"), mine)).held == ("web-1",)


def test_disk_full_takes_back_what_is_new_and_no_more() -> None:
    holds, ledger = host()
    hold(holds, ask("web-1"))
    effects = hold(holds, ask("web-1", "web-2"))
    (write,) = [e for e in effects if isinstance(e, Persist)]
    assert write.otherwise == HoldNotSaved(ask().grid, ("web-2",), B)
    assert isinstance(write.otherwise, HoldNotSaved)
    effects, _ = holds.not_saved(write.otherwise)
    holds.check()
    ((name, refusal),) = reply(effects).refused
    assert (name, refusal.constraint) == ("web-2", Constraint.STORE)
    row = holds.row(ask().grid)
    assert row is not None
    assert row.workspaces == ("web-1",)
    assert len(ledger) == 1


def test_not_saved_after_it_was_let_go() -> None:
    holds, _ = host()
    hold(holds, ask("web-1"))
    holds.release(B, HoldRelease(ask().grid, ("web-1",)))
    effects, _ = holds.not_saved(HoldNotSaved(ask().grid, ("web-1",), B))
    assert reply(effects).refused[0][1].constraint is Constraint.STORE


def test_let_go() -> None:
    holds, ledger = host()
    hold(holds, ask("web-1", "web-2"))
    effects, outcomes = holds.release(B, HoldRelease(ask().grid, ("web-2", "web-7")))
    assert said(effects) == []
    assert outcomes == [RoomChanged()]
    assert len(ledger) == 1
    holds.release(B, HoldRelease(ask().grid, ("web-1",)))
    assert ledger.free == ROOM
    assert holds.release(B, HoldRelease(ask().grid, ("web-1",))) == ([], [])


def test_its_time_is_up_and_nobody_decided() -> None:
    holds, ledger = host()
    hold(holds, ask("web-1"))
    assert holds.tick(NOW + HOLD_S - 0.01) == ([], [])
    _, (vote,) = holds.tick(NOW + HOLD_S)
    assert isinstance(vote, Propose)
    assert (vote.purpose, vote.stewards) == (VoidHold(ask().grid), (A, B, C))
    assert holds.tick(NOW + HOLD_S + 1) == ([], []), "one vote at a time"
    value = proposed(vote)
    made, effects, _ = holds.settled(ask().grid, value)
    assert not made
    assert len(holds) == 0
    assert ledger.free == ROOM
    assert [e for e in effects if isinstance(e, Persist)]


def test_its_time_is_up_and_it_was_decided() -> None:
    """The requester died after its commit, before it told. The hold becomes a lease all the same."""
    holds, _ = host()
    hold(holds, ask("web-1"))
    decided = committed(record_of(ORDER, {"web-1": A}))
    _, (vote,) = holds.tick(NOW + HOLD_S)
    assert isinstance(vote, Propose)
    made, effects, _ = holds.settled(ask().grid, proposed(vote, decided))
    assert made
    assert effects == []
    assert len(holds) == 1, "until the contract is on disk"


def test_stewards_away_the_hold_stays_and_asks_again() -> None:
    holds, ledger = host()
    hold(holds, ask("web-1"))
    holds.tick(NOW + HOLD_S)
    holds.unsettled(ask().grid, NOW + 20)
    assert len(ledger) == 1
    assert len(holds.tick(NOW + 22)[1]) == 1


def test_found_on_disk_after_a_power_cut() -> None:
    holds, _ = host()
    rows = saved(hold(holds, ask("web-1", "web-2")))
    again, ledger = host(rows=rows)
    again.check()
    assert len(ledger) == 2
    deadline = again.next_deadline()
    assert deadline is not None
    assert deadline.at_s <= NOW + HOLD_S, "a clock set back does not prolong it"


def test_an_attempt_that_was_voted_down_is_not_the_next_one() -> None:
    value = voiding(grid_id(ORDER, 0), NOW)(None)
    first, second = (record_of(ORDER, {"web-1": A}, grid_id(ORDER, i)) for i in (0, 1))
    assert committing(first)(value).register.record is None
    made = committing(second)(value).register.record
    assert made is not None
    assert made.id == second.id


def test_owners_do_not_share_names() -> None:
    holds, _ = host()
    hold(holds, ask("web-1"))
    theirs = ask("web-1", order=RIVAL.up(shop(), NOW))
    key = f"{ADMIN.signer.key}/shop"
    assert reply(hold(holds, theirs, Taken({key: (ask().grid, True)}, {}))).held == ("web-1",)


def placed_by(**rules: object) -> SignedOrder:
    """An order for web-1 to web-3 with those rules of placement."""
    spec = msgspec.structs.replace(shop(3), placement=PlacementSpec(**rules))  # type: ignore[arg-type]
    return ADMIN.up(spec, NOW)


def needing(**keys: object) -> SignedOrder:
    """An order for web-1 to web-3 that asks that of its hosts."""
    spec = shop(3)
    clusters = tuple(msgspec.structs.replace(cluster, **keys) for cluster in spec.clusters)
    return ADMIN.up(msgspec.structs.replace(spec, clusters=clusters), NOW)


def refusals(order: SignedOrder, *names: str, taken: Taken = FREE) -> list[Constraint]:
    holds, _ = host()
    return [r.constraint for _, r in reply(hold(holds, ask(*names, order=order), taken)).refused]


def test_rules_of_the_order_are_checked_by_the_host_too() -> None:
    strict = placed_by(spread=Spread.HOST, strict=(Strict.SPREAD,))
    assert refusals(strict, "web-1") == []
    assert refusals(strict, "web-1", "web-2") == [Constraint.SPREAD], "one of the two is held"
    assert refusals(placed_by(sites=("s9",)), "web-1") == [Constraint.SITE]
    assert refusals(placed_by(exclude_sites=("s1",)), "web-1") == [Constraint.SITE]
    assert refusals(needing(labels=("ssd",)), "web-1") == [Constraint.LABEL]
    assert refusals(needing(driver=Driver.LXC), "web-1") == [Constraint.DRIVER]
    assert refusals(needing(architecture=Architecture.AARCH64), "web-1") == [
        Constraint.ARCHITECTURE
    ]
    assert refusals(needing(devices=(DeviceCount("gpu", 1),)), "web-1") == [Constraint.DEVICE]


def test_a_strict_spread_counts_what_is_held_already() -> None:
    holds, _ = host()
    order = placed_by(spread=Spread.HOST, strict=(Strict.SPREAD,))
    assert reply(hold(holds, ask("web-1", order=order))).held == ("web-1",)
    assert reply(hold(holds, ask("web-1", order=order))).held == ("web-1",), "asked again"
    refused = reply(hold(holds, ask("web-2", order=order))).refused
    assert [r.constraint for _, r in refused] == [Constraint.SPREAD]


def test_apart_is_kept_whichever_grid_says_so() -> None:
    def carrying(name: str, *apart: str, admin: Admin = ADMIN) -> Taken:
        return Taken({}, {}, (Cotenant(admin.signer.key, "s1", name, apart),))

    order = placed_by(apart=("main",))
    assert refusals(order, "web-1", taken=carrying("main")) == [Constraint.APART]
    assert refusals(order, "web-1", taken=carrying("other")) == []
    assert refusals(order, "web-1", taken=carrying("main", admin=RIVAL)) == [], "somebody else's"
    assert refusals(ORDER, "web-1", taken=carrying("main", "shop")) == [Constraint.APART]


def test_devices_are_promised_once_each() -> None:
    room = msgspec.structs.replace(ROOM, devices=(("gpu", 2),))
    holds, ledger = host(room)
    order = needing(devices=(DeviceCount("gpu", 1),))
    answer = reply(hold(holds, ask("web-1", "web-2", "web-3", order=order)))
    assert answer.held == ("web-1", "web-2")
    assert [(r.what, r.asked, r.available) for _, r in answer.refused] == [("device gpu", 1, 0)]
    assert ledger.free.devices == ()
    holds.release(B, HoldRelease(grid_id(order), ("web-1",)))
    assert ledger.free.devices == (("gpu", 1),)


def test_best_effort_work_keeps_its_room_to_its_end_where_it_cannot_be_suspended() -> None:
    order = ADMIN.up(shop(1, lease=LeaseTerms(best_effort=True), lease_s=1000), NOW)
    for suspends, busy_s in ((True, USEFUL_S), (False, 1000 + SLACK_S + CLEAR_S)):
        room = Quantum(500, 1024 * MIB, 1024 * MIB)
        holds, ledger = host(room)
        here = offer(A, room)
        facts = msgspec.structs.replace(here.facts, suspends=suspends)
        here = msgspec.structs.replace(here, facts=facts)
        effects, _ = holds.ask(B, ask("web-1", order=order), FREE, here, NOW)
        row = holds.row(grid_id(order))
        assert row is not None
        assert row.window.end_s == NOW + busy_s
        later = Window(NOW + 500, NOW + 600, 0)
        assert (ledger.free_for(later, displacing=True).cpus_milli == 500) is suspends
        again, ledger = host(room, saved(effects))
        assert (ledger.free_for(later, displacing=True).cpus_milli == 500) is suspends
        again.check()
