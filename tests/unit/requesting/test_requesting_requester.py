"""What a requester hears goes to the request that it concerns, and to no other."""

import pytest
from deciding import committing, proposed
from negotiating import ADMIN, AUTHORITY, NOW, RIVAL, B, asks, granted
from one_requester import FULL, LITTLE, ROOM, Scene, advert, notice_of, quote_of

from protocol.capacity.quantum import Quantum
from protocol.contract.messages import (
    Act,
    ActReply,
    Decided,
    DecidedAck,
    HoldReply,
    LeaseReply,
    QuoteAsk,
    RoomClaim,
    RoomKept,
    ToRequester,
)
from protocol.contract.outcomes import (
    ChangeGrid,
    CommitGrid,
    Outcome,
    Propose,
    RequesterPurpose,
)
from protocol.grid.decision import Decision
from protocol.grid.lifecycle import Phase
from protocol.grid.model import GridSpec, LeaseTerms
from protocol.grid.record import GridRecord, GridState, LeaseChange
from protocol.requesting.earlier import TABLE as ASKED
from protocol.requesting.events import CancelAsked, PlanAsked
from protocol.requesting.proposal import TABLE as QUOTED
from protocol.requesting.proposal import ProposalNotSaved
from protocol.requesting.queueing import TABLE as QUEUED
from protocol.requesting.queueing import QueueNotSaved
from protocol.requesting.request import RequestState
from protocol.sim.people import grid_spec
from protocol.terms.effects import Effect, Note, Persist, Send
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.terms.limits import (
    CLAIM_AFTER_S,
    CLAIM_TRY_S,
    DECIDED_EVERY_S,
    PROPOSAL_S,
    QUEUE_AGAIN_S,
    QUOTE_WITHIN_S,
)
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode

WAITS = LeaseTerms(best_effort=True)
SOON_S = QUEUE_AGAIN_S + 1.0
ENOUGH = Quantum(2000, 1 << 30, 1 << 40)


def up(name: str, now: float = NOW) -> SignedOrder:
    return ADMIN.up(grid_spec(name, 2), now)


def gang(name: str, count: int = 3) -> GridSpec:
    """A grid that finds no room among three full hosts, and waits."""
    return grid_spec(name, count, lease=WAITS)


def decided(effects: list[Effect]) -> dict[str, list[PeerId]]:
    """The hosts that are told of a record, by the request that tells them."""
    told: dict[str, list[PeerId]] = {}
    for effect in effects:
        if isinstance(effect, Send) and isinstance(effect.message, Decided):
            told.setdefault(effect.cause, []).append(effect.peer)
    return told


def purpose(outcomes: list[Outcome]) -> RequesterPurpose:
    (proposal,) = outcomes
    assert isinstance(proposal, Propose)
    assert isinstance(proposal.purpose, CommitGrid | ChangeGrid)
    return proposal.purpose


def value(outcomes: list[Outcome], before: Decision | None = None) -> Decision:
    (proposal,) = outcomes
    assert isinstance(proposal, Propose)
    return proposed(proposal, before)


def stages(scene: Scene) -> dict[str, str]:
    return {view.id: view.stage for view in scene.requests.views()}


# -- messages


def test_a_quote_goes_to_the_request_that_asked() -> None:
    scene = Scene()
    asked, _ = scene.order("one", up("shop"))
    scene.order("two", up("cafe"))
    scene.answer_quotes(asked)
    assert stages(scene) == {"one": "holding", "two": "quoting"}


def test_a_hold_reply_goes_to_the_request_of_that_grid() -> None:
    scene = Scene()
    first, second = (asks(scene.holding(name, up(name))) for name in ("shop", "cafe"))
    for peer, ask in first.items():
        scene.requester.message(peer, granted(peer, ask), NOW)
    assert stages(scene) == {"shop": "committing", "cafe": "holding"}
    for peer, ask in second.items():
        scene.requester.message(peer, granted(peer, ask), NOW)
    assert stages(scene) == {"shop": "committing", "cafe": "committing"}


