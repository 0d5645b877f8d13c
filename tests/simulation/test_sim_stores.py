"""A steward's disk is restored from a backup, or lost: it has another store then, and undoes nothing."""

from copy import deepcopy

import pytest
from sim_calm import answer, calm_world, node_of
from sim_conversation import Conversation, up

from protocol.grid.record import GridRecord, GridState
from protocol.requesting.events import OrderGiven
from protocol.sim.peer import SimPeer
from protocol.sim.world import World
from protocol.terms.ids import RequestId, StoreId
from protocol.trust.order import Action, read_order

SEED = 11
Disk = dict[str, dict[str, bytes]]


def store_of(peer: SimPeer) -> StoreId:
    return node_of(peer).overlay.past.store.id


def restarted(world: World, peers: list[SimPeer]) -> None:
    for peer in peers:
        peer.crash()
        world.run(0.5)
        peer.start()
        world.run(3.0)


def begun() -> tuple[World, dict[SimPeer, Disk]]:
    """A world before there is a grid, and backups of its disks. All were restarted since, so all said more."""
    world = calm_world(SEED, 6)
    world.run(5.0)
    backups = {peer: deepcopy(peer.store) for peer in world.peers}
    restarted(world, world.peers)
    restarted(world, world.peers)
    return world, backups


def with_grid(world: World) -> tuple[GridRecord, list[SimPeer]]:
    """The record of a grid that is up, and its stewards."""
    talk = Conversation(world, world.peers[1], (up,))
    assert world.run_until(lambda: talk.over, 60.0)
    (epochs,) = world.invariants.decided.values()
    record = epochs[max(epochs)]
    return record, [world.by_id[steward] for steward in record.stewards]


def restore(world: World, peer: SimPeer, disk: Disk, away_s: float = 2.0) -> None:
    peer.crash()
    world.run(away_s)
    peer.store = deepcopy(disk)
    peer.start()


def test_orders_name_the_stores_that_their_stewards_have() -> None:
    world, _ = begun()
    record, stewards = with_grid(world)
    assert read_order(record.order).stores == tuple(store_of(peer) for peer in stewards)
    restarted(world, stewards)
    assert read_order(record.order).stores == tuple(store_of(peer) for peer in stewards)


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("how", ["restored from a backup", "with a new disk"])
def test_a_steward_that_forgot_takes_another_store_and_undoes_nothing(which: int, how: str) -> None:
    world, backups = begun()
    record, stewards = with_grid(world)
    lost = stewards[which]
    before = store_of(lost)
    restore(world, lost, backups[lost] if how.startswith("restored") else {})
    other = next(p for p in world.peers if p not in stewards)
    assert world.run_until(lambda: store_of(lost) != before, 5.0)
    assert lost.store["self"]["store"] == store_of(lost).encode(), "on its disk"
    # One of the two that remember is away: now the third must not pass for one that accepted nothing.
    gone = stewards[(which + 1) % 3]
    gone.crash()
    world.run(30.0)
    assert node_of(lost).registers.acceptor.get(str(record.id).partition(".")[0]) is None
    (epochs,) = world.invariants.decided.values()
    assert max(epochs) == record.epoch, "nothing else was decided"
    gone.start()
    world.run(5.0)
    down = world.admins["s1"].order(Action.DOWN, "shop", world.now_s)
    other.feed(OrderGiven(RequestId("down"), down))
    assert answer(world, other, RequestId("down")).state == "done"
    (epochs,) = world.invariants.decided.values()
    assert epochs[max(epochs)].state is GridState.DOWN
    kept = store_of(lost)
    restarted(world, [lost])
    assert store_of(lost) == kept, "and it keeps the new one"


def test_a_clone_and_its_original_take_other_stores() -> None:
    """Whoever sees that its key said more than its own disk did may have promised less than was promised."""
    world, backups = begun()
    peer = world.peers[3]
    before = store_of(peer)
    clone = deepcopy(backups[peer])
    restore(world, peer, clone)
    assert world.run_until(lambda: store_of(peer) != before, 5.0)
    assert peer.notes["store.renewed"] == 1
    world.run(120.0)
    assert peer.notes["store.renewed"] == 1, "once is enough"


def test_nobody_takes_another_store_for_a_restart() -> None:
    world, _ = begun()
    assert sum(peer.notes["store.renewed"] for peer in world.peers) == 0


def test_a_backup_of_the_same_life_is_found_out_by_what_the_other_stewards_have() -> None:
    """Its numbers say nothing: nobody heard of a later life. Who proposes shows it what it signed."""
    world = calm_world(SEED, 6)
    world.run(5.0)
    backups = {peer: deepcopy(peer.store) for peer in world.peers}
    _, stewards = with_grid(world)
    lost = stewards[1]
    before = store_of(lost)
    restore(world, lost, backups[lost])
    world.run(10.0)
    assert store_of(lost) == before, "nothing that it heard shows what it forgot"
    down = world.admins["s1"].order(Action.DOWN, "shop", world.now_s)
    other = next(p for p in world.peers if p not in stewards)
    other.feed(OrderGiven(RequestId("down"), down))
    assert answer(world, other, RequestId("down")).state == "done"
    world.run(5.0)
    assert store_of(lost) != before
    assert all(peer.notes["peer.equivocated"] == 0 for peer in world.peers), "nobody is blamed"
    (epochs,) = world.invariants.decided.values()
    assert epochs[max(epochs)].state is GridState.DOWN


def test_a_restored_host_takes_another_store_and_keeps_that_and_nobody_else_does() -> None:
    world = calm_world(SEED, 6)
    world.run(5.0)
    lost = world.peers[3]
    backup: Disk = deepcopy(lost.store)
    before = {peer: store_of(peer) for peer in world.peers}
    restarted(world, world.peers)
    restarted(world, [lost])
    assert {peer: store_of(peer) for peer in world.peers} == before, "a restart changes nothing"
    lost.crash()
    world.run(2.0)
    lost.store = deepcopy(backup)
    lost.start()
    assert world.run_until(lambda: store_of(lost) != before[lost], 5.0)
    after = store_of(lost)
    assert lost.store["self"]["store"] == after.encode(), "it is on its disk"
    restarted(world, [lost])
    world.run(60.0)
    assert store_of(lost) == after
    assert lost.notes["store.renewed"] == 1, "once is enough"
    others = [peer for peer in world.peers if peer is not lost]
    assert {peer: store_of(peer) for peer in others} == {peer: before[peer] for peer in others}
    known = [node_of(peer).membership.known[lost.id].store for peer in others]
    assert known == [after] * len(others), "everybody hears of it"
