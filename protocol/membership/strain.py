"""How late this peer itself is: it doubts others less, the more it has reason to doubt itself.

Lifeguard's local health (Dadgar, Phillips, Currey, 2017): a peer that misses its own deadlines is slow, so
what it takes for others' silence may be its own. Each missed deadline adds a point, up to STRAIN_MOST; each
quiet STRAIN_EASES_S takes one away; others get more time to answer in proportion.

What we add: a peer that was stopped altogether (AWAY_S) is suspected by others already, and says at once
that it is back. One that was late before as well is not stopped but slow: it says nothing until it hears that
it is suspected, since where a whole site is slow everybody would say so to everybody, again and again.
"""

from protocol.terms.limits import AWAY_S, LATE_S, STRAIN_EASES_S, STRAIN_MOST


class Strain:
    """Points of lateness."""

    def __init__(self) -> None:
        self._points = 0
        self._eases_s = 0.0

    def late(self, late_s: float, now: float) -> bool:
        """A deadline was handled that much too late. True if this peer must have been stopped."""
        stopped = late_s > AWAY_S and not self._points
        if late_s > LATE_S:
            self._points = min(STRAIN_MOST, self._points + 1)
            self._eases_s = now + STRAIN_EASES_S
        elif self._points and now >= self._eases_s:
            self._points -= 1
            self._eases_s = now + STRAIN_EASES_S
        return stopped

    @property
    def patience(self) -> float:
        """Times as long as usual; 1 when all is well, 5 at most."""
        return 1 + self._points / 2
