"""Seals: how the stewards of an order hand its register over to others.

The stewards of a register are a *set*. It ends by a decision of its own that is *closed*: it names the next
set, its heirs, and is the last that the old set decides. What is left of that decision is a *seal*: the votes,
the digest of what was decided, and the heirs. A chain of seals leads from the order, which names the first
set, to the present one. How many there are is the *term*.

decision.py checks seals.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.terms.ids import PeerId
from protocol.terms.limits import ROUND_MOST, STEWARDS_MOST
from protocol.trust.certificate import Chain

Signature = Annotated[bytes, Meta(max_length=128)]
Stewardship = Annotated[tuple[PeerId, ...], Meta(max_length=STEWARDS_MOST)]
"""A set of stewards."""
Votes = Annotated[tuple[tuple[PeerId, Signature], ...], Meta(max_length=STEWARDS_MOST)]
"""(steward, what it signed), each alike."""


class Ballot(msgspec.Struct, frozen=True, order=True, array_like=True):
    """Orders the attempts of stewards to have something accepted. A steward uses none for two values.

    Round 0 is the first steward's that the order names.
    """

    round: Annotated[int, Meta(ge=0, le=ROUND_MOST)]
    steward: PeerId


class Seal(msgspec.Struct, frozen=True, array_like=True):
    """That one set decided who follows it, and what that set begins with."""

    heirs: Stewardship
    ballot: Ballot
    digest: Annotated[str, Meta(max_length=64)]
    """Of the value that was decided last."""
    votes: Votes


class Closing(msgspec.Struct, frozen=True):
    """Who follows the set that decides this; it decides nothing else any more."""

    heirs: Stewardship
    chain: Annotated[Chain, Meta(max_length=2)]
    """The certificates of the one heir that is new."""


def succeeds(heirs: tuple[PeerId, ...], stewards: tuple[PeerId, ...]) -> bool:
    """Whether one set may follow another: one steward is another's, and all else is as it was."""
    distinct = len(set(heirs)) == len(heirs) == len(stewards)
    return distinct and sum(a != b for a, b in zip(heirs, stewards, strict=True)) == 1


def newcomer(heirs: tuple[PeerId, ...], stewards: tuple[PeerId, ...]) -> PeerId:
    """The heir that was no steward before. Of sets of which one may follow the other."""
    return next(heir for heir in heirs if heir not in stewards)
