"""A whole federation goes by what its sites have published: where grids of a VO go, and where they do not."""

from random import Random

from organisation import Organisation

from protocol.grid.model import GridSpec
from protocol.node.events import RecordGiven
from protocol.node.snapshot import PeerView
from protocol.policy.policy_record import sign_policy
from protocol.policy.site_policy import SitePolicy, VoTerms
from protocol.requesting.request import RequestState
from protocol.sim.peer import SimPeer
from protocol.sim.people import Person, grid_spec
from protocol.sim.world import START_S, World
from protocol.trust.ceilings import Ceilings
from protocol.trust.order import SignedOrder

STAR = Organisation("star", from_s=START_S - 1000, until_s=START_S + 1_000_000)


def grown() -> World:
    world = World(5, 9, 3)
    world.start_all()
    world.run(6.0)
    return world


def publish(world: World, site: str, number: int, *vos: VoTerms) -> None:
    """Some peer of another site is told, and all hear of it."""
    chain = world.federation.site_chain(site)
    said = SitePolicy(site, number, world.now_s, chain, vos=vos)
    teller = next(peer for peer in world.peers if peer.site != site)
    teller.feed(RecordGiven(sign_policy(said, world.federation.site(site))))

    def heard(peer: SimPeer) -> bool:
        assert peer.node is not None
        newest = peer.node.overlay.policies.of(world.federation.site(site).key)
        return newest is not None and newest.number == number

    assert world.run_until(lambda: all(heard(peer) for peer in world.peers), 10.0)


def sites_of(world: World, order: SignedOrder) -> list[str]:
    """The sites of the hosts that carry what was ordered."""
    nodes = [(peer.site, peer.node) for peer in world.peers if peer.node is not None]
    return [
        site for site, node in nodes for row in node.host.leases.rows() if row.record.order == order
    ]


def outcome(world: World, order: SignedOrder) -> tuple[str, str]:
    """What became of an order that is given to the first peer, and why."""
    asked = world.peers[0]
    request = world.give(asked, order)
    assert asked.node is not None
    view = PeerView(asked.node)

    def over() -> bool:
        row = view.request(request)
        return row is not None and row.state is not RequestState.RUNNING

    assert world.run_until(over, 120.0)
    row = view.request(request)
    assert row is not None
    return row.state, " ".join(row.answer)


def grid(name: str) -> GridSpec:
    return grid_spec(name, 2)


def test_a_members_grid_goes_where_sites_let_it_in_and_nowhere_else() -> None:
    world = grown()
    stewards = world.admins["s1"].stewards
    ann = Person(STAR.key_of("ann"), (), STAR.grant("ann"), Random(3), stewards)
    star = VoTerms("star", STAR.signer.key)
    publish(world, "s2", 1, star)
    publish(world, "s3", 1)
    order = ann.up(grid("first"), world.now_s)
    assert outcome(world, order)[0] == "done"
    assert dict.fromkeys(sites_of(world, order)) == {"s2": None}

    publish(world, "s2", 2)
    publish(world, "s3", 2, VoTerms("star", STAR.signer.key, ceiling=Ceilings(lease_s=60)))
    refused = ann.up(grid("second"), world.now_s)
    state, why = outcome(world, refused)
    assert state == "failed"
    assert "star asks for a lease of" in why
    assert "at most a lease of 1 min" in why
    assert sites_of(world, refused) == []
    assert sites_of(world, order), "what was made before goes on"

    other = world.admins["s1"].up(grid("third"), world.now_s)
    assert outcome(world, other)[0] == "done"
    assert dict.fromkeys(sites_of(world, other)) == {"s1": None}, (
        "a site's policy leaves sites out, too"
    )
