"""The ring of events: the last few thousand notes of the node, for `overlayctl events`."""

import asyncio
from collections import deque

from overlayd.ports.peer import EventLine
from protocol.terms.effects import Note

KEPT = 4096


class EventRing:
    """Numbered, bounded, and awaitable."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._lines: deque[EventLine] = deque(maxlen=KEPT)
        self._seq = 0
        self._news = asyncio.Event()

    def add(self, note: Note, at_s: float) -> None:
        """Takes a note, and wakes those that wait for one."""
        self._seq += 1
        line = EventLine(
            seq=self._seq,
            at_s=at_s,
            kind=note.kind,
            subject=note.subject,
            detail=note.detail,
            cause=note.cause,
            host=self._host,
        )
        self._lines.append(line)
        self._news.set()
        self._news = asyncio.Event()

    def since(self, seq: int) -> list[EventLine]:
        """The lines after that number, as far as they are kept."""
        return [line for line in self._lines if line.seq > seq]

    async def after(self, seq: int, timeout_s: float) -> list[EventLine]:
        """Like `since`, but waits for the first line. Empty if none came in time."""
        lines = self.since(seq)
        if lines:
            return lines
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return []
        return self.since(seq)