def test_a_hold_reply_for_no_grid_here_changes_nothing() -> None:
    scene = Scene()
    (ask, *_) = asks(scene.holding("shop", up("shop"))).values()
    other = HoldReply(GridId("another"), ask.workspaces, ())
    assert scene.requester.message(B, other, NOW) == ([], [])
    assert stages(scene) == {"shop": "holding"}


def claims_of(effects: list[Effect]) -> dict[str, dict[PeerId, tuple[str, ...]]]:
    """What each request claims, and where."""
    found: dict[str, dict[PeerId, tuple[str, ...]]] = {}
    for effect in effects:
        if isinstance(effect, Send) and isinstance(effect.message, RoomClaim):
            found.setdefault(effect.cause, {})[effect.peer] = effect.message.workspaces
    return found


def quoting(effects: list[Effect]) -> list[str]:
    """The requests that ask for quotes."""
    asking = [e.cause for e in effects if isinstance(e, Send) and isinstance(e.message, QuoteAsk)]
    return list(dict.fromkeys(asking))


def test_room_that_is_kept_is_told_to_the_request_of_that_order() -> None:
    scene = Scene()
    orders = {"shop": ADMIN.up(gang("shop"), NOW), "cafe": RIVAL.up(gang("cafe"), NOW)}
    for name, order in orders.items():
        effects, _ = scene.order(name, order)
        scene.answer_quotes(effects, FULL)
    now = NOW + 2 * CLAIM_AFTER_S
    claims = claims_of(scene.passes(NOW, now, FULL))
    assert sorted(claims) == ["cafe", "shop"]
    order = AUTHORITY.deployment(orders["shop"], now, fresh=True).order
    for peer, names in claims["shop"].items():
        assert scene.requester.message(peer, RoomKept(order, names), now) == ([], [])
    assert quoting(scene.passes(now, now + CLAIM_TRY_S, FULL)) == ["shop"]


def extending(scene: Scene, record: GridRecord) -> list[Outcome]:
    """Has a lease made longer, to which every host agrees. Answers what is asked of the stewards."""
    order = ADMIN.order(Action.LEASE, record.name, NOW, body=encode(LeaseChange(600)))
    scene.order("lease", order)
    return scene.promised("lease", record)


def test_an_acknowledgement_goes_to_all_requests_of_that_grid_and_to_no_other() -> None:
    scene = Scene()
    shop, cafe = scene.building("shop", up("shop")), scene.building("cafe", up("cafe"))
    hosts = list(shop.carriers())
    longer = extending(scene, shop)
    _, down = scene.order("down", ADMIN.order(Action.DOWN, "shop", NOW))
    after = value(longer, committing(shop)(None))
    scene.requester.settled(purpose(longer), after, NOW)
    scene.requester.settled(purpose(down), value(down, after), NOW)
    effects, _ = scene.requester.tick(NOW + DECIDED_EVERY_S)
    everyone = {"shop": hosts, "cafe": list(cafe.carriers()), "lease": hosts, "down": hosts}
    assert decided(effects) == everyone
    scene.requester.message(hosts[0], DecidedAck(shop.id, 3), NOW)
    effects, _ = scene.requester.tick(NOW + 2 * DECIDED_EVERY_S)
    left = hosts[1:]
    assert decided(effects) == everyone | {"shop": left, "lease": left, "down": left}


