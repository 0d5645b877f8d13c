"""How fast a host saves and restores the memory of its machines: measured, never guessed for long."""

import msgspec

from protocol.terms.ranges import RATE_LEAST, RATE_MOST, BytesPerSecond, Count

TABLE = "rates"
_FIRST_BYTES_S = 32 << 20
"""The guess until a host has measured: slow enough to begin in time on a spinning disk."""
_WEIGHT = 0.3
"""The weight of a new measurement: one slow moment of the disk does not decide."""


class Rates(msgspec.Struct, frozen=True):
    """Bytes a second."""

    save_bytes_s: BytesPerSecond = _FIRST_BYTES_S
    restore_bytes_s: BytesPerSecond = _FIRST_BYTES_S
    measured: Count = 0
    """How many measurements the rates rest on."""

    def after(self, saved: bool, size_bytes: int, took_s: float) -> "Rates":
        """The rates with one more measurement. The first replaces the guess."""
        if size_bytes <= 0 or took_s <= 0:
            return self
        rate = min(max(size_bytes / took_s, RATE_LEAST), RATE_MOST)
        old = self.save_bytes_s if saved else self.restore_bytes_s
        fresh = old == _FIRST_BYTES_S
        new = rate if fresh else old + (rate - old) * _WEIGHT
        if saved:
            return Rates(new, self.restore_bytes_s, self.measured + 1)
        return Rates(self.save_bytes_s, new, self.measured + 1)

    def save_s(self, size_bytes: int) -> float:
        """How long it takes to save that much."""
        return size_bytes / self.save_bytes_s

    def restore_s(self, size_bytes: int) -> float:
        """How long it takes to restore that much."""
        return size_bytes / self.restore_bytes_s
