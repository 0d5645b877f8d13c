"""Where the hosts of carried grids take their networks' traffic: what each told last, and what follows.

Only a host itself says where it is, in the presence that it signed. What it told is on disk with the lease, so
that a restart need not wait for it, and with the incarnation in which it told it, so that nobody who repeats
an older presence leads traffic back to where the host was.
"""

from collections.abc import Callable

import msgspec

from protocol.contract.outcomes import Answer, NoticeDue, Outcome
from protocol.grid.record import GridRecord
from protocol.grid.tunnel import TunnelEnd, mtus, narrowest, newest, same_family
from protocol.hosting.lease import Lease
from protocol.hosting.leases import Leases
from protocol.hosting.surroundings import HostSurroundings
from protocol.terms.effects import Effect, Note, Realise
from protocol.terms.ids import PeerId

Mtus = tuple[tuple[str, int], ...]


class Tunnels:
    """The tunnels of every grid that this host carries part of."""

    def __init__(
        self,
        me: PeerId,
        leases: Leases,
        own: Callable[[], TunnelEnd | None],
        around: HostSurroundings,
    ) -> None:
        """`own` answers this host's end; None while that is not known."""
        self._me, self._leases, self._own, self._around = me, leases, own, around
        self.takes: dict[PeerId, int] = {}
        """What gets to other hosts, where that is less than both said that they carry."""

    def mtus(self, row: Lease, own: TunnelEnd | None = None) -> Mtus:
        """(network, what its guests here are told); with another end of this host, if one is given."""
        sizes = {told.peer: told.end.mtu for told in row.ends}
        if (mine := own or self._own()) is not None:
            sizes[self._me] = mine.mtu
        networks, cards = self._leases.ordered(row).spec.networks, self._leases.cards(row)
        told = mtus(row.record, networks, cards, sizes)
        return narrowest(row.record, networks, cards, told, self.takes)

    def told(self, peers: list[PeerId]) -> Answer:
        """Other hosts' presences say where they take traffic now. Their grids' tunnels are to follow."""
        effects: list[Effect] = []
        outcomes: list[Outcome] = []
        for row in self._leases.rows():
            also = [each.peer for each in row.attached]
            ends = newest(row.record, row.ends, self._around.tunnel, self._me, also)
            if ends != row.ends and any(told.peer in peers for told in ends):
                more, due = self._follow(row, msgspec.structs.replace(row, ends=ends))
                effects, outcomes = effects + more, outcomes + due
        return effects, outcomes

    def _follow(self, row: Lease, moved: Lease) -> Answer:
        grid, record = row.record.id, row.record
        effects: list[Effect] = [self._leases.put(moved)]
        before, after = ({told.peer: told.end for told in r.ends} for r in (row, moved))
        if before == after:
            return effects, []
        others = [peer for peer in after if before.get(peer) != after[peer]]
        own = self._own()
        for peer in others:
            was, now, name = before.get(peer), after[peer].underlay, self._name(record, peer)
            if was is not None and was.underlay != now:
                detail = f"{name} takes its traffic at {now}, no more at {was.underlay}"
                effects.append(Note("tunnel.moved", record.name, detail, grid))
            if own is not None and not same_family(own.underlay, now):
                detail = (
                    f"{name} takes its traffic at {now}, this host at {own.underlay}: nothing leads from IPv4 "
                    "to IPv6, so their workspaces do not meet; give both hosts addresses of one family"
                )
                effects.append(Note("tunnel.apart", record.name, detail, grid))
        names = ", ".join(self._name(record, peer) for peer in others) or "those that are left"
        more, outcomes = _resized(moved, self.mtus(row), self.mtus(moved), names)
        return [*effects, *more, Realise(grid, grid)], outcomes

    def measured(self, takes: dict[PeerId, int]) -> Answer:
        """So much gets to other hosts, as probes found: guests are to be told."""
        if takes == self.takes:
            return [], []
        rows = self._leases.rows()
        before = [self.mtus(row) for row in rows]
        self.takes = takes
        effects: list[Effect] = []
        outcomes: list[Outcome] = []
        for row, was in zip(rows, before, strict=True):
            if (now := self.mtus(row)) != was:
                more, due = _resized(row, was, now, "the paths to other hosts")
                effects += [*more, Realise(row.record.id, row.record.id)]
                outcomes += due
        return effects, outcomes

    def moved(self, before: TunnelEnd | None) -> Answer:
        """This host's own end is another than `before`: its networks follow, and its notices say how."""
        now, effects = self._own(), list[Effect]()
        outcomes: list[Outcome] = []
        if now is None or now == before:
            return [], []
        for row in self._leases.rows():
            grid = row.record.id
            if before is not None:
                effects += _resized(row, self.mtus(row, before), self.mtus(row), "this host")[0]
            effects.append(Realise(grid, grid))
            outcomes.append(NoticeDue(grid))
        return effects, outcomes

    def _name(self, record: GridRecord, peer: PeerId) -> str:
        """What people call a host of a grid, or one that is attached to it."""
        return record.host(peer).name if record.names(peer) else self._around.name(peer)


def _resized(row: Lease, before: Mtus, now: Mtus, hosts: str) -> Answer:
    """What to say of networks that take larger or smaller packets than before."""
    was, record = dict(before), row.record
    notes: list[Effect] = [
        Note(
            "network.mtu",
            f"{record.name}/{network}",
            f"{mtu} now, {was[network]} before, by what {hosts} can carry; guests that run are "
            "told at their next start, their new TCP connections keep to it at once",
            record.id,
        )
        for network, mtu in now
        if was.get(network, mtu) != mtu
    ]
    return notes, [NoticeDue(record.id)] if notes else []
