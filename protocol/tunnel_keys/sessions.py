"""The sessions with one partner, in the order in which they are to be used, and until when each is."""

from protocol.terms.sealed import SealedSession
from protocol.tunnel_keys.limits import RETIRED_S, SESSION_S, SESSIONS_MOST

NEVER = float("inf")


class Sessions:
    """What is sent goes by the first. The others only open what comes."""

    def __init__(self) -> None:
        self._held: list[SealedSession] = []
        self._ends: dict[int, float] = {}
        """By index, until when a session is kept."""
        self._settled: int | None = None
        """The index of the session that both ends send by, as far as this end knows."""
        self.changed = False
        """Whether they are others than when somebody took that back last."""

    def __len__(self) -> int:
        return len(self._held)

    @property
    def rows(self) -> tuple[SealedSession, ...]:
        """All of them, in order."""
        return tuple(self._held)

    @property
    def newest_s(self) -> float:
        """When the newest was made, Unix seconds; long ago if there is none."""
        return max((session.made_s for session in self._held), default=-NEVER)

    def has(self, index: int) -> bool:
        """Whether one of them has that index."""
        return index in self._ends

    def send_by(self, session: SealedSession) -> None:
        """The other end has these keys: what is sent goes by them from now on."""
        self._put(0, session)

    def open_by(self, session: SealedSession) -> None:
        """The other end may not have these keys yet: what is sent goes by those that it is known to have."""
        known = bool(self._held) and self._held[0].index == self._settled
        self._put(1 if known else 0, session)

    def settle(self, index: int, now: float) -> bool:
        """Both ends have these keys, and send by them. The others end soon. False if there are no such keys."""
        place = next((n for n, session in enumerate(self._held) if session.index == index), None)
        if place is None:
            return False
        if self._settled != index:
            self._held.insert(0, self._held.pop(place))
            self._settled, self.changed = index, True
            for other in self._held[1:]:
                self._ends[other.index] = min(self._ends[other.index], now + RETIRED_S)
        return True

    def tick(self, now: float) -> None:
        """Drops what is over."""
        over = [index for index, ends_s in self._ends.items() if ends_s <= now]
        for index in over:
            self._drop(index)

    def next_s(self) -> float:
        """When the first is over; NEVER if there is none."""
        return min(self._ends.values(), default=NEVER)

    def check(self) -> None:
        """Each index once, and no more than there may be."""
        assert len(self._held) <= SESSIONS_MOST
        assert sorted(session.index for session in self._held) == sorted(self._ends)

    def _put(self, place: int, session: SealedSession) -> None:
        self._held.insert(place, session)
        self._ends[session.index] = session.made_s + SESSION_S
        self.changed = True
        while len(self._held) > SESSIONS_MOST:
            self._drop(self._held[-1].index)

    def _drop(self, index: int) -> None:
        self._held = [session for session in self._held if session.index != index]
        del self._ends[index]
        self.changed = True
