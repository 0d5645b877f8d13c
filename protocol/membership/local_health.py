"""How late this peer itself is. The more reason it has to doubt itself, the less it doubts others.

Lifeguard's local health (Dadgar, Phillips, Currey, 2017): a peer that misses its own deadlines is slow, so
what it takes for the silence of others may be its own. Each missed deadline adds a point, up to STRAIN_MOST.
Each quiet STRAIN_EASES_S takes one away. Others get more time to answer in proportion.

What we add: others already suspect a peer that was stopped altogether (AWAY_S), so it says at once that it is
back. A stop is told from slowness by being out of the ordinary. Otherwise, where a whole site is slow,
everybody would say so to everybody, again and again, and make it slower. A peer that was stopped also accuses
nobody for a moment: its own silence cost it its connections.
"""

from protocol.terms.limits import AWAY_S, BACK_S, LATE_S, STRAIN_EASES_S, STRAIN_MOST

_UNUSUAL = 4.0
"""A lateness so many times the usual is out of the ordinary."""


class LocalHealth:
    """Points of lateness."""

    def __init__(self) -> None:
        self._points = 0
        self._eases_s = 0.0
        self._usual_s = 0.0
        """The greatest lateness lately, or half of it if it was a stop. Each quiet STRAIN_EASES_S halves it."""
        self._back_s = float("-inf")

    def late(self, late_s: float, now: float) -> bool:
        """A deadline was handled so many seconds late. True if this peer must have been stopped."""
        stopped = late_s > max(AWAY_S, _UNUSUAL * self._usual_s)
        if stopped:
            self._back_s = now
        if late_s > LATE_S:
            self._usual_s = max(self._usual_s, late_s / 2 if stopped else late_s)
            self._points = min(STRAIN_MOST, self._points + 1)
            self._eases_s = now + STRAIN_EASES_S
        elif now >= self._eases_s:
            self._points = max(0, self._points - 1)
            self._usual_s /= 2
            self._eases_s = now + STRAIN_EASES_S
        return stopped

    def just_back(self, now: float) -> bool:
        """Whether it was stopped a moment ago: connections that end now end because of that."""
        return now < self._back_s + BACK_S

    @property
    def patience(self) -> float:
        """How many times longer than usual others have to answer: 1 when all is well, at most 5."""
        return 1 + self._points / 2
