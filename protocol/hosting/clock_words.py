"""What is said of this host's clock when something else is to be thought of it."""

from protocol.membership.clocks import ClockView
from protocol.terms.effects import Effect, Note


class ClockWords:
    """Whether it was told that a host's clock is apart, and not yet that it agrees again."""

    def __init__(self, host: str) -> None:
        """`host` is its name."""
        self._host, self._was_apart = host, False

    def changed(self, clock: ClockView) -> tuple[list[Effect], bool]:
        """What is to be told, and whether what the host offers may be otherwise."""
        notes: list[Effect] = []
        if clock.apart and not self._was_apart:
            what = f"{clock.doubt}; no lease ends here, and nothing new is taken, until they agree"
            notes = [Note("clock.apart", self._host, what)]
        elif self._was_apart and not clock.doubt:
            notes = [Note("clock.agrees", self._host, "its clock agrees with most others")]
        offers = clock.apart or self._was_apart
        self._was_apart = clock.apart or (self._was_apart and bool(clock.doubt))
        return notes, offers
