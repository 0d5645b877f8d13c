"""Where peers are found, on disk, so that a peer finds its way back into the overlay after any absence.

Two things are kept: the passive view, which is the best to begin with, and an address for each peer that was
ever believed alive, up to ADDRESSES, so that halves of a split still know each other. Both are written in
batches, a moment late. What a power cut takes is learnt again, and a hundred newcomers are one write.
"""

from protocol.membership.membership import Membership
from protocol.membership.messages import Contact
from protocol.membership.presence import Known
from protocol.terms.effects import Deadline, Effect, Persist, Row, Untidied
from protocol.terms.ids import PeerId
from protocol.terms.limits import ADDRESSES, ADDRESSES_SAVED_AFTER_S, PASSIVE_SAVED_EVERY_S

TABLE = "peer"
SELF, PASSIVE = "self", "passive"

Rows = dict[str, dict[str, bytes]]


def saved(rows: Rows) -> tuple[Contact, ...]:
    """The contacts on disk. `rows` is the whole store, by table."""
    return tuple(
        Contact(PeerId(peer), "", address.decode())
        for peer, address in sorted(rows.get(TABLE, {}).items())
    )


def known_contacts(joins: tuple[Contact, ...], rows: Rows) -> tuple[Contact, ...]:
    """The contacts to join through: those that are configured, then those on disk."""
    told = [join.peer for join in joins]
    return joins + tuple(contact for contact in saved(rows) if contact.peer not in told)


class Addresses:
    """The addresses on disk, and those that are about to be written."""

    def __init__(self, membership: Membership, rows: Rows, now: float) -> None:
        self._view = membership.view
        self._saved = {contact.peer: contact.address for contact in saved(rows)}
        self._fresh: dict[PeerId, str] = {}
        self._save_s: float | None = None
        self._passive = rows.get(SELF, {}).get(PASSIVE, b"")
        self._passive_s = now + PASSIVE_SAVED_EVERY_S
        if self._passive:
            self._view.passive.load(self._passive)

    def alive(self, known: Known, now: float) -> None:
        """A peer is believed alive at that address."""
        if known.address and self._saved.get(known.peer) != known.address:
            self._fresh[known.peer] = known.address
            self._save_s = self._save_s or now + ADDRESSES_SAVED_AFTER_S

    def forget(self, peer: PeerId) -> list[Effect]:
        """The peer is no member any more."""
        self._fresh.pop(peer, None)
        if self._saved.pop(peer, None) is None:
            return []
        return [Persist((Row(TABLE, peer, None),), Untidied())]

    def tick(self, now: float) -> list[Effect]:
        """Writes what is due."""
        rows: list[Row] = []
        if self._save_s is not None and now >= self._save_s:
            self._save_s = None
            rows += self._addresses()
        if now >= self._passive_s:
            self._passive_s = now + PASSIVE_SAVED_EVERY_S
            passive = self._view.passive.dump()
            if passive != self._passive:
                self._passive = passive
                rows.append(Row(SELF, PASSIVE, passive))
        return [Persist(tuple(rows), Untidied())] if rows else []

    def next_deadline(self) -> Deadline:
        """When to tick."""
        at_s = self._passive_s if self._save_s is None else min(self._passive_s, self._save_s)
        return Deadline(at_s, "addresses")

    def _addresses(self) -> list[Row]:
        fresh, self._fresh = self._fresh, {}
        rows = [Row(TABLE, peer, address.encode()) for peer, address in fresh.items()]
        self._saved |= fresh
        for peer in list(self._saved)[: max(0, len(self._saved) - ADDRESSES)]:
            del self._saved[peer]
            rows.append(Row(TABLE, peer, None))
        return rows
