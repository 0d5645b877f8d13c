"""A simulated host's disk, as far as it saves the memory of machines: one after another, at a rate."""


class Disk:
    """A disk that serves one machine at a time, in the order of asking, as overlayd/realise/turns.py does."""

    def __init__(self, bytes_s: float) -> None:
        self._bytes_s, self._free_s = bytes_s, 0.0

    def turn(self, size_bytes: int, now: float) -> tuple[float, float]:
        """How many seconds a machine waits for its turn, and how many it then takes to save or restore."""
        waits_s, takes_s = max(0.0, self._free_s - now), size_bytes / self._bytes_s
        self._free_s = now + waits_s + takes_s
        return waits_s, takes_s
