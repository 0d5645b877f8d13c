"""HTTP for strangers: one question on a connection, small and soon, whatever they send."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

import pytest

from overlayd.metadata import server as served
from overlayd.metadata.answer import Answer, Request, as_json
from overlayd.metadata.report import BODY_MOST_BYTES
from overlayd.metadata.server import GUEST_CONNECTIONS_MOST, HEAD_MOST_BYTES, Server

HOST = b"Host: 169.254.169.254\r\n"


class Bench:
    """A server on loopback that answers what it was asked."""

    def __init__(self, within_s: float) -> None:
        self.asked: list[tuple[str, str, Request]] = []
        self.server = Server(self.ask, within_s)
        self.door: asyncio.Server | None = None
        self.port = 0

    async def ask(self, network: str, address: str, request: Request) -> Answer:
        self.asked.append((network, address, request))
        if request.path == "/broken":
            raise RuntimeError("not foreseen")
        if request.path == "/large":
            return Answer(200, bytes(1 << 20))
        return as_json({"path": request.path, "body": len(request.body)})

    async def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self.door = await self.server.listen("lan", listener)

    async def say(self, *parts: bytes, end: bool = False, source: str = "127.0.0.1") -> bytes:
        """All that comes back until the connection ends."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(source, 0)
        )
        for part in parts:
            writer.write(part)
            await writer.drain()
        if end:
            writer.write_eof()
        try:
            async with asyncio.timeout(10):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """One that waits for as long as a test may take."""
    async with _started(60.0, monkeypatch) as made:
        yield made


