"""A change of a grid that is up is quoted, or held as a plan, and taken up: exactly that, or what has moved."""

import msgspec
from deciding import decided, proposed
from negotiating import NOW, asks, refused, shop
from one_requester import LITTLE, ME, released
from test_requesting_applying import MORE, OWNER, RECORD, Changes, of, web

from protocol.contract.messages import HoldReply
from protocol.contract.outcomes import ChangeGrid, Propose
from protocol.grid.model import GridSpec
from protocol.grid.record import LeaseChange
from protocol.grid.steps import Apply
from protocol.requesting.events import PlanAsked
from protocol.requesting.proposal import Proposal
from protocol.requesting.request import RequestState
from protocol.terms.effects import Effect
from protocol.terms.ids import RequestId
from protocol.terms.limits import PROPOSAL_S
from protocol.terms.refusal import Constraint, Refusal
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode

THREE = shop(3)
GROWN = of(web(count=3, memory_bytes=256 << 20))
"""Two grow where they are, and one is added."""


def quoted(scene: Changes, spec: GridSpec = THREE) -> Proposal:
    """Has it quoted, as request `q`."""
    asked = PlanAsked(RequestId("q"), spec, keep=True, change=RECORD.id)
    scene.requester.handle(asked, NOW)
    effects, _ = scene.requester.settled(ChangeGrid(RequestId("q")), scene.up, NOW)
    scene.answer_quotes(effects)
    kept = scene.requester.quotes.get(RequestId("q"))
    assert kept is not None, scene.view("q").answer
    return kept


def planned(scene: Changes, spec: GridSpec = THREE) -> tuple[Proposal, list[Effect]]:
    """Has it held, as request `h`. Answers what hosts were asked."""
    effects = _given(scene, "h", OWNER.hold(spec, 60.0, NOW, 1))
    asked, _ = scene.answer_quotes(effects)
    for peer, ask in asks(asked).items():
        scene.requester.message(peer, HoldReply(ask.grid, ask.workspaces, ()), NOW)
    scene.requester.notes()
    kept = scene.requester.quotes.get(RequestId("h"))
    assert kept is not None, scene.view("h").answer
    return kept, asked


def _given(scene: Changes, request: str, order: SignedOrder, quote: str = "") -> list[Effect]:
    scene.requester.notes()
    scene.order(request, order, quote=quote)
    effects, scene.proposals = scene.requester.settled(
        ChangeGrid(RequestId(request)), scene.up, NOW
    )
    return effects


def test_a_change_is_quoted_and_asks_nobody_to_hold() -> None:
    scene = Changes()
    kept = quoted(scene)
    assert (kept.change, kept.epoch, kept.until_s) == (RECORD.id, 1, NOW + PROPOSAL_S)
    assert [(row.workspace, row.peer) for row in kept.placement] == [("web-3", ME)]
    view = scene.view("q")
    assert (view.kind, view.state, view.until_s) == ("quote", RequestState.DONE, kept.until_s)
    assert view.answer == ("shop can be changed so for 10 min: `overlayctl up --quote q`",)
    assert view.delta is not None


def test_a_change_is_held_for_as_long_as_was_ordered() -> None:
    scene = Changes()
    kept, asked = planned(scene, GROWN)
    assert {ask.hold_s for ask in asks(asked).values()} == {60.0}
    assert (kept.until_s, kept.change, kept.epoch) == (NOW + 60.0, RECORD.id, 1)
    assert [row.workspace for row in kept.placement] == ["web-3"]
    assert [row.workspace for row in kept.grown] == ["web-1", "web-2"]
    view = scene.view("h")
    assert (view.kind, view.state) == ("hold", RequestState.HELD)
    assert view.answer == (
        "the change of shop is held for 1 min: `overlayctl up --quote h` makes it",
    )


def test_a_plan_that_is_cancelled_is_let_go_of_everywhere() -> None:
    scene = Changes()
    kept, asked = planned(scene, GROWN)
    assert released(scene.cancel("h")) == {p: a.workspaces for p, a in asks(asked).items()}
    assert scene.requester.quotes.get(kept.id) is None


def test_exactly_what_was_quoted_is_asked_for() -> None:
    scene = Changes()
    kept = quoted(scene, GROWN)
    order = OWNER.apply(GROWN, 1, NOW)
    asked, _ = scene.answer_quotes(_given(scene, "r", order, "q"))
    held = asks(asked)
    assert {n: p for p, a in held.items() for n in a.workspaces} == kept.placed
    assert {ask.instead for ask in held.values()} == {""}
    proposal = scene.held(asked)
    assert isinstance(proposal.step, Apply)
    assert proposal.step.record.epoch == 2


