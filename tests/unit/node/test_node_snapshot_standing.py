"""What a grid is now, as faces in other processes read it."""

import msgspec

from protocol.grid.model import ClusterSpec, GridSpec, ImageRef
from protocol.grid.record import GridState
from protocol.node.snapshot import PeerView
from protocol.node.standing import PastRow, Placed, Standing
from protocol.requesting.events import GridsAsked
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.terms.ids import GridId


def test_faces_read_what_the_peer_says() -> None:
    spec = GridSpec("star", (ClusterSpec("w", 1, ImageRef("guest", "0" * 64), 1000, 1 << 30),))
    past = (PastRow(2, "apply", 1e9, "ams", "+1 w"),)
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
    assert views[0].carriers(grid) == (("lan", "plain"),)
    assert views[0].carriers(GridId("f" * 20 + ".0")) == ()


def test_a_host_that_carries_nothing_of_it_any_more_can_look_it_up() -> None:
    world = World(3, 3, 2)
    world.start_all()
    world.run(5.0)
    asked = world.peers[0]
    admin = world.admins[asked.site]
    world.give(asked, admin.up(grid_spec("shop", 3), world.now_s))
    world.run(20.0)
    assert asked.node is not None
    (row,) = PeerView(asked.node).grids(world.now_s)
    for epoch, count in ((1, 1), (2, 2), (3, 1)):
        world.give(asked, admin.apply(grid_spec("shop", count), epoch, world.now_s))
        world.run(20.0)
    dropped = [
        peer
        for peer in world.peers
        if peer.node is not None and peer.node.host.leases.row(row.grid) is None
    ]
    assert len(dropped) > 1, "it is on one host"
    for peer in dropped:
        assert peer.node is not None
        view = PeerView(peer.node)
        assert [known.epoch for known in view.grids(world.now_s)] == [4]
        peer.feed(GridsAsked("shop"))
        world.run(2.0)
        found = view.standing(row.grid)
        assert found is not None
        assert found.epoch == 4


def test_a_record_that_is_older_than_what_is_known_is_not_what_the_grid_is() -> None:
    """A host read it before it carried the grid, and was left out of it later."""
    world = World(3, 3, 2)
    world.start_all()
    world.run(5.0)
    asked = world.peers[0]
    admin = world.admins[asked.site]
    world.give(asked, admin.up(grid_spec("shop", 1), world.now_s))
    world.run(20.0)
    assert asked.node is not None
    (row,) = PeerView(asked.node).grids(world.now_s)
    for peer in world.peers:
        peer.feed(GridsAsked("shop"))
    for epoch, count in ((1, 3), (2, 1)):
        world.give(asked, admin.apply(grid_spec("shop", count), epoch, world.now_s))
        world.run(20.0)
    for peer in world.peers:
        assert peer.node is not None
        view = PeerView(peer.node)
        found = view.standing(row.grid)
        assert found is None or found.epoch == 3, peer.name
        peer.feed(GridsAsked("shop"))
        world.run(2.0)
        found = view.standing(row.grid)
        assert found is not None
        assert found.epoch == 3
