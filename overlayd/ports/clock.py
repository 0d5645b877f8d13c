"""The clock: one number, read in one place."""

from typing import Protocol


class Clock(Protocol):
    """Seconds that only go forward, the same on every host as far as their clocks agree."""

    def now(self) -> float:
        """Unix time when the process started, plus the time that passed since. Never steps back."""

    def set_by_s(self) -> float:
        """By how many seconds the machine's clock was set forward since then; negative if it was set back."""
