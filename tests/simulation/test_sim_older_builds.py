"""Stores of a build before orders named their stewards: what ran runs on, and its owner ends it."""

import msgspec
import pytest

from protocol.grid.lifecycle import Wanted
from protocol.grid.model import LeaseTerms
from protocol.grid.record import (
    Assignment,
    GridRecord,
    GridState,
    HostRef,
    grid_id,
    name_key,
    vni_of,
)
from protocol.hosting.hold_row import HoldRow
from protocol.hosting.lease import Lease
from protocol.node.snapshot import PeerView
from protocol.requesting.request import RequestState
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.trust.order import Action, Order, sign_order
from protocol.wire.codec import encode

WITHIN_S = 120.0
LEASE_S, GRACE_S = 1200, 300


class Scene:
    """Two of five hosts carry `shop`, which a build before decided. All start from what that build kept."""

    def __init__(self) -> None:
        self.world = world = World(4, 5, 2)
        # Nothing of it is decided in this world, by nobody.
        world.invariants._is_decided = lambda *_: None  # type: ignore[method-assign]
        self.asked, self.carriers = world.peers[0], world.peers[1:3]
        self.admin = world.admins[self.asked.site]
        terms = LeaseTerms(grace_s=GRACE_S)
        spec = msgspec.structs.replace(grid_spec("shop", 2, lease=terms), lease_s=LEASE_S)
        order = Order(Action.UP, "shop", world.now_s - 60.0, 600.0, "0" * 16, "", encode(spec))
        assert order.stewards == ()
        signed = sign_order(order, self.admin.signer, self.admin.chain)
        grid = grid_id(signed)
        names = ("web-1", "web-2")
        placed = dict(zip(names, self.carriers, strict=True))
        self.record = GridRecord(
            id=grid,
            name="shop",
            owner=self.admin.signer.key,
            owner_site=self.asked.site,
            epoch=1,
            state=GridState.UP,
            order=signed,
            stewards=tuple(peer.id for peer in world.peers[:3]),
            hosts=tuple(HostRef(p.id, p.name, p.site) for p in self.carriers),
            assignments=tuple(Assignment(name, p.id) for name, p in placed.items()),
            vnis=tuple((n.name, vni_of(grid, n.name)) for n in spec.networks),
        )
        assert world.invariants.untouched.decided(None, self.record) == ""
        for name, peer in placed.items():
            ends_s = world.now_s + LEASE_S
            lease = Lease(self.record, (Wanted(name),), ends_s, world.now_s - 60.0, (), spec.lease)
            peer.store["grid"] = {grid: encode(lease)}
        for peer in world.peers[:3]:
            key = name_key(self.record.owner, "shop")
            peer.store["register"] = {key: encode({"promised": [3, peer.id, 7], "value": b"\x81"})}
        held = self.held()
        world.peers[3].store["hold"] = {held.grid: encode(held)}
        world.start_all()
        world.run(20.0)

    def held(self) -> HoldRow:
        """What that build held of another grid when it ended."""
        now_s, record = self.world.now_s, self.record
        spec = grid_spec("next", 1)
        order = Order(Action.UP, "next", now_s, 600.0, "1" * 16, "", encode(spec))
        signed = sign_order(order, self.admin.signer, self.admin.chain)
        grid = grid_id(signed)
        vnis = tuple((n.name, vni_of(grid, n.name)) for n in spec.networks)
        key = name_key(record.owner, "next")
        return HoldRow(
            grid, key, record.owner, "next", signed, ("web-1",), record.stewards, vnis, now_s + 8.0
        )

    def runs(self) -> bool:
        """Whether it is carried, and its machines are there."""
        return all(_carried(peer) and peer.machines.there for peer in self.carriers)

    def gone(self) -> bool:
        return not any(_carried(peer) or peer.machines.there for peer in self.carriers)


def _carried(peer: SimPeer) -> bool:
    return peer.node is not None and bool(peer.node.host.leases.rows())


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_it_runs_on_and_is_shown_as_before_after_a_restart_too(scene: Scene) -> None:
    world = scene.world
    for _ in range(2):
        assert scene.runs()
        assert scene.asked.node is not None
        (shop,) = PeerView(scene.asked.node).grids(world.now_s)
        assert (shop.name, shop.state, shop.epoch) == ("shop", "up", 1)
        assert dict(shop.phases)["ready"] == 2
        for peer in world.peers:
            peer.crash()
            peer.start()
        world.run(150.0)


def test_its_owner_ends_it_though_no_stewards_can(scene: Scene) -> None:
    world = scene.world
    order = scene.admin.order(Action.DOWN, scene.record.id, world.now_s)
    request = world.give(scene.asked, order)
    assert world.run_until(scene.gone, WITHIN_S)
    assert scene.asked.node is not None
    seen = PeerView(scene.asked.node).request(request)
    assert seen is not None
    assert seen.state is RequestState.DONE
    for peer in scene.carriers:
        peer.crash()
        peer.start()
    world.run(30.0)
    assert scene.gone()


def test_what_was_held_and_not_decided_is_let_go(scene: Scene) -> None:
    world = scene.world
    assert world.peers[3].store["hold"] == {}
    order = scene.admin.up(grid_spec("next", 2), world.now_s)
    request = world.give(scene.asked, order)
    assert scene.asked.node is not None
    view = PeerView(scene.asked.node)
    assert world.run_until(lambda: view.request(request).state is RequestState.DONE, WITHIN_S)  # type: ignore[union-attr]


def test_nobody_else_ends_it(scene: Scene) -> None:
    world = scene.world
    rival = next(a for site, a in world.admins.items() if site != scene.asked.site)
    world.give(scene.asked, rival.order(Action.DOWN, scene.record.id, world.now_s))
    world.run(60.0)
    assert scene.runs()


def test_it_ends_with_its_lease(scene: Scene) -> None:
    scene.world.run(LEASE_S / 2)
    assert scene.runs()
    scene.world.run(LEASE_S / 2)
    assert not any(peer.machines.there for peer in scene.carriers)
    assert not scene.gone()
    assert scene.world.run_until(scene.gone, GRACE_S + WITHIN_S)
