"""A host's disk is restored from a backup: it finds out from what others remember, and is another store."""

from copy import deepcopy

from sim_calm import calm_world, node_of

from protocol.sim.peer import SimPeer
from protocol.sim.world import World
from protocol.terms.ids import StoreId

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
