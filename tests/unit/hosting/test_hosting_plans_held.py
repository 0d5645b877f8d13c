"""A plan that is held at a host: real promises that nobody can commit, and an `up` that takes their place."""

from random import Random

import msgspec
import pytest
from negotiating import (
    ADMIN,
    AUTHORITY,
    MIB,
    NAMES,
    NOW,
    REQUEST,
    RIVAL,
    ROOM,
    A,
    Around,
    B,
    HostKey,
    asks,
    claims,
    granted,
    offer,
    quote,
    record_of,
    refused,
    said,
    shop,
)

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum
from protocol.contract.messages import HoldAsk, HoldRelease, HoldReply, RoomClaim
from protocol.contract.outcomes import Propose, RoomChanged
from protocol.grid.model import GridSpec
from protocol.grid.record import GridRecord, HoldTerms, grid_id, vni_of
from protocol.hosting.hold_replies import Granting
from protocol.hosting.hold_row import HoldNotSaved
from protocol.hosting.holds import TABLE, Holds
from protocol.hosting.taken import Taken
from protocol.requesting.placing import Placing
from protocol.requesting.proposal import Proposal, release
from protocol.requesting.quoting import Quoting
from protocol.requesting.redeeming import Redeeming
from protocol.requesting.request import RequestState
from protocol.sim.people import Admin
from protocol.terms.effects import Effect, Note, Persist, Send
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import HOLD_S, PLAN_HOLD_MOST_S
from protocol.terms.refusal import Constraint, Refusal
from protocol.trust.order import Action, SignedOrder
from protocol.trust.signing import Untrusted
from protocol.trust.used import TABLE as USED
from protocol.wire.codec import encode

HELD_S = 60.0


def to_hold(spec: GridSpec, hold_s: float = HELD_S, admin: Admin = ADMIN) -> SignedOrder:
    return admin.order(Action.HOLD, spec.name, NOW, body=encode(HoldTerms(spec, hold_s)))


PLAN = to_hold(shop(3))
UP = ADMIN.up(shop(3), NOW)


def host(room: Quantum = ROOM, rows: dict[str, bytes] | None = None) -> tuple[Holds, Ledger]:
    ledger = Ledger(room, NOW)
    return Holds(
        "alpha", ledger, AUTHORITY, claims(ledger), rows or {}, NOW, Granting(HostKey(A))
    ), ledger


def ask(*names: str, order: SignedOrder = PLAN, instead: str = "") -> HoldAsk:
    grid = grid_id(order)
    return HoldAsk(grid, order, names, (("lan", vni_of(grid, "lan")),), HELD_S, 0.0, instead)


def taken(holds: Holds) -> Taken:
    rows = holds.rows()
    vnis = {vni: row.grid for row in rows for _, vni in row.vnis}
    return Taken({row.key: (row.grid, False) for row in rows}, vnis)


def hold(holds: Holds, wanted: HoldAsk, now: float = NOW) -> list[Effect]:
    effects, _ = holds.ask(B, wanted, taken(holds), offer(A), now)
    holds.check()
    return effects


def reply(effects: list[Effect]) -> HoldReply:
    (found,) = [e.message for e in effects if isinstance(e, Send)]
    assert isinstance(found, HoldReply)
    return found


def rows_of(effects: list[Effect]) -> dict[str, bytes | None]:
    rows = [row for e in effects if isinstance(e, Persist) for row in e.rows]
    assert all(row.table in (TABLE, USED) for row in rows)
    rows = [row for row in rows if row.table == TABLE]
    return {row.key: row.value for row in rows}


def test_it_is_held_for_its_time_and_ends_by_itself() -> None:
    holds, ledger = host()
    hold(holds, ask("web-1", "web-2"))
    assert ROOM - ledger.free == Quantum(1000, 256 * MIB, 0)
    assert holds.held() == Quantum(), "nobody waits for it to be a lease, or free"
    assert holds.tick(NOW + HELD_S - 0.1) == ([], [])
    effects, outcomes = holds.tick(NOW + HELD_S)
    assert rows_of(effects) == {ask().grid: None}
    assert outcomes == [RoomChanged()], "no steward is asked"
    assert ledger.free == ROOM
    assert holds.next_deadline() is None


def test_it_does_not_end_by_a_clock_that_does_not_count() -> None:
    holds, _ = host()
    hold(holds, ask("web-1"))
    assert holds.tick(NOW + 3600, sure=False) == ([], [])
    deadline = holds.next_deadline()
    assert deadline is not None
    assert deadline.at_s > NOW + 3600
    assert holds.tick(deadline.at_s)[1] == [RoomChanged()]


def test_asking_again_makes_it_no_longer() -> None:
    holds, _ = host()
    hold(holds, ask("web-1"))
    hold(holds, ask("web-1", "web-2"), NOW + 30)
    (row,) = holds.rows()
    assert (row.workspaces, row.until_s) == (("web-1", "web-2"), NOW + HELD_S)


