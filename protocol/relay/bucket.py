"""A token bucket: so much at once, and so much a second after that."""

_ROUNDING_S = 1e-6
"""Unix time as a float is exact to a quarter of this. So what is due at an instant is there at that instant."""
_SOONEST_S = 1e-3


class Bucket:
    """In any stretch of time at most `burst` + `rate` * seconds pass, but for rounding."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._level, self._at_s = burst, now

    def take(self, amount: float, now: float) -> bool:
        """Takes that much if it is there, and says whether it was. There is never more than the burst."""
        if not self.has(amount, now):
            return False
        self._level -= amount
        return True

    def has(self, amount: float, now: float) -> bool:
        """Whether there is that much."""
        if now > self._at_s:
            self._level = min(self._burst, self._level + (now - self._at_s) * self._rate)
            self._at_s = now
        return amount <= self._level + self._rate * _ROUNDING_S

    def when(self, amount: float, now: float) -> float:
        """The instant at which there will be that much, if nothing is taken before."""
        if self.has(amount, now):
            return now
        return now + max(_SOONEST_S, (amount - self._level) / self._rate)
