"""Grids that change in a federation at rest, and in many worlds in which everything breaks."""

from collections import Counter

import msgspec
import pytest
from sim_calm import answer, calm_world, view
from sim_conversation import Conversation, change, up
from sim_many import played

from protocol.grid.model import GridSpec
from protocol.grid.record import GridRecord, GridState
from protocol.requesting.request import RequestView
from protocol.sim.faults import MANY, NONE, SOME
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.quiet import newest_records
from protocol.sim.report import views
from protocol.sim.run import Outcome, settle
from protocol.sim.scenario import Scenario
from protocol.sim.world import World
from protocol.trust.order import Action


class Up:
    """A world with a grid that is up."""

    def __init__(self, seed: int, spec: GridSpec, peers: int = 5) -> None:
        self.world: World = calm_world(seed, peers)
        self.admin = self.world.admins["s1"]
        self.spec = spec
        request = self.world.give(self.world.peers[0], self.admin.up(spec, self.world.now_s))
        assert answer(self.world, self.world.peers[0], request).state == "done"

    @property
    def record(self) -> GridRecord:
        (record,) = newest_records(self.world)
        return record

    def become(self, spec: GridSpec, peer: SimPeer | None = None) -> RequestView:
        """Applies that to it, at any peer. Answers what came of it."""
        peer = peer or self.world.peers[-1]
        order = self.admin.apply(spec, self.record.epoch, self.world.now_s)
        return answer(self.world, peer, self.world.give(peer, order))


def web(spec: GridSpec, **changed: object) -> GridSpec:
    """The grid with its cluster changed."""
    return msgspec.structs.replace(
        spec, clusters=(msgspec.structs.replace(spec.clusters[0], **changed),)
    )


def where(record: GridRecord) -> dict[str, str]:
    return record.placed


def test_one_more_and_two_fewer() -> None:
    grid = Up(1, grid_spec("shop", 3))
    before = where(grid.record)
    more = grid.become(grid_spec("shop", 4))
    assert more.answer[0].startswith("shop is changed (+1 web): 4 workspaces on "), more
    assert where(grid.record).items() > before.items()
    fewer = grid.become(grid_spec("shop", 2))
    assert fewer.answer[0].startswith("shop is changed (-2 web): 2 workspaces on "), fewer
    assert where(grid.record) == {name: before[name] for name in ("web-1", "web-2")}
    settle(grid.world)


def test_a_resize_touches_no_other_machine_and_a_scratch_disk_restarts() -> None:
    grid = Up(2, web(grid_spec("shop", 2), max_memory_bytes=512 << 20))
    larger = web(grid.spec, memory_bytes=512 << 20)
    assert grid.become(larger).state == "done"
    assert grid.become(web(larger, scratch_bytes=1 << 30)).state == "done"
    settle(grid.world)
    boots = {
        name: machine.boot
        for peer in grid.world.peers
        for (_, name), machine in peer.machines.there.items()
    }
    assert boots == {"web-1": 2, "web-2": 2}


def test_what_was_terminated_comes_back_with_the_file() -> None:
    grid = Up(3, grid_spec("shop", 3))
    world, peer = grid.world, grid.world.peers[1]
    order = grid.admin.order(Action.TERMINATE, grid.record.id, world.now_s, workspace="web-2")
    assert answer(world, peer, world.give(peer, order)).state == "done"
    assert grid.become(grid.spec).answer[0].startswith("shop is changed (+1 web)")
    assert sorted(where(grid.record)) == ["web-1", "web-2", "web-3"]
    settle(world)


@pytest.mark.parametrize("seed", range(10, 18))
def test_of_two_changes_at_once_one_wins_and_the_other_is_told_what_changed(seed: int) -> None:
    grid = Up(seed, grid_spec("shop", 2))
    world, first, second = grid.world, grid.world.peers[0], grid.world.peers[3]
    one = world.give(first, grid.admin.apply(grid_spec("shop", 3), 1, world.now_s))
    world.run(0.01 * (seed - 10))
    other = world.give(second, grid.admin.apply(grid_spec("shop", 4), 1, world.now_s))
    ends = [answer(world, first, one), answer(world, second, other)]
    assert sorted(end.state for end in ends) == ["done", "failed"]
    (lost,) = [end for end in ends if end.state == "failed"]
    assert lost.answer[0] == "shop is at epoch 2, the order was for 1"
    assert lost.answer[1].endswith(" ago")
    settle(world)


def test_one_order_at_two_peers_is_one_change() -> None:
    grid = Up(20, grid_spec("shop", 2))
    world = grid.world
    order = grid.admin.apply(grid_spec("shop", 3), 1, world.now_s)
    one, other = world.give(world.peers[1], order), world.give(world.peers[3], order)
    assert answer(world, world.peers[1], one).state == "done", view(world.peers[1], one)
    assert answer(world, world.peers[3], other).state == "done", view(world.peers[3], other)
    assert grid.record.epoch == 2
    settle(world)


def test_down_in_the_middle_of_a_change() -> None:
    grid = Up(21, grid_spec("shop", 2))
    world, peer = grid.world, grid.world.peers[2]
    change = world.give(peer, grid.admin.apply(grid_spec("shop", 4), 1, world.now_s))
    world.run(0.05)
    down = world.give(peer, grid.admin.order(Action.DOWN, grid.record.id, world.now_s))
    assert answer(world, peer, down).state == "done"
    assert answer(world, peer, change).state in ("failed", "done")
    settle(world)
    assert grid.record.state is GridState.DOWN


# -- deaths


