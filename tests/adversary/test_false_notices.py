"""Members that tell of grids what nobody decided: of epochs to come, of owners' names, of ends, of old times.

Each lie is a record that its host truly signs and everybody keeps. A person asks a peer that carries nothing
and has just been started, through what their command does: it asks for the list of grids, takes from it which
grid a name means, and orders.
"""

import msgspec
import pytest

from protocol.contract.notices import NOTICE, Notice, placement
from protocol.grid.decision import Ballot, sign_acceptance
from protocol.grid.grant import HoldGrant, sign_grant
from protocol.grid.record import (
    Assignment,
    GridRecord,
    GridState,
    HostRef,
    Register,
    grid_id,
    register_key,
)
from protocol.node.events import Arrived, Ticked
from protocol.node.node import Node
from protocol.node.rows import GridRow
from protocol.node.snapshot import PeerView
from protocol.register.messages import LookAsk, Looked, StepAsk, StepDone
from protocol.requesting.events import GridsAsked
from protocol.requesting.request import RequestView
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.terms.checking import CONFIRMS_AT_ONCE
from protocol.terms.effects import Send
from protocol.terms.ids import GridId
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode

WITHIN_S = 60.0
INVENTED = GridId("f" * 20 + ".0")


class Scene:
    """`shop` of site s1 runs on two hosts. Mallory is a host of another site, and carries nothing of it."""

    def __init__(self, hosts: int = 7, workspaces: int = 2) -> None:
        self.world = world = World(5, hosts, 2)
        world.start_all()
        world.run(5.0)
        self.given = world.peers[0]
        self.admin = world.admins[self.given.site]
        self.spec = grid_spec("shop", workspaces, lease_s=86400)
        self.order = self.admin.up(self.spec, world.now_s)
        made = self.give(self.given, self.order)
        assert made.state == "done", made.answer
        world.run(5.0)
        self.carriers = [p for p in world.peers if node(p).host.leases.rows()]
        (row,) = node(self.carriers[0]).host.leases.rows()
        self.record, self.grid = row.record, row.record.id
        used = (*self.record.carriers(), *self.record.stewards, self.given.id)
        others = [p for p in world.peers if p.id not in used]
        self.mallory = next(p for p in others if p.site != self.given.site)
        self.asked = next(p for p in others if p is not self.mallory)
        self.truth = next(h.notice for h in node(self.asked).notices.about(self.grid).values())

    # -- lies

    def tells(self, lie: Notice, by: SimPeer | None = None) -> None:
        """A member publishes that, and it gets round."""
        liar = by or self.mallory
        node(liar).broadcast.publish(NOTICE, lie.grid, encode(lie), 86400.0, self.world.now_s)
        liar.feed(Ticked())
        self.world.run(8.0)
        heard = node(self.asked).broadcast.directory.of_kind(NOTICE)
        assert any(h.record.owner == liar.id for h in heard), "everybody keeps it"

    def lie(self, **changes: object) -> Notice:
        """What is true of the grid, with something else in it, and Mallory as all that there is of it."""
        mine = {
            "stewards": (self.mallory.id,),
            "placement": placement((("web-1", self.mallory.id),)),
            "epoch": 10**9,
            "made_s": self.world.now_s + 10**6,
        }
        return msgspec.structs.replace(self.truth, **(mine | changes))

    def restart(self) -> None:
        """The peer that is asked is started anew, and hears everything again."""
        self.asked.crash()
        self.world.run(1.0)
        self.asked.start()
        view = PeerView(node(self.asked))
        told = self.world.run_until(lambda: len(view.grids(self.world.now_s)) > 0, WITHIN_S)
        assert told
        self.world.run(20.0)

    # -- what a person does

    def ps(self, peer: SimPeer | None = None) -> list[GridRow]:
        """The list of grids, as it is answered after what is told was checked, or could not be in time."""
        asked = peer or self.asked
        asked.feed(GridsAsked())
        view = PeerView(node(asked))
        self.world.run_until(lambda: not view.checking("", self.world.now_s), 1.5)
        return view.grids(self.world.now_s)

    def row(self) -> GridRow:
        """The grid's row, which is there, and is the only one that is confirmed."""
        (row,) = [row for row in self.ps() if row.confirmed]
        assert row.grid == self.grid
        return row

    def means(self) -> list[GridId]:
        """Which grids the name means."""
        self.ps()
        return PeerView(node(self.asked)).find_grids("shop")

    def give(self, peer: SimPeer, order: SignedOrder) -> RequestView:
        request = self.world.give(peer, order)
        requests = node(peer).requester.requests

        def over() -> bool:
            view = requests.view(request)
            return view is not None and view.state not in ("running", "queued")

        assert self.world.run_until(over, WITHIN_S), requests.view(request)
        view = requests.view(request)
        assert view is not None
        return view

    def orders(self, action: Action, **more: object) -> RequestView:
        """An order about what the name means at the peer that is asked."""
        (grid,) = self.means()
        return self.give(self.asked, self.admin.order(action, grid, self.world.now_s, **more))  # type: ignore[arg-type]

    # -- what is so

    def runs(self) -> bool:
        return all(
            row.record.state is GridState.UP
            for peer in self.carriers
            for row in node(peer).host.leases.rows()
        )

    def gone(self) -> bool:
        return not any(node(peer).host.leases.rows() for peer in self.carriers)


