"""What was made under a grant that was revoked since, or for whom the site lends to no more.

Each host ends its own part. The policy of its site says when: with the lease, or at once. At once is a minute
after it was noticed, in which its owner is told. Then its lease is over here, as leases are: guests are asked
to shut down, and disks are kept as long as if it had gone on. Others decide nothing of it, so a host that was
cut off, or down, does the same as soon as it hears of the revocation.

A grid is by the order that was applied to it last. What is judged is what is believed now, again and again. So
within that minute an organisation keeps the grid of a member whose grant it revoked by applying its file, and
if a site takes back a policy, nothing has happened. Other sites' own grids go on: their keys are no
organisation's.
"""

import msgspec

from protocol.contract.authority import Authority
from protocol.contract.outcomes import Answer, NoticeDue, Outcome, RoomChanged
from protocol.grid.record import GridState
from protocol.hosting.lease import Cut, Lease, is_over
from protocol.hosting.leases import Leases
from protocol.hosting.surroundings import HostSurroundings
from protocol.policy.site_policy import Revoked, SitePolicy
from protocol.terms.effects import Deadline, Effect, Note
from protocol.terms.quantities import format_moment
from protocol.trust.order import SignedOrder, claimed

NOTICE_S = 60.0
"""So long its owner knows before a lease ends."""
_EVERY_S = 5.0


class Withdrawn:
    """The leases of one host whose grants do not hold any more."""

    def __init__(
        self, authority: Authority, leases: Leases, around: HostSurroundings, now: float
    ) -> None:
        self._authority, self._leases, self._around = authority, leases, around
        self._look_s = now

    def tick(self, now: float) -> Answer:
        """Judges what is carried here."""
        if now < self._look_s:
            return [], []
        self._look_s = now + _EVERY_S
        policy = self._around.policy()
        effects: list[Effect] = []
        due: list[Outcome] = []
        for row in self._leases.rows():
            if row.record.state is GridState.UP and (more := self._judged(row, policy, now)):
                effects += more
                due += [NoticeDue(row.record.id), RoomChanged()]
        return effects, due

    def next_deadline(self) -> Deadline | None:
        """When to tick; None if nothing is carried, or it all goes on to the end of its lease."""
        policy, rows = self._around.policy(), self._leases.rows()
        at_once = policy is not None and policy.revoked is Revoked.AT_ONCE
        if not rows or not (at_once or any(row.cut for row in rows)):
            return None
        return Deadline(self._look_s, "grants")

    def _judged(self, row: Lease, policy: SitePolicy | None, now: float) -> list[Effect]:
        """What follows for a lease. Nothing if that is as it was, or if it is over."""
        grid, name = row.record.id, row.record.name
        if is_over(self._leases.stage(row)):
            return []
        why = self._why(row.record.standing, policy)
        if not why and row.cut is not None:
            goes_on = Note("lease.restored", name, "what its owner was granted holds again", grid)
            return [self._leases.put(msgspec.structs.replace(row, cut=None), books=True), goes_on]
        if not why or row.cut is not None:
            return []
        cut = Cut(now + NOTICE_S, f"{why}, and this site ends what was made under it")
        text = f"{cut.why}: it ends here at {format_moment(cut.at_s)}"
        row = msgspec.structs.replace(row, cut=cut)
        # It keeps its room in the ledger until it ends: the policy may be taken back before.
        return [self._leases.put(row), Note("lease.withdrawn", name, text, grid)]

    def _why(self, standing: SignedOrder, policy: SitePolicy | None) -> str:
        """Why a grid that is by that order is to end before its lease does; empty if it is not."""
        if policy is None or policy.revoked is not Revoked.AT_ONCE:
            return ""
        if policy.number < self._around.least_policy():
            return ""
        owner = claimed(standing)
        if owner.vo and policy.terms(owner.key) is None:
            return f"{policy.title} names {owner.label} no more"
        return self._authority.revoked(standing)
