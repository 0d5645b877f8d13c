"""A member that says what only others may say: it saw an order, or knows of a grid, and speaks for its owner.

Each is said to whole peers in virtual time, once at once and once before these begin again from their disks.
"""

import pytest
from negotiating import ADMIN, AUTHORITY, NOW, A, B, C, offer, shop

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum
from protocol.contract.messages import HoldAsk, HoldReply, NameAsk, RoomClaim
from protocol.grid.record import LeaseChange, extension_id, grid_id, register_key
from protocol.grid.steps import Decline, Finish, Step, Vote
from protocol.hosting.claims import Claims
from protocol.node.events import Arrived
from protocol.node.messages import Message
from protocol.node.node import Node
from protocol.register.messages import StepAsk, StepFailed
from protocol.requesting.request import RequestState
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.terms.effects import Send
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import ATTEMPT_MOST, HOLD_S
from protocol.trust.order import Action, SignedOrder, read_order
from protocol.wire.codec import encode

WITHIN_S = 60.0
SOON_S = 15.0
"""A request that nobody disturbs has its grid up by then."""


class Scene:
    """Eight peers at two sites, of which the last of the other site is hostile."""

    def __init__(self, *, restarts: bool) -> None:
        self.restarts = restarts
        self.world = world = World(9, 8, 2)
        world.start_all()
        world.run(5.0)
        self.asked = world.peers[0]
        self.admin = world.admins[self.asked.site]
        self.mallory = [p for p in world.peers if p.site != self.asked.site][-1]
        drawn = self.admin.stewards
        self.admin.stewards = lambda: tuple(p for p in drawn() if p != self.mallory.id)

    def signed(self, name: str = "shop") -> SignedOrder:
        """An order to make a grid, for the peer that is asked."""
        body = encode(grid_spec(name, 2))
        return self.admin.order(Action.UP, name, self.world.now_s, body=body, via=self.asked.id)

    def tell(self, to: SimPeer, message: Message) -> list[Message]:
        """Mallory says that. Answers what she is answered."""
        to.feed(Arrived(self.mallory.id, message, ""))
        _, _, effects = to.story[-1]
        return [e.message for e in effects if isinstance(e, Send) and e.peer == self.mallory.id]  # type: ignore[misc]

    def ask_stewards(self, order: SignedOrder, step: Step) -> None:
        """Mallory wants that step of all stewards of an order. Nobody begins with it."""
        kept = self.on_disk(order)
        for peer in read_order(order).stewards:
            ask = StepAsk("x", register_key(order), step, order)
            (answer,) = self.tell(self.world.by_id[peer], ask)
            assert isinstance(answer, StepFailed), answer
            assert answer.refused
        self.world.run(2.0)
        assert self.on_disk(order) == kept, "nobody has written anything for it"

    def on_disk(self, order: SignedOrder) -> list[dict[str, bytes]]:
        peers = [self.world.by_id[peer] for peer in read_order(order).stewards]
        return [dict(peer.store.get("steward", {})) for peer in peers]

    def again(self) -> None:
        """Everybody else begins again from the disk, if this is such a scene."""
        others = [p for p in self.world.peers if p is not self.mallory] if self.restarts else []
        for peer in others:
            peer.crash()
        self.world.run(1.0)
        for peer in others:
            peer.start()
        self.world.run(8.0)

    def done(self, order: SignedOrder, within_s: float = WITHIN_S) -> list[str]:
        """The owner has that carried out. Answers what was told of it meanwhile."""
        request = self.world.give(self.asked, order)
        assert self.world.run_until(lambda: self._over(request), within_s), self._story(request)
        view = _node(self.asked).requester.requests.view(request)
        assert view is not None
        assert view.state is RequestState.DONE, view.answer
        return self._story(request)

    def _over(self, request: RequestId) -> bool:
        view = _node(self.asked).requester.requests.view(request)
        return view is not None and view.state is not RequestState.RUNNING

    def _story(self, request: RequestId) -> list[str]:
        view = _node(self.asked).requester.requests.view(request)
        return [line.text for line in view.story] if view is not None else []


def _node(peer: SimPeer) -> Node:
    assert peer.node is not None
    return peer.node


@pytest.fixture(params=["at once", "before a restart"])
def scene(request: pytest.FixtureRequest) -> Scene:
    return Scene(restarts=request.param == "before a restart")


