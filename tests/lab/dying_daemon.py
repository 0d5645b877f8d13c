"""A real daemon that kills itself: dying_daemon.py K COUNT_FILE run -c CONFIG

It counts effects from the moment an order for `up` is handled. After the K-th the process sends itself
SIGKILL. With K = 0 it lives. COUNT_FILE has how many there have been.
"""

import os
import signal
import sys

from overlayd import assembly, daemon
from overlayd.loop.driver import Driver
from overlayd.loop.interpreter import Interpreter
from protocol.node.events import Event
from protocol.requesting.events import OrderGiven
from protocol.terms.effects import Effect
from protocol.trust.order import Action, read_order

DIES_AFTER = int(sys.argv.pop(1))
COUNT = os.open(sys.argv.pop(1), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)


class Counter:
    """The count, which the two classes below share."""

    asked = False
    effects = 0


class CountingDriver(Driver):
    """A driver that knows when the order has come."""

    async def step(self, event: Event) -> None:
        if isinstance(event, OrderGiven) and read_order(event.order).action is Action.UP:
            Counter.asked = True
        await super().step(event)


class DyingInterpreter(Interpreter):
    """An interpreter that carries out one effect at a time, and no more than so many."""

    async def carry_out(self, effects: list[Effect]) -> list[Event]:
        follow: list[Event] = []
        for effect in effects:
            follow += await super().carry_out([effect])
            if Counter.asked:
                Counter.effects += 1
                os.pwrite(COUNT, f"{Counter.effects}\n".encode(), 0)
                if Counter.effects == DIES_AFTER:
                    os.kill(os.getpid(), signal.SIGKILL)
        return follow


if __name__ == "__main__":
    vars(assembly).update(Driver=CountingDriver, Interpreter=DyingInterpreter)
    daemon.main()
