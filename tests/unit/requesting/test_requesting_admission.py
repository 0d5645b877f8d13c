"""What a person is told of a name that is up already: that nothing would change, or what differs."""

import msgspec
import pytest
from deciding import decision
from negotiating import ADMIN, NOW, A, B, record_of, shop
from one_requester import Scene, notice_of

from protocol.contract.outcomes import CommitGrid, Outcome, Propose
from protocol.grid.model import GridSpec
from protocol.grid.record import Register, order_part
from protocol.requesting.events import PlanAsked
from protocol.requesting.request import RequestState
from protocol.terms.ids import RequestId

UP = record_of(ADMIN.up(shop(), NOW - 100), {"web-1": A, "web-2": B})
SITE = UP.owner_site
OTHERWISE = (
    "shop is up, and not as the file has it",
    "  clusters.web.count: 3 in the file, 2 up",
    "  would work: `overlayctl up` again, which changes what is up once it is told of it",
)


@pytest.fixture
def scene() -> Scene:
    """A requester that has heard of grid shop."""
    scene = Scene()
    for peer in UP.carriers():
        scene.notice(peer, notice_of(UP, peer))
    return scene


def stewards_say(scene: Scene, outcomes: list[Outcome]) -> None:
    """The one look at the register finds the grid."""
    (look,) = outcomes
    assert isinstance(look, Propose)
    assert isinstance(look.purpose, CommitGrid)
    assert (look.register, look.stewards) == (order_part(UP.id), UP.stewards)
    scene.requester.settled(look.purpose, decision(Register(UP)), NOW)


def plan(scene: Scene, spec: GridSpec, *, keep: bool = False) -> None:
    effects, outcomes = scene.requester.handle(PlanAsked(RequestId("r"), spec, SITE, keep), NOW)
    assert effects == []
    stewards_say(scene, outcomes)


def test_up_of_a_file_that_is_up_is_done(scene: Scene) -> None:
    _, outcomes = scene.order("r", ADMIN.up(shop(), NOW))
    stewards_say(scene, outcomes)
    view = scene.view("r")
    assert (view.state, view.answer) == (RequestState.DONE, ("shop is up: 2 workspaces",))


def test_up_of_a_changed_file_says_what_differs_and_what_to_do(scene: Scene) -> None:
    _, outcomes = scene.order("r", ADMIN.up(shop(3), NOW))
    stewards_say(scene, outcomes)
    view = scene.view("r")
    assert (view.state, view.answer) == (RequestState.FAILED, OTHERWISE)
    assert [(d.path, d.wanted, d.standing) for d in view.differs] == [
        ("clusters.web.count", "3", "2")
    ]


@pytest.mark.parametrize("keep", [False, True])
def test_a_plan_of_a_file_that_is_up_changes_nothing(scene: Scene, keep: bool) -> None:
    plan(scene, shop(), keep=keep)
    view = scene.view("r")
    assert (view.state, view.unchanged) == (RequestState.DONE, True)
    assert view.answer == ("shop is up already: 2 workspaces on 2 hosts at 2 sites",)
    assert scene.requester.quotes.all() == []


@pytest.mark.parametrize("keep", [False, True])
def test_a_plan_of_a_changed_file_says_what_differs(scene: Scene, keep: bool) -> None:
    plan(scene, shop(3), keep=keep)
    view = scene.view("r")
    assert (view.state, view.unchanged, view.answer) == (RequestState.FAILED, False, OTHERWISE)


def test_a_plan_that_is_to_be_held_is_compared_too(scene: Scene) -> None:
    _, outcomes = scene.order("r", ADMIN.hold(shop(), 60.0, NOW))
    stewards_say(scene, outcomes)
    assert scene.view("r").unchanged
    _, outcomes = scene.order("s", ADMIN.hold(shop(3), 60.0, NOW))
    stewards_say(scene, outcomes)
    assert scene.view("s").answer == OTHERWISE


def test_two_plans_at_once_have_an_answer_each(scene: Scene) -> None:
    asked = [("r", shop()), ("s", shop(3))]
    looks = [
        scene.requester.handle(PlanAsked(RequestId(request), spec, SITE), NOW)[1]
        for request, spec in asked
    ]
    for outcomes in looks[::-1]:
        stewards_say(scene, outcomes)
    assert scene.view("r").unchanged
    assert scene.view("s").answer == OTHERWISE


def test_a_grid_of_another_site_is_no_grid_of_this_name(scene: Scene) -> None:
    effects, outcomes = scene.requester.handle(PlanAsked(RequestId("r"), shop(), "s9"), NOW)
    assert effects
    assert outcomes == []


def test_a_grid_whose_lease_is_over_says_how_it_goes_on(scene: Scene) -> None:
    for peer in UP.carriers():
        over = msgspec.structs.replace(notice_of(UP, peer), ends_s=NOW - 1)
        scene.notice(peer, over)
    assert scene.order("r", ADMIN.up(shop(), NOW)) == ([], [])
    view = scene.view("r")
    assert (view.kind, view.state) == ("up", RequestState.FAILED)
    assert view.answer == (
        "shop is made already, and its lease is over; what is left of it is kept for a while",
        "  would work: `overlayctl lease extend shop 6h`, or `overlayctl down shop` and this again",
    )


def misspelt(count: int = 2, memory_mib: int = 128) -> GridSpec:
    """The shop, apart from a grid and off a host that nobody knows."""
    spec = shop(count, memory_mib)
    placement = msgspec.structs.replace(spec.placement, apart=("shap",), exclude=("gamm",))
    return msgspec.structs.replace(spec, name="cafe", placement=placement)


NOTES = (
    "placement.exclude: no host is called gamm; gamma is one",
    "placement.apart: no grid of this owner is called shap; shop is one",
)


def test_a_plan_tells_of_names_that_nobody_has(scene: Scene) -> None:
    effects, _ = scene.requester.handle(PlanAsked(RequestId("r"), misspelt(), SITE), NOW)
    scene.answer_quotes(effects)
    view = scene.view("r")
    assert (view.state, view.warnings) == (RequestState.DONE, NOTES)


def test_an_up_tells_of_them_with_its_answer(scene: Scene) -> None:
    record = scene.building("r", ADMIN.up(misspelt(), NOW))
    for peer in record.carriers():
        scene.notice(peer, notice_of(record, peer))
    assert scene.view("r").answer == (
        "cafe is up: 2 workspaces",
        *(f"  note: {line}" for line in NOTES),
    )


def test_a_refusal_tells_of_them_among_its_reasons(scene: Scene) -> None:
    asked = misspelt(memory_mib=1 << 20)
    effects, _ = scene.requester.handle(PlanAsked(RequestId("r"), asked, SITE), NOW)
    scene.answer_quotes(effects)
    view = scene.view("r")
    assert view.state is RequestState.FAILED
    assert all(f"  {line}" in view.answer for line in NOTES)
    assert view.why is not None
    assert view.why.suspects == NOTES
