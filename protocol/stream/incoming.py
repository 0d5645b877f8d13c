"""The receiving half of an end: what came in order and waits to be taken, and what the sender may send.

What comes behind a gap is dropped, since the sender sends again from there on (outgoing.py). Memory is bounded
by what was granted: a sender that goes beyond it broke the rules, and no honest one is near it.
"""

from protocol.stream.limits import (
    STREAM_CREDIT_AFTER_S,
    STREAM_FIRST_WINDOW_BYTES,
    STREAM_GAP_EVERY_S,
)
from protocol.stream.messages import StreamCredit, StreamData
from protocol.stream.outgoing import Overrun

_NEVER = float("inf")


class Incoming:
    """One direction, as its receiver knows it."""

    def __init__(self, session: str, back: bool) -> None:
        self._session, self._back = session, back
        self._waiting = bytearray()
        """What came and was not taken yet."""
        self._received = self._taken = 0
        self._limit = STREAM_FIRST_WINDOW_BYTES
        self._window_bytes = STREAM_FIRST_WINDOW_BYTES
        self._final: int | None = None
        """Where the direction ends, once the sender has said it."""
        self._after_s = STREAM_CREDIT_AFTER_S
        """How long a credit waits for more to tell."""
        self._due_s = _NEVER
        """When a credit is due."""
        self._gap_said_s = -_NEVER

    @property
    def waiting(self) -> bool:
        """Whether there is something to be taken."""
        return bool(self._waiting)

    @property
    def over(self) -> bool:
        """Whether everything came and was taken."""
        return self._final is not None and not self._waiting and self._received > self._final

    @property
    def next_s(self) -> float:
        """When to tick; infinite if never."""
        return self._due_s

    def data(self, piece: StreamData, now: float) -> list[StreamCredit]:
        """A piece came. Answers a credit if the sender waits for one. Raises Overrun."""
        ends = piece.offset + len(piece.data)
        if ends > self._limit:
            raise Overrun("it sends beyond its credit")
        if self._final is not None and (ends > self._final or (piece.last and ends != self._final)):
            raise Overrun("it sends beyond its own end")
        if self._final is None and piece.last and ends < self._received:
            raise Overrun("it ends before what it sent")
        if piece.offset > self._received:
            return self._missing(now)
        fresh = piece.data[self._received - piece.offset :]
        if not fresh and not (piece.last and self._final is None):
            # Sent again, or only to ask: a credit was lost, or is still on its way.
            return [self.credit(now)]
        self._waiting += fresh
        self._received += len(fresh)
        if piece.last:
            self._final = self._received
            self._received += 1
            return [self.credit(now)]
        self._due(now)
        return []

    def take(self) -> bytes:
        """Everything that waits. It is granted anew only when it is `freed`."""
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken

    def freed(
        self, size_bytes: int, window_bytes: int, credit_after_s: float, now: float
    ) -> list[StreamCredit]:
        """Bytes that were taken have gone on, so as many may come, or fewer if the window has shrunk."""
        self._taken += size_bytes
        self._after_s = credit_after_s
        self._window_bytes = window_bytes
        more_bytes = self._taken + window_bytes - self._limit
        if more_bytes >= window_bytes // 4:
            return [self.credit(now)]
        if more_bytes > 0:
            self._due(now)
        return []

    def credit(self, now: float, *, gap: bool = False) -> StreamCredit:
        """What may be sent now."""
        self._limit = max(self._limit, self._taken + self._window_bytes)
        self._due_s = _NEVER
        return StreamCredit(self._session, self._back, self._received, self._limit, gap)

    def tick(self, now: float) -> list[StreamCredit]:
        """Gives a credit that has waited for more to tell."""
        return [self.credit(now)] if now >= self._due_s else []

    def check(self) -> None:
        """Asserts the bounds."""
        assert self._taken + len(self._waiting) <= self._received <= self._limit + 1

    def _due(self, now: float) -> None:
        self._due_s = min(self._due_s, now + self._after_s)

    def _missing(self, now: float) -> list[StreamCredit]:
        if now < self._gap_said_s + STREAM_GAP_EVERY_S:
            return []
        self._gap_said_s = now
        return [self.credit(now, gap=True)]
