"""What a grid is now, as faces in other processes read it."""

import msgspec

from protocol.grid.model import ClusterSpec, GridSpec, ImageRef
from protocol.grid.record import GridState, Past
from protocol.node.snapshot import PeerView
from protocol.node.standing import Placed, Standing
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.terms.ids import GridId


def test_faces_read_what_the_peer_says() -> None:
    spec = GridSpec("star", (ClusterSpec("w", 1, ImageRef("guest", "0" * 64), 1000, 1 << 30),))
    past = (Past(2, "apply", 1e9, "ams", "+1 w"),)
    placed = (Placed("w-1", "ams-1", "ams"),)
    standing = Standing(
        GridId("0" * 20 + ".0"), "star", "ams", 2, GridState.UP, spec, placed, spec, past
    )
    assert msgspec.json.decode(msgspec.json.encode(standing), type=Standing) == standing


def test_who_was_asked_knows_what_the_grid_is_and_who_was_not_asked_does_not() -> None:
    world = World(3, 3, 2)
    world.start_all()
    world.run(5.0)
    asked = world.peers[0]
    order = world.admins[asked.site].up(grid_spec("shop", 2), world.now_s)
    world.give(asked, order)
    world.run(20.0)
    views = [PeerView(peer.node) for peer in world.peers if peer.node is not None]
    grid = views[0].grids(world.now_s)[0].grid
    found = views[0].standing(grid)
    assert found is not None
    assert (found.name, found.epoch, found.before) == ("shop", 1, None)
    assert [row.workspace for row in found.placed] == ["web-1", "web-2"]
    assert found.ends_s > world.now_s
    assert [(line.epoch, line.action) for line in found.past] == [(1, "up")]
    assert views[0].standing(GridId("f" * 20 + ".0")) is None
