"""Grids in a federation at rest: one name, one order, second thoughts, full disks."""

import pytest
from sim_calm import answer, calm_world, node_of, view

from protocol.capacity.quantum import Quantum
from protocol.grid.model import Encryption, Spread
from protocol.grid.record import GridState
from protocol.requesting.events import CancelAsked
from protocol.sim.people import MIB, grid_spec
from protocol.sim.quiet import newest_records
from protocol.sim.run import settle
from protocol.sim.world import World
from protocol.terms.ids import PeerId
from protocol.trust.order import Action


def up_names(world: World) -> list[str]:
    """Names of the grids that are up, each as often as there is one."""
    return [record.name for record in newest_records(world) if record.state is GridState.UP]


@pytest.mark.parametrize("seed", range(12))
def test_two_at_once_one_wins(seed: int) -> None:
    """One name, two grids, two peers, within a few milliseconds."""
    world = calm_world(seed, 6)
    first, second = world.peers[0], world.peers[3]
    one = world.give(first, world.admins["s1"].up(grid_spec("shop", 3), world.now_s))
    world.run(0.003 * seed)
    other = world.give(second, world.admins["s1"].up(grid_spec("shop", 2), world.now_s))
    states = [answer(world, first, one).state, answer(world, second, other).state]
    assert sorted(states) == ["done", "failed"]
    loser = view(first, one) if states[0] == "failed" else view(second, other)
    assert loser.answer[0].startswith("shop is up, and not as the file has it")
    assert [difference.path for difference in loser.differs] == ["clusters.web.count"]
    assert up_names(world) == ["shop"]
    settle(world)


@pytest.mark.parametrize("seed", range(4))
def test_the_same_grid_asked_for_twice_at_once_is_one_and_both_are_told(seed: int) -> None:
    world = calm_world(seed, 6)
    first, second = world.peers[0], world.peers[3]
    one = world.give(first, world.admins["s1"].up(grid_spec("shop", 3), world.now_s))
    world.run(0.003 * seed)
    other = world.give(second, world.admins["s1"].up(grid_spec("shop", 3), world.now_s))
    assert answer(world, first, one).state == answer(world, second, other).state == "done"
    assert up_names(world) == ["shop"]
    settle(world)


def test_one_order_at_two_peers_is_one_grid() -> None:
    world = calm_world(20, 6)
    order = world.admins["s2"].up(grid_spec("shop", 2), world.now_s)
    one = world.give(world.peers[0], order)
    other = world.give(world.peers[4], order)
    answers = [answer(world, world.peers[0], one), answer(world, world.peers[4], other)]
    assert [a.answer for a in answers] == [("shop is up: 2 workspaces",)] * 2
    assert up_names(world) == ["shop"]
    settle(world)


def test_names_of_two_owners_are_two_names() -> None:
    world = calm_world(21, 6)
    for site in ("s1", "s2"):
        request = world.give(world.peers[0], world.admins[site].up(grid_spec("shop"), world.now_s))
        assert answer(world, world.peers[0], request).state == "done"
    assert up_names(world) == ["shop", "shop"]


@pytest.mark.parametrize("after_ms", range(0, 260, 10))
def test_down_in_the_middle_of_up(after_ms: int) -> None:
    """Whenever the down comes, the grid is not up afterwards, as its answer says."""
    world = calm_world(22, 5)
    peer = world.peers[2]
    up = world.give(peer, world.admins["s1"].up(grid_spec("shop", 3), world.now_s))
    world.run(after_ms / 1000)
    down = world.give(peer, world.admins["s1"].order(Action.DOWN, "shop", world.now_s))
    assert answer(world, peer, down).state == "done", view(peer, down)
    assert answer(world, peer, up).state in ("cancelled", "failed", "done")
    settle(world)
    assert up_names(world) == []


def test_up_after_down_and_the_same_order_again() -> None:
    """A name may be used again; an order may not."""
    world = calm_world(23, 6)
    peer, other, admin = world.peers[1], world.peers[5], world.admins["s3"]
    order = admin.up(grid_spec("shop", 2), world.now_s)
    assert answer(world, peer, world.give(peer, order)).state == "done"
    down = world.give(other, admin.order(Action.DOWN, "shop", world.now_s))
    assert answer(world, other, down).answer == ("shop is gone",)
    again = answer(world, other, world.give(other, order))
    assert again.state == "failed"
    assert again.answer[0].startswith("this order has made a grid already")
    assert again.answer[1].strip() == "would work: sign a new order for shop"
    settle(world)
    assert up_names(world) == []
    fresh = admin.up(grid_spec("shop", 3), world.now_s)
    assert answer(world, peer, world.give(peer, fresh)).state == "done"
    # The old order comes once more, while its name is in use by the new grid.
    assert answer(world, other, world.give(other, order)).state == "failed"
    settle(world)
    assert up_names(world) == ["shop"]


def test_cancelled_before_the_commit_leaves_nothing() -> None:
    world = calm_world(24, 4)
    peer = world.peers[0]
    up = world.give(peer, world.admins["s1"].up(grid_spec("shop", 2), world.now_s))
    world.run(0.02)
    peer.feed(CancelAsked(up))
    assert view(peer, up).state == "cancelled"
    settle(world)
    assert newest_records(world) == []


