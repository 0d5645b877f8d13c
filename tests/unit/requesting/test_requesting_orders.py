"""What becomes of an order: a request, or why not, at once."""

from random import Random

import pytest
from deciding import proposed as carried_out
from deciding import read_register
from negotiating import ADMIN, FEDERATION, NOW, RIVAL, A, B, C, asks, committed, record_of, shop
from one_requester import ME, Scene, asked_to_hold, notice_of, released

from protocol.contract.messages import Act, LeaseAsk
from protocol.contract.outcomes import ChangeGrid, CommitGrid, Outcome, Propose
from protocol.grid.asked import was_asked
from protocol.grid.record import GridRecord, GridState, LeaseChange, grid_id, order_part
from protocol.requesting.events import PlanAsked
from protocol.requesting.request import RequestState
from protocol.sim.keys import SimVerifier
from protocol.sim.people import Admin
from protocol.terms.effects import Effect, Persist, Send
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.quantities import format_moment
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode

ORDER = ADMIN.up(shop(2), NOW)
GRID = grid_id(ORDER)
DOWN = ADMIN.order(Action.DOWN, GRID, NOW)
RECORD = record_of(ORDER, {"web-1": B, "web-2": C})
PLACING = "shop was still being placed; that request is cancelled"
CANCELLED = "cancelled; nothing is held"
NO_GRID = (
    "there is no grid named shop",
    "  would work: `overlayctl ps` lists the grids there are",
)
TEN_MINUTES = encode(LeaseChange(600))


def known(record: GridRecord = RECORD, state: GridState = GridState.UP) -> Scene:
    """A requester to which the grid's hosts have told of it."""
    scene = Scene()
    for peer in record.carriers():
        scene.notice(peer, notice_of(record, peer, state=state))
    return scene


def proposed(outcomes: list[Outcome]) -> Propose:
    (proposal,) = outcomes
    assert isinstance(proposal, Propose)
    return proposal


def acts(effects: list[Effect]) -> dict[PeerId, Act | LeaseAsk]:
    """What each host is asked to do to a grid."""
    return {
        e.peer: e.message
        for e in effects
        if isinstance(e, Send) and isinstance(e.message, Act | LeaseAsk)
    }


def state_after(proposal: Propose, before: bytes) -> GridState | None:
    """The state of the grid after the change; None if there is no grid."""
    record = carried_out(proposal, before).register.record
    return record.state if record is not None else None


@pytest.mark.parametrize("action", [Action.UP, Action.HOLD, Action.LEASE])
def test_an_order_for_another_peer_is_refused_and_says_for_which(action: Action) -> None:
    scene = known()
    body = TEN_MINUTES if action is Action.LEASE else encode(shop(2))
    order = ADMIN.order(action, GRID if action is Action.LEASE else "shop", NOW, body=body, via=B)
    assert scene.order("theirs", order) == ([], [])
    assert scene.view("theirs").state is RequestState.FAILED
    assert scene.view("theirs").answer == (
        "this order is for beta to carry out, not for this peer",
        "  would work: give it to beta, or sign it again here",
    )


def test_an_order_for_this_peer_is_carried_out_here() -> None:
    scene = Scene()
    order = ADMIN.order(Action.UP, "shop", NOW, body=encode(shop(2)), via=ME)
    asked = asks(scene.holding("mine", order))
    assert all(
        was_asked(SimVerifier(), ME, ask.grid, peer, ask.asked) for peer, ask in asked.items()
    )


# -- down


def test_down_of_a_grid_that_is_still_being_placed_lets_go_of_it() -> None:
    scene = Scene()
    held = scene.holding("up", ORDER)
    scene.hold_all(held[:1])
    effects, outcomes = scene.order("down", DOWN)
    assert (released(effects), outcomes) == (asked_to_hold(held), [])
    assert (scene.view("up").state, scene.line("up")) == (RequestState.CANCELLED, CANCELLED)
    down = scene.view("down")
    assert (down.state, down.stage, down.answer) == (RequestState.DONE, "done", (PLACING,))


def test_down_of_a_grid_that_is_before_its_stewards_is_theirs_to_decide() -> None:
    scene = Scene()
    commit = scene.committing("up", ORDER)
    effects, outcomes = scene.order("down", DOWN)
    stop = proposed(outcomes)
    (used,) = effects
    assert isinstance(used, Persist)
    assert [row.key for row in used.rows] == [order_part(GRID)], "its order makes nothing any more"
    assert stop.purpose == ChangeGrid(RequestId("down"))
    assert (stop.register, stop.stewards) == (commit.register, commit.stewards)
    assert scene.view("up").state is RequestState.RUNNING, "it may be a grid by now"
    assert state_after(stop, carried_out(commit)) is GridState.DOWN, "the commit came first"
    stopped = carried_out(stop)
    assert carried_out(commit, stopped).register == stopped.register, "the commit comes too late"
    assert isinstance(commit.purpose, CommitGrid)
    scene.requester.settled(commit.purpose, stopped, NOW)
    scene.requester.settled(ChangeGrid(RequestId("down")), stopped, NOW)
    assert scene.view("up").answer == (CANCELLED,)
    assert (scene.view("down").state, scene.line("down")) == (
        RequestState.DONE,
        "shop was still being placed; that is stopped and nothing is left",
    )


