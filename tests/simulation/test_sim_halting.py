"""A site is cut off with its own grid and one of three stewards. Its owner stops it, and it ends later."""

import msgspec
from sim_calm import answer, calm_world, node_of

from protocol.grid.model import PlacementSpec, Spread
from protocol.grid.record import GridState
from protocol.node.rows import GridRow
from protocol.node.snapshot import PeerView
from protocol.requesting.request import RequestView
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.quiet import newest_records
from protocol.sim.run import settle
from protocol.trust.order import Action, SignedOrder


class Scene:
    """Six hosts at three sites; `own` is up on both hosts of s1, and s1 is cut off from the others."""

    def __init__(self) -> None:
        self.world = calm_world(9, 6)
        self.here = [peer for peer in self.world.peers if peer.site == "s1"]
        self.asked = self.here[0]
        self.admin = self.world.admins["s1"]
        rules = PlacementSpec(spread=Spread.HOST, sites=("s1",))
        spec = grid_spec("own", 2, lease_s=86400)
        self.spec = msgspec.structs.replace(spec, placement=rules)
        made = self.give(self.admin.up(self.spec, self.world.now_s))
        assert made.state == "done", made.answer
        self.world.run(5.0)
        (record,) = newest_records(self.world)
        assert sum(self.world.by_id[p].site == "s1" for p in record.stewards) == 1
        assert {self.world.by_id[a.host].site for a in record.assignments} == {"s1"}
        ids = [peer.id for peer in self.here]
        self.world.wires.cut(ids, [p.id for p in self.world.peers if p.id not in ids])

    def give(self, order: SignedOrder, peer: SimPeer | None = None) -> RequestView:
        asked = peer or self.asked
        return answer(self.world, asked, self.world.give(asked, order))

    def down(self) -> SignedOrder:
        return self.admin.order(Action.DOWN, "own", self.world.now_s)

    def row(self, peer: SimPeer | None = None) -> GridRow:
        rows = PeerView(node_of(peer or self.asked)).grids(self.world.now_s)
        return next(row for row in rows if row.name == "own")

    def machines(self) -> int:
        return sum(len(peer.machines.there) for peer in self.here)

    def heal(self) -> None:
        self.world.wires.heal()
        down = self.world.run_until(
            lambda: all(r.state is GridState.DOWN for r in newest_records(self.world)), 180.0
        )
        assert down, "the decision follows once the stewards are back"
        settle(self.world)
        assert self.machines() == 0


def test_it_is_stopped_at_once_and_taken_down_when_the_stewards_are_back() -> None:
    scene = Scene()
    scene.world.run(30.0)
    told = scene.give(scene.down())
    assert told.state == "done"
    stopped, who, kept = told.answer
    assert stopped.startswith("own is stopped on ")
    assert stopped.endswith("; its end waits for 2 of 3 stewards")
    assert who.count(" was not heard for ") == 2
    assert kept == "  its volumes are kept until then; nothing more is to be done"
    assert scene.world.run_until(lambda: scene.row().phases == (("expired", 2),), 30.0)
    for peer in scene.here:
        assert scene.row(peer).detail == "down ordered, waits for 2 of 3 stewards"
    (record,) = newest_records(scene.world)
    assert record.state is GridState.UP, "only the stewards end it"
    scene.heal()


def test_it_stays_stopped_through_a_kill_of_every_host_of_it() -> None:
    scene = Scene()
    scene.give(scene.down())
    for peer in scene.here:
        peer.crash()
    for peer in scene.here:
        peer.start()
    scene.world.run(60.0)
    assert scene.row().phases == (("expired", 2),)
    assert scene.row().detail == "down ordered, waits for 2 of 3 stewards"
    again = scene.give(scene.admin.order(Action.RESUME, "own", scene.world.now_s))
    assert again.state == "failed"
    assert again.answer[0].endswith("its owner ordered it down, which waits for its stewards")
    scene.heal()


def test_an_owner_who_says_it_twice_is_told_the_same() -> None:
    scene = Scene()
    first = scene.give(scene.down()).answer
    scene.world.run(20.0)
    assert scene.give(scene.down()).answer[0] == first[0]
    scene.heal()


def test_nobody_else_stops_it_and_no_order_of_before_does() -> None:
    """A rival's order, one that is stale, and one that was about an earlier grid of the name."""
    scene = Scene()
    world = scene.world
    older = scene.admin.order(Action.DOWN, f"{'f' * 20}.0", world.now_s - 60.0)
    stale = scene.admin.order(Action.DOWN, "own", world.now_s - 4000.0)
    rivals = world.admins["s2"].order(Action.DOWN, scene.row().grid, world.now_s)
    world.run(10.0)
    for order in (rivals, stale, older):
        assert scene.give(order).state == "failed"
    world.run(30.0)
    assert scene.row().phases == (("ready", 2),)
    assert scene.row().detail != "down ordered, waits for 2 of 3 stewards"
    world.wires.heal()
    world.run(120.0)
    (record,) = newest_records(world)
    assert record.state is GridState.UP


def test_what_the_owner_did_on_the_other_side_meanwhile_goes_down_as_well() -> None:
    """The lease was extended just before; the end is decided on top of that."""
    scene = Scene()
    scene.give(scene.down())
    scene.heal()
    made = scene.give(scene.admin.up(scene.spec, scene.world.now_s))
    assert made.state == "done", made.answer
    assert scene.row().phases == (("ready", 2),)
