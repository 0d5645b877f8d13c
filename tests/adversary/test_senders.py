"""A member that speaks of what is another's: its holds and claims, its requests, its orders for one peer."""

import msgspec
import pytest
from carrying_host import CarryingHost
from hosting_world import GRID, ORDER, One
from negotiating import ADMIN, AUTHORITY, NOW, REQUEST, A, B, C, granted, quote, shop
from one_requester import Scene, notice_of

from protocol.contract.messages import (
    ActReply,
    DecidedAck,
    HoldAsk,
    HoldRelease,
    HoldReply,
    LeaseReply,
    QuoteAsk,
    RoomClaim,
    RoomKept,
    RoomRenew,
)
from protocol.contract.outcomes import Propose
from protocol.grid.lifecycle import Phase
from protocol.grid.model import LeaseTerms
from protocol.grid.record import GridState, order_part, vni_of
from protocol.image.commit import CommitTerms
from protocol.node.rows import NoCommit, NoConsole
from protocol.requesting.request import RequestState
from protocol.terms.effects import Send
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import CLAIM_S, HOLD_S, PLAN_HOLD_MOST_S
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode

MALLORY = PeerId("d" * 64)


# -- holds and claims


@pytest.mark.parametrize("again", [False, True], ids=["at-once", "after-a-restart"])
@pytest.mark.parametrize("plan", [False, True], ids=["hold", "plan"])
def test_a_hold_is_let_go_by_nobody_but_the_peer_that_asked_for_it(plan: bool, again: bool) -> None:
    one = One()
    order = ADMIN.hold(shop(1), PLAN_HOLD_MOST_S, NOW) if plan else ORDER
    assert one.holds(order).held == ("web-1",)
    (row,) = one.host.holds.rows()
    free = one.host.ledger.free
    if again:
        one.start()
    for sender in (MALLORY, one.me, PeerId("")):
        one.keep(one.host.message(sender, HoldRelease(row.grid, ("web-1",)), NOW + 1))
        assert (one.host.holds.rows(), one.host.ledger.free) == ([row], free)
    one.hears(HoldRelease(row.grid, ("web-1",)), NOW + 1)
    assert one.host.holds.rows() == [], "B asked for it"


@pytest.mark.parametrize("again", [False, True], ids=["at-once", "after-a-restart"])
def test_nobody_else_has_a_hold_made_longer_or_asks_its_own_stewards_of_it(again: bool) -> None:
    one = One()
    order = ADMIN.up(shop(2), NOW)
    assert one.holds(order).held == ("web-1",)
    (row,) = one.host.holds.rows()
    if again:
        one.start()
    vnis = (("lan", vni_of(row.grid, "lan")),)
    more = HoldAsk(row.grid, order, ("web-1", "web-2"), vnis, HOLD_S)
    one.keep(one.host.message(MALLORY, more, NOW + 4))
    assert one.host.holds.rows() == [row]


def claimed(one: One, order: SignedOrder, sender: PeerId, *names: str, now: float = NOW) -> None:
    one.keep(one.host.message(sender, RoomClaim(order, names), now))


def kept_for_older(one: One, now: float = NOW) -> bool:
    """Whether room is kept before an order that was signed just now."""
    (effect,) = one.hears(QuoteAsk(REQUEST, "s1", since_s=now, order="f" * 20), now)
    return "kept=Quantum(cpus_milli=0" not in str(effect)


def test_a_claim_is_let_go_and_changed_by_nobody_but_the_peer_that_made_it() -> None:
    one, order = One(), ADMIN.up(shop(2), NOW - 5)
    claimed(one, order, B, "web-1", "web-2")
    assert kept_for_older(one)
    claimed(one, order, MALLORY)
    assert kept_for_older(one), "it lets nothing go that is another's"
    claimed(one, order, MALLORY, "web-2")
    claimed(one, order, MALLORY)
    assert kept_for_older(one)
    renew = RoomRenew(order_part(AUTHORITY.deployment(order, NOW, fresh=True).order), 2)  # type: ignore[arg-type]
    effects = one.keep(one.host.message(B, renew, NOW + CLAIM_S - 1))
    assert not any("claimed=False" in str(e) for e in effects), "B's stands, and is renewed"
    assert kept_for_older(one, NOW + CLAIM_S + 1)


def test_what_several_peers_claim_for_one_order_is_kept_once() -> None:
    one, order = One(), ADMIN.up(shop(1), NOW - 5)
    claimed(one, order, B, "web-1")
    before = one.quote(since_s=NOW, order="f" * 20).kept
    for number in range(8):
        claimed(one, order, PeerId(f"{number:064x}"), "web-1")
    assert one.quote(since_s=NOW, order="f" * 20).kept == before
    assert len(one.host.claims) <= 3


# -- answers that nobody asked for