@pytest.mark.parametrize(
    "message",
    [
        LeaseReply(RequestId("pause"), ""),
        LeaseReply(RequestId("shop"), "no"),
        ActReply(RequestId("lease"), "", "no"),
        ActReply(RequestId("shop"), "", "no"),
        ActReply(RequestId("another"), "", "no"),
        quote_of("pause", B),
        quote_of("another", B),
        HoldReply(GridId("another"), (), ()),
        DecidedAck(GridId("another"), 1),
        RoomKept("another", ("web-1",)),
    ],
    ids=lambda message: f"{type(message).__name__}-{getattr(message, 'request', 'another')}",
)
def test_what_answers_another_kind_of_request_or_none_is_not_heard(message: ToRequester) -> None:
    scene = Scene()
    record = scene.building("shop", up("shop"))
    lease = ADMIN.order(Action.LEASE, "shop", NOW, body=encode(LeaseChange(600)))
    scene.order("lease", lease)
    scene.order("pause", ADMIN.order(Action.PAUSE, "shop", NOW))
    before = scene.requests.views()
    assert scene.requester.message(next(iter(record.carriers())), message, NOW) == ([], [])
    assert scene.requests.views() == before


# -- outcomes of registers


def test_a_commit_that_is_settled_goes_to_the_request_of_that_grid() -> None:
    scene = Scene()
    shop, _ = scene.committing("shop", up("shop")), scene.committing("cafe", up("cafe"))
    effects, outcomes = scene.requester.settled(purpose([shop]), value([shop]), NOW)
    assert (list(decided(effects)), outcomes) == (["shop"], [])
    assert stages(scene) == {"shop": "building", "cafe": "committing"}


def test_a_commit_that_is_not_settled_is_voted_down_by_the_request_of_that_grid() -> None:
    scene = Scene()
    shop, _ = scene.committing("shop", up("shop")), scene.committing("cafe", up("cafe"))
    assert scene.requester.unsettled(purpose([shop]), "none answered", NOW) == ([], [])
    assert stages(scene) == {"shop": "voiding", "cafe": "committing"}


@pytest.mark.parametrize("settled", [True, False])
def test_a_change_that_has_its_outcome_goes_to_the_request_that_asked(settled: bool) -> None:
    """It does not go to another request about the same grid."""
    scene = Scene()
    record = scene.building("shop", up("shop"))
    longer = extending(scene, record)
    _, down = scene.order("down", ADMIN.order(Action.DOWN, "shop", NOW))
    before = committing(record)(None)
    for asked, stage in ((longer, "telling hosts"), (down, "hosts clear up")):
        name = (asked is longer and "lease") or "down"
        vain = "failed" if name == "lease" else "hosts stop it"
        expected = stages(scene) | {name: stage if settled else vain}
        if settled:
            effects, outcomes = scene.requester.settled(purpose(asked), value(asked, before), NOW)
            assert (list(decided(effects)), outcomes) == ([name], [])
        else:
            effects, outcomes = scene.requester.unsettled(purpose(asked), "none", NOW)
            acts = [e for e in effects if isinstance(e, Send) and isinstance(e.message, Act)]
            assert (acts, outcomes) == (effects, [])
            assert bool(acts) is (name == "down")
        assert stages(scene) == expected


@pytest.mark.parametrize(
    "of",
    [
        CommitGrid(GridId("another")),
        ChangeGrid(RequestId("another")),
        ChangeGrid(RequestId("pause")),
    ],
)
def test_an_outcome_for_nobody_changes_nothing(of: RequesterPurpose) -> None:
    scene = Scene()
    scene.building("shop", up("shop"))
    scene.order("pause", ADMIN.order(Action.PAUSE, "shop", NOW))
    before = scene.requests.views()
    assert scene.requester.settled(of, None, NOW) == ([], [])
    assert scene.requester.unsettled(of, "none answered", NOW) == ([], [])
    assert scene.requests.views() == before


# -- notices


def test_a_notice_is_heard_by_the_requests_of_that_grid() -> None:
    scene = Scene()
    shop, _ = scene.building("shop", up("shop")), scene.building("cafe", up("cafe"))
    for peer in shop.carriers():
        scene.notice(peer, notice_of(shop, peer))
    assert scene.view("shop").answer == ("shop is up: 2 workspaces",)
    assert stages(scene)["cafe"] == "building"


