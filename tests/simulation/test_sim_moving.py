"""Hosts that move: the other hosts of their grids follow what they tell, also after restarts of either."""

import msgspec
import pytest

from protocol.grid.tunnel import TunnelEnd
from protocol.node.events import Probed, Readdressed
from protocol.node.snapshot import PeerView
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.world import World

WITHIN_S = 10.0
FIRST, NEXT = TunnelEnd("192.0.2.50", 1350, 7700), TunnelEnd("192.0.2.51", 1400, 7700)


def view(peer: SimPeer) -> PeerView:
    assert peer.node is not None
    return PeerView(peer.node)


class Moving:
    """A grid over two of four hosts."""

    def __init__(self, seed: int) -> None:
        self.world = world = World(seed, 4, 2)
        world.start_all()
        world.run(5.0)
        self.asked = world.peers[0]
        world.give(self.asked, world.admins[self.asked.site].up(grid_spec("shop"), world.now_s))
        assert world.run_until(lambda: len(self.carriers()) == 2, 20.0)
        self.one, self.other = self.carriers()
        (self.grid,) = view(self.one).carried()

    def carriers(self) -> list[SimPeer]:
        return [peer for peer in self.world.peers if peer.up and view(peer).carried()]

    def moves(self, peer: SimPeer, end: TunnelEnd) -> None:
        """That host has another address now."""
        peer.facts = msgspec.structs.replace(view(peer).facts, underlay=end.underlay, mtu=end.mtu)
        peer.feed(Probed(peer.facts))

    def follows(self, end: TunnelEnd) -> bool:
        """Whether the second host sends there what is for the first."""
        part = view(self.other).part_of(self.grid)
        return part is not None and dict(part.ends)[self.one.id] == end

    def mtu(self) -> int:
        """What everybody is told of the grid's network."""
        (row,) = view(self.asked).grids(self.world.now_s)
        return dict(row.networks)["lan"]


@pytest.mark.parametrize("seed", [1, 2])
def test_other_hosts_follow_a_host_that_moves_through_restarts_of_both(seed: int) -> None:
    scene = Moving(seed)
    world = scene.world
    scene.moves(scene.one, FIRST)
    assert world.run_until(lambda: scene.follows(FIRST), WITHIN_S)
    assert world.run_until(lambda: scene.mtu() == FIRST.mtu, WITHIN_S), "the least counts"
    scene.other.crash()
    scene.other.start()
    assert scene.follows(FIRST), "from its disk, before it hears anybody"
    scene.one.crash()
    scene.one.facts = msgspec.structs.replace(scene.one.facts, underlay=NEXT.underlay, mtu=NEXT.mtu)
    scene.one.start()
    assert world.run_until(lambda: scene.follows(NEXT), WITHIN_S), "it moved while it was away"
    assert world.run_until(lambda: scene.mtu() == NEXT.mtu, WITHIN_S)


def test_a_move_while_the_other_host_is_away_is_heard_when_it_is_back() -> None:
    scene = Moving(3)
    scene.other.crash()
    scene.moves(scene.one, FIRST)
    scene.world.run(5.0)
    scene.other.start()
    assert scene.world.run_until(lambda: scene.follows(FIRST), WITHIN_S)


def test_everybody_dials_a_peer_where_it_says_that_it_is_now() -> None:
    world = World(4, 4, 2)
    world.start_all()
    world.run(5.0)
    mover, where = world.peers[1], "10.200.0.1:7000"
    mover.feed(Readdressed(where))
    others = [peer for peer in world.peers if peer is not mover]

    def all_know() -> bool:
        rows = [row for p in others for row in view(p).peers(world.now_s) if row.peer == mover.id]
        return len(rows) == len(others) and all(row.address == where for row in rows)

    assert world.run_until(all_know, WITHIN_S)
