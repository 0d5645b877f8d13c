"""What the requesting side of a host knows of its elastic grids."""

import msgspec

from protocol.grid.model import LeaseTerms
from protocol.node.elastic import ElasticGrids
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.terms.ids import GridId


def test_those_that_run_and_may_be_larger() -> None:
    world = World(3, 3, 2)
    world.start_all()
    world.run(5.0)
    asked = world.peers[0]
    spec = grid_spec("shop", 3, lease=LeaseTerms(best_effort=True))
    (cluster,) = spec.clusters
    cluster = msgspec.structs.replace(cluster, count=3, minimum=1, elastic=True)
    spec = msgspec.structs.replace(spec, clusters=(cluster,))
    admin = world.admins[asked.site]
    world.give(asked, admin.up(spec, world.now_s))
    world.run(20.0)
    elastic = [ElasticGrids(peer.node.host) for peer in world.peers if peer.node is not None]
    assert [each.elastic() for each in elastic] == [[], [], []], "all of it is there"
    (row,) = [r for p in world.peers[:1] if p.node for r in p.node.host.leases.rows()]
    more = msgspec.structs.replace(spec, clusters=(msgspec.structs.replace(cluster, count=9),))
    world.give(asked, admin.apply(more, row.record.epoch, world.now_s))
    seen = world.run_until(lambda: any(each.elastic() for each in elastic), 5.0)
    assert seen
    found = next(grids for each in elastic if (grids := each.elastic()))
    assert found[0].record.name == "shop"
    assert found[0].ends_s > world.now_s
    assert elastic[0].stewards(row.record.id) == row.stewards
    assert elastic[0].stewards(GridId("none")) == ()
    assert elastic[0].own().refused is None
