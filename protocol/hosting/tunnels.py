"""Where the hosts of carried grids take their networks' traffic: what each told last, and what follows.

Only a host itself says where it is, in a notice that it signed, and only of grids of which it carries part.
What it told is on disk with the lease, so that a restart does not go back to what the record knew.
"""

from collections.abc import Callable, Mapping

import msgspec

from protocol.contract.notices import HeardNotice, Notice
from protocol.contract.outcomes import Answer, NoticeDue, Outcome
from protocol.grid.tunnel import TunnelEnd, end_of, ends_of, mtus, usable
from protocol.hosting.lease import Lease
from protocol.hosting.leases import Leases
from protocol.terms.effects import Effect, Note, Realise
from protocol.terms.ids import GridId, PeerId

Mtus = tuple[tuple[str, int], ...]


class Tunnels:
    """The tunnels of every grid that this host carries part of."""

    def __init__(self, me: PeerId, leases: Leases, own: Callable[[], TunnelEnd | None]) -> None:
        """`own` answers this host's end; None while that is not known."""
        self._me, self._leases, self._own = me, leases, own
        self._begun: dict[GridId, None] = {}

    def begin(self, grid: GridId, about: Mapping[PeerId, HeardNotice]) -> Answer:
        """This host tells of a grid. The first time, what others told before it carried it is heeded."""
        if self._leases.row(grid) is None:
            self._begun.pop(grid, None)
        elif grid not in self._begun:
            self._begun[grid] = None
            answers = [self.heard(peer, heard.notice) for peer, heard in about.items()]
            return [e for some, _ in answers for e in some], [o for _, due in answers for o in due]
        return [], []

    def mtus(self, row: Lease, own: TunnelEnd | None = None) -> Mtus:
        """(network, MTU) of a grid; with another end of this host than it has now, if one is given."""
        told, mine = dict(row.ends), own or self._own()
        if mine is not None:
            told[self._me] = mine
        sizes = {peer: end.mtu for peer, end in ends_of(row.record, told)}
        return mtus(row.record, self._leases.ordered(row).cards, sizes)

    def heard(self, peer: PeerId, notice: Notice) -> Answer:
        """Another host tells of a grid. If it takes traffic elsewhere now, the tunnels are to follow."""
        row, end = self._leases.row(notice.grid), notice.tunnel
        if row is None or end is None or peer == self._me or not usable(end):
            return [], []
        before = end_of(row.record, row.ends, peer)
        if before is None or before == end:
            return [], []
        carriers = row.record.carriers()
        if peer not in carriers:
            return [], []
        ends = (*(e for e in row.ends if e[0] != peer and e[0] in carriers), (peer, end))
        moved = msgspec.structs.replace(row, ends=ends)
        host = row.record.host(peer).name
        effects: list[Effect] = [self._leases.put(moved)]
        if before.underlay != end.underlay:
            detail = f"{host} takes its traffic at {end.underlay}, no more at {before.underlay}"
            effects.append(Note("tunnel.moved", row.record.name, detail, notice.grid))
        more, outcomes = _resized(moved, self.mtus(row), self.mtus(moved), host)
        return [*effects, *more, Realise(notice.grid, notice.grid)], outcomes

    def moved(self, before: TunnelEnd | None) -> Answer:
        """This host's own end is another than `before`: its grids' hosts are told, and its networks follow."""
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


def _resized(row: Lease, before: Mtus, now: Mtus, host: str) -> Answer:
    """What to say of networks that take larger or smaller packets than before."""
    was, record = dict(before), row.record
    notes: list[Effect] = [
        Note(
            "network.mtu",
            f"{record.name}/{network}",
            f"{mtu} now, {was[network]} before, by what {host} carries; guests that run are "
            "told at their next start, their new TCP connections keep to it at once",
            record.id,
        )
        for network, mtu in now
        if was.get(network, mtu) != mtu
    ]
    return notes, [NoticeDue(record.id)] if notes else []