def test_full_disk_refuses_with_its_reason() -> None:
    """Hosts that cannot write say so, hold nothing, and the grid goes elsewhere or nowhere."""
    world = calm_world(25, 4)
    requester = world.peers[0]
    for peer in world.peers[1:]:
        peer.store_full = True
    spec = grid_spec("shop", 2)
    up = world.give(requester, world.admins["s1"].up(spec, world.now_s))
    world.run_until(lambda: view(requester, up).stage == "committing", 5.0)
    refused = [line.text for line in view(requester, up).story if "store" in line.text]
    assert refused, "nobody with a full store was asked"
    assert "the host's store has no room for another promise" in refused[0]
    for peer in world.peers[1:]:
        assert len(node_of(peer).host.holds) == 0
        assert node_of(peer).host.ledger.free == peer.facts.capacity
        assert "hold" not in peer.store or not peer.store["hold"]
        peer.store_full = False
    settle(world)


def test_full_disk_everywhere_is_told_at_once() -> None:
    world = calm_world(26, 3)
    for peer in world.peers:
        peer.store_full = True
    peer = world.peers[0]
    up = world.give(peer, world.admins["s1"].up(grid_spec("shop", 2), world.now_s))
    told = answer(world, peer, up, 10.0)
    assert told.state == "failed"
    assert told.answer[0].startswith("cannot place 2 of 2 web")
    assert told.answer[1].startswith("  3 hosts: store: the host's store has no room")
    assert told.answer[-1].strip() == "would work: free disk space on that host"


def test_too_much_is_explained_at_once() -> None:
    world = calm_world(27, 4, 2, capacity=Quantum(4000, 2048 * MIB, 0))
    spec = grid_spec("big", 3, memory_bytes=3000 * MIB)
    peer = world.peers[0]
    told = answer(world, peer, world.give(peer, world.admins["s1"].up(spec, world.now_s)), 5.0)
    assert told.state == "failed"
    assert told.answer == (
        "cannot place 3 of 3 web: each needs 0.5 cpus, 2.9 GiB",
        "  4 hosts lack memory; the nearest, h1, by 952 MiB",
        "  would work: memory 2G for web, now",
    )


def test_spread_and_privacy() -> None:
    """A grid is spread over sites when traffic may cross, and all on one host when it may not."""
    world = calm_world(28, 6, 3, encrypts=False)
    peer = world.peers[0]
    for name, encryption, sites in (
        ("open", Encryption.NONE, 3),
        ("shut", Encryption.REQUIRED, 1),
    ):
        spec = grid_spec(name, 3, spread=Spread.SITE, encryption=encryption)
        request = world.give(peer, world.admins["s1"].up(spec, world.now_s))
        told = answer(world, peer, request)
        assert told.state == "done", told.answer
        assert len({planned.site for planned in told.placement}) == sites


def test_plan_binds_nobody() -> None:
    world = calm_world(29, 4)
    peer = world.peers[1]
    request = world.plan(peer, grid_spec("idea", 3))
    told = answer(world, peer, request, 5.0)
    assert told.state == "done"
    assert len(told.placement) == 3
    assert newest_records(world) == []
    assert all(len(node_of(p).host.ledger) == 0 for p in world.peers)


def test_pause_resume_restart_terminate() -> None:
    world = calm_world(30, 5)
    peer, asked, admin = world.peers[0], world.peers[4], world.admins["s1"]
    up = world.give(peer, admin.up(grid_spec("shop", 3), world.now_s))
    assert answer(world, peer, up).state == "done"
    host: dict[str, PeerId] = {p.workspace: p.peer for p in view(peer, up).placement}
    for action, phase in (
        (Action.PAUSE, "paused"),
        (Action.RESUME, "ready"),
        (Action.RESTART, "ready"),
    ):
        order = admin.order(action, "shop", world.now_s, workspace="web-2")
        told = answer(world, asked, world.give(asked, order))
        assert told.answer == (f"shop/web-2: {action} done",)
        world.run(1.0)
        carrier = node_of(world.by_id[host["web-2"]]).host.leases
        (grid,) = [row.record.id for row in carrier.rows()]
        assert [s.phase for s in carrier.statuses(grid) if s.workspace == "web-2"] == [phase]
    order = admin.order(Action.TERMINATE, "shop", world.now_s, workspace="web-3")
    told = answer(world, asked, world.give(asked, order))
    assert told.answer == ("shop/web-3 is gone",)
    settle(world)
    (record,) = newest_records(world)
    assert [a.workspace for a in record.assignments] == ["web-1", "web-2"]


def test_lease_ends_by_itself() -> None:
    world = calm_world(31, 3)
    peer = world.peers[0]
    spec = grid_spec("brief", 2, lease_s=60)
    assert (
        answer(world, peer, world.give(peer, world.admins["s1"].up(spec, world.now_s))).state
        == "done"
    )
    assert sum(len(p.machines.there) for p in world.peers) == 2
    world.run(61.0)
    assert sum(len(p.machines.there) for p in world.peers) == 0
    free = [node_of(p).host.ledger.free.memory_bytes for p in world.peers]
    assert free == [p.facts.capacity.memory_bytes for p in world.peers]
