"""Which of a member's grids stay when they have more together than its ceiling at all sites allows.

Grids come in the order of the time until which their orders could be given. No order is decided much later than
that, so nobody gets before others by a date. Each that does not fit beside those before it has to go.
"""

from collections.abc import Iterable

from protocol.capacity.allotments import NONE, Amounts
from protocol.contract.spends import Spends
from protocol.terms.ids import GridId, KeyId
from protocol.trust.ceilings import Ceilings


def over(ceiling: Ceilings, amounts: Amounts) -> bool:
    """Whether that is more than a ceiling allows."""
    return any(getattr(amounts, field, 0) > most for field, most in ceiling.limits())


def kept(key: KeyId, grids: Iterable[tuple[Spends, Amounts]]) -> dict[GridId, Amounts]:
    """Which of a key's grids are within its ceilings, and what each has, from what all of them have.

    Each is judged by the ceiling that its own order shows. One that shows none is within in any case.
    """
    within: dict[GridId, Amounts] = {}
    all_within = NONE
    for spends, has in sorted(grids, key=lambda each: each[0].place):
        ceiling = spends.ceiling(key)
        if ceiling is None or not over(ceiling, all_within + has):
            within[spends.grid] = has
            all_within += has
    return within