def test_no_longer_than_its_owner_signed_for() -> None:
    holds, _ = host()
    hold(holds, msgspec.structs.replace(ask("web-1"), hold_s=9999.0))
    assert holds.rows()[0].until_s == NOW + HELD_S
    for hold_s in (1.0, PLAN_HOLD_MOST_S + 1):
        with pytest.raises(Untrusted, match="a plan is held for 10 to 600 s"):
            AUTHORITY.to_hold(to_hold(shop(3), hold_s), NOW, fresh=True)


def test_it_is_there_after_a_restart_and_no_longer_than_the_most() -> None:
    holds, _ = host()
    row = rows_of(hold(holds, ask("web-1")))[ask().grid]
    assert row is not None
    again, ledger = host(rows={ask().grid: row})
    assert (again.rows()[0].until_s, len(ledger)) == (NOW + HELD_S, 1)
    late = Ledger(ROOM, NOW)
    behind = Holds(
        "alpha",
        late,
        AUTHORITY,
        claims(late),
        {ask().grid: row},
        NOW - 10_000,
        Granting(HostKey(A)),
    )
    assert behind.rows()[0].until_s == NOW - 10_000 + PLAN_HOLD_MOST_S


def test_nobody_can_commit_it() -> None:
    record = record_of(UP, {"web-1": A, "web-2": A, "web-3": A})
    forged = msgspec.structs.replace(record, id=grid_id(PLAN), order=PLAN)
    assert isinstance(forged, GridRecord)
    with pytest.raises(Untrusted, match="to hold where up is needed"):
        AUTHORITY.vouch(forged, None, NOW)


def test_an_up_takes_its_place_in_one_write() -> None:
    """It does so even on a host that has no room beside the plan."""
    holds, ledger = host(Quantum(1000, 256 * MIB, 0))
    hold(holds, ask("web-1", "web-2"))
    effects = hold(holds, ask("web-1", "web-2", order=UP, instead=ask().grid), NOW + 50)
    assert reply(effects).held == ("web-1", "web-2")
    assert [type(effect) for effect in effects] == [Persist, Send, Note]
    rows = rows_of(effects)
    assert rows[ask().grid] is None
    assert rows[ask(order=UP).grid] is not None
    (row,) = holds.rows()
    assert (row.plan, row.until_s) == (False, NOW + 50 + HOLD_S)
    assert len(ledger) == 2
    again = hold(holds, ask("web-1", "web-2", order=UP, instead=ask().grid), NOW + 51)
    assert again == [Send(B, granted(A, ask("web-1", "web-2", order=UP)))]


def test_its_room_is_enough_however_late_it_is_taken() -> None:
    """A lease that begins at the end of the plan ends later than one that begins with it."""
    holds, ledger = host(Quantum(500, 128 * MIB, 0))
    hold(holds, ask("web-1"))
    (row,) = holds.rows()
    assert not Quantum(500, 128 * MIB, 0).fits(ledger.free_for(row.window))
    effects = hold(holds, ask("web-1", order=UP, instead=ask().grid), NOW + HELD_S - 1)
    (late,) = holds.rows()
    assert reply(effects).held == ("web-1",)
    assert late.window.end_s <= row.window.end_s


def test_another_owner_takes_no_plans_place() -> None:
    for stranger in (RIVAL.up(shop(3), NOW), ADMIN.up(_named("else"), NOW)):
        holds, ledger = host(Quantum(500, 128 * MIB, 0))
        hold(holds, ask("web-1"))
        effects = hold(holds, ask("web-1", order=stranger, instead=ask().grid))
        assert [no.constraint for _, no in reply(effects).refused] == [Constraint.MEMORY]
        assert [row.grid for row in holds.rows()] == [ask().grid]
        assert len(ledger) == 1


def _named(name: str) -> GridSpec:
    return msgspec.structs.replace(shop(3), name=name)


def test_a_plan_takes_no_plans_place() -> None:
    holds, _ = host()
    hold(holds, ask("web-1"))
    other = to_hold(shop(3), 30.0)
    effects = hold(holds, ask("web-1", order=other, instead=ask().grid))
    assert [no.constraint for _, no in reply(effects).refused] == [Constraint.CONTENDED]


def test_refused_all_the_plan_stays() -> None:
    holds, ledger = host()
    hold(holds, ask("web-1"))
    wanted = ask("web-9", order=UP, instead=ask().grid)
    assert reply(hold(holds, wanted)).held == ()
    assert [row.grid for row in holds.rows()] == [ask().grid]
    assert len(ledger) == 1


def test_its_room_is_its_own_also_where_an_older_request_waits_for_room() -> None:
    ledger = Ledger(Quantum(1000, 256 * MIB, 1 << 40), NOW)
    waiting = claims(ledger)
    holds = Holds("alpha", ledger, AUTHORITY, waiting, {}, NOW, Granting(HostKey(A)))
    hold(holds, ask("web-1", "web-2"))
    waiting.ask(B, RoomClaim(RIVAL.up(shop(3), NOW - 9), ("web-1", "web-2")), NOW)
    assert reply(hold(holds, ask("web-1", "web-2", order=UP, instead=ask().grid))).refused == ()
    assert len(waiting) == 1