def _up(seed: int) -> World:
    """A grid of three that is up, asked for at one peer."""
    world = calm_world(seed, 5)
    talk = Conversation(world, world.peers[1], (up,))
    assert world.run_until(lambda: talk.over, 30.0)
    return world


def _victims(world: World) -> dict[str, str]:
    """Who dies: the requester, a host of the grid, a steward; each another peer."""
    (record,) = newest_records(world)
    asked = world.peers[1].id
    hosts = [peer for peer in record.carriers() if peer != asked]
    stewards = [peer for peer in record.stewards if peer not in (asked, hosts[0])]
    names = {"requester": asked, "host": hosts[0], "steward": stewards[0]}
    return {what: world.name_of(peer) for what, peer in names.items()}


@pytest.mark.parametrize(("what", "every"), [("requester", 2), ("host", 4), ("steward", 8)])
def test_a_death_after_every_effect_leaves_the_whole_change_or_nothing(
    what: str, every: int
) -> None:
    ends: dict[str, int] = {"whole": 0, "nothing": 0}
    for after in range(1, 2000, every):
        world = _up(12)
        name = _victims(world)[what]
        victim = next(peer for peer in world.peers if peer.name == name)
        victim.fuse = after
        talk = Conversation(world, world.peers[1], (change,))
        if not world.run_until(lambda v=victim: not v.up, 3.0):
            break
        world.run(2.0)
        victim.start()
        assert world.run_until(lambda t=talk: t.over, 120.0), f"after effect {after}: no answer"
        settle(world)
        (record,) = newest_records(world)
        made = talk.answers[-1].state == "done"
        assert made is (record.epoch == 2), f"after effect {after}: {talk.answers[-1].answer}"
        assert len(record.assignments) == (4 if made else 3)
        ends["whole" if made else "nothing"] += 1
    assert ends["whole"] > 2, ends


# -- many worlds


def of_changes(outcome: Outcome) -> tuple[int, Counter[str]]:
    """How many changes were decided, and what came of requests."""
    answers = Counter(f"{view.kind} {view.state}" for view in views(outcome) if view)
    return outcome.world.invariants.untouched.changes, answers


@pytest.mark.parametrize("first", range(5000, 5300, 50))
def test_random_changes_with_all_faults(first: int) -> None:
    """Small worlds, two grids, and changes of them by anybody while everything breaks."""
    plans = (NONE, SOME, MANY)
    worlds = [
        Scenario(seed, 4, 2, 8.0, grids=2, changes=6, plan=plans[seed % len(plans)])
        for seed in range(first, first + 50)
    ]
    results = played(worlds, of_changes)
    assert sum(changes for changes, _ in (result.more for result in results)) > len(worlds) // 2


def holding(world: World) -> int:
    """How many promises there are at hosts that are no leases."""
    return sum(len(peer.node.host.holds) for peer in world.peers if peer.node is not None)


@pytest.mark.parametrize("dies", [False, True], ids=["", "its-peer-dies"])
def test_a_change_that_is_held_ends_by_itself(dies: bool) -> None:
    grid = Up(30, grid_spec("shop", 2))
    world, peer = grid.world, grid.world.peers[3]
    plan = grid.admin.hold(grid_spec("shop", 4), 30.0, world.now_s, epoch=1)
    assert answer(world, peer, world.give(peer, plan)).state == "held"
    assert holding(world) == 2
    world.run(20.0)
    assert holding(world) == 2, "longer than what is held to be decided at once"
    if dies:
        peer.crash()
    world.run(11.0)
    if dies:
        peer.start()
        world.run(5.0)
    assert holding(world) == 0
    settle(world)


def test_a_change_that_is_held_is_taken_up_after_a_restart() -> None:
    grid = Up(31, grid_spec("shop", 2))
    world, peer = grid.world, grid.world.peers[3]
    plan = grid.admin.hold(grid_spec("shop", 4), 60.0, world.now_s, epoch=1)
    held = world.give(peer, plan)
    assert answer(world, peer, held).state == "held"
    (kept,) = peer.node.requester.quotes.all()
    peer.crash()
    peer.start()
    world.run(5.0)
    order = grid.admin.apply(kept.spec, 1, world.now_s)
    made = answer(world, peer, world.give(peer, order, held))
    assert made.answer[0].startswith("shop is changed (+2 web): 4 workspaces"), made
    assert kept.placed.items() <= where(grid.record).items()
    assert holding(world) == 0
    settle(world)


def test_a_network_comes_and_goes_and_what_is_not_on_it_runs_on() -> None:
    grid = Up(40, grid_spec("shop", 2))
    world = grid.world
    back = msgspec.structs.replace(grid.spec.networks[0], name="back", cidr="10.77.0.0/24")
    more = msgspec.structs.replace(grid.spec.clusters[0], name="api", count=1, networks=("back",))
    spec = msgspec.structs.replace(
        grid.spec,
        networks=(*grid.spec.networks, back),
        clusters=(*grid.spec.clusters, more),
    )
    said = grid.become(spec).answer[0]
    assert said.startswith("shop is changed (+1 api, +network back 10.77.0.0/24): 3 workspaces"), (
        said
    )
    assert [name for name, _ in grid.record.vnis] == ["lan", "back"]
    assert grid.become(grid.spec).state == "done"
    assert [name for name, _ in grid.record.vnis] == ["lan"]
    settle(world)
    boots = {
        name: machine.boot
        for peer in world.peers
        for (_, name), machine in peer.machines.there.items()
    }
    assert boots == {"web-1": 1, "web-2": 1}
