"""Supervised tasks: named, logged when they fail, cancelled in order at the end."""

import asyncio
from collections.abc import Callable, Coroutine

from overlayd.telemetry.logs import logger

_AGAIN_S = (1.0, 5.0, 15.0, 60.0)
"""The pauses before work that is kept is begun again after its first error, its second, and so on."""


class Supervisor:
    """Holds every background task of the daemon, so that none is lost or outlives it."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, name: str, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Runs `work`. An exception is logged with the task's name, and ends only that task."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def keep(
        self, name: str, begin: Callable[[], Coroutine[None, None, None]]
    ) -> asyncio.Task[None]:
        """Runs what `begin` answers until it ends by itself. An exception is logged, and it is begun again."""
        return self.spawn(name, self._kept(name, begin))

    async def close(self) -> None:
        """Cancels what still runs and waits for it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _kept(self, name: str, begin: Callable[[], Coroutine[None, None, None]]) -> None:
        errors = 0
        while True:
            try:
                return await begin()
            except Exception as error:  # whatever it is, the next try may not meet it
                again_s = _AGAIN_S[min(errors, len(_AGAIN_S) - 1)]
                errors += 1
                logger().error("task.failed", task=name, again_s=again_s, exc_info=error)
            await asyncio.sleep(again_s)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger().error("task.failed", task=task.get_name(), exc_info=error)
