"""HTTP/1.1 for guests: one question on a connection, small, and soon. h11 reads what they send.

Guests are strangers. So everything is bounded: the connections of each guest, of each grid and of all, bytes,
and time. The packet filter bounds besides how many connections a guest may begin in a second
(netns/plan/filter_text.py).
"""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

import h11

from overlayd.metadata.answer import Answer, Request, problem
from overlayd.metadata.report import BODY_MOST_BYTES
from overlayd.realise.paths import grid_of
from overlayd.telemetry.logs import logger
from protocol.terms.ids import GridId

Key = TypeVar("Key", bound=Hashable)

HEAD_MOST_BYTES = 8 << 10
WITHIN_S = 10.0
"""From the first byte to the last of the answer."""
GUEST_CONNECTIONS_MOST = 8
GRID_CONNECTIONS_MOST = 128
"""On all networks of one grid: a grid of many guests leaves the others' their places."""
CONNECTIONS_MOST = 512
_LINGER_S = 1.0
_READ_BYTES = 4 << 10

Ask = Callable[[str, str, Request], Awaitable[Answer]]
"""The answer to a request that came by a network from an address."""


class TooLarge(Exception):
    """The body has more bytes than are taken."""


class Server:
    """Serves the listeners of all networks of this host."""

    def __init__(self, ask: Ask, within_s: float = WITHIN_S) -> None:
        self._ask, self._within_s = ask, within_s
        self._open: Counter[tuple[str, str]] = Counter()
        self._of_grid: Counter[GridId] = Counter()
        self.counts: Counter[str] = Counter()
        """How often something was refused before it was answered, by what it was."""

    async def listen(self, network: str, listener: socket.socket) -> asyncio.Server:
        """Serves that network's guests. The caller closes what it answers, and the listener with that."""

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._connected(network, reader, writer)

        return await asyncio.start_server(connected, sock=listener, limit=HEAD_MOST_BYTES)

    async def _connected(
        self, network: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        address = (writer.get_extra_info("peername") or ("",))[0]
        who, grid = (network, address), grid_of(network)
        if (
            self._open[who] >= GUEST_CONNECTIONS_MOST
            or self._of_grid[grid] >= GRID_CONNECTIONS_MOST
            or self._of_grid.total() >= CONNECTIONS_MOST
        ):
            self.counts["metadata: too many connections"] += 1
            writer.transport.abort()
            return
        self._open[who] += 1
        self._of_grid[grid] += 1
        try:
            async with asyncio.timeout(self._within_s):
                await self._serve(network, address, reader, writer)
        except TimeoutError:
            self.counts["metadata: too slow"] += 1
        except OSError:
            pass  # it has gone
        except Exception as error:  # nobody foresaw it: other guests are served all the same
            self.counts["metadata: failed"] += 1
            logger().error("metadata.failed", network=network, exc_info=error)
        finally:
            writer.transport.abort()
            _less(self._open, who)
            _less(self._of_grid, grid)

    async def _serve(
        self,
        network: str,
        address: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        state = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_MOST_BYTES)
        method_is_head = False
        try:
            request = await _read(state, reader, writer)
            if request is None:
                return
            method_is_head = request.method == "HEAD"
            answer = await self._ask(network, address, request)
        except TooLarge:
            self.counts["metadata: too large"] += 1
            answer = problem(413, f"a body has at most {BODY_MOST_BYTES} bytes here")
        except h11.RemoteProtocolError as error:
            self.counts["metadata: no HTTP"] += 1
            answer = problem(error.error_status_hint, "this is no HTTP request that is understood")
        if state.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        writer.write(_written(state, answer, whole=not method_is_head))
        await writer.drain()
        await _linger(reader, writer)


def _less(counter: Counter[Key], key: Key) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


async def _read(
    state: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    """One whole request; None if there comes none. Raises TooLarge, and h11's error for what is no HTTP."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = state.next_event()
        if event is h11.NEED_DATA:
            if state.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                writer.write(state.send(go_on) or b"")
            state.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_MOST_BYTES:
                raise TooLarge
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            if head.http_version not in (b"1.0", b"1.1"):
                raise h11.RemoteProtocolError("another HTTP", error_status_hint=505)
            return _request(head, bytes(body))
        else:
            return None


def _request(head: h11.Request, body: bytes) -> Request:
    path, _, query = head.target.decode("latin-1").partition("?")
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers
    )
    return Request(head.method.decode("latin-1"), path, query, headers, body)


def _written(state: h11.Connection, answer: Answer, whole: bool) -> bytes:
    """The bytes of an answer; without its body unless it is to be `whole`."""
    headers = [
        ("content-type", answer.content_type),
        ("content-length", str(len(answer.body))),
        ("cache-control", "no-store"),
        ("connection", "close"),
        *answer.headers,
    ]
    parts = [
        state.send(h11.Response(status_code=answer.status, headers=headers)),
        state.send(h11.Data(data=answer.body if whole else b"")),
        state.send(h11.EndOfMessage()),
    ]
    return b"".join(part or b"" for part in parts)


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Lets the guest read the answer: to close on what it has still sent would reset the connection."""
    writer.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            left = BODY_MOST_BYTES
            while left > 0 and (more := await reader.read(_READ_BYTES)):
                left -= len(more)