def test_answers_of_peers_that_were_not_asked_change_nothing() -> None:
    scene = Scene()
    order = ADMIN.up(shop(2), NOW)
    effects, _ = scene.order("up", order)
    asked = {e.peer for e in effects if isinstance(e, Send)}
    assert MALLORY not in asked
    part = AUTHORITY.deployment(order, NOW, fresh=True).order
    before = scene.view("up")
    for message in (
        msgspec.structs.replace(quote(A), request=RequestId("up")),
        HoldReply(GRID, ("web-1", "web-2"), ()),
        RoomKept(part, ("web-1", "web-2")),
        DecidedAck(GRID, 1 << 40),
        ActReply(RequestId("up"), "web-1", "no"),
        LeaseReply(RequestId("up"), "no"),
    ):
        assert scene.requester.message(MALLORY, message, NOW) == ([], [])
        assert scene.view("up") == before


@pytest.mark.parametrize("stage", ["holding", "building"])
def test_a_stranger_grants_and_acknowledges_nothing(stage: str) -> None:
    scene, order = Scene(), ADMIN.up(shop(2), NOW)
    if stage == "holding":
        asks = {
            e.peer: e.message
            for e in scene.holding("up", order)
            if isinstance(e, Send) and isinstance(e.message, HoldAsk)
        }
        for peer, ask in asks.items():
            scene.requester.message(MALLORY, granted(peer, ask), NOW)
    else:
        record = scene.building("up", order)
        for _ in record.carriers():
            scene.requester.message(MALLORY, DecidedAck(record.id, 1), NOW)
        assert "every host has the contract" not in str(scene.view("up").story)
    assert scene.view("up").stage == stage


@pytest.mark.parametrize("lie", ["down", "ready", "failed", "a-later-epoch"])
def test_who_carries_nothing_of_a_grid_has_nothing_to_tell_of_it_to_who_waits(lie: str) -> None:
    scene = Scene()
    record = scene.building("up", ADMIN.up(shop(2), NOW))
    phase = Phase.READY if lie == "ready" else Phase.OFF
    for peer in record.carriers():
        told = notice_of(record, peer, phase)
        if lie == "down":
            told = msgspec.structs.replace(told, state=GridState.DOWN, epoch=2)
        if lie == "a-later-epoch":
            told = msgspec.structs.replace(
                told, epoch=9, placement=told.placement.__class__((), ())
            )
        scene.notice(MALLORY, told)
    view = scene.view("up")
    assert (view.state, view.stage) == (RequestState.RUNNING, "building")
    for peer in record.carriers():
        scene.notice(peer, notice_of(record, peer))
    assert scene.view("up").answer == ("shop is up: 2 workspaces",), "its hosts have"


def test_one_carrier_tells_nothing_of_what_another_carries() -> None:
    scene = Scene()
    record = scene.building("up", ADMIN.up(shop(2), NOW))
    first, second = record.carriers()
    both = (*notice_of(record, first).mine, *notice_of(record, second).mine)
    scene.notice(first, msgspec.structs.replace(notice_of(record, first), mine=both))
    assert scene.view("up").state is RequestState.RUNNING
    scene.notice(second, notice_of(record, second))
    assert scene.view("up").state is RequestState.DONE


def test_a_request_that_waits_is_not_ended_by_who_tells_that_it_is_made() -> None:
    """Its stewards are asked, once in a while however often that is told."""
    scene = Scene()
    order = ADMIN.up(shop(2, lease=LeaseTerms(best_effort=True)), NOW)
    record = msgspec.structs.replace(Scene().building("other", order))
    effects, _ = scene.order("up", order)
    scene.answer_quotes(effects, free=quote(A).free - quote(A).free)
    assert scene.view("up").state is RequestState.QUEUED
    asked = 0
    for turn in range(20):
        scene.notice(MALLORY, notice_of(record, C), NOW + turn)
        _, outcomes = scene.requester.tick(NOW + turn)
        asked += len(outcomes)
        for outcome in outcomes:
            assert isinstance(outcome, Propose)
            scene.requester.settled(outcome.purpose, None, NOW + turn)  # type: ignore[arg-type]
        assert scene.view("up").state is not RequestState.DONE
    assert asked == 1


# -- orders that one peer may use


async def test_a_console_and_a_commit_are_for_the_peer_that_was_given_the_order() -> None:
    host = CarryingHost()
    admin = host.world.admins[host.owner]
    console = admin.order(Action.CONSOLE, host.grid, host.now(), workspace="web-1", via=host.honest)
    body = encode(CommitTerms("mine", "0" * 16))
    commit = admin.order(
        Action.COMMIT, host.grid, host.now(), workspace="web-1", body=body, via=host.honest
    )
    assert host.view.console(console, host.honest, host.now()) == (host.grid, "web-1")
    assert host.view.commit(commit, host.honest, host.now())[1] == "web-1"
    for other in (host.mallory, host.me, PeerId("")):
        with pytest.raises(NoConsole, match="for use through another peer"):
            host.view.console(console, other, host.now())
        with pytest.raises(NoCommit, match="for use through another peer"):
            host.view.commit(commit, other, host.now())
    nobodys = admin.order(Action.CONSOLE, host.grid, host.now(), workspace="web-1")
    with pytest.raises(NoConsole, match="for use through another peer"):
        host.view.console(nobodys, host.mallory, host.now())
    await host.close()
