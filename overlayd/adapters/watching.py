"""Waits on the loop for what the kernel says of networks, and for the end of their services."""

import asyncio
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from netns.failures import NetnsError
from overlayd.telemetry.logs import logger

if TYPE_CHECKING:
    from netns.kernel.changes import Changes


class Watching:
    """`told` is called for each thing heard. Opened for the first network: a host without one hears nothing."""

    def __init__(self, told: Callable[[], None]) -> None:
        self._told = told
        self._opening = threading.Lock()
        self._changes: Changes | None = None
        self._deaf = ""
        """Why nothing could be heard, the last time."""
        self._waiting: tuple[int, ...] = ()
        self._ends: dict[str, int] = {}

    def open(self) -> None:
        """Listens in the network namespace of the calling thread. A second call changes nothing.

        If the kernel does not let it listen (others may have taken all inotify instances), nothing is heard and
        changes are found on the clock. The next call tries again.
        """
        with self._opening:
            if self._changes is None:
                from netns.kernel.changes import Changes

                try:
                    self._changes = Changes()
                except (OSError, NetnsError) as error:
                    if str(error) != self._deaf:
                        logger().warning("networks.not-heard", error=str(error))
                    self._deaf = str(error)

    def await_end(self, network: str, pidfd: int | None) -> None:
        """Waits for the end of the process behind `pidfd`, the network's service. None: waits no more."""
        loop = self._on_loop()
        before = self._ends.pop(network, None)
        if before is not None:
            loop.remove_reader(before)
            os.close(before)
        if pidfd is not None:
            self._ends[network] = pidfd
            loop.add_reader(pidfd, self._ended, network)

    def close(self) -> None:
        """Waits for nothing any more."""
        for network in list(self._ends):
            self.await_end(network, None)
        if self._changes is not None:
            for handle in self._waiting:
                self._on_loop().remove_reader(handle)
            self._changes.close()
            self._changes, self._waiting = None, ()

    def _on_loop(self) -> asyncio.AbstractEventLoop:
        """The running loop. What was opened in a thread is waited for from here on."""
        loop = asyncio.get_running_loop()
        if self._changes is not None and not self._waiting:
            self._waiting = self._changes.handles()
            for handle in self._waiting:
                loop.add_reader(handle, self._heard, handle)
        return loop

    def _heard(self, handle: int) -> None:
        if self._changes is not None and self._changes.hear(handle):
            self._told()

    def _ended(self, network: str) -> None:
        self.await_end(network, None)
        self._told()
