"""One stream to a port of a workspace, as a command uses it: bytes in from one side, bytes out to the other."""

import threading
from collections.abc import Callable
from contextlib import suppress

import msgspec

from overlayd.api import frames
from overlayd.api.views import BrokenView, ConnectRequest
from overlayd.cli.client import Duplex
from overlayd.cli.failure import failure
from overlayd.cli.session import Session
from protocol.stream.messages import ConnectBody
from protocol.terms.ids import PeerId
from protocol.trust.order import Action
from protocol.wire.codec import encode

CONNECT_VALID_S = 60.0
"""An order to connect opens a stream within that time: long enough for clocks that differ a little."""


class Ends:
    """What is at this end of a stream: where bytes come from, and where they go."""

    def __init__(
        self,
        read: Callable[[], bytes],
        write: Callable[[bytes], None],
        end: Callable[[], None],
        opened: Callable[[], None] = lambda: None,
    ) -> None:
        """`read` answers nothing when there will be no more; `end` says that nothing more will be written."""
        self.read, self.write, self.end, self.opened = read, write, end, opened


def join(session: Session, grid: str, workspace: str, port: int, ends: Ends) -> None:
    """Carries a stream from its opening to its end. `grid` is an id. Raises Failure."""
    body = encode(ConnectBody(port, PeerId(session.peer)))
    order = session.sign(Action.CONNECT, grid, workspace, body, CONNECT_VALID_S)
    first = frames.frame(frames.ORDER, msgspec.json.encode(ConnectRequest(order)))
    with session.client.duplex("/streams", first) as duplex:
        ends.opened()
        # It may wait for what never comes; it ends with the process, or when its socket is closed.
        threading.Thread(target=_send, args=(duplex, ends), daemon=True).start()
        _receive(duplex, ends)


def _send(duplex: Duplex, ends: Ends) -> None:
    """What stops it is told by the answer."""
    with suppress(OSError, ValueError, AttributeError):
        while data := ends.read():
            duplex.send(frames.frame(frames.DATA, data[: frames.DATA_MAX_BYTES]))
        duplex.send(frames.frame(frames.END))
        duplex.finish()


def _receive(duplex: Duplex, ends: Ends) -> None:
    ended = False
    while head := duplex.read(frames.HEAD_BYTES):
        kind, length = frames.head(head)
        data = duplex.read(length)
        if kind == frames.DATA:
            ends.write(data)
        elif kind == frames.END:
            ended = True
            ends.end()
        elif kind == frames.BROKEN:
            raise failure(f"the stream ended: {msgspec.json.decode(data, type=BrokenView).problem}")
    if not ended:
        raise failure("the daemon ended the stream in the middle", "look at its log; try again")
