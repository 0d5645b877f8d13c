"""WireGuard carries a network if all of its hosts granted so; all of them read the same, through changes."""

import msgspec
import pytest

from protocol.grid.carrier import Carrier, carriers_of
from protocol.grid.model import Encryption
from protocol.node.events import Probed
from protocol.node.snapshot import PeerView
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.terms.wireguard import WireguardEnd

WITHIN_S = 20.0
SEALED, INSIDE = Carrier.SEALED, Carrier.WIREGUARD


def view(peer: SimPeer) -> PeerView:
    assert peer.node is not None
    return PeerView(peer.node)


class Scene:
    """Four hosts that have WireGuard, and a grid over two of them."""

    def __init__(self, seed: int) -> None:
        self.world = world = World(seed, 4, 2)
        world.start_all()
        world.run(5.0)
        for number, peer in enumerate(world.peers):
            self.has(peer, WireguardEnd(bytes((number + 1,)) * 32, 7701))
        world.run(5.0)
        self.asked = world.peers[0]
        self.admin = world.admins[self.asked.site]

    def has(self, peer: SimPeer, end: WireguardEnd | None) -> None:
        """What that host found out of itself."""
        peer.facts = msgspec.structs.replace(view(peer).facts, wireguard=end)
        peer.feed(Probed(peer.facts))

    def up(self) -> None:
        spec = grid_spec("shop", encryption=Encryption.REQUIRED)
        self.world.give(self.asked, self.admin.up(spec, self.world.now_s))
        assert self.world.run_until(lambda: len(self.carriers()) == 2, WITHIN_S)

    def grows(self) -> None:
        """A third workspace, on a host of its own."""
        spec = grid_spec("shop", 3, encryption=Encryption.REQUIRED)
        (row,) = view(self.asked).grids(self.world.now_s)
        self.world.give(self.asked, self.admin.apply(spec, row.epoch, self.world.now_s))
        assert self.world.run_until(lambda: len(self.carriers()) == 3, WITHIN_S)

    def carriers(self) -> list[SimPeer]:
        return [peer for peer in self.world.peers if peer.up and view(peer).carried()]

    def by(self) -> list[Carrier]:
        """What each of its hosts has the network carried by."""
        found = []
        for peer in self.carriers():
            (grid,) = view(peer).carried()
            part = view(peer).part_of(grid)
            assert part is not None
            found.append(carriers_of(part.record, part.spec.networks, part.cards)["lan"])
        return found


def test_a_host_that_a_change_brings_decides_for_all() -> None:
    scene = Scene(1)
    scene.up()
    assert scene.by() == [INSIDE, INSIDE]
    scene.grows()
    assert scene.world.run_until(lambda: scene.by() == [INSIDE] * 3, WITHIN_S)


@pytest.mark.parametrize("seed", [2, 3])
def test_one_without_has_the_network_sealed_everywhere(seed: int) -> None:
    scene = Scene(seed)
    scene.up()
    for peer in scene.world.peers:
        if peer not in scene.carriers():
            scene.has(peer, None)
    scene.world.run(5.0)
    assert scene.by() == [INSIDE, INSIDE]
    scene.grows()
    assert scene.world.run_until(lambda: scene.by() == [SEALED] * 3, WITHIN_S)
    for peer in scene.carriers():
        peer.crash()
        peer.start()
    assert scene.world.run_until(lambda: scene.by() == [SEALED] * 3, WITHIN_S), "also restarted"


def test_what_was_granted_holds_though_a_host_can_do_it_no_more() -> None:
    """Or some of its hosts would seal what others take from WireGuard alone."""
    scene = Scene(4)
    scene.up()
    scene.has(scene.carriers()[0], None)
    scene.world.run(5.0)
    assert scene.by() == [INSIDE, INSIDE]
    (grid,) = view(scene.carriers()[1]).carried()
    part = view(scene.carriers()[1]).part_of(grid)
    assert part is not None
    assert [end.wireguard for _, end in part.ends] == [None], "its key is gone, so nothing is sent"