def test_hosts_that_told_before_the_commit_was_known_need_not_tell_again() -> None:
    scene = Scene()
    proposal = scene.committing("shop", up("shop"))
    record = value([proposal]).register.record
    assert record is not None
    for peer in record.carriers():
        scene.notice(peer, notice_of(record, peer))
    assert stages(scene) == {"shop": "committing"}
    scene.requester.settled(purpose([proposal]), value([proposal]), NOW)
    assert scene.view("shop").answer == ("shop is up: 2 workspaces",)


def test_hosts_that_cleared_up_before_the_end_was_known_need_not_tell_again() -> None:
    scene = Scene()
    record = scene.building("shop", up("shop"))
    _, down = scene.order("down", ADMIN.order(Action.DOWN, "shop", NOW))
    for peer in record.carriers():
        scene.notice(peer, notice_of(record, peer, Phase.GONE, GridState.DOWN, 2))
    assert stages(scene)["down"] == "asking stewards"
    after = value(down, committing(record)(None))
    scene.requester.settled(purpose(down), after, NOW)
    assert scene.view("down").answer == ("shop is gone",)


def test_a_host_that_has_done_it_before_its_reply_came_need_not_tell_again() -> None:
    scene = Scene()
    record = scene.building("shop", up("shop"))
    scene.order("pause", ADMIN.order(Action.PAUSE, "shop", NOW))
    for peer in record.carriers():
        scene.notice(peer, notice_of(record, peer, Phase.PAUSED))
    assert stages(scene)["pause"] == "asking hosts"
    for peer in record.carriers():
        scene.acted("pause", peer)
    assert scene.view("pause").answer == ("shop: pause done",)


# -- adverts


@pytest.mark.parametrize(
    ("before", "after", "woken"),
    [
        pytest.param(LITTLE, ROOM, ["shop"], id="more"),
        pytest.param(ROOM, ENOUGH, [], id="less"),
        pytest.param(ROOM, ROOM, [], id="the-same"),
    ],
)
def test_more_room_wakes_what_waits_and_less_does_not(
    before: Quantum, after: Quantum, woken: list[str]
) -> None:
    """Less does not, even if it would be enough: it was there before, and did not help."""
    scene = Scene()
    scene.requester.advertised(B, advert(before), NOW)
    effects, _ = scene.order("shop", ADMIN.up(gang("shop", 2), NOW))
    scene.answer_quotes(effects, FULL)
    now = NOW + 3 * SOON_S
    assert quoting(scene.passes(NOW, now, FULL)) == ["shop"], "to claim room, once"
    scene.requester.advertised(B, advert(after), now)
    assert quoting(scene.passes(now, now + SOON_S, FULL)) == woken


def test_an_advert_is_work_only_where_a_request_waits_and_it_tells_of_more() -> None:
    scene = Scene()
    scene.requester.advertised(B, advert(LITTLE), NOW)
    assert not scene.requester.advertised(B, advert(ROOM), NOW), "nobody waits"
    effects, _ = scene.order("shop", ADMIN.up(gang("shop", 2), NOW))
    scene.answer_quotes(effects, FULL)
    assert not scene.requester.advertised(B, advert(LITTLE), NOW)
    assert scene.requester.advertised(B, advert(ROOM), NOW)


def test_an_advert_is_known_to_requests() -> None:
    scene = Scene()
    scene.requester.advertised(B, advert(LITTLE), NOW + 1)
    assert scene.directory.adverts[B].advert.free == LITTLE


# -- over restarts, and time


def saved(scene: Scene, effects: list[Effect]) -> dict[str, dict[str, bytes]]:
    """What is on disk afterwards."""
    disk: dict[str, dict[str, bytes]] = {}
    for effect in effects:
        for row in effect.rows if isinstance(effect, Persist) else ():
            if row.value is not None:
                disk.setdefault(row.table, {})[row.key] = row.value
    return disk


