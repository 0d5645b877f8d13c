"""Best-effort work on this host is suspended when it must make room, and goes on when it may.

`preemption.py` says which clusters are to be off. Here the leases follow that, and their time stands still
meanwhile.
"""

from collections.abc import Callable

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum
from protocol.capacity.rates import Rates
from protocol.contract.authority import Authority
from protocol.hosting.definitions import members_of
from protocol.hosting.lease import Lease, yielded
from protocol.hosting.lease_book import LeaseBook
from protocol.hosting.preemption import Preemption
from protocol.terms.effects import Effect, Note, Realise
from protocol.terms.limits import HEARD_S, SLACK_S
from protocol.terms.quantities import format_moment


class Suspending:
    """Finds the leases of one host that run without room, or are suspended with room, and corrects them."""

    def __init__(
        self,
        book: LeaseBook,
        preemption: Preemption,
        ledger: Ledger,
        authority: Authority,
        rates: Callable[[], Rates],
        now: float,
    ) -> None:
        self._book, self._preemption, self._ledger = book, preemption, ledger
        self._authority, self._rates = authority, rates
        self._heard_s = now + HEARD_S

    def out_of_step(self, row: Lease, now: float) -> bool:
        """Whether a lease is to be suspended, or to go on.

        In the first seconds of a life it is not known what other hosts lack, and before a probe not what this
        one has. Until both are known nothing goes on.
        """
        off = self._preemption.off(row.record.id)
        if not row.yields or off == row.off:
            return False
        known = now >= self._heard_s and self._ledger.capacity != Quantum()
        return known or any(cluster not in row.off for cluster in off)

    def follow(self, row: Lease, now: float) -> list[Effect]:
        """Suspends the lease, or lets it go on, as preemption has it."""
        grid, members = row.record.id, members_of(self._authority, row)
        memory_bytes = sum(members[w.workspace].memory_bytes for w in row.wanted)
        off = self._preemption.off(grid)
        row = yielded(row, off, now, self._rates().restore_s(memory_bytes))
        what = f"makes room: {', '.join(row.off)}{self._for_whom(now)}" if row.off else "goes on"
        note = Note("grid.yields", row.record.name, what, grid)
        return [self._book.change(row), note, Realise(grid, grid)]

    def _for_whom(self, now: float) -> str:
        """The reservation here that needs the room, for people; empty if it is needed elsewhere."""
        soon_s = now + self._preemption.lead_s() + SLACK_S
        firm = [r for r in self._book.rows() if r.record.start_s and not r.yields]
        there = [r for r in firm if r.starts_s <= soon_s and r.ends_s > now]
        newest = max(there, key=lambda r: r.starts_s, default=None)
        if newest is None:
            return ""
        return (
            f"; suspended for reservation {newest.record.name} until {format_moment(newest.ends_s)}"
        )

    def next_s(self) -> float:
        """When to look again; infinite if nothing yields."""
        turn_s = self._preemption.next_s()
        if self._ledger.now_s < self._heard_s and any(row.off for row in self._book.rows()):
            turn_s = min(turn_s, self._heard_s)
        return turn_s
