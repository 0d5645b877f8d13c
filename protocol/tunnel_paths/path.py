"""One partner: the probes of it, and what came back."""

from collections import deque

from protocol.terms.sealed import TunnelAnswer, TunnelPlace
from protocol.tunnel_paths.limits import HURRIES, LAST, LEAST_BYTES, LOST
from protocol.tunnel_paths.size import Size


class Path:
    """The way from this host's forwarder to another's, as its probes found it."""

    def __init__(self, told: TunnelPlace, since_s: float, due_s: float) -> None:
        """`told`: where the partner says it is. `since_s`: when there were keys. `due_s`: when to probe."""
        self.told, self.since_s, self.due_s = told, since_s, due_s
        self.answered_s: float | None = None
        """When it answered last; None if it never has."""
        self.round_trip_s: float | None = None
        """Of the last answer."""
        self.place: TunnelPlace | None = None
        """Where the last answer came from."""
        self.seen: TunnelPlace | None = None
        """Where the partner saw this host then, as it says."""
        self.size: Size | None = None
        """The search for what it takes; None while nobody has said how much is asked for."""
        self._last: deque[bool] = deque(maxlen=LAST)
        """Whether each of the last probes was answered, but for the one under way."""
        self._vain = 0
        """How many in a row were not."""
        self._under_way: int | None = None
        """The number of the probe that may yet be answered."""

    def probe(self, number: int) -> None:
        """A probe of that number goes. The one before it, if it was not answered, is lost."""
        if self._under_way is not None:
            self._last.append(False)
            self._vain = min(self._vain + 1, HURRIES)
        self._under_way = number

    def answer(self, answer: TunnelAnswer, now: float) -> bool:
        """Whether it answers the probe under way."""
        if self._under_way != answer.number:
            return False
        self._under_way, self._vain = None, 0
        self._last.append(True)
        self.answered_s, self.round_trip_s = now, answer.round_trip_s
        if self.size is not None and answer.place != self.place is not None:
            self.size.search_up(now)
        self.place, self.seen = answer.place, answer.seen
        return True

    def ask_for(self, most: int, now: float) -> None:
        """Guests' packets are so large at most; 0 if nobody knows."""
        if most <= LEAST_BYTES:
            self.size = None
        elif self.size is None:
            self.size = Size(most, now)
        else:
            self.size.ask_for(most, now)

    @property
    def works(self) -> bool:
        """Whether one of the last LOST probes was answered."""
        return self.answered_s is not None and self._vain < LOST

    @property
    def hurries(self) -> bool:
        """Whether it is to be probed again soon, unless the probe under way is answered."""
        return self._vain < HURRIES

    @property
    def loss(self) -> tuple[int, int]:
        """How many of the last probes were lost, and of how many."""
        return self._last.count(False), len(self._last)
