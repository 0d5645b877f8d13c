"""The passive view: the peers to ask when a neighbour is lost. After HyParView (Leitao 2007).

Rules: there are at most PASSIVE_VIEW contacts, and none of them is a neighbour. Walks, shuffles, neighbours
that went and newcomers fill the view. It is kept on disk, so that a peer finds back into the overlay after any
absence. When it is full a random contact makes room.

What we add: near (same site) and far contacts have half of it each, as long as there are enough of both. So a
peer whose site is cut off, or that loses the far half, makes up for that from what is left.
"""

from collections.abc import Iterable

import msgspec

from protocol.membership.messages import Contact
from protocol.terms.dice import Dice
from protocol.terms.ids import PeerId
from protocol.terms.limits import PASSIVE_VIEW
from protocol.wire.codec import Malformed, decode, encode


class Saved(msgspec.Struct, frozen=True):
    """The view as it is on disk."""

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

    def has_none_of(self, peers: Iterable[PeerId]) -> bool:
        """Whether no peer of some is among the contacts."""
        return self._contacts.keys().isdisjoint(peers)

    def contacts(self) -> list[Contact]:
        """All contacts, in the order in which they came."""
        return list(self._contacts.values())

    def get(self, peer: PeerId) -> Contact | None:
        """One of the contacts; None if that peer is not among them."""
        return self._contacts.get(peer)

    @property
    def full(self) -> bool:
        """Whether a contact must make room for a new one."""
        return len(self._contacts) >= PASSIVE_VIEW

    @property
    def has_far(self) -> bool:
        """Whether any contact is at another site."""
        return self._far > 0

    def add(self, contact: Contact) -> None:
        """Takes a contact in. If the peer is there already, the newest address counts."""
        if contact.peer == self._me:
            return
        self.discard(contact.peer)
        if self.full:
            self._make_room(contact.site != self._site)
        self._contacts[contact.peer] = contact
        self._far += contact.site != self._site

    def discard(self, peer: PeerId) -> None:
        """Drops a contact that became a neighbour, or is dead or unreachable."""
        contact = self._contacts.pop(peer, None)
        if contact is not None:
            self._far -= contact.site != self._site

    def some(self, most: int) -> list[Contact]:
        """At most so many contacts, at random."""
        contacts = list(self._contacts.values())
        return contacts if len(contacts) <= most else self._dice.sample(contacts, most)

    def dump(self) -> bytes:
        """The view as bytes, for the store."""
        return encode(Saved(tuple(self._contacts.values())))

    def load(self, data: bytes) -> None:
        """Takes what `dump` gave. It is no loss if it cannot be read."""
        try:
            saved = decode(data, Saved)
        except Malformed:
            return
        for contact in saved.contacts:
            self.add(contact)

    def check(self) -> None:
        """Asserts that the view is bounded, counted right, and without this peer."""
        assert len(self._contacts) <= PASSIVE_VIEW
        assert self._me not in self._contacts
        assert len([c for c in self._contacts.values() if c.site != self._site]) == self._far

    def _make_room(self, for_far: bool) -> None:
        """The larger half gives up one contact. If they are equal, the newcomer's half does."""
        near = len(self._contacts) - self._far
        far_gives = self._far > near or (self._far == near and for_far)
        pool = [p for p, c in self._contacts.items() if (c.site != self._site) is far_gives]
        self.discard(self._dice.choice(pool))
