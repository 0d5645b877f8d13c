"""A clock that stands still until it is told to move."""


class FakeClock:
    """A clock that starts at `start_s`, Unix seconds."""

    def __init__(self, start_s: float = 1_800_000_000.0) -> None:
        self._now_s = start_s
        self.machine_s = 0.0

    def now(self) -> float:
        """The same until `advance`."""
        return self._now_s

    def set_by_s(self) -> float:
        """What a test says: `machine_s`."""
        return self.machine_s

    def advance(self, by_s: float) -> None:
        """Moves it forward. Raises ValueError for a step back."""
        if by_s < 0:
            raise ValueError(f"a clock does not go back {-by_s} s")
        self._now_s += by_s
