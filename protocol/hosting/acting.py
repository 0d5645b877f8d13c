"""Orders about workspaces of one host: to pause, resume, restart, rebuild, suspend, restore them, or end all.

What is ordered is on disk, then answered, then brought about.
"""

from collections.abc import Callable

import msgspec

from protocol.capacity.advert import ImageLabel
from protocol.contract.authority import Authority
from protocol.contract.messages import Act, ActReply
from protocol.contract.outcomes import Answer, NoticeDue, RoomChanged
from protocol.grid.record import GridState
from protocol.hosting.auditing import Auditing
from protocol.hosting.definitions import members_of
from protocol.hosting.following import after as followed
from protocol.hosting.following import note_of
from protocol.hosting.handing_over import waits_for
from protocol.hosting.lease import Lease, allowed
from protocol.hosting.lease_book import LeaseBook
from protocol.hosting.taking_up import TakingUp
from protocol.terms.effects import Effect, Note, Realise, Send
from protocol.terms.ids import PeerId
from protocol.trust.order import Action, read_order
from protocol.trust.signing import Untrusted
from protocol.trust.used import UsedOrders

CHANGING = "a change of it is being decided\n  would work: the same again in a few seconds"
"""Why something waits for a change of a grid for which this host holds."""


class Acting:
    """What the leases of one host become by such orders."""

    def __init__(
        self,
        book: LeaseBook,
        authority: Authority,
        used: UsedOrders,
        auditing: Auditing,
        taking_up: TakingUp,
        images: Callable[[], tuple[ImageLabel, ...]],
    ) -> None:
        """`images` answers what this host has."""
        self._book, self._authority, self._used = book, authority, used
        self._auditing, self._taking_up, self._images = auditing, taking_up, images

    def act(self, sender: PeerId, message: Act, now: float) -> Answer:
        """Does what is ordered, or says why not. The same order twice is one."""
        row = self._book.row(message.grid)
        if row is None:
            return [_reply(sender, message, "", "this host does not carry that grid")], []
        try:
            checked = self._authority.change(message.order, row.record, now)
        except Untrusted as error:
            return [_reply(sender, message, "", str(error))], []
        order = checked.order
        if order.action is Action.DOWN:
            return self._halt(sender, message, row, now)
        if row.halted is not None:
            why = "its owner ordered it down, which waits for its stewards"
            return [_reply(sender, message, order.workspace, why)], []
        if checked.id in self._used or any(seen == checked.id for seen, _ in row.acted):
            return [_reply(sender, message, order.workspace, "")], []
        if full := self._used.full(checked.owner.key, now):
            return [_reply(sender, message, order.workspace, full)], []
        if not_now := allowed(row, self._book.stage(row), order.action, now):
            return [_reply(sender, message, order.workspace, not_now)], []
        meant = [w for w in row.wanted if order.workspace in ("", w.workspace)]
        if not meant:
            why = f"this host does not carry {order.workspace}"
            return [_reply(sender, message, order.workspace, why)], []
        told = self._book.told.get(message.grid, {})
        members = members_of(self._authority, row)
        after, why = followed(order, meant, members, told, self._images())
        if why:
            return [_reply(sender, message, order.workspace, why)], []
        if short := self._book.bookings.short(row, after, now):
            return [_reply(sender, message, order.workspace, short)], []
        spent = self._used.use(message.order, checked.owner.key, now)
        wanted = tuple(after.get(w.workspace, w) for w in row.wanted)
        row = msgspec.structs.replace(row, wanted=wanted)
        row = self._taking_up.turned(row, self._book.wanted(row))
        return [
            self._book.change(row, also=spent),
            _reply(sender, message, order.workspace, ""),
            note_of(order, row.record),
            Realise(message.grid, message.request),
        ], [RoomChanged()]

    def _halt(self, sender: PeerId, message: Act, row: Lease, now: float) -> Answer:
        """Stops a grid at its owner's order, while too few stewards answer to take it down."""
        if row.halted is not None or row.record.state is GridState.DOWN:
            return [_reply(sender, message, "", "")], []
        grid, record = row.record.id, row.record
        row = msgspec.structs.replace(row, halted=message.order)
        save = self._book.change(row)
        self._auditing.noticed(grid, now)
        why = f"down ordered, and stopped here; {waits_for(row)}"
        return [
            save,
            _reply(sender, message, "", ""),
            Note("grid.halted", record.name, why, grid),
            Realise(grid, message.request),
        ], [NoticeDue(grid), RoomChanged()]


def _reply(sender: PeerId, message: Act, workspace: str, problem: str) -> Effect:
    return Send(sender, ActReply(message.request, workspace, problem), message.request)


def unsaved(message: Act, *, suspends: bool, changing: bool) -> ActReply | None:
    """Why a host cannot save what it is asked to suspend; None if it can, or if that is not asked.

    `suspends` says whether it saves guests at all, `changing` whether it holds for a change of that grid: what
    is held has no room for a larger memory on disk. What is wrong with the order is said where it is believed.
    """
    try:
        order = read_order(message.order)
    except Untrusted:
        return None
    if order.action is not Action.SUSPEND or (suspends and not changing):
        return None
    why = "its guests cannot be saved to disk (containers never can); pause keeps their memory"
    return ActReply(message.request, order.workspace, CHANGING if suspends else why)
