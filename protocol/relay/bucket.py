"""A token bucket: so much at once, so much a second after that."""

_ROUNDING_S = 1e-6
"""Unix time as a float is good to a quarter of this: what is due at an instant is there at that instant."""
_SOONEST_S = 1e-3


class Bucket:
    """What passes in any stretch of time is at most `burst` + `rate` * seconds, but for rounding."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._level, self._at_s = burst, now

    def take(self, amount: float, now: float) -> bool:
        """Takes it if there is that much. More than the burst never is."""
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
