"""The forwarder's loop: whatever can be read is read, in turns, until a signal ends it."""

import select
import time
from collections.abc import Callable

TICK_S = 1.0
"""How often the clock is looked at when nothing comes."""


class Loop:
    """Calls back for descriptors that can be read or written."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[], None]] = {}
        self._events: dict[int, int] = {}

    def watch(self, descriptor: int, events: int, call: Callable[[], None]) -> None:
        """Calls while there are such events (EPOLLIN, EPOLLOUT), and nothing else for them; 0 ends it."""
        known = self._events.get(descriptor)
        if not events:
            if known is not None:
                self._epoll.unregister(descriptor)
                del self._events[descriptor], self._calls[descriptor]
            return
        if known is None:
            self._epoll.register(descriptor, events)
        elif known != events:
            self._epoll.modify(descriptor, events)
        self._events[descriptor], self._calls[descriptor] = events, call

    def run(self, tick: Callable[[], None]) -> None:
        """Never returns. `tick` is called about every TICK_S."""
        calls, poll, next_tick_s = self._calls, self._epoll.poll, time.monotonic() + TICK_S
        while True:
            for descriptor, _ in poll(TICK_S):
                call = calls.get(descriptor)
                if call is not None:  # one before may have ended it
                    call()
            now_s = time.monotonic()
            if now_s >= next_tick_s:
                next_tick_s = now_s + TICK_S
                tick()
