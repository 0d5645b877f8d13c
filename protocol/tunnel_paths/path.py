"""One way to one partner: the probes sent on it, and what came back."""

from collections import deque
from collections.abc import Iterable

from protocol.terms.sealed import TunnelAnswer, TunnelPlace
from protocol.tunnel_paths.limits import (
    HURRIES,
    LAST,
    LEAST_BYTES,
    LOST,
    PUNCH_S,
    UNDER_WAY_MOST,
)
from protocol.tunnel_paths.size import Size


class Path:
    """A way from this host's forwarder to another's, as its probes found it."""

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
        self.vain = 0
        """How many in a row were not; HURRIES at most."""
        self._under_way: dict[int, None] = {}
        """The numbers of probes that may yet be answered."""

    def probe(self, numbers: Iterable[int]) -> None:
        """Probes of these numbers go. The ones before them, if none was answered, are lost, as one."""
        if self._under_way:
            self._last.append(False)
            self.vain = min(self.vain + 1, HURRIES)
        self._under_way = dict.fromkeys(numbers)

    def probe_more(self, numbers: Iterable[int]) -> None:
        """These go as well: what was sent before may still be answered."""
        self._under_way |= dict.fromkeys(numbers)
        while len(self._under_way) > UNDER_WAY_MOST:
            del self._under_way[next(iter(self._under_way))]

    def answer(self, answer: TunnelAnswer, now: float) -> bool:
        """Whether it answers a probe under way."""
        if answer.number not in self._under_way:
            return False
        self._under_way, self.vain = {}, 0
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
        return self.answered_s is not None and self.vain < LOST

    @property
    def hurries(self) -> bool:
        """Whether it is to be probed again soon, unless the probe under way is answered."""
        return self.vain < HURRIES

    @property
    def loss(self) -> tuple[int, int]:
        """How many of the last probes were lost, and of how many."""
        return self._last.count(False), len(self._last)


class Direct(Path):
    """The way without a relay, which is tried at several places while one is in use."""

    def __init__(self, told: TunnelPlace, since_s: float, due_s: float) -> None:
        super().__init__(told, since_s, due_s)
        self.aim: TunnelPlace | None = None
        """Where an answer came from while a relay was in use: frames go there since. None: as it was told."""
        self.outside: TunnelPlace | None = None
        """Where the partner says that it is seen from outside."""
        self._punch_until_s = -PUNCH_S

    def doubt(self, now: float) -> None:
        """The partner says that this does not work. It does only if the next probe comes back."""
        self.vain, self.due_s = max(self.vain, LOST), now

    def punches(self, now: float) -> bool:
        """Whether this is a moment to send again and again."""
        return now < self._punch_until_s

    def punch(self, outside: TunnelPlace, now: float) -> None:
        """The partner is seen there, and tries the same now. It is not heeded again for a while."""
        if now >= self._punch_until_s + PUNCH_S:
            self.outside, self._punch_until_s, self.due_s = outside, now + PUNCH_S, now
