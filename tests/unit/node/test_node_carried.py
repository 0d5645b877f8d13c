"""Which grid carried here an order is about: its owner's, and nobody else's."""

import pytest

from protocol.node.carried import NotYours, carried
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.trust.order import Action


def test_the_owners_order_is_about_the_grid_as_it_is_carried() -> None:
    world = World(3, 3, 2)
    world.start_all()
    world.run(5.0)
    asked, other = world.peers[0], world.peers[1]
    assert asked.site != other.site
    owner, rival = world.admins[asked.site], world.admins[other.site]
    world.give(asked, owner.up(grid_spec("shop", 1), world.now_s))
    world.run(20.0)
    (node,) = [p.node for p in world.peers if p.node is not None and p.node.host.leases.rows()]
    (lease,) = node.host.leases.rows()
    grid, now = lease.record.id, world.now_s
    owners = owner.order(Action.CONSOLE, grid, now, workspace="web-1")
    assert carried(node, node.authority.order(owners, now, fresh=True)) == lease
    rivals = rival.order(Action.CONSOLE, grid, now, workspace="web-1")
    with pytest.raises(NotYours, match=f"shop belongs to site {asked.site}'s admin"):
        carried(node, node.authority.order(rivals, now, fresh=True))
    unknown = owner.order(Action.CONSOLE, "f" * 20, now, workspace="web-1")
    assert carried(node, node.authority.order(unknown, now, fresh=True)) is None
