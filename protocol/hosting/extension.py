"""The host's side of extending a lease: time that is promised, and then used up, or given back."""

from collections.abc import Callable, Container

import msgspec

from protocol.contract.authority import Authority
from protocol.contract.messages import LeaseAsk
from protocol.grid.record import GridState, Register, extension_id, lease_change
from protocol.hosting.bookings import Bookings
from protocol.hosting.lease import UNWARNED, Lease, LeaseStage, Pending, stage_of
from protocol.terms.effects import Note
from protocol.terms.limits import HOLD_S
from protocol.terms.quantities import format_moment
from protocol.trust.order import Action
from protocol.trust.signing import Untrusted
from protocol.wire.codec import Malformed

Lasts = Callable[[Lease], bool]


class Extension:
    """Extensions of one host's leases. It answers changed leases; the lease book puts them in place."""

    def __init__(
        self,
        bookings: Bookings,
        authority: Authority,
        used: Container[str] = frozenset(),
        lasts: Lasts = lambda _: True,
    ) -> None:
        """`used` has the orders whose time was promised once, and is not again. `lasts` says whether a lease
        may last as long as its record says."""
        self._bookings, self._authority, self._used = bookings, authority, used
        self._lasts = lasts

    def promise(
        self, row: Lease | None, ask: LeaseAsk, now: float, stage: LeaseStage | None = None
    ) -> tuple[Lease | None, str]:
        """The lease with the time promised, or None if it stays as it is, and why it is refused, or empty.

        `stage` is the one that the lease is in, if it does not follow from `now`.
        """
        if row is None:
            return None, "one of its hosts does not carry it any more"
        try:
            checked = self._authority.change(ask.order, row.record, now)
            by_s = lease_change(ask.order).by_s
        except (Untrusted, Malformed) as error:
            return None, str(error)
        if checked.order.action is not Action.LEASE or by_s <= 0:
            return None, "the order does not extend a lease"
        if (stage or stage_of(row, now)) is LeaseStage.LAPSED or row.record.state is GridState.DOWN:
            return None, "it is being deleted already"
        if row.halted is not None:
            return None, "its owner ordered it down, which waits for its stewards"
        mark = extension_id(ask.order)
        if any(pending.id == mark for pending in row.pending):
            return None, ""
        if any(extension_id(signed) == mark for signed in row.record.changes):
            return None, ""
        if mark in self._used:
            return None, "this order was voted down; sign it again"
        pending = Pending(mark, by_s, now + HOLD_S)
        longer = msgspec.structs.replace(row, pending=(*row.pending, pending))
        if not self._bookings.fits(longer):
            until = format_moment(row.lease_until_s + by_s)
            return None, f"a host has promised its room until {until}"
        return longer, ""

    def extended(self, old: Lease, row: Lease) -> Lease:
        """`row` with the end that its record says. What `old` had promised for that is used up.

        A record may extend a lease beyond what this host promised, if its owner asked only the stewards. That
        is honoured if there is room, and the site lends it for so long; otherwise this host ends the lease when
        it would have ended before.
        """
        by_s = row.record.extra_s - old.record.extra_s
        decided = [extension_id(signed) for signed in row.record.changes]
        left = tuple(p for p in old.pending if p.id not in decided)
        promised_s = sum(p.by_s for p in old.pending if p.id in decided)
        row = msgspec.structs.replace(row, pending=left)
        if not by_s:
            return row
        end_s = row.lease_until_s + by_s
        longer = msgspec.structs.replace(row, lease_until_s=end_s, warned_s=UNWARNED)
        may = by_s <= promised_s or self._lasts(row)
        return longer if by_s < 0 or (may and self._bookings.fits(longer)) else row

    @staticmethod
    def told(old: Lease | None, row: Lease) -> list[Note]:
        """What a record means for the end of a lease that was here before."""
        grid, name = row.record.id, row.record.name
        if old is None or row.record.extra_s == old.record.extra_s:
            return []
        until = format_moment(row.lease_until_s)
        if row.lease_until_s == old.lease_until_s:
            why = f"not extended here, for the room is promised or its site forbids it; it ends {until}"
            return [Note("lease.refused", name, why, grid)]
        return [Note("lease.changed", name, f"its lease ends {until} now", grid)]

    def refused(self, row: Lease | None, ask: LeaseAsk, why: str, now: float) -> list[Note]:
        """Nothing is promised, for that reason, if there is one. Only who may extend is worth a word."""
        if row is None or not why:
            return []
        try:
            self._authority.change(ask.order, row.record, now)
        except Untrusted:
            return []
        return [Note("lease.refused", row.record.name, f"not extended: {why}", row.record.id)]

    def let_go(self, row: Lease | None, register: Register) -> Lease | None:
        """The lease without the extensions that were voted down; None if none was."""
        if row is None or not row.pending:
            return None
        left = tuple(p for p in row.pending if not register.is_declined(p.id))
        return msgspec.structs.replace(row, pending=left) if left != row.pending else None