def test_down_of_a_grid_that_was_decided_a_moment_ago_ends_it() -> None:
    """Its hosts have told nothing of it yet."""
    scene = Scene()
    record = scene.building("up", ORDER)
    effects, outcomes = scene.order("down", DOWN)
    assert (effects, state_after(proposed(outcomes), committed(record))) == ([], GridState.DOWN)
    assert scene.view("down").stage == "asking stewards"


@pytest.mark.parametrize("name", [RECORD.id, order_part(RECORD.id)])
def test_down_of_a_grid_that_exists_by_its_id_or_its_orders(name: str) -> None:
    scene = known()
    effects, outcomes = scene.order("down", ADMIN.order(Action.DOWN, name, NOW))
    end = proposed(outcomes)
    assert (effects, end.purpose, end.stewards) == ([], ChangeGrid(RequestId("down")), (A, B, C))
    assert state_after(end, committed(RECORD)) is GridState.DOWN


def test_terminate_ends_one_workspace() -> None:
    scene = known()
    order = ADMIN.order(Action.TERMINATE, GRID, NOW, workspace="web-2")
    _, outcomes = scene.order("terminate", order)
    record = read_register(carried_out(proposed(outcomes), committed(RECORD))).record
    assert record is not None
    assert [a.workspace for a in record.assignments] == ["web-1"]


def test_down_of_another_sites_grid_is_refused() -> None:
    scene = known()
    answer = scene.order("down", RIVAL.order(Action.DOWN, GRID, NOW))
    assert answer == ([], [])
    assert scene.view("down").answer == (
        f"{GRID} belongs to site s1's admin",
        "  would work: the same with --identity of site s1's admin",
    )


def test_another_sites_grid_that_is_being_placed_here_is_not_stopped() -> None:
    scene = Scene()
    scene.holding("up", ORDER)
    scene.order("down", RIVAL.order(Action.DOWN, GRID, NOW))
    assert scene.view("down").answer == (f"there is no grid named {GRID}", NO_GRID[1])
    assert scene.view("up").stage == "holding"


def with_held_plan() -> Scene:
    scene = Scene()
    effects, _ = scene.order("plan", ADMIN.hold(shop(2), 600.0, NOW))
    effects, _ = scene.answer_quotes(effects)
    scene.hold_all(effects)
    scene.requester.notes()
    assert scene.view("plan").state is RequestState.HELD
    return scene


def test_down_of_a_grid_that_a_held_plan_names_says_how_to_let_it_go() -> None:
    scene = with_held_plan()
    scene.order("down", Admin(FEDERATION, "s1", Random(9)).order(Action.DOWN, "shop", NOW))
    assert scene.view("down").answer == (
        "there is no grid named shop",
        "  would work: `overlayctl request cancel plan` lets the plan of it go",
    )
    assert len(released(scene.cancel("plan"))) == 2


@pytest.mark.parametrize("action", [Action.DOWN, Action.PAUSE, Action.LEASE])
def test_there_is_no_such_grid(action: Action) -> None:
    scene = Scene()
    assert scene.order("r", ADMIN.order(action, GRID, NOW, body=TEN_MINUTES)) == ([], [])
    assert (scene.view("r").state, scene.view("r").kind) == (RequestState.FAILED, action)
    assert scene.view("r").answer == (f"there is no grid named {GRID}", NO_GRID[1])


def test_a_grid_that_is_down_is_none() -> None:
    scene = known(state=GridState.DOWN)
    scene.order("down", DOWN)
    assert scene.view("down").answer == NO_GRID


def test_down_while_the_stewards_are_asked_whether_that_order_made_it_ends_it() -> None:
    """The order did make it, and its hosts have told of it."""
    scene = known()
    scene.order("again", ORDER)
    assert scene.view("again").stage == "looking"
    _, outcomes = scene.order("down", DOWN)
    assert state_after(proposed(outcomes), committed(RECORD)) is GridState.DOWN
    assert scene.view("again").state is RequestState.CANCELLED


def test_what_is_no_down_does_not_stop_a_grid_that_is_being_placed() -> None:
    scene = Scene()
    scene.holding("up", ORDER)
    scene.order("pause", ADMIN.order(Action.PAUSE, GRID, NOW))
    assert scene.view("pause").answer == NO_GRID
    assert scene.view("up").stage == "holding"


# -- one workspace, and the lease


def test_a_workspace_the_grid_does_not_have() -> None:
    scene = known()
    order = ADMIN.order(Action.PAUSE, GRID, NOW, workspace="web-9")
    assert scene.order("pause", order) == ([], [])
    assert scene.view("pause").answer == ("shop has no workspace web-9; it has web-1, web-2",)


