"""Whose forwarders must have keys with each other, and whose may not, looked at from outside.

It goes by what stewards decided and by what forwarders were told, and not by how a node finds either.
"""

from collections.abc import Iterable, Iterator
from itertools import combinations

from protocol.grid.expand import names_of
from protocol.grid.model import Encryption
from protocol.grid.record import GridRecord, GridState, spec_of
from protocol.sim.peer import SimPeer
from protocol.terms.ids import PeerId
from protocol.terms.sealed import SealedSession
from protocol.trust.order import read_order

Pair = frozenset[PeerId]


def sealed_pairs(records: Iterable[GridRecord]) -> dict[Pair, GridRecord]:
    """The hosts that have members on one encrypted network, two by two, and of which grid."""
    pairs: dict[Pair, GridRecord] = {}
    for record in records:
        if record.state is not GridState.UP:
            continue
        spec = spec_of(read_order(record.standing))
        host_of = record.placed
        for network in spec.networks:
            members = [
                name
                for cluster in spec.clusters
                if network.name in cluster.networks
                for name in names_of(cluster)
            ]
            hosts = dict.fromkeys(host_of[name] for name in members if name in host_of)
            if network.encryption is not Encryption.NONE:
                pairs |= {frozenset(two): record for two in combinations(hosts, 2)}
    return pairs


def relay_pairs(peers: Iterable[SimPeer]) -> Iterator[Pair]:
    """Hosts and the relays that they ask, two by two."""
    for peer in peers:
        if peer.node is not None:
            partners = peer.node.tunnel_partners
            for other in (*partners.paths.relays(), *partners.lending.ends()):
                yield frozenset((peer.id, other))


def sessions(peer: SimPeer, other: SimPeer) -> tuple[SealedSession, ...]:
    """What a peer's forwarder was told last of another."""
    rows = peer.sealed.peers if peer.sealed is not None else ()
    return next((row.sessions for row in rows if row.peer == other.id), ())


def opens(peer: SimPeer, other: SimPeer) -> bool:
    """Whether the other's forwarder opens what this one's seals for it now."""
    sent = sessions(peer, other)[:1]
    return any(
        (one.peer_index, one.send, one.cipher) == (its.index, its.receive, its.cipher)
        for one in sent
        for its in sessions(other, peer)
    )


def unmatched(
    peers: list[SimPeer], decided: Iterable[GridRecord]
) -> Iterator[tuple[str, tuple[SimPeer, ...]]]:
    """Pairs of these peers that lack keys, with what was decided; and those that have them for nothing."""
    must = sealed_pairs(decided)
    carried = [
        row.record
        for peer in peers
        if peer.node is not None
        for row in peer.node.host.leases.rows()
    ]
    may = {*sealed_pairs(carried), *relay_pairs(peers)}
    for one, other in combinations(peers, 2):
        pair = frozenset((one.id, other.id))
        if pair in must and not (opens(one, other) and opens(other, one)):
            yield f"{one.name} and {other.name} of {must[pair].name} have no keys", (one, other)
        if pair not in may and (sessions(one, other) or sessions(other, one)):
            yield f"{one.name} and {other.name} have keys and no network", (one, other)
