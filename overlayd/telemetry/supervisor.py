"""Supervised tasks: named, logged when they fail, cancelled in order at the end."""

import asyncio
from collections.abc import Coroutine

from overlayd.telemetry.logs import logger


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

    async def close(self) -> None:
        """Cancels what still runs and waits for it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger().error("task.failed", task=task.get_name(), exc_info=error)
