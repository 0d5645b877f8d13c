"""One end of a stream: two directions, each of which ends by itself, and one end of both if something is wrong.

A direction that was ended leaves the other as it is (half-close). A stream is over when both have ended and
that is acknowledged, or at once when either end closes it; then what is on its way is lost, and both sides are
told why. Bytes are never lost without a word: they come in order and without gaps, or the stream is closed.

Both ends say now and then that they are there. One that has not been heard for STREAM_SILENT_S is given up,
so a stream outlives a connection between its peers that is made anew, but not a peer that is gone.
"""

from collections.abc import Sequence
from typing import assert_never

from protocol.stream.incoming import Incoming
from protocol.stream.limits import STREAM_BEAT_S, STREAM_CREDIT_AFTER_S, STREAM_SILENT_S
from protocol.stream.messages import Flow, StreamClose, StreamCredit, StreamData, Why
from protocol.stream.outgoing import Outgoing, Overrun


class Over:
    """How a stream ended: `why` is None if both directions ended and all of it arrived."""

    __slots__ = ("detail", "why")

    def __init__(self, why: Why | None, detail: str = "") -> None:
        self.why, self.detail = why, detail


class End:
    """One end. What its methods answer is to be sent to the other."""

    def __init__(self, session: str, back: bool, now: float) -> None:
        self.session, self.back = session, back
        self.over: Over | None = None
        """How it ended; None as long as it has not."""
        self.opened = back
        """Whether the other end is known to have it. The carrying host makes an end when it is."""
        self._out, self._in = Outgoing(session, back), Incoming(session, back)
        self._heard_s = self._said_s = now

    # -- what is beyond this end

    @property
    def room(self) -> int:
        """How many bytes may be written now."""
        return self._out.room if self.over is None else 0

    @property
    def readable(self) -> bool:
        """Whether `take` has something to say: bytes, or that there will be none."""
        return self._in.waiting or self._in.over

    def write(self, data: bytes, now: float) -> list[Flow]:
        """Sends bytes, for which there must be room."""
        self._out.write(data)
        return self._said(self._out.due(now), now)

    def end(self, now: float) -> list[Flow]:
        """Nothing more will be written."""
        self._out.end()
        return self._said(self._out.due(now), now) if self.over is None else []

    def take(self) -> bytes:
        """What came; empty if the direction has ended, or nothing waits."""
        return self._in.take()

    def freed(
        self,
        size_bytes: int,
        window_bytes: int,
        now: float,
        credit_after_s: float = STREAM_CREDIT_AFTER_S,
    ) -> list[Flow]:
        """What was taken has gone on. From now on so many bytes may be on their way; credits wait so long."""
        if self.over is not None:
            return []
        out = self._said(self._in.freed(size_bytes, window_bytes, credit_after_s, now), now)
        self._look()
        return out

    def close(self, why: Why, detail: str, now: float) -> list[Flow]:
        """Ends it at once, in both directions. Nothing if it is over."""
        if self.over is not None:
            return []
        self.over = Over(why, detail)
        return self._said([StreamClose(self.session, self.back, why, detail)], now)

    # -- what is between the ends

    def greet(self, now: float) -> list[Flow]:
        """Says that the stream stands."""
        return self._said([self._in.credit(now)], now)

    def handle(self, message: Flow, now: float) -> list[Flow]:
        """The other end said something. Raises Overrun if it broke the rules; the stream is over then."""
        if self.over is not None:
            return []
        self._heard_s, self.opened = now, True
        try:
            match message:
                case StreamData():
                    out: list[Flow] = [*self._in.data(message, now)]
                case StreamCredit():
                    self._out.credit(message, now)
                    out = [*self._out.due(now)]
                case StreamClose(why=why, detail=detail):
                    self.over = Over(why, detail)
                    return []
                case _:
                    assert_never(message)
        except Overrun as error:
            self.over = Over(Why.BROKEN, str(error))
            raise
        self._look()
        return self._said(out, now)

    def farewell(self, now: float) -> StreamCredit:
        """What an end that is over still answers, should the other not know that everything came."""
        return self._in.credit(now)

    def tick(self, now: float) -> list[Flow]:
        """Whatever is due."""
        if self.over is not None:
            return []
        if now >= self._heard_s + STREAM_SILENT_S:
            said = f"nothing was heard of its other end for {STREAM_SILENT_S:.0f} s"
            return self.close(Why.SILENT, said, now)
        out: list[Flow] = [*self._out.tick(now), *self._in.tick(now)]
        if not out and now >= self._said_s + STREAM_BEAT_S:
            out = [self._in.credit(now)]
        return self._said(out, now)

    def next_s(self) -> float:
        """When to tick; infinite if it is over."""
        if self.over is not None:
            return float("inf")
        at_s = (self._said_s + STREAM_BEAT_S, self._heard_s + STREAM_SILENT_S)
        return min(self._out.next_s, self._in.next_s, *at_s)

    def check(self) -> None:
        """Asserts the bounds of both directions."""
        self._out.check()
        self._in.check()

    def _said(self, out: Sequence[Flow], now: float) -> list[Flow]:
        if out:
            self._said_s = now
        return [*out]

    def _look(self) -> None:
        if self._out.done and self._in.over:
            self.over = Over(None)
