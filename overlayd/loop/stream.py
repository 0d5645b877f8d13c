"""One end of a stream on the loop: what the machine says is sent, and who reads or writes waits for it."""

import asyncio
from collections.abc import Callable

from overlayd.ports.peer import StreamOver
from protocol.stream.end import End
from protocol.stream.limits import (
    STREAM_CREDIT_AFTER_S,
    STREAM_PIECE_BYTES,
    STREAM_WINDOW_BYTES,
    STREAMS_WINDOW_BYTES,
)
from protocol.stream.messages import DETAIL_CHARACTERS, Flow, StreamCredit, Why
from protocol.stream.outgoing import Overrun


class Stream:
    """A `Pipe` over messages. One task reads, one writes."""

    def __init__(
        self,
        end: End,
        say: Callable[[Flow], None],
        now: Callable[[], float],
        share: Callable[[], int],
        over: Callable[["Stream"], None],
    ) -> None:
        """`share` is how many streams the two peers have. `over` is called once, when it is."""
        self.end_of = end
        self._say, self._now, self._share, self._over = say, now, share, over
        self._turned: asyncio.Event = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = float("inf")
        self._told = False
        self.out([])

    @property
    def opened(self) -> bool:
        """Whether the other end has it."""
        return self.end_of.opened and self.end_of.over is None

    def raise_if_broken(self) -> None:
        """Raises StreamOver if it ended before both directions had."""
        over = self.end_of.over
        if over is not None and over.why is not None:
            raise StreamOver(over.why, over.detail)

    # -- the Pipe

    async def read(self) -> bytes:
        """What came, at least a byte; nothing once the other end will write no more. Raises StreamOver."""
        while True:
            if data := self.end_of.take():
                return data
            self.raise_if_broken()
            if self.end_of.readable or self.end_of.over is not None:
                self.freed(0)
                return b""
            await self.turn()

    def freed(self, size_bytes: int) -> None:
        """So many bytes that were read have gone on, and as many may come."""
        share = max(1, self._share())
        # All of them together fit into the peers' lanes, and say no more than a peer may.
        window_bytes = max(
            STREAM_PIECE_BYTES, min(STREAM_WINDOW_BYTES, STREAMS_WINDOW_BYTES // share)
        )
        after_s = share * STREAM_CREDIT_AFTER_S
        self.out(self.end_of.freed(size_bytes, window_bytes, self._now(), after_s))

    async def write(self, data: bytes) -> None:
        """Sends bytes, and waits until all of them are taken in. Raises StreamOver."""
        left = memoryview(data)
        while left:
            self.raise_if_broken()
            if room := min(self.end_of.room, STREAM_PIECE_BYTES):
                self.out(self.end_of.write(bytes(left[:room]), self._now()))
                left = left[room:]
            else:
                await self.turn()

    def end(self) -> None:
        """Nothing more will be written."""
        self.out(self.end_of.end(self._now()))

    def close(self, why: Why, detail: str) -> None:
        """Ends it at once, in both directions."""
        self.out(self.end_of.close(why, detail[:DETAIL_CHARACTERS], self._now()))

    async def wait_over(self) -> None:
        """Returns when both directions have ended and all of it arrived. Raises StreamOver."""
        while self.end_of.over is None:
            await self.turn()
        self.raise_if_broken()

    # -- the loop's side

    def greet(self) -> None:
        """Says that the stream stands."""
        self.out(self.end_of.greet(self._now()))

    def farewell(self) -> StreamCredit | None:
        """What is still answered if it ended well; nothing if it did not."""
        over = self.end_of.over
        ended_well = over is not None and over.why is None
        return self.end_of.farewell(self._now()) if ended_well else None

    def handle(self, message: Flow) -> None:
        """The other end said something. Raises Overrun if it broke the rules."""
        try:
            said = self.end_of.handle(message, self._now())
        except Overrun:
            self.out([])
            raise
        self.out(said)

    def out(self, said: list[Flow]) -> None:
        """Sends what the machine says, and lets go on whoever waits for it."""
        for message in said:
            self._say(message)
        self._arm()
        self._turned.set()
        if self.end_of.over is not None and not self._told:
            self._told = True
            self._over(self)

    async def turn(self) -> None:
        """Waits until something changed."""
        self._turned.clear()
        await self._turned.wait()

    def _arm(self) -> None:
        """Keeps a timer that goes no later than the next thing that is due."""
        due_s = self.end_of.next_s()
        if self._timer is not None and self._timer_s <= due_s < float("inf"):
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_s < float("inf"):
            self._timer_s = due_s
            wait_s = max(0.0, due_s - self._now())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.out(self.end_of.tick(self._now()))
