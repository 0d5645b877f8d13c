"""What this host holds and leases for whom.

It keeps no books: what is used follows from the holds, the leases and the ledger each time it is asked.

Whatever is held or leased is used until it is gone, whether it runs, is suspended, or begins next week: who
reserves keeps others from it as well. Of what was terminated, or is over, that is the disks. It is counted by
keys: all belongs to the key that its order begins with, to that of who gave the order, and to those between
them in the chain of grants. So a new grant to the same key gives no more than the larger of the two.
"""

from collections.abc import Collection, Iterator

import msgspec

from protocol.capacity.advert import SPENT_MOST, Spent
from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum, is_port, total
from protocol.contract.authority import Authority
from protocol.grid.lifecycle import Phase, Power
from protocol.hosting.definitions import booked_of
from protocol.hosting.foundlings import Foundlings, machines
from protocol.hosting.hold_row import HoldRow
from protocol.hosting.holds import Holds
from protocol.hosting.lease import Lease, is_over
from protocol.hosting.leases import Leases
from protocol.placement.fit import quantum_of
from protocol.policy.demand import Demand
from protocol.terms.ids import GridId, KeyId
from protocol.terms.refusal import PORTS
from protocol.trust.order import SignedOrder, claimed

_LINES_KEPT = 4096


class Spending:
    """What is used on one host."""

    def __init__(
        self,
        authority: Authority,
        ledger: Ledger,
        holds: Holds,
        leases: Leases,
        foundlings: Foundlings,
    ) -> None:
        self._authority, self._ledger = authority, ledger
        self._holds, self._leases, self._foundlings = holds, leases, foundlings
        self._lines: dict[bytes, tuple[KeyId, ...]] = {}
        """By the signature of an order: by Ed25519 none is of two orders, or of two keys."""
        self._held_takes: dict[GridId, tuple[HoldRow, list[str], Quantum]] = {}
        """What was found that holds take: every hold asks it of all of them."""

    def used(self, key: KeyId, but: GridId | None = None) -> Demand:
        """All that is held or leased here by orders in whose line the key is, `but` for one grid."""
        each = ((order, demand) for grid, order, demand in self._each() if grid != but)
        return _sum([demand for order, demand in each if key in self._line(order)])

    def told(self, but: KeyId) -> tuple[Spent, ...]:
        """The same by key, those with most workspaces, for other hosts; not for `but`, whom nothing limits."""
        each: dict[KeyId, list[Demand]] = {}
        for _, order, demand in self._each():
            for key in dict.fromkeys(self._line(order)):
                each.setdefault(key, []).append(demand)
        each.pop(but, None)
        sums = [(key, _sum(demands)) for key, demands in each.items()]
        sums.sort(key=lambda one: (-one[1].workspaces, one[0]))
        return tuple(_spent(key, demand) for key, demand in sums[:SPENT_MOST])

    def of(self, grid: GridId, names: Collection[str]) -> Demand:
        """What those workspaces of a grid that is held or leased here use."""
        row, lease = self._holds.row(grid), self._leases.row(grid)
        held = [self._held(row, names)] if row is not None else []
        return _sum([*held, *([self._leased(lease, names)] if lease is not None else [])])

    def _each(self) -> Iterator[tuple[GridId, SignedOrder, Demand]]:
        """Everything, with its grid and the order that made it, or is to."""
        for row in self._holds.rows():
            yield row.of or row.grid, row.order, self._held(row, row.workspaces)
        for lease in self._leases.rows():
            names = [wanted.workspace for wanted in lease.wanted]
            yield lease.record.id, lease.record.order, self._leased(lease, names)
        for found in self._foundlings.rows():
            if found.kept is not None and found.kept.lease is not None:
                many = len(machines(found.things))
                record = found.kept.lease.record
                yield record.id, record.order, _demand([found.quantum], many)

    def _held(self, row: HoldRow, names: Collection[str]) -> Demand:
        # What a plan held is not in the ledger while something is to take its place.
        there = [n for n in row.workspaces if n in names and (row.grid, n) in self._ledger]
        new = [name for name in there if not row.of or (row.of, name) not in self._ledger]
        return Demand(self._takes(row, there), len(new))

    def _takes(self, row: HoldRow, there: list[str]) -> Quantum:
        """What those workspaces take by a hold, which does not change."""
        kept = self._held_takes.get(row.grid)
        if kept is None or kept[0] is not row or kept[1] != there:
            members, takes = self._authority.remembered(row.ordered).members, dict(row.takes)
            whole = _demand(
                [takes[n] if n in takes else quantum_of(members[n]) for n in there], 0
            ).quantum
            if len(self._held_takes) >= _LINES_KEPT:
                self._held_takes.clear()
            kept = self._held_takes[row.grid] = row, there, whole
        return kept[2]

    def _leased(self, lease: Lease, names: Collection[str]) -> Demand:
        grid, members = lease.record.id, booked_of(self._authority, lease)
        over = is_over(self._leases.stage(lease))
        phases = {status.workspace: status.phase for status in self._leases.statuses(grid)}
        quanta, workspaces = list[Quantum](), 0
        for wanted in (wanted for wanted in lease.wanted if wanted.workspace in names):
            name, phase = wanted.workspace, phases.get(wanted.workspace)
            gone = wanted.power is Power.GONE and phase is Phase.GONE
            if gone or (over and phase in (Phase.EXPIRED, Phase.SUSPENDED)):
                spans = self._ledger.spans((grid, name))
                quanta += [spans[-1].quantum.kept] if spans else []
            else:
                quanta.append(quantum_of(members[name]))
                workspaces += 1
        return _demand(quanta, workspaces)

    def _line(self, order: SignedOrder) -> tuple[KeyId, ...]:
        line = self._lines.get(order.signature)
        if line is None:
            if len(self._lines) >= _LINES_KEPT:
                self._lines.clear()
            line = self._lines[order.signature] = claimed(order).line
        return line


def _demand(quanta: list[Quantum], workspaces: int) -> Demand:
    """Ports are no devices here."""
    whole = total(quanta)
    devices = tuple(d for d in whole.devices if d[0] != PORTS and not is_port(d[0]))
    return Demand(msgspec.structs.replace(whole, devices=devices), workspaces)


def _spent(key: KeyId, demand: Demand) -> Spent:
    cpus_milli, memory_bytes = demand.quantum.cpus_milli, demand.quantum.memory_bytes
    devices = sum(count for _, count in demand.quantum.devices)
    disk_bytes = demand.quantum.disk_bytes
    return Spent(key, cpus_milli, memory_bytes, disk_bytes, demand.workspaces, devices)


def _sum(demands: list[Demand]) -> Demand:
    return Demand(total(d.quantum for d in demands), sum(d.workspaces for d in demands))