def node(peer: SimPeer) -> Node:
    assert peer.node is not None
    return peer.node


@pytest.fixture
def scene() -> Scene:
    return Scene()


LIES = ("a high epoch", "a state of down", "stewards of her own", "another owner")


def tell(scene: Scene, what: str) -> None:
    """Has Mallory tell that of the grid that runs."""
    truth = scene.truth
    match what:
        case "a high epoch":
            scene.tells(scene.lie())
        case "a state of down":
            scene.tells(msgspec.structs.replace(truth, state=GridState.DOWN, epoch=10**9))
        case "stewards of her own":
            scene.tells(msgspec.structs.replace(truth, stewards=(scene.mallory.id,), epoch=10**9))
        case "another owner":
            scene.tells(scene.lie(owner=scene.mallory.id, owner_site=scene.mallory.site))
        case _:
            raise AssertionError(what)


@pytest.fixture(params=[False, True], ids=["", "after a restart"])
def restarted(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("what", LIES)
def test_a_false_word_about_a_grid_changes_nothing_for_its_owner(
    what: str, restarted: bool
) -> None:
    scene = Scene()
    tell(scene, what)
    if restarted:
        scene.restart()
    row = scene.row()
    assert (row.name, row.state, row.epoch, row.workspaces) == ("shop", "up", 1, 2)
    assert dict(row.phases) == {"ready": 2}
    assert scene.mallory.name not in row.stewards
    again = scene.give(scene.asked, scene.admin.up(scene.spec, scene.world.now_s))
    assert again.state == "done", "it is up, as asked for"
    assert again.answer[0] == "shop is up: 2 workspaces"
    down = scene.orders(Action.DOWN)
    assert down.answer == ("shop is gone",)
    assert scene.gone()


@pytest.mark.parametrize("what", LIES)
def test_it_ends_no_order_about_its_workspaces_either(what: str) -> None:
    scene = Scene()
    tell(scene, what)
    paused = scene.orders(Action.PAUSE, workspace="web-2")
    assert paused.answer == ("shop/web-2: pause done",)
    assert scene.runs()


def test_an_order_is_carried_out_also_by_who_never_asked_for_the_list(scene: Scene) -> None:
    """A script that has the id orders at once: the peer that is asked looks first."""
    scene.tells(scene.lie(state=GridState.DOWN))
    scene.restart()
    order = scene.admin.order(Action.DOWN, scene.grid, scene.world.now_s)
    assert scene.give(scene.asked, order).answer == ("shop is gone",)
    assert scene.gone()


def test_a_grid_that_is_only_told_is_shown_as_that_and_no_name_means_it(scene: Scene) -> None:
    scene.tells(scene.lie(grid=INVENTED))
    for _ in range(2):
        told = [row for row in scene.ps() if not row.confirmed]
        assert [row.grid for row in told] == [INVENTED]
        assert told[0].detail == f"unconfirmed: told by {scene.mallory.name}"
        assert scene.means() == [scene.grid]
        scene.restart()
    assert scene.orders(Action.DOWN).answer == ("shop is gone",)
    assert scene.gone()


@pytest.mark.parametrize("silent", [False, True], ids=["", "by who answers nothing"])
def test_nobody_is_kept_from_a_name_by_a_grid_that_is_only_told(scene: Scene, silent: bool) -> None:
    scene.tells(scene.lie(grid=INVENTED, name="cart"))
    if silent:
        node(scene.mallory).registers.handle = lambda *_: ([], [])
    made = scene.give(scene.asked, scene.admin.up(grid_spec("cart", 1), scene.world.now_s))
    assert (made.state, made.answer) == ("done", ("cart is up: 1 workspace",))


def test_nor_if_she_says_as_its_steward_that_she_knows_nothing_or_shows_what_nobody_signed(
    scene: Scene,
) -> None:
    said = scene.world.said
    answers(scene)
    scene.tells(scene.lie(grid=INVENTED, name="cart"))
    made = scene.give(scene.asked, scene.admin.up(grid_spec("cart", 1), scene.world.now_s))
    assert (made.state, made.answer) == ("done", ("cart is up: 1 workspace",))
    scene.world.said = said  # type: ignore[method-assign]


def answers(scene: Scene) -> None:
    """Mallory answers whoever asks her of registers with the decision of `shop`, whatever is asked."""
    (row,) = node(scene.carriers[0]).host.leases.rows()
    shown = row.certificate
    said = scene.world.said

    def listen(peer: SimPeer, send: Send) -> None:
        said(peer, send)
        if send.peer != scene.mallory.id or peer is scene.mallory:
            return
        match send.message:
            case LookAsk(ask=ask, register=register):
                nothing = Arrived(scene.mallory.id, Looked(ask, register), "")
                scene.world.after(0.01, lambda: peer.feed(nothing))
                shows = Arrived(scene.mallory.id, StepDone(ask, shown), "")
                scene.world.after(0.01, lambda: peer.feed(shows))
            case StepAsk(ask=ask):
                shows = Arrived(scene.mallory.id, StepDone(ask, shown), "")
                scene.world.after(0.01, lambda: peer.feed(shows))
            case _:
                pass

    scene.world.said = listen  # type: ignore[method-assign]


@pytest.mark.parametrize("told_still", [True, False])
def test_what_was_decided_long_ago_brings_no_grid_back(told_still: bool) -> None:
    """A host of it tells of it after its end, and shows the decision by which it carried it then.

    The others tell for ten minutes that it ended. After that there is only her word, which is shown as that.
    """
    scene = Scene()
    scene.mallory = scene.carriers[-1]
    before = next(
        h.notice
        for p, h in node(scene.asked).notices.about(scene.grid).items()
        if p == scene.mallory.id
    )
    answers(scene)
    assert scene.orders(Action.DOWN).state == "done"
    scene.world.run(300.0 if told_still else 700.0)
    lie = msgspec.structs.replace(before, stewards=(scene.mallory.id,))
    scene.tells(lie)
    scene.restart()
    rows = scene.ps()
    shown = ("down", True) if told_still else ("up", False)
    assert [(row.grid, row.state, row.confirmed) for row in rows] == [(scene.grid, *shown)]
    made = scene.give(scene.asked, scene.admin.up(scene.spec, scene.world.now_s))
    assert made.answer == ("shop is up: 2 workspaces",)
    (grid,) = scene.means()
    assert grid != scene.grid, "the name means the new one"


def test_a_carrier_that_lies_about_the_end_is_shown_as_what_is_decided(restarted: bool) -> None:
    scene = Scene()
    scene.mallory = scene.carriers[0]
    down = msgspec.structs.replace(
        scene.truth, state=GridState.DOWN, epoch=10**9, mine=(), addresses=()
    )
    scene.tells(down)
    if restarted:
        scene.restart()
    row = scene.row()
    assert (row.state, row.epoch) == ("up", 1)
    assert scene.orders(Action.DOWN).state == "done"


def test_a_carrier_shows_the_decision_where_too_few_stewards_are_heard(scene: Scene) -> None:
    """All stewards but what the site has itself are cut off: its owner still finds the grid, and stops it."""
    scene.tells(scene.lie(state=GridState.DOWN))
    away = [scene.world.by_id[p] for p in scene.record.stewards if p not in scene.record.carriers()]
    assert len(away) >= 1
    for peer in scene.world.peers:
        if peer.id in scene.record.stewards and peer not in scene.carriers:
            peer.crash(silently=True)
    scene.world.run(60.0)
    scene.restart()
    row = scene.row()
    assert (row.state, row.epoch) == ("up", 1)


def test_thousands_of_false_grids_cost_a_bounded_number_of_questions(scene: Scene) -> None:
    asked: list[object] = []
    said = scene.world.said

    def listen(peer: SimPeer, send: Send) -> None:
        if peer is scene.asked and isinstance(send.message, LookAsk):
            asked.append(send.message.register)
        said(peer, send)

    scene.world.said = listen  # type: ignore[method-assign]
    for number in range(600):
        lie = scene.lie(grid=GridId(f"{number:020}.0"), name=f"false-{number}")
        node(scene.asked).notices.put(scene.mallory.id, lie, scene.world.now_s)
    scene.asked.feed(GridsAsked())
    assert 0 < len(set(asked)) <= CONFIRMS_AT_ONCE
    scene.world.run(20.0)
    assert len(set(asked)) <= 601, "each is asked about"
    before = len(asked)
    assert scene.means() == [scene.grid]
    assert len(asked) == before, "and not again for a while"


def signs(scene: Scene, what: str) -> GridRecord:
    """Mallory's site orders a grid whose only steward she is, and she signs what no honest one takes."""
    world, replace, mallory = scene.world, msgspec.structs.replace, scene.mallory
    rival = world.admins[mallory.site]
    rival.stewards, before = (lambda: (mallory.id,)), rival.stewards
    spec, body = grid_spec("shop", 1), None
    match what:
        case "no grid at all":
            body = b"\xc1"
        case "a grid without end":
            body = encode(replace(spec, clusters=(replace(spec.clusters[0], count=10**6),)))
        case _:
            body = encode(spec)
    order = rival.order(Action.UP, "shop", world.now_s, body=body)
    rival.stewards = before
    grid, name = grid_id(order), "web-1"
    if what == "a workspace that has no number":
        name = "web-x"
    grant = HoldGrant(grid, (name,), tuple(vni for _, vni in scene.record.vnis))
    record = replace(
        scene.record,
        id=grid,
        order=order,
        stewards=(mallory.id,),
        owner=rival.signer.key,
        owner_site=mallory.site,
        hosts=(HostRef(mallory.id, mallory.name, mallory.site),),
        assignments=(Assignment(name, mallory.id),),
        grants=(sign_grant(grant, mallory.identity.signer),),
    )
    if what == "another's grid":
        record = replace(record, owner=scene.record.owner, owner_site=scene.record.owner_site)
    key, value, ballot = register_key(order), encode(Register(record)), Ballot(0, mallory.id)
    signature = sign_acceptance(mallory.identity.signer, key, ballot, value)
    said = world.said

    def listen(peer: SimPeer, send: Send) -> None:
        said(peer, send)
        asks = isinstance(send.message, LookAsk) and send.message.register == key
        if asks and send.peer == mallory.id and peer is not mallory:
            answer = Looked(send.message.ask, key, ballot, value, signature)  # type: ignore[union-attr]
            world.after(0.01, lambda: peer.feed(Arrived(mallory.id, answer, "")))

    world.said = listen  # type: ignore[method-assign]
    return record


NO_DECISIONS = (
    "another's grid",
    "no grid at all",
    "a grid without end",
    "a workspace that has no number",
)


@pytest.mark.parametrize("what", NO_DECISIONS)
def test_what_she_decided_alone_is_no_grid_of_anybody_elses_and_ends_no_daemon(what: str) -> None:
    scene = Scene()
    made = signs(scene, what)
    scene.tells(scene.lie(grid=made.id))
    for _ in range(2):
        assert [row.grid for row in scene.ps() if row.confirmed] == [scene.grid]
        assert scene.means() == [scene.grid]
        scene.restart()
    assert scene.orders(Action.DOWN).answer == ("shop is gone",)
    assert scene.gone()