def test_nobody_votes_an_order_down_that_is_not_for_it(scene: Scene) -> None:
    order = scene.signed()
    first = grid_id(order, 0, "")
    for vote in (Vote(1), Vote(ATTEMPT_MOST), Vote(1, first, b"x" * 64)):
        scene.ask_stewards(order, vote)
    scene.again()
    scene.done(order)


def test_nobody_votes_a_change_of_a_lease_down_that_is_not_for_it(scene: Scene) -> None:
    order = scene.signed()
    scene.done(order)
    record = _node(scene.asked).requester.directory.notices.newest(
        next(iter(_node(scene.asked).requester.directory.notices.grids()))
    )
    assert record is not None
    body = encode(LeaseChange(600))
    now, asked = scene.world.now_s, scene.asked.id
    change = scene.admin.order(Action.LEASE, record.grid, now, body=body, via=asked)
    mine = extension_id(change)
    for step in (Decline(record.grid, mine), Decline(record.grid, mine, change)):
        scene.ask_stewards(order, step)
    scene.again()
    scene.done(change)


def test_no_stranger_has_stewards_write_by_finishing_what_is_done(scene: Scene) -> None:
    order = scene.signed()
    scene.done(order)
    scene.again()
    for _ in range(8):
        scene.ask_stewards(order, Finish())


def test_an_order_that_was_seen_before_keeps_no_name(scene: Scene) -> None:
    """It was signed a moment ago and made nothing, or its grid is down again. It is fresh for minutes more."""
    for earlier in (scene.signed(), scene.signed()):
        for peer in scene.world.peers:
            scene.tell(peer, NameAsk(earlier))
    scene.again()
    earlier = scene.signed()
    for peer in scene.world.peers:
        scene.tell(peer, NameAsk(earlier))
    story = scene.done(scene.signed(), SOON_S)
    assert not [line for line in story if "another order" in line]


def test_nor_does_it_take_back_who_asks_for_a_name(scene: Scene) -> None:
    order = scene.signed()
    guard = next(p for p in scene.world.peers if p not in (scene.asked, scene.mallory))
    guard.feed(Arrived(scene.asked.id, NameAsk(order), ""))
    scene.tell(guard, NameAsk(order, ends=True))
    assert len(_node(guard).host._names) == 1


def test_nobody_holds_for_an_order_that_is_not_for_it(scene: Scene) -> None:
    order = scene.signed()
    for peer in scene.world.peers:
        if peer is scene.mallory or peer.facts is None:
            continue
        ask = HoldAsk(grid_id(order, 0, "x"), order, ("web-1",), (("lan", 77),), HOLD_S)
        (answer,) = scene.tell(peer, ask)
        assert isinstance(answer, HoldReply)
        assert not answer.held
    scene.again()
    scene.done(order, SOON_S)


def test_nobody_claims_room_for_an_order_that_is_not_for_it() -> None:
    """A claim is in memory only, so after a restart it is the same."""
    room = Quantum(64_000, 64 << 30, 1 << 40)
    claims = Claims(AUTHORITY, Ledger(room, NOW), lambda: offer(A), str)
    order = ADMIN.order(Action.UP, "shop", NOW - 9, body=encode(shop(9)), via=C)
    for number in range(9):
        claims.ask(PeerId(f"{number:064x}"), RoomClaim(order, ("web-1",)), NOW)
    claims.ask(B, RoomClaim(order, ("web-1",)), NOW)
    assert len(claims) == 0
    claims.ask(C, RoomClaim(order, ("web-1",)), NOW)
    assert len(claims) == 1


def test_hosts_that_were_asked_are_believed_when_who_asked_them_is_gone(scene: Scene) -> None:
    """So what a killed requester had held is free again, though nobody else has a vote."""
    order = scene.signed()
    holds = [p for p in scene.world.peers if p is not scene.asked]
    scene.world.give(scene.asked, order)
    held = lambda: [p for p in holds if p.node is not None and p.node.host.holds.rows()]  # noqa: E731
    assert scene.world.run_until(lambda: bool(held()), WITHIN_S, 0.005)
    scene.asked.crash()
    if scene.restarts:
        for peer in held():
            peer.crash()
            peer.start()
    assert scene.world.run_until(lambda: not held(), 4 * HOLD_S + 20.0)
    carried = [p for p in holds if p.node is not None and p.node.host.leases.rows()]
    assert len(carried) in (0, 2), "a whole grid or nothing"
