"""Whose turn it is at the host: a few machines start side by side; one that is saved or restored is alone.

Saving and restoring take all the disk gives, and a boot beside them makes both slower than one after
the other; and what they take is measured, so that the host knows how early it must begin (Sotomayor,
Montero, Llorente, Foster: Resource Leasing and the Art of Suspending Virtual Machines, 2009).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """One per host."""

    def __init__(self, starts_at_once: int) -> None:
        self._most = starts_at_once
        self._starting = 0
        self._alone = False
        self._waiting = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def start(self) -> AsyncIterator[None]:
        """Beside a few others; not while somebody is, or waits to be, alone."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._starting < self._most and not self._alone and not self._waiting
            )
            self._starting += 1
        try:
            yield
        finally:
            async with self._changed:
                self._starting -= 1
                self._changed.notify_all()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Beside nobody."""
        async with self._changed:
            self._waiting += 1
            try:
                await self._changed.wait_for(lambda: not self._starting and not self._alone)
                self._alone = True
            finally:
                self._waiting -= 1
                self._changed.notify_all()
        try:
            yield
        finally:
            async with self._changed:
                self._alone = False
                self._changed.notify_all()