def test_an_action_goes_to_who_carries_the_workspace() -> None:
    scene = known()
    order = ADMIN.order(Action.PAUSE, GRID, NOW, workspace="web-2")
    effects, outcomes = scene.order("pause", order)
    assert (acts(effects), outcomes) == ({C: Act(RequestId("pause"), RECORD.id, order)}, [])


def test_a_restart_is_measured_from_the_boot_its_host_told_of() -> None:
    scene = known()
    order = ADMIN.order(Action.RESTART, GRID, NOW, workspace="web-2")
    scene.order("restart", order)
    scene.acted("restart", C)
    scene.notice(C, notice_of(RECORD, C))
    assert scene.view("restart").state is RequestState.RUNNING, "that is the start before"
    scene.notice(C, notice_of(RECORD, C, boot=2))
    assert scene.view("restart").state is RequestState.DONE


def test_a_longer_lease_is_asked_of_every_host() -> None:
    scene = known()
    order = ADMIN.order(Action.LEASE, GRID, NOW, body=TEN_MINUTES)
    effects, outcomes = scene.order("lease", order)
    ask = LeaseAsk(RequestId("lease"), RECORD.id, order)
    assert (acts(effects), outcomes) == ({B: ask, C: ask}, [])


@pytest.mark.parametrize("body", [b"", encode(LeaseChange(0)), b"\xff"])
def test_a_lease_order_without_terms(body: bytes) -> None:
    scene = known()
    answer = scene.order("lease", ADMIN.order(Action.LEASE, GRID, NOW, body=body))
    assert answer == ([], [])
    view = scene.view("lease")
    assert (view.kind, view.grid, view.state) == ("lease", "shop", RequestState.FAILED)


@pytest.mark.parametrize(("by_s", "what"), [(600, "extended"), (-600, "shortened")])
def test_a_lease_that_is_changed_before_its_hosts_have_told_of_it(by_s: int, what: str) -> None:
    """Its end follows from the record."""
    scene = Scene()
    record = scene.building("up", ORDER)
    order = ADMIN.order(Action.LEASE, GRID, NOW, body=encode(LeaseChange(by_s)))
    _, outcomes = scene.order("lease", order)
    if by_s > 0:
        outcomes = scene.promised("lease", record)
    change = carried_out(proposed(outcomes), committed(record))
    scene.requester.settled(ChangeGrid(RequestId("lease")), change, NOW)
    scene.acknowledged(record, 2)
    until = format_moment(NOW + shop(2).lease_s + by_s)
    assert scene.view("lease").answer == (f"the lease of shop is {what} by 10 min, until {until}",)


# -- what is not an order, or was given before


def stale() -> SignedOrder:
    return ADMIN.order(Action.DOWN, GRID, NOW - 5000)


@pytest.mark.parametrize("order", [stale(), ADMIN.up(shop(2), NOW - 5000)], ids=["down", "up"])
def test_an_order_that_is_not_accepted(order: SignedOrder) -> None:
    scene = known()
    assert scene.order("r", order) == ([], [])
    view = scene.view("r")
    assert (view.kind, view.state) == ("order", RequestState.FAILED)
    (line,) = view.answer
    assert line.startswith("this order is not accepted: ")
    assert line.endswith("issued 5000 s ago, valid for 600 s; sign it again")


def test_a_request_that_is_given_again_is_the_one_there_is() -> None:
    scene = known()
    _, first = scene.order("r", DOWN)
    views = scene.requests.views()
    assert (len(first), len(views)) == (1, 1)
    again = (DOWN, stale(), ADMIN.order(Action.PAUSE, GRID, NOW), ADMIN.up(shop(2), NOW))
    for order in again:
        assert scene.order("r", order) == ([], [])
    assert scene.requester.handle(PlanAsked(RequestId("r"), shop(2)), NOW) == ([], [])
    assert scene.requests.views() == views


def test_also_after_its_answer() -> None:
    scene = Scene()
    scene.order("r", DOWN)
    views = scene.requests.views()
    for peer in RECORD.carriers():
        scene.notice(peer, notice_of(RECORD, peer))
    assert scene.order("r", DOWN) == ([], [])
    assert scene.requests.views() == views


# -- minds that change


def test_what_is_cancelled_before_the_commit_lets_go() -> None:
    scene = Scene()
    held = scene.holding("up", ORDER)
    scene.hold_all(held[:1])
    assert released(scene.cancel("up")) == asked_to_hold(held)
    assert scene.view("up").state is RequestState.CANCELLED


def test_what_is_no_placement_is_not_cancelled() -> None:
    scene = known()
    scene.order("pause", ADMIN.order(Action.PAUSE, GRID, NOW))
    for request in ("pause", "another"):
        assert scene.cancel(request) == []
    assert scene.view("pause").state is RequestState.RUNNING


def test_a_plan_that_is_being_taken_up_is_cancelled_by_its_own_name() -> None:
    scene = with_held_plan()
    scene.order("up", ORDER, quote="plan")
    assert scene.view("up").state is RequestState.RUNNING
    scene.cancel("plan")
    assert scene.view("up").state is RequestState.CANCELLED