def test_a_store_that_refuses_leaves_neither() -> None:
    holds, ledger = host()
    hold(holds, ask("web-1"))
    effects = hold(holds, ask("web-1", order=UP, instead=ask().grid))
    (failed,) = [e.otherwise for e in effects if isinstance(e, Persist)]
    assert isinstance(failed, HoldNotSaved)
    effects, _ = holds.not_saved(failed)
    assert reply(effects).held == ()
    assert rows_of(effects) == {ask().grid: None}
    assert (len(holds), ledger.free) == (0, ROOM)


# -- the requester


def planned(count: int = 2) -> tuple[Placing, list[Proposal], dict[PeerId, HoldAsk]]:
    """Gives quotes of all hosts. Answers the request, what it keeps, and the holds that it asks for."""
    order = to_hold(shop(count))
    deployment = AUTHORITY.to_hold(order, NOW, fresh=True)
    around = Around()
    quoting = Quoting(REQUEST, deployment, holds=True)
    request = Placing(REQUEST, deployment, order, around, Random(3), NOW, quoting)
    request.start(NOW)
    effects: list[Effect] = []
    for peer in NAMES:
        effects, _ = request.quote(peer, quote(peer), NOW)
    return request, around.kept, asks(effects)


def kept_plan(count: int = 2) -> Proposal:
    request, kept, holds = planned(count)
    for peer, wanted in holds.items():
        assert wanted.hold_s == HELD_S
        assert request.hold_reply(peer, granted(peer, wanted), NOW + 0.1) == ([], [])
    view = request.view()
    assert (view.kind, view.state, view.until_s) == ("hold", RequestState.HELD, NOW + HELD_S)
    assert view.answer == ("shop is held for 1 min: `overlayctl up --quote request-1` makes it",)
    (proposal,) = kept
    assert proposal.held == next(iter(holds.values())).grid
    return proposal


def test_held_is_the_answer_and_nothing_is_proposed() -> None:
    proposal = kept_plan()
    assert sorted(proposal.placed) == ["web-1", "web-2"]
    let_go = {e.peer: e.message for e in release(proposal) if isinstance(e, Send)}
    assert let_go == {
        peer: HoldRelease(GridId(proposal.held), (name,)) for name, peer in proposal.placed.items()
    }


def test_cancelled_on_the_way_all_is_let_go() -> None:
    request, kept, holds = planned()
    (first, wanted), (second, _) = holds.items()
    request.hold_reply(first, granted(first, wanted), NOW)
    effects = request.cancel(NOW)
    assert sorted(said(effects)) == sorted((NAMES[p], "HoldRelease") for p in (first, second))
    assert (kept, request.view().state) == ([], RequestState.CANCELLED)


def test_taken_up_its_hosts_are_asked_in_its_place() -> None:
    """Hosts count the plan's room as used, so their quotes are without it."""
    proposal = kept_plan(3)
    order = ADMIN.up(proposal.spec, NOW + 30)
    deployment = AUTHORITY.deployment(order, NOW + 30, fresh=True)
    policy = Redeeming(deployment, proposal)
    request = Placing(REQUEST, deployment, order, Around(), Random(4), NOW + 30, policy)
    request.start(NOW + 30)
    effects: list[Effect] = []
    for peer in NAMES:
        effects, _ = request.quote(peer, quote(peer, Quantum(0, 0, 0)), NOW + 30)
    holds = asks(effects)
    assert {wanted.instead for wanted in holds.values()} == {proposal.held}
    assert set(holds) == set(proposal.placed.values())
    outcomes: list[object] = []
    for peer, wanted in holds.items():
        _, more = request.hold_reply(peer, granted(peer, wanted), NOW + 31)
        outcomes += more
    assert [type(outcome) for outcome in outcomes] == [Propose]


def test_whether_anything_is_left_of_a_plan_that_was_refused() -> None:
    for asked in (False, True):
        proposal = kept_plan()
        order = ADMIN.up(proposal.spec, NOW + 30)
        deployment = AUTHORITY.deployment(order, NOW + 30, fresh=True)
        policy = Redeeming(deployment, proposal)
        request = Placing(REQUEST, deployment, order, Around(), Random(4), NOW + 30, policy)
        request.start(NOW + 30)
        silent = next(iter(proposal.placed.values()))
        effects: list[Effect] = []
        for peer in NAMES:
            if asked or peer != silent:
                effects, _ = request.quote(peer, quote(peer), NOW + 30)
        if asked:
            no = Refusal(Constraint.STORE, NAMES[silent], detail="its disk is full")
            for peer, wanted in asks(effects).items():
                answer = refused(wanted, no) if peer == silent else granted(peer, wanted)
                request.hold_reply(peer, answer, NOW + 31)
        else:
            request.tick(NOW + 40)
        assert request.view().state is RequestState.FAILED
        assert request.spent is asked
        assert any("still is" in line for line in request.view().answer) is not asked
