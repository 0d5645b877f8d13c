"""How a host reaches the others of a grid that it carries, as it tells."""

import msgspec

from protocol.grid.model import Encryption
from protocol.node.snapshot import PeerView
from protocol.sim.peer import PROBED_S, SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.terms.ids import GridId
from protocol.terms.paths import PathTold


class Scene:
    """`shop` is on two of three hosts, each of a site of its own."""

    def __init__(self, encryption: Encryption) -> None:
        self.world = world = World(7, 3, 3)
        world.start_all()
        world.run(5.0)
        asked = world.peers[0]
        world.give(
            asked,
            world.admins[asked.site].up(grid_spec("shop", encryption=encryption), world.now_s),
        )
        world.run(10.0)
        here = [p for p in world.peers if p.node is not None and p.node.host.leases.rows()]
        self.one, self.other = here
        (self.stranger,) = (p for p in world.peers if p not in here)

    def paths(self, peer: SimPeer) -> tuple[PathTold, ...] | None:
        assert peer.node is not None
        assert self.one.node is not None
        (row,) = self.one.node.host.leases.rows()
        return PeerView(peer.node).paths(row.record.id)


def test_a_sealed_path_is_told_with_what_seals_it_and_where_it_goes() -> None:
    scene = Scene(Encryption.REQUIRED)
    told = scene.paths(scene.one)
    assert told is not None
    (path,) = told
    assert scene.other.facts is not None
    assert path == PathTold(
        network=path.network,
        peer=scene.other.id,
        carrier="sealed",
        cipher="aes-256-gcm",
        loop="python",
        mtu=1418,
        place=path.place,
        round_trip_s=PROBED_S,
        probes=path.probes,
    )
    assert path.place.endswith(":7700")
    assert path.probes > 0
    scene.one.forwards(anew=True)
    (path,) = scene.paths(scene.one) or ()
    assert path.place == f"{scene.other.facts.underlay}:7700", "as it told, while nothing came back"
    assert path.probes == 0
    msgspec.msgpack.decode(msgspec.msgpack.encode(told), type=tuple[PathTold, ...])


def test_a_plain_path_is_told_as_one() -> None:
    scene = Scene(Encryption.NONE)
    (path,) = scene.paths(scene.one) or ()
    assert scene.other.facts is not None
    assert (path.carrier, path.cipher, path.loop) == ("plain", "", "")
    assert (path.mtu, path.place) == (1450, scene.other.facts.underlay)


def test_without_keys_it_says_that_nothing_seals_it_now() -> None:
    scene = Scene(Encryption.REQUIRED)
    scene.other.crash()
    scene.one.forwards(anew=True)
    (path,) = scene.paths(scene.one) or ()
    assert (path.carrier, path.cipher) == ("sealed", "")


def test_who_carries_nothing_of_a_grid_tells_nothing_of_it() -> None:
    scene = Scene(Encryption.NONE)
    assert scene.paths(scene.stranger) is None
    assert scene.one.node is not None
    assert PeerView(scene.one.node).paths(GridId("another")) is None
