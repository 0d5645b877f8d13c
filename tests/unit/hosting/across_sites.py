"""A federation whose sites let in members of one VO, each with a ceiling that counts at all of them."""

from collections.abc import Callable
from random import Random

import msgspec
from organisation import Organisation

from protocol.capacity.allotments import Amounts
from protocol.contract.spends import total
from protocol.grid.model import GridSpec, PlacementSpec
from protocol.grid.record import GridState
from protocol.hosting.allotting import amounts
from protocol.hosting.lease import is_over
from protocol.node.events import RecordGiven
from protocol.node.node import Node
from protocol.node.snapshot import PeerView
from protocol.policy.policy_record import sign_policy
from protocol.policy.site_policy import SitePolicy, VoTerms
from protocol.requesting.request import RequestState
from protocol.sim.peer import SimPeer
from protocol.sim.people import Person, grid_spec
from protocol.sim.world import START_S, World
from protocol.terms.ids import PeerId, RequestId
from protocol.trust.ceilings import Ceilings
from protocol.trust.order import SignedOrder

STAR = Organisation("star", from_s=START_S - 1000, until_s=START_S + 10_000_000)


def node(peer: SimPeer) -> Node:
    assert peer.node is not None
    return peer.node


class Federation:
    """Nine hosts at three sites, and a member that may have four workspaces at all of them together."""

    def __init__(self, seed: int = 5, workspaces: int = 4) -> None:
        self.world = world = World(seed, 9, 3)
        world.start_all()
        world.run(6.0)
        self.ann = self.member("ann", workspaces)
        for site in ("s1", "s2", "s3"):
            self.publish(site)

    def member(
        self, name: str, workspaces: int, stewards: Callable[[], tuple[PeerId, ...]] | None = None
    ) -> Person:
        """One with that ceiling. Its orders name stewards of the first site, unless others are given."""
        grants = STAR.grant(name, ceilings=Ceilings(workspaces=workspaces))
        chosen = stewards or self.world.admins["s1"].stewards
        return Person(STAR.key_of(name), (), grants, Random(f"{name}{workspaces}"), chosen)

    def publish(self, site: str) -> None:
        world = self.world
        chain, key = world.federation.site_chain(site), world.federation.site(site)
        star = VoTerms("star", STAR.signer.key)
        said = SitePolicy(site, 1, world.now_s, chain, vos=(star,))
        teller = self.at(site)[0]
        teller.feed(RecordGiven(sign_policy(said, key)))

        def heard(peer: SimPeer) -> bool:
            return node(peer).overlay.policies.of(key.key) is not None

        assert world.run_until(lambda: all(map(heard, world.peers)), 10.0)

    def at(self, site: str) -> list[SimPeer]:
        return [peer for peer in self.world.peers if peer.site == site]

    def grid(self, name: str, count: int, *sites: str) -> GridSpec:
        spec = grid_spec(name, count)
        return msgspec.structs.replace(spec, placement=PlacementSpec(sites=sites))

    def asks(
        self, name: str, count: int, *sites: str, by: Person | None = None
    ) -> tuple[SimPeer, RequestId, SignedOrder]:
        """Given to a peer of the first site."""
        asked = self.at(sites[0])[0]
        order = (by or self.ann).up(self.grid(name, count, *sites), self.world.now_s)
        return asked, self.world.give(asked, order), order

    def outcome(self, asked: SimPeer, request: RequestId) -> tuple[str, str]:
        """What became of it, and why."""

        def over() -> bool:
            row = PeerView(node(asked)).request(request)
            return row is not None and row.state is not RequestState.RUNNING

        assert self.world.run_until(over, 120.0)
        row = PeerView(node(asked)).request(request)
        assert row is not None
        return row.state, " ".join(row.answer)

    def up(self, name: str, count: int, *sites: str, by: Person | None = None) -> tuple[str, str]:
        asked, request, _ = self.asks(name, count, *sites, by=by)
        return self.outcome(asked, request)

    def running(self) -> dict[str, int]:
        """How many workspaces of each grid are there, and not over."""
        names: dict[str, int] = {}
        for peer in self.world.peers:
            leases = node(peer).host.leases
            for row in leases.rows():
                if not is_over(leases.stage(row)) and row.record.state is GridState.UP:
                    names[row.record.name] = names.get(row.record.name, 0) + len(row.wanted)
        return names

    def told(self, name: str, kind: str) -> list[str]:
        """The sites of the hosts in whose part of a grid's story there is a line of that kind."""
        sites = [
            peer.site
            for peer in self.world.peers
            for row in node(peer).host.leases.rows()
            if row.record.name == name
            and any(line.kind == kind for line in node(peer).host.chronicle.story(row.record.id))
        ]
        return list(dict.fromkeys(sites))

    def used(self) -> Amounts:
        """What the hosts' own ledgers say of all that the member has."""
        key = self.ann.signer.key
        hosts = [node(peer).host for peer in self.world.peers]
        return total(amounts(host._spending.used(key)) for host in hosts)
