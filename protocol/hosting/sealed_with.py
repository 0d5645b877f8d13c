"""With which hosts this one exchanges sealed traffic: those with members on a sealed network with members here.

It follows from the records of carried grids, which stewards decided and hosts granted, and from the orders by
which others are attached. So nobody becomes one by saying so.
"""

import msgspec

from protocol.contract.ordered import OrderedGrid
from protocol.grid.addresses import Card
from protocol.grid.carrier import Carrier, carriers_of
from protocol.grid.record import GridRecord, GridState
from protocol.grid.tunnel import ToldEnd, TunnelEnd
from protocol.hosting.lease import Lease
from protocol.hosting.leases import Leases
from protocol.terms.ids import GridId, PeerId


class SealedWithHost(msgspec.Struct, frozen=True):
    """One other host."""

    site: str
    told: ToldEnd | None
    """Where it takes traffic, as it told last; None if it has not."""

    @property
    def end(self) -> TunnelEnd | None:
        """The same, without when it was told."""
        return self.told.end if self.told is not None else None


class SealedWith:
    """What the leases of this host say. What follows from one record is looked for once."""

    def __init__(self, me: PeerId, leases: Leases) -> None:
        self._me, self._leases = me, leases
        self._found: dict[GridId, tuple[GridRecord, tuple[PeerId, ...]]] = {}
        self._rows: list[Lease] = []
        self._hosts: dict[PeerId, SealedWithHost] = {}

    def hosts(self) -> dict[PeerId, SealedWithHost]:
        """Every such host, in the order of leases and records. The same dict as before, if no lease changed."""
        rows = self._leases.rows()
        if len(rows) == len(self._rows) and all(
            a is b for a, b in zip(rows, self._rows, strict=True)
        ):
            return self._hosts
        self._found = {row.record.id: self._of(row) for row in rows}
        hosts: dict[PeerId, SealedWithHost] = {}
        for row in rows:
            record, peers = self._found[row.record.id]
            told = {each.peer: each for each in row.ends}
            sites = {peer: record.host(peer).site for peer in peers}
            sites |= {each.peer: each.site for each in row.attached if each.peer not in sites}
            for peer, site in sites.items():
                newest = _newer(hosts[peer].told if peer in hosts else None, told.get(peer))
                hosts[peer] = SealedWithHost(site, newest)
        self._rows, self._hosts = rows, hosts
        return hosts

    def _of(self, row: Lease) -> tuple[GridRecord, tuple[PeerId, ...]]:
        found = self._found.get(row.record.id)
        if found is not None and found[0] is row.record:
            return found
        cards, ordered = self._leases.cards(row), self._leases.ordered(row)
        return row.record, sharing(row.record, ordered, cards, self._me)


def sharing(
    record: GridRecord, ordered: OrderedGrid, cards: tuple[Card, ...], me: PeerId
) -> tuple[PeerId, ...]:
    """The other hosts of a grid that have a sealed network in common with `me`, in the record's order."""
    if record.state is not GridState.UP:
        return ()
    carriers = carriers_of(record, ordered.spec.networks, cards)
    sealed = {name for name, carrier in carriers.items() if carrier is Carrier.SEALED}
    host_of = record.placed
    there = [(card.network, host_of.get(card.workspace)) for card in cards]
    mine = {network for network, host in there if host == me and network in sealed}
    others = {host: None for network, host in there if network in mine and host not in (me, None)}
    return tuple(peer for peer in record.carriers() if peer in others)


def _newer(one: ToldEnd | None, other: ToldEnd | None) -> ToldEnd | None:
    if one is None or other is None:
        return one or other
    return other if other.incarnation > one.incarnation else one
