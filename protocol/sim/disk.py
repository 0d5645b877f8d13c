"""A simulated host's disk, as far as the memory of its machines goes: one after another, at a rate."""


class Disk:
    """Whoever comes waits for those who came before (as overlayd/realise/turns.py has them wait)."""

    def __init__(self, bytes_s: float) -> None:
        self._bytes_s, self._free_s = bytes_s, 0.0

    def turn(self, size_bytes: int, now: float) -> tuple[float, float]:
        """Seconds to wait for one's turn, and seconds that saving or restoring so much then takes."""
        waits_s, takes_s = max(0.0, self._free_s - now), size_bytes / self._bytes_s
        self._free_s = now + waits_s + takes_s
        return waits_s, takes_s
