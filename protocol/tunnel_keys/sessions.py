"""The sessions with one partner, in the order in which they are to be used, and until when each is."""

from protocol.terms.sealed import SealedSession
from protocol.tunnel_keys.limits import HANDOVER_S, RETIRED_S, SESSION_S, SESSIONS_MOST

NEVER = float("inf")


class Sessions:
    """What is sent goes by the first. The others only open what comes."""

    def __init__(self) -> None:
        self._held: list[SealedSession] = []
        self._ends: dict[int, float] = {}
        """By index, until when a session is kept."""
        self._settled: int | None = None
        """The index of the session that both ends send by, as far as this end knows."""
        self._next: tuple[int, float] | None = None
        """The index of the session to send by next, and from when."""
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
        """The other end has these keys: what is sent goes by them soon, and at once if no others are in use."""
        known = self._known
        self._put(1 if known else 0, session)
        if known:
            self._next = session.index, session.made_s + HANDOVER_S

    def open_by(self, session: SealedSession) -> None:
        """The other end may not have these keys yet: what is sent goes by those that it is known to have."""
        self._put(1 if self._known else 0, session)

    def settle(self, index: int, now: float) -> bool:
        """Both ends have these keys, and send by them soon. The others end after that. False if there are no
        such keys."""
        if index not in self._ends:
            return False
        if self._settled != index:
            from_s = now + HANDOVER_S if self._known else now
            if self._next is not None and self._next[0] == index:
                from_s = min(from_s, self._next[1])
            self._settled, self._next = index, (index, from_s)
            for other in self._held:
                if other.index != index:
                    ends_s = now + HANDOVER_S + RETIRED_S
                    self._ends[other.index] = min(self._ends[other.index], ends_s)
            self._hand_over(now)
        return True

    def tick(self, now: float) -> None:
        """Sends by what it is time for, and drops what is over."""
        self._hand_over(now)
        over = [index for index, ends_s in self._ends.items() if ends_s <= now]
        for index in over:
            self._drop(index)

    def next_s(self) -> float:
        """When to tick; NEVER if there is nothing to wait for."""
        ends_s = min(self._ends.values(), default=NEVER)
        return ends_s if self._next is None else min(ends_s, self._next[1])

    def check(self) -> None:
        """Each index once, and no more than there may be."""
        assert len(self._held) <= SESSIONS_MOST
        assert sorted(session.index for session in self._held) == sorted(self._ends)

    @property
    def _known(self) -> bool:
        """Whether there are keys that the other end has for certain, with its forwarder."""
        return self._settled in self._ends

    def _hand_over(self, now: float) -> None:
        if self._next is None or now < self._next[1]:
            return
        place = next(n for n, session in enumerate(self._held) if session.index == self._next[0])
        self._held.insert(0, self._held.pop(place))
        self._next, self.changed = None, True

    def _put(self, place: int, session: SealedSession) -> None:
        self._held.insert(place, session)
        self._ends[session.index] = session.made_s + SESSION_S
        self.changed = True
        while len(self._held) > SESSIONS_MOST:
            self._drop(self._held[-1].index)

    def _drop(self, index: int) -> None:
        self._held = [session for session in self._held if session.index != index]
        del self._ends[index]
        if self._next is not None and self._next[0] == index:
            self._next = None
        self.changed = True
