"""The passive view: whom to ask when a neighbour is lost. After HyParView (Leitao 2007).

Rules: at most PASSIVE_VIEW contacts, none of them a neighbour; walks, shuffles, neighbours that went and
newcomers fill it; it is kept on disk, so that a peer finds back into the overlay after any absence. When it
is full somebody at random makes room.

What we add: near (same site) and far contacts have half of it each as long as there are enough of both, so
that a site that is cut off, or the far half that is lost, is made up for from what is left.
"""

import msgspec

from protocol.membership.messages import Contact
from protocol.terms.dice import Dice
from protocol.terms.ids import PeerId
from protocol.terms.limits import PASSIVE_VIEW
from protocol.wire.codec import Malformed, decode, encode


class Saved(msgspec.Struct, frozen=True):
    """What is on disk."""

    contacts: tuple[Contact, ...]


class Passive:
    """Contacts to fall back on."""

    def __init__(self, me: PeerId, site: str, dice: Dice) -> None:
        self._me, self._site, self._dice = me, site, dice
        self._contacts: dict[PeerId, Contact] = {}
        self._far = 0

    def __contains__(self, peer: PeerId) -> bool:
        return peer in self._contacts

    def __len__(self) -> int:
        return len(self._contacts)

    def contacts(self) -> list[Contact]:
        """All of them, in the order they came."""
        return list(self._contacts.values())

    def get(self, peer: PeerId) -> Contact | None:
        """One of them."""
        return self._contacts.get(peer)

    @property
    def full(self) -> bool:
        """Whether somebody must make room for a new one."""
        return len(self._contacts) >= PASSIVE_VIEW

    @property
    def has_far(self) -> bool:
        """Whether any of them is at another site."""
        return self._far > 0

    def add(self, contact: Contact) -> None:
        """Takes one in; of one that is there the newest address counts."""
        if contact.peer == self._me:
            return
        self.discard(contact.peer)
        if self.full:
            self._make_room(contact.site != self._site)
        self._contacts[contact.peer] = contact
        self._far += contact.site != self._site

    def discard(self, peer: PeerId) -> None:
        """Became a neighbour, or is dead or unreachable."""
        contact = self._contacts.pop(peer, None)
        if contact is not None:
            self._far -= contact.site != self._site

    def some(self, most: int) -> list[Contact]:
        """A few at random."""
        contacts = list(self._contacts.values())
        return contacts if len(contacts) <= most else self._dice.sample(contacts, most)

    def dump(self) -> bytes:
        """For the store."""
        return encode(Saved(tuple(self._contacts.values())))

    def load(self, data: bytes) -> None:
        """What `dump` gave; what cannot be read is no loss."""
        try:
            saved = decode(data, Saved)
        except Malformed:
            return
        for contact in saved.contacts:
            self.add(contact)

    def check(self) -> None:
        """Bounded, counted, and without this peer."""
        assert len(self._contacts) <= PASSIVE_VIEW
        assert self._me not in self._contacts
        far = [c for c in self._contacts.values() if c.site != self._site]
        assert len(far) == self._far

    def _make_room(self, for_far: bool) -> None:
        """The larger half gives one; of equals, the newcomer's own."""
        near = len(self._contacts) - self._far
        far_gives = self._far > near or (self._far == near and for_far)
        pool = [p for p, c in self._contacts.items() if (c.site != self._site) is far_gives]
        self.discard(self._dice.choice(pool))
