"""When to try peers believed gone, and when to meet strangers: this heals splits, however long they lasted.

Rules. A peer believed dead is dialled now and then: all peers together dial about one every HEAL_APART_S. A
live peer that is no neighbour is met every MEET_EVERY_S, to compare directories with it, and to see that it
lives, since only neighbours watch each other. (That is SWIM's random probe, made rare because it is the second
line here.) A death makes a few peers look at others of the same site at once: more than one may have died. If
half of all peers die, some together with all that watched them, each survivor looks at a few, one after
another.
"""

from collections import deque

from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, earliest
from protocol.terms.limits import (
    HEAL_APART_S,
    HEAL_EVERY_S,
    HEAL_LEAST_S,
    MEET_EVERY_S,
    PROBES_EACH,
    PROBES_MOST,
)

_SOON_S = (0.5, 2.0)
"""The pause before a probe is between these."""


class Healing:
    """Two timers. The first time that one would be due it is only set, so that peers are not in step."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._heal_s = self._meet_s = 0.0
        self._sites: deque[str] = deque()
        """The sites where a peer has just died, one entry for each probe."""

    def tries_gone(self, others: int, now: float) -> bool:
        """Whether to try a peer that is believed gone. `others` is how many are believed alive."""
        if now < self._heal_s:
            return False
        first = not self._heal_s
        pause_s = max(HEAL_LEAST_S, min(HEAL_EVERY_S, HEAL_APART_S * (1 + others)))
        self._heal_s = now + pause_s * self._dice.uniform(0.5, 1.5)
        return not first

    def meets_stranger(self, now: float) -> str | None:
        """The site a stranger to be met now should be of, empty for any; None if it is not time."""
        if now < self._meet_s:
            return None
        first = not self._meet_s
        site = self._sites.popleft() if self._sites and not first else ""
        self._meet_s = now + MEET_EVERY_S * self._dice.uniform(0.5, 1.5)
        if self._sites:
            self._meet_s = now + self._dice.uniform(*_SOON_S)
        return None if first else site

    def died(self, site: str, others: int, now: float) -> None:
        """A peer of that site is believed dead. `others` is how many are believed alive."""
        if self._dice.random() < PROBES_EACH / (1 + others) and len(self._sites) < PROBES_MOST:
            self._sites.append(site)
            self._meet_s = min(self._meet_s, now + self._dice.uniform(*_SOON_S))

    def next_deadline(self, gone: bool, strangers: bool) -> Deadline | None:
        """When something is due, if there is a peer that is `gone`, or one to meet (`strangers`)."""
        return earliest(
            Deadline(self._heal_s, "heal") if gone else None,
            Deadline(self._meet_s, "meet") if strangers else None,
        )
