"""Turns at the host: a few machines start side by side, but a machine that is saved or restored is alone.

Saving and restoring take all that the disk gives, and a boot beside them makes both slower than one after the
other. Also, the time they take is measured, so that the host knows how early it must begin (Sotomayor, Montero,
Llorente, Foster: Resource Leasing and the Art of Suspending Virtual Machines, 2009).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """The turns of one host."""

    def __init__(self, starts_at_once: int) -> None:
        self._most = starts_at_once
        self._starting = 0
        self._alone = False
        self._waiting = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def start(self) -> AsyncIterator[None]:
        """A turn beside a few others, but not while a machine is alone or waits to be."""
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
        """A turn beside no other."""
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
