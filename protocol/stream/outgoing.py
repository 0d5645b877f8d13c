"""The sending half of an end: what was written and is not acknowledged, and what of it may be sent now.

Frames of two peers come in order, but some may be missing: a queue was full, a connection was replaced, a relay
dropped one. So bytes are kept until they are acknowledged, and sent again from there on (go-back-N; Tanenbaum):
losses are rare and come in rows, so to keep what came behind a gap would save little. What may be on its way at
once halves when something was lost and grows by a piece for each round trip (AIMD; Jacobson 1988), because what
a relay drops is dropped for want of its room.

The end of the direction counts as one more byte, so that it, too, is acknowledged.
"""

from collections import deque

from protocol.stream.limits import (
    STREAM_FIRST_WINDOW_BYTES,
    STREAM_GAP_EVERY_S,
    STREAM_PIECE_BYTES,
    STREAM_PIECES,
    STREAM_RESEND_MOST_S,
    STREAM_RESEND_S,
    STREAM_SMALL_PIECES,
    STREAM_WINDOW_BYTES,
)
from protocol.stream.messages import StreamCredit, StreamData

_NEVER = float("inf")


class Overrun(Exception):
    """The other end broke the rules. The text says how."""


class Outgoing:
    """One direction, as its sender knows it."""

    def __init__(self, session: str, back: bool) -> None:
        self._session, self._back = session, back
        self._kept = bytearray()
        """What was written and is not acknowledged."""
        self._written = self._acked = self._sent = self._highest = 0
        self._limit = STREAM_FIRST_WINDOW_BYTES
        self._final: int | None = None
        """Where the direction ends, once that is known."""
        self._pieces: deque[tuple[int, bool]] = deque()
        """Where each piece that is on its way ends, and whether it is a small one."""
        self._most_bytes = float(STREAM_WINDOW_BYTES)
        self._wait_s = STREAM_RESEND_S
        self._again_s = _NEVER
        """When to send again."""
        self._turned_s = -_NEVER

    @property
    def room(self) -> int:
        """How many bytes may be written now: what may be sent, and a piece, so that one is always ready."""
        if self._final is not None:
            return 0
        granted = self._limit + STREAM_PIECE_BYTES - self._written
        return max(0, min(granted, STREAM_WINDOW_BYTES - len(self._kept)))

    @property
    def done(self) -> bool:
        """Whether all of it was acknowledged, and its end."""
        return self._final is not None and self._acked > self._final

    @property
    def next_s(self) -> float:
        """When to tick; infinite if never."""
        return self._again_s

    def write(self, data: bytes) -> None:
        """Takes in bytes. There must be room for them."""
        assert len(data) <= self.room, "more was written than there is room for"
        self._kept += data
        self._written += len(data)

    def end(self) -> None:
        """Nothing more will be written."""
        if self._final is None:
            self._final = self._written

    def credit(self, credit: StreamCredit, now: float) -> None:
        """The other end told what it has and what it takes. Raises Overrun if it cannot have that."""
        if credit.received > self._highest:
            raise Overrun("it acknowledges what was never sent")
        if credit.received > self._acked:
            self._acknowledged(credit.received, now)
        self._limit = max(self._limit, min(credit.limit, self._acked + STREAM_WINDOW_BYTES))
        missing = credit.gap and credit.received == self._acked < self._sent
        if missing and now >= self._turned_s + STREAM_GAP_EVERY_S:
            self._go_back(now)

    def due(self, now: float) -> list[StreamData]:
        """What may be sent now. Every piece that is answered counts as on its way."""
        out: list[StreamData] = []
        most = min(self._limit, self._acked + int(self._most_bytes), self._written)
        while len(self._pieces) < STREAM_PIECES and self._sent < most:
            until = min(most, self._sent + STREAM_PIECE_BYTES)
            if self._joins(until):
                break
            out.append(self._piece(until, last=until == self._final))
        if self._sent == self._final and len(self._pieces) < STREAM_PIECES:
            out.append(self._piece(self._sent, last=True))
        waits = bool(self._pieces) or self._sent < self._written
        if not waits:
            self._again_s = _NEVER
        elif out or self._again_s == _NEVER:
            self._again_s = now + self._wait_s
        return out

    def tick(self, now: float) -> list[StreamData]:
        """Sends again what was not acknowledged in time, or asks for a credit where none is left."""
        if now < self._again_s:
            return []
        self._wait_s = min(2 * self._wait_s, STREAM_RESEND_MOST_S)
        self._again_s = now + self._wait_s
        if self._pieces:
            self._go_back(now)
            return self.due(now)
        return [StreamData(self._session, self._back, self._sent, b"")]

    def check(self) -> None:
        """Asserts the bounds."""
        assert self._acked <= self._sent <= self._highest
        assert len(self._kept) <= STREAM_WINDOW_BYTES
        assert len(self._pieces) <= STREAM_PIECES

    def _joins(self, until: int) -> bool:
        """Whether a piece up to there waits for more to be joined to it (RFC 896, with two on their way)."""
        if until == self._final or until - self._sent == STREAM_PIECE_BYTES:
            return False
        return sum(small for _, small in self._pieces) >= STREAM_SMALL_PIECES

    def _piece(self, until: int, *, last: bool) -> StreamData:
        begins, after = self._sent - self._acked, until - self._acked
        data = bytes(self._kept[begins:after])
        offset = self._sent
        self._sent = until + 1 if last else until
        self._highest = max(self._highest, self._sent)
        self._pieces.append((self._sent, len(data) < STREAM_PIECE_BYTES))
        return StreamData(self._session, self._back, offset, data, last)

    def _acknowledged(self, received: int, now: float) -> None:
        gained = received - self._acked
        del self._kept[:gained]
        self._acked = received
        self._sent = max(self._sent, received)
        while self._pieces and self._pieces[0][0] <= received:
            self._pieces.popleft()
        self._most_bytes = min(
            STREAM_WINDOW_BYTES, self._most_bytes + STREAM_PIECE_BYTES * gained / self._most_bytes
        )
        self._wait_s = STREAM_RESEND_S
        self._again_s = now + self._wait_s if self._pieces else _NEVER

    def _go_back(self, now: float) -> None:
        self._sent, self._turned_s = self._acked, now
        self._pieces.clear()
        self._most_bytes = max(2.0 * STREAM_PIECE_BYTES, self._most_bytes / 2)
