"""Bars for what takes time: bytes that go to the daemon, and what it does with them."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from overlayd.api.views import ImportView
from overlayd.cli.client import Client
from overlayd.cli.failure import Failure
from overlayd.cli.session import Session
from overlayd.cli.sources import Transfer

if TYPE_CHECKING:
    from overlayd.cli.bars import Bars

LOOK_EVERY_S = 0.5


@contextmanager
def transfer(session: Session) -> Iterator[Transfer]:
    """With a bar on a terminal, in silence otherwise."""
    if session.plain or not sys.stderr.isatty():
        yield Transfer()
        return
    from overlayd.cli.bars import Bars

    with Bars() as bars:
        stopping = threading.Event()
        # A client of its own: the session's waits for the answer meanwhile.
        looking = threading.Thread(
            target=_look, args=(Client(session.socket, 5.0), bars, stopping), daemon=True
        )
        looking.start()
        try:
            yield bars
        finally:
            stopping.set()
            looking.join()


def _look(client: Client, bars: "Bars", stopping: threading.Event) -> None:
    """Asks the daemon how far it is, until the answer is there."""
    while not stopping.wait(LOOK_EVERY_S):
        with suppress(Failure):
            bars.show(client.get(f"/imports/{bars.id}", ImportView))