def test_the_holds_of_a_plan_are_replaced_and_it_is_over_once_that_is_decided() -> None:
    scene = Changes()
    kept, _ = planned(scene, GROWN)
    order = OWNER.apply(GROWN, 1, NOW)
    asked, _ = scene.answer_quotes(_given(scene, "r", order, "h"), LITTLE)
    held = asks(asked)
    assert {ask.instead for ask in held.values()} == {kept.held}, "what it holds counts as free"
    made = proposed(scene.held(asked), scene.up)
    scene.requester.settled(ChangeGrid(RequestId("r")), made, NOW)
    scene.requester.notes()
    assert scene.requester.quotes.get(kept.id) is None
    assert scene.view("h").answer == ("taken up by request r",)


def test_what_moved_is_said_and_nothing_is_asked_elsewhere() -> None:
    scene = Changes()
    quoted(scene, GROWN)
    asked, _ = scene.answer_quotes(_given(scene, "r", OWNER.apply(GROWN, 1, NOW), "q"), LITTLE)
    assert asks(asked) == {}
    assert scene.view("r").state is RequestState.FAILED
    assert scene.answer[0] == "cannot change shop as quoted 0 s ago (q): the world moved"
    assert "lacks memory now" in scene.answer[1]
    assert [one.workspaces for one in scene.view("r").moved]


def test_a_host_that_refuses_is_not_replaced() -> None:
    scene = Changes()
    kept, _ = planned(scene)
    asked, _ = scene.answer_quotes(_given(scene, "r", MORE, "h"))
    no = Refusal(Constraint.MEMORY, "alpha", 256 << 20, 1 << 20)
    (ask,) = asks(asked).values()
    scene.requester.message(ME, refused(ask, no), NOW)
    assert scene.view("r").state is RequestState.FAILED
    assert "the world moved" in scene.answer[0]
    scene.requester.notes()
    assert scene.requester.quotes.get(kept.id) is None, "its holds were replaced"


def test_a_quote_is_for_one_epoch_and_one_change_of_one_grid() -> None:
    scene = Changes()
    quoted(scene)
    scene.order("other", OWNER.apply(shop(4), 1, NOW), quote="q")
    assert scene.line("other").startswith("cannot change shop: the order is not for the change")
    scene.order("late", OWNER.apply(THREE, 2, NOW), quote="q")
    assert "it was quoted for epoch 1 of shop, which is at 2" in scene.line("late")
    scene.order("none", MORE, quote="quote-0")
    assert "there is no quote quote-0 at this peer" in scene.line("none")


def test_while_a_plan_is_held_another_change_says_how_it_is_let_go() -> None:
    scene = Changes()
    planned(scene)
    scene.order("r", MORE)
    assert scene.answer == (
        "a change of shop is held already, h",
        "  would work: `overlayctl up --quote h`, or `overlayctl request cancel h`",
    )
    scene.order("again", OWNER.hold(THREE, 30.0, NOW, 1))
    assert "a change of shop is held already, h" in scene.line("again")


def test_what_takes_nothing_is_held_by_nobody_and_taken_up_all_the_same() -> None:
    scene = Changes()
    kept, asked = planned(scene, shop(1))
    assert asks(asked) == {}
    assert (kept.placement, kept.grown) == ((), ())
    _given(scene, "r", OWNER.apply(shop(1), 1, NOW), "h")
    (proposal,) = scene.proposals
    assert isinstance(proposal, Propose)
    assert isinstance(proposal.step, Apply)


def test_after_a_restart_it_is_taken_up_as_before() -> None:
    scene = Changes()
    kept, _ = planned(scene)
    other = Changes()
    other.requester._quoted = {kept.id: encode(kept)}
    other.requester.begin(NOW)
    asked, _ = other.answer_quotes(_given(other, "r", MORE, "h"))
    assert {ask.instead for ask in asks(asked).values()} == {kept.held}


def test_an_order_to_hold_for_another_epoch_is_told_what_changed() -> None:
    scene = Changes()
    _given(scene, "h", OWNER.hold(THREE, 60.0, NOW, 4))
    assert scene.view("h").state is RequestState.FAILED
    assert "epoch 1" in scene.line("h")


def test_a_plan_of_what_its_grid_is_no_more_is_let_go() -> None:
    scene = Changes()
    kept, asked = planned(scene, GROWN)
    other = decided(msgspec.structs.replace(RECORD, epoch=2, extra_s=60, changes=(LONGER,)))
    scene.requester.settled(ChangeGrid(RequestId("another")), scene.up, NOW)
    scene.requester.notes()
    assert scene.requester.quotes.get(kept.id) is not None, "it is for that epoch"
    scene.requester.settled(ChangeGrid(RequestId("another")), other, NOW)
    told = scene.requester.notes()
    assert released(told) == {p: a.workspaces for p, a in asks(asked).items()}
    assert scene.requester.quotes.get(kept.id) is None
    assert scene.line("h") == "shop is at epoch 2, and this was for 1: nothing is held"
    assert released(scene.requester.notes()) == {}


LONGER = OWNER.order(Action.LEASE, RECORD.id, NOW, body=encode(LeaseChange(60)))