def earlier_life() -> dict[str, dict[str, bytes]]:
    """A gang that waits, and a quote."""
    scene = Scene()
    waits, _ = scene.order("shop", ADMIN.up(gang("shop"), NOW))
    asked, _ = scene.requester.handle(
        PlanAsked(RequestId("plan"), grid_spec("cafe", 1), keep=True), NOW
    )
    quoted, _ = scene.answer_quotes(asked)
    return saved(scene, waits + quoted)


def test_what_waited_and_what_was_quoted_go_on_once_after_a_restart() -> None:
    disk = earlier_life()
    assert sorted(disk) == sorted((QUEUED, QUOTED))
    scene = Scene(disk)
    assert scene.requests.views() == [], "a life has not begun yet"
    effects = scene.requester.begin(NOW + 1)
    assert quoting(effects) == ["shop"]
    states = {view.id: view.state for view in scene.requests.views()}
    assert states == {"shop": RequestState.QUEUED, "plan": RequestState.DONE}
    assert scene.requester.quotes.get(RequestId("plan")) is not None
    views = scene.requests.views()
    assert scene.requester.begin(NOW + 2) == []
    assert scene.requests.views() == views


def test_a_requester_that_has_kept_nothing_begins_with_nothing() -> None:
    scene = Scene()
    assert scene.requester.begin(NOW) == []
    assert scene.requester.next_deadline() is None


def test_what_cannot_be_kept_is_said_to_who_asked() -> None:
    scene = Scene()
    scene.order("shop", ADMIN.up(gang("shop"), NOW))
    asked, _ = scene.requester.handle(
        PlanAsked(RequestId("plan"), grid_spec("cafe", 1), keep=True), NOW
    )
    scene.answer_quotes(asked)
    scene.requester.handle(QueueNotSaved(RequestId("shop"), "full"), NOW)
    scene.requester.handle(ProposalNotSaved(RequestId("plan"), "full"), NOW)
    assert scene.line("shop") == "cannot queue shop: full"
    assert scene.line("plan") == "cannot keep a plan of cafe: full"


def test_it_is_woken_for_requests_and_for_quotes() -> None:
    scene = Scene()
    asked, _ = scene.requester.handle(
        PlanAsked(RequestId("plan"), grid_spec("cafe", 1), keep=True), NOW
    )
    scene.answer_quotes(asked)
    scene.requester.notes()
    due = scene.requester.next_deadline()
    assert due is not None
    assert due.at_s == NOW + PROPOSAL_S
    scene.order("shop", up("shop"))
    due = scene.requester.next_deadline()
    assert due is not None
    assert due.at_s == NOW + QUOTE_WITHIN_S
    effects, outcomes = scene.requester.tick(NOW + PROPOSAL_S)
    assert outcomes == []
    assert [e.rows[0].table for e in effects if isinstance(e, Persist)] == [QUOTED]
    assert scene.view("shop").state is not RequestState.RUNNING


def test_an_answer_is_told_once_and_what_waits_no_more_leaves_the_queue() -> None:
    scene = Scene()
    scene.order("shop", ADMIN.up(gang("shop"), NOW))
    (begun,) = scene.requester.notes()
    assert isinstance(begun, Persist)
    assert [(row.table, row.key) for row in begun.rows] == [(ASKED, "shop")]
    scene.requester.handle(CancelAsked(RequestId("shop")), NOW)
    note, ended, tidied = scene.requester.notes()
    assert note == Note("request.cancelled", "shop", "cancelled; nothing is held", "shop")
    assert isinstance(ended, Persist)
    assert [(row.table, row.key) for row in ended.rows] == [(ASKED, "shop")]
    assert isinstance(tidied, Persist)
    assert [(row.table, row.key, row.value) for row in tidied.rows] == [(QUEUED, "shop", None)]
    assert scene.requester.notes() == []
