"""A host loses its disk while its guests run. Nothing is ended for that: its grids are taken up again."""

import pytest
from sim_calm import answer, calm_world, node_of
from sim_conversation import Conversation, up

from protocol.grid.lifecycle import Phase
from protocol.grid.record import GridRecord, GridState
from protocol.node.snapshot import PeerView
from protocol.peering.announcer import TABLE as SELF
from protocol.requesting.events import OrderGiven
from protocol.sim.peer import SimPeer
from protocol.sim.world import World
from protocol.terms.ids import GridId, RequestId
from protocol.trust.order import Action

SEED = 11
TAKEN_UP_WITHIN_S = 15.0


def running(peers: int = 6) -> tuple[World, GridRecord, SimPeer]:
    """A world with a grid that is up, and one of its hosts that is not its steward."""
    world = calm_world(SEED, peers)
    talk = Conversation(world, world.peers[1], (up,))
    assert world.run_until(lambda: talk.over, 60.0)
    (epochs,) = world.invariants.decided.values()
    record = epochs[max(epochs)]
    carriers = [world.by_id[peer] for peer in record.carriers()]
    host = next(peer for peer in carriers if peer.id not in record.stewards)
    return world, record, host


def lose_memory(world: World, host: SimPeer, away_s: float = 3.0, machines: bool = True) -> None:
    """Its process dies, its disk is gone, and it starts again."""
    host.crash()
    host.store.clear()
    if not machines:
        for grid, workspace in host.machines.there:
            world.invariants.untouched.lost(grid, workspace)
        host.machines.there.clear()
    world.run(away_s)
    host.start()


def carries(host: SimPeer, grid: GridId) -> bool:
    return host.node is not None and host.node.host.leases.row(grid) is not None


def phases(host: SimPeer, grid: GridId) -> list[Phase]:
    """Where its workspaces are, as another peer hears it."""
    heard = node_of(host).notices.about(grid)
    return [s.phase for h in heard.values() for s in h.notice.mine]


@pytest.mark.parametrize("away_s", [0.1, 3.0, 30.0])
def test_its_guests_go_on_and_its_grid_is_taken_up_again(away_s: float) -> None:
    world, record, host = running()
    before = dict(host.machines.there)
    lose_memory(world, host, away_s)
    assert not carries(host, record.id)
    assert list(host.machines.there) == list(before), "they run on while nobody knows"
    assert world.run_until(lambda: carries(host, record.id), TAKEN_UP_WITHIN_S)
    world.run(5.0)
    assert host.machines.there == before, "none of them was started again"
    other = next(peer for peer in world.peers if peer is not host)
    assert set(phases(other, record.id)) == {Phase.READY}
    assert host.store["grid"], "it is on its disk again"


def test_it_is_heard_again_though_its_numbers_began_anew() -> None:
    world, record, host = running()
    for _ in range(4):
        host.crash()
        world.run(1.0)
        host.start()
        world.run(4.0)
    lose_memory(world, host)
    others = [peer for peer in world.peers if peer is not host]

    def alive() -> bool:
        return all(str(node_of(p).membership.liveness.health(host.id)) == "alive" for p in others)

    assert world.run_until(alive, 10.0)
    assert world.run_until(lambda: carries(host, record.id), TAKEN_UP_WITHIN_S)
    world.run(20.0)
    assert int.from_bytes(host.store[SELF]["incarnation"], "big") > 5
    assert alive()


@pytest.mark.parametrize("through", ["the host itself", "another"])
def test_its_grid_is_taken_down_while_it_is_unknown(through: str) -> None:
    world, record, host = running()
    lose_memory(world, host)
    other = next(peer for peer in world.peers if peer is not host and peer.id != record.stewards[0])
    asked = host if through == "the host itself" else other
    world.run(1.0)
    order = world.admins["s1"].order(Action.DOWN, "shop", world.now_s)
    asked.feed(OrderGiven(RequestId("down"), order))
    assert answer(world, asked, RequestId("down")).state == "done"
    assert world.run_until(lambda: not host.machines.there, 30.0), "its stewards' word ends it"
    assert world.run_until(lambda: not carries(host, record.id), 30.0)
    assert not any(grid == record.id for grid, _ in host.machines.there)


def test_what_was_taken_down_while_it_was_away_is_ended_when_it_is_back() -> None:
    world, record, host = running()
    host.crash()
    host.store.clear()
    order = world.admins["s1"].order(Action.DOWN, "shop", world.now_s)
    asked = next(peer for peer in world.peers if peer.up)
    asked.feed(OrderGiven(RequestId("down"), order))
    world.run(20.0)
    host.start()
    assert host.machines.there
    assert world.run_until(lambda: not host.machines.there, 30.0)
    assert world.run_until(lambda: not carries(host, record.id), 10.0)


def test_what_it_had_promised_without_a_machine_is_remembered_for_it() -> None:
    """Its machines are gone with its disk: others still hold its notice, and it keeps its promise again."""
    world, record, host = running()
    names = [workspace for _, workspace in host.machines.there]
    lose_memory(world, host, machines=False)
    assert world.run_until(lambda: carries(host, record.id), TAKEN_UP_WITHIN_S)
    assert world.run_until(lambda: len(host.machines.there) == len(names), 30.0)
    assert record.state is GridState.UP


def test_the_only_steward_is_soon_given_back_what_it_lost() -> None:
    """Where hosts are few, one may be the whole register. The other carrier asks when it is back."""
    world = calm_world(SEED, peers=2)
    talk = Conversation(world, world.peers[1], (up,))
    assert world.run_until(lambda: talk.over, 60.0)
    (epochs,) = world.invariants.decided.values()
    record = epochs[max(epochs)]
    (steward,) = [world.by_id[peer] for peer in record.stewards]
    assert len(record.carriers()) == 2
    world.run(5.0)
    lose_memory(world, steward, machines=False)
    assert world.run_until(lambda: carries(steward, record.id), TAKEN_UP_WITHIN_S)


def test_without_its_stewards_it_waits_and_ends_nothing() -> None:
    world, record, host = running()
    stewards = [world.by_id[steward] for steward in record.stewards]
    before = dict(host.machines.there)
    for steward in stewards:
        steward.crash()
    lose_memory(world, host)
    world.run(120.0)
    assert host.machines.there == before
    (row,) = node_of(host).host.foundlings.rows()
    assert row.why == "too few of its stewards answer"
    view = PeerView(node_of(host))
    (shown,) = view.unknown(world.now_s)
    assert (shown.name, len(shown.workspaces)) == ("shop", len(before))
    assert sorted(shown.stewards) == sorted(steward.name for steward in stewards)
    (problem,) = [p for p in view.status(world.now_s).problems if p.kind == "unknown"]
    assert "of grid shop unknown to this host: too few of its stewards answer" in problem.what
    for steward in stewards:
        steward.start()
    assert world.run_until(lambda: carries(host, record.id), 90.0)
    assert host.machines.there == before