@pytest.fixture
async def hasty(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """One whose patience ends at once."""
    async with _started(0.3, monkeypatch) as made:
        yield made


@contextlib.asynccontextmanager
async def _started(within_s: float, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(served, "_LINGER_S", 0.05)
    made = Bench(within_s)
    await made.start()
    yield made
    assert made.door is not None
    made.door.close()


def status(said: bytes) -> int:
    return int(said.split(b" ", 2)[1]) if said else 0


async def test_a_question_is_answered_and_the_connection_ends(bench: Bench) -> None:
    said = await bench.say(b"GET /a?b=c HTTP/1.1\r\n", HOST, b"X-Y: z\r\n\r\n")
    head, body = said.split(b"\r\n\r\n")
    assert status(said) == 200
    assert b"connection: close" in head.lower()
    assert json.loads(body) == {"path": "/a", "body": 0}
    ((network, address, request),) = bench.asked
    assert (network, address) == ("lan", "127.0.0.1")
    assert (request.query, request.header("x-y"), request.header("none")) == ("b=c", "z", "")


async def test_a_body_in_parts_or_chunks_or_after_100_is_read(bench: Bench) -> None:
    plain = await bench.say(b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\nab", b"cd")
    chunked = await bench.say(
        b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
    writer.write(
        b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    )
    assert status(await reader.readuntil(b"\r\n\r\n")) == 100
    writer.write(b"ab")
    expects = await reader.read()
    writer.close()
    assert [request.body for _, _, request in bench.asked] == [b"abcd", b"abcd", b"ab"]
    assert [status(said) for said in (plain, chunked, expects)] == [200, 200, 200]


async def test_a_large_answer_comes_whole_and_head_has_no_body(bench: Bench) -> None:
    assert len(await bench.say(b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n")) > 1 << 20
    said = await bench.say(b"HEAD /a HTTP/1.1\r\n" + HOST + b"\r\n")
    assert status(said) == 200
    assert said.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00" + bytes(200) + b"\r\n\r\n", (400,)),
        (b"GET / HTTP/1.1\r\n\r\n", (400,)),  # no Host
        (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", (400,)),
        (b"GET / HTTP/9.9\r\n" + HOST + b"\r\n", (505,)),
        (b"GET /\r\n a: b\r\n\r\n", (400,)),
        (b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"x" * 2 * HEAD_MOST_BYTES, (431,)),
        (b"GET /" + b"x" * 2 * HEAD_MOST_BYTES + b" HTTP/1.1\r\n", (431,)),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", (400,)),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", (400,)),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", (400,)),
        (
            b"POST / HTTP/1.1\r\n"
            + HOST
            + b"Content-Length: 99999999\r\n\r\n"
            + bytes(2 * BODY_MOST_BYTES),
            (413,),
        ),
    ],
)
async def test_garbage_is_refused(bench: Bench, sent: bytes, answered: tuple[int, ...]) -> None:
    assert status(await bench.say(sent)) in answered
    assert bench.asked == []


async def test_what_is_pipelined_behind_a_question_is_not_heard(bench: Bench) -> None:
    one = b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n"
    said = await bench.say(one * 50 + b"\x00garbage" * 50)
    assert said.count(b"HTTP/1.1 200") == 1
    assert len(bench.asked) == 1


async def test_one_that_dribbles_or_says_nothing_is_hung_up_on(hasty: Bench) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty.port)
    silent, other = await asyncio.open_connection("127.0.0.1", hasty.port)

    async def dribble() -> None:
        for letter in b"GET / HTTP/1.1\r\nA: " + b"x" * 100_000:
            writer.write(bytes([letter]))
            await asyncio.sleep(0.01)

    task = asyncio.create_task(dribble())
    async with asyncio.timeout(10):
        for ear in (reader, silent):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await ear.readexactly(1)
    task.cancel()
    writer.close()
    other.close()
    assert hasty.server.counts["metadata: too slow"] == 2
    assert hasty.asked == []


async def test_a_guest_has_few_connections_and_10000_more_are_dropped_at_once(
    bench: Bench,
) -> None:
    held = [
        await asyncio.open_connection("127.0.0.1", bench.port)
        for _ in range(GUEST_CONNECTIONS_MOST)
    ]
    for _ in range(10_000):
        knock = socket.socket()
        knock.setblocking(False)
        knock.connect_ex(("127.0.0.1", bench.port))
        await asyncio.sleep(0)
        knock.close()
    assert await bench.say(b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n") == b""
    assert bench.server.counts["metadata: too many connections"] > 0
    assert bench.asked == []
    for _, writer in held:
        writer.close()
    async with asyncio.timeout(20):
        while status(await bench.say(b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n")) != 200:
            bench.asked.clear()


async def test_a_grid_of_many_guests_leaves_other_grids_their_places(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "GRID_CONNECTIONS_MOST", 2)
    ports = {}
    async with contextlib.AsyncExitStack() as stack:
        for network in ("ring.1.lan", "ring.1.wan", "shop.1.lan"):
            listener = socket.create_server(("127.0.0.1", 0))
            ports[network] = listener.getsockname()[1]
            door = await bench.server.listen(network, listener)
            stack.callback(door.close)

        async def said(network: str, guest: int) -> bytes:
            bench.port = ports[network]
            ask = b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n"
            return await bench.say(ask, source=f"127.0.1.{guest}")

        for guest, network in enumerate(("ring.1.lan", "ring.1.wan"), start=1):
            _, held = await asyncio.open_connection(
                "127.0.0.1", ports[network], local_addr=(f"127.0.1.{guest}", 0)
            )
            stack.callback(held.close)
        assert await said("ring.1.lan", 3) == b"", "also of another guest, on either network"
        assert await said("ring.1.wan", 4) == b""
        assert status(await said("shop.1.lan", 5)) == 200
    assert bench.server.counts["metadata: too many connections"] == 2


async def test_one_that_goes_in_the_middle_and_an_error_of_ours_end_only_its_own(
    bench: Bench,
) -> None:
    await bench.say(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nab", end=True)
    assert await bench.say(b"GET /broken HTTP/1.1\r\n" + HOST + b"\r\n") == b""
    assert status(await bench.say(b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n")) == 200
    assert bench.server.counts["metadata: failed"] == 1
