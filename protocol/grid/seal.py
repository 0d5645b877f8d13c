"""Seals: how the stewards of an order hand its register over to others.

The stewards of a register are a *set*. It ends by a decision of its own that is *closed*: it names the next
set, its heirs, and is the last that the old set decides. What is left of that decision is a *seal*: the votes,
the digest of what was decided, and the heirs. A chain of seals leads from the order, which names the first
set, to the present one. How many there are is the *term*.

Who is in a set has a *seat*, and where the order names stores, a seat is that of one store of its host.

decision.py checks seals.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.terms.ids import PeerId, StoreId, is_store
from protocol.terms.limits import ROUND_MOST, STEWARDS_MOST
from protocol.trust.certificate import Chain
from protocol.trust.order import Order, store_of

Signature = Annotated[bytes, Meta(max_length=128)]
Stewardship = Annotated[tuple[PeerId, ...], Meta(max_length=STEWARDS_MOST)]
"""A set of stewards."""
Stores = Annotated[tuple[StoreId, ...], Meta(max_length=STEWARDS_MOST)]
"""Which store of each has its seat, in the same order; empty where it is whichever the host has. Or none at
all."""
Votes = Annotated[tuple[tuple[PeerId, Signature], ...], Meta(max_length=STEWARDS_MOST)]
"""(steward, what it signed), each alike."""


class Ballot(msgspec.Struct, frozen=True, order=True, array_like=True):
    """Orders the attempts of stewards to have something accepted. A steward uses none for two values.

    Round 0 is the first steward's that the order names.
    """

    round: Annotated[int, Meta(ge=0, le=ROUND_MOST)]
    steward: PeerId


class Seats(msgspec.Struct, frozen=True):
    """A set of stewards, and which store of each has its seat."""

    members: tuple[PeerId, ...] = ()
    stores: tuple[StoreId, ...] = ()

    def store_of(self, steward: PeerId) -> StoreId:
        """Which store of a steward has its seat; empty if it is whichever the host has."""
        return store_of(self.members, self.stores, steward)

    @property
    def pairs(self) -> tuple[tuple[PeerId, StoreId], ...]:
        """(steward, its store) of every seat."""
        return tuple((steward, self.store_of(steward)) for steward in self.members)


class Seal(msgspec.Struct, frozen=True, array_like=True):
    """That one set decided who follows it, and what that set begins with."""

    heirs: Stewardship
    ballot: Ballot
    digest: Annotated[str, Meta(max_length=64)]
    """Of the value that was decided last."""
    votes: Votes
    stores: Stores = ()

    @property
    def seats(self) -> Seats:
        """The next set."""
        return Seats(self.heirs, self.stores)


class Closing(msgspec.Struct, frozen=True):
    """Who follows the set that decides this; it decides nothing else any more."""

    heirs: Stewardship
    chain: Annotated[Chain, Meta(max_length=2)]
    """The certificates of the one heir that is new."""
    stores: Stores = ()

    @property
    def seats(self) -> Seats:
        """The next set."""
        return Seats(self.heirs, self.stores)


def seats_of(order: Order) -> Seats:
    """The first set, which the signer of an order chose."""
    return Seats(order.stewards, order.stores)


def succeeds(heirs: Seats, before: Seats) -> bool:
    """Whether one set may follow another: one seat is another's, and all else is as it was.

    Where a seat was a store's, it is again.
    """
    many = len(before.members)
    distinct = len(set(heirs.members)) == len(heirs.members) == many
    named = not heirs.stores or len(heirs.stores) == many
    if not distinct or not named or not all(s == "" or is_store(s) for s in heirs.stores):
        return False
    changed = [(a, b) for a, b in zip(heirs.pairs, before.pairs, strict=True) if a != b]
    return len(changed) == 1 and all(heir[1] or not old[1] for heir, old in changed)


def newcomer(heirs: Seats, before: Seats) -> PeerId:
    """Whose seat was another's before, or another store's. Of sets of which one may follow the other."""
    return next(steward for steward, store in heirs.pairs if (steward, store) not in before.pairs)
