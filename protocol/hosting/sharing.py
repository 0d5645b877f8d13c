"""What owners have of this host counts as used in their fair share (policy/shares.py), and is kept on disk.

What a site's policy guarantees is split among its hosts by how much each has, and each keeps its part. A host
that hears of no other keeps all of it, which is only too careful.

It is counted from the host's own ledger: leases, reservations from the moment they are promised, and holds.
What is not on disk yet when the host loses power is less than an hour's, and is forgotten.
"""

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum
from protocol.hosting.surroundings import HostSurroundings
from protocol.policy.guaranteed import part_of
from protocol.policy.shares import HOUR_S, FairShare, Standing, priority, shares_of
from protocol.policy.site_policy import VoTerms
from protocol.terms.effects import Deadline, Effect, Persist, Row, Untidied
from protocol.terms.ids import KeyId

TABLE = "fair-share"
_STEPS_OF_RANK = 50
"""Suspending for a smaller difference would have two owners' work take turns every few minutes."""


def _by(vo: VoTerms, policy: str) -> str:
    """`cms by policy 3 of site ams, line 12`."""
    line = vo.line("guaranteed")
    return f"{vo.name} by {policy}" + (f", line {line.number}" if line is not None else "")


class Sharing:
    """The fair share of one host, and its ledger, which goes by that."""

    def __init__(
        self,
        capacity: Quantum,
        around: HostSurroundings,
        rows: dict[str, bytes],
        now: float,
    ) -> None:
        """Shares are those of the policy that is heard `around`."""
        self._around, self._policy = around, around.policy()
        self._shares = shares_of(self._policy, around.site_key())
        self._fair = FairShare(lambda: self._shares, rows, now)
        self.ledger = Ledger(capacity, now, self._rank)
        self._counted_s = int(now)
        self._write_s = now + HOUR_S
        self._guarantee()

    def advance(self, now: float) -> None:
        """Moves time on, in the ledger too. Shares are those of now from here on."""
        if (policy := self._around.policy()) is not self._policy:
            self._policy = policy
            self._shares = shares_of(policy, self._around.site_key())
        until_s = int(now)
        if until_s > self._counted_s:
            for owner, quantum in self.ledger.taken().items():
                self.count(owner, quantum, self._counted_s, until_s)
            self._counted_s = until_s
            self._guarantee()
        self._fair.advance(now)
        self.ledger.advance(now)

    def count(self, owner: KeyId, quantum: Quantum, from_s: int, until_s: int) -> None:
        """An owner had that quantum from then until then, Unix seconds."""
        self._fair.charge((owner, owner), quantum, from_s, until_s)

    def standing(self, owner: KeyId) -> Standing:
        """How an owner stands here; who has the least comes first."""
        return self._fair.standing((owner, owner), self.ledger.capacity)

    def priority(self, owner: KeyId) -> float:
        """The same from 0 to 1, where who has the most comes first."""
        return priority(self.standing(owner))

    def tick(self, now: float) -> list[Effect]:
        """Writes what was used, once an hour."""
        if now < self._write_s:
            return []
        self._write_s = now + HOUR_S
        rows = tuple(Row(TABLE, key, value) for key, value in self._fair.rows())
        return [Persist(rows, Untidied())] if rows else []

    def next_deadline(self) -> Deadline | None:
        """When to write it."""
        return Deadline(self._write_s, "used") if self.ledger.taken() else None

    def _guarantee(self) -> None:
        """Keeps this host's part of what its site's policy guarantees."""
        vos = self._policy.vos if self._policy is not None else ()
        guaranteed = {vo.key: vo.guaranteed for vo in vos if vo.guaranteed.running != Quantum()}
        if guaranteed:
            own, beside = self.ledger.capacity, self._around.beside()
            guaranteed = {key: part_of(all_, own, beside) for key, all_ in guaranteed.items()}
        title = self._policy.title if self._policy is not None else ""
        by = {vo.key: _by(vo, title) for vo in vos if vo.key in guaranteed}
        self.ledger.guarantee(guaranteed, by)

    def _rank(self, owner: KeyId, offered: Quantum) -> int:
        return self._fair.standing((owner, owner), offered)[0] // _STEPS_OF_RANK
