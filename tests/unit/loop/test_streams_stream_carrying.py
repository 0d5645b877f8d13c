"""Streams are opened as orders allow, carry bytes both ways, and end when what allowed them ends."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from turns import until
from two_ends import DOOR, ORDER, THERE, TwoEnds, refusal

from overlayd.loop import carrying, streams
from overlayd.loop.stream import Stream
from overlayd.ports.peer import StreamOver
from protocol.stream.messages import Why
from protocol.trust.signing import Reason, Untrusted

LOTS = bytes(range(256)) * 20_000


@pytest.fixture
async def two() -> AsyncIterator[TwoEnds]:
    made = TwoEnds()
    yield made
    await made.close()


async def send(far: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(far, data)


async def receive(far: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size and (more := await asyncio.get_running_loop().sock_recv(far, 1 << 16)):
        got += more
    return got


async def read(stream: Stream, size: int) -> bytes:
    got = b""
    while len(got) < size and (more := await stream.read()):
        got += more
        stream.freed(len(more))
    return got


async def test_bytes_go_both_ways_and_each_way_ends_by_itself(two: TwoEnds) -> None:
    stream, far = await two.open()
    await stream.write(b"ping")
    assert await receive(far, 4) == b"ping"
    await send(far, b"pong")
    assert await read(stream, 4) == b"pong"
    stream.end()
    assert await receive(far, 1) == b"", "the workspace sees the end"
    await send(far, b"still")
    assert await read(stream, 5) == b"still"
    far.close()
    assert await read(stream, 1) == b""
    await stream.wait_over()
    await until(lambda: not two.there._streams and not two.here._streams, "nothing is left")
    await until(lambda: not len(two.there.admission), "it counts no more")
    two.there.admission.check()


@pytest.mark.parametrize("lose_every", [0, 7])
async def test_a_lot_arrives_whole_in_both_directions_at_once(
    two: TwoEnds, lose_every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protocol.stream.outgoing.STREAM_RESEND_S", 0.05)
    monkeypatch.setattr("protocol.stream.incoming.STREAM_GAP_EVERY_S", 0.01)
    monkeypatch.setattr("protocol.stream.outgoing.STREAM_GAP_EVERY_S", 0.01)
    monkeypatch.setattr(streams, "STREAM_OPEN_EVERY_S", 0.1)
    two.lose_every = lose_every
    stream, far = await two.open()

    async def there() -> None:
        await stream.write(LOTS)
        stream.end()

    async def guest() -> bytes:
        got, _ = await asyncio.gather(receive(far, len(LOTS)), send(far, LOTS))
        far.shutdown(socket.SHUT_WR)
        return got

    back, got, _ = await asyncio.gather(read(stream, len(LOTS)), guest(), there())
    assert back == LOTS
    assert got == LOTS
    assert await stream.read() == b""
    await stream.wait_over()


async def test_a_workspace_that_reads_nothing_stops_its_sender_and_no_other(two: TwoEnds) -> None:
    slow, _ = await two.open()
    writing = asyncio.create_task(slow.write(LOTS * 2))
    quick, far = await two.open()
    await quick.write(b"ping")
    assert await receive(far, 4) == b"ping"
    assert not writing.done()
    writing.cancel()


async def test_a_stream_to_a_workspace_that_reads_nothing_counts_no_more_once_it_is_over(
    two: TwoEnds,
) -> None:
    stream, _ = await two.open()
    writing = asyncio.create_task(stream.write(LOTS))
    (served,) = two.there._served.values()
    came = served.stream.end_of._in
    await until(lambda: came._received - len(came._waiting) > came._taken, "it takes no more")
    writing.cancel()
    stream.close(Why.RESET, "its client went away")
    await until(lambda: not len(two.there.admission), "it counts no more")
    assert not two.there._served


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (refusal(Why.ENDED, "this host does not carry g/web-1"), Why.ENDED),
        (Untrusted(Reason.EXPIRED, "sign it again"), Why.REFUSED),
    ],
)
async def test_what_the_node_does_not_allow_is_refused_with_its_reason(
    two: TwoEnds, error: Exception, why: Why
) -> None:
    two.ways.refuses = error
    with pytest.raises(StreamOver) as raised:
        await two.here.ask(THERE, ORDER)
    assert raised.value.why is why
    assert str(error) == str(raised.value)
    assert two.network.connected == []


async def test_a_port_where_nobody_listens(two: TwoEnds) -> None:
    two.network.listeners.clear()
    with pytest.raises(StreamOver, match=r"^connection refused by web-1 port 22: nobody listens"):
        await two.here.ask(THERE, ORDER)
    await until(lambda: not len(two.there.admission), "it counts no more")
    two.there.admission.check()


async def test_a_service_on_its_second_network_alone_is_found(two: TwoEnds) -> None:
    two.network.plans["g.wan"] = None  # type: ignore[assignment]  # that there is one is enough
    two.network.listeners = {("g.wan", "10.1.0.10", DOOR[2])}
    two.ways.addresses = (*two.ways.addresses, ("wan", "10.1.0.10"))
    stream, far = await two.open()
    await stream.write(b"ping")
    assert await receive(far, 4) == b"ping"


async def test_a_workspace_that_does_not_answer(
    two: TwoEnds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "STREAM_CONNECT_S", 0.05)
    two.network.silent.add(DOOR)
    with pytest.raises(StreamOver, match=r"^web-1 port 22: no answer within"):
        await two.here.ask(THERE, ORDER)


async def test_a_workspace_without_a_network(two: TwoEnds) -> None:
    two.ways.addresses = ()
    with pytest.raises(StreamOver, match="has no network"):
        await two.here.ask(THERE, ORDER)


async def test_a_network_that_is_not_made_yet(two: TwoEnds) -> None:
    two.network.plans.clear()
    with pytest.raises(StreamOver, match="is not running yet"):
        await two.here.ask(THERE, ORDER)


async def test_a_host_that_does_not_answer(two: TwoEnds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "STREAM_OPEN_WITHIN_S", 0.1)
    two.cut = True
    with pytest.raises(StreamOver, match="does not answer"):
        await two.here.ask(THERE, ORDER)
    assert not two.here._streams


async def test_an_answer_that_was_lost_is_given_again(
    two: TwoEnds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "STREAM_OPEN_EVERY_S", 0.05)
    two.cut = True
    asking = asyncio.create_task(two.here.ask(THERE, ORDER))
    await until(lambda: two.carried["StreamOpen"] > 1, "it is asked again")
    two.cut = False
    stream = await asking
    assert len(two.network.connected) == 1
    stream.close(Why.RESET, "enough")


@pytest.mark.parametrize(
    "ends", [refusal(), Untrusted(Reason.REVOKED, "the certificate was revoked")]
)
async def test_it_is_closed_when_what_allowed_it_ends(
    two: TwoEnds, ends: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "STREAM_CHECK_S", 0.02)
    stream, far = await two.open()
    await stream.write(b"x")
    assert await receive(far, 1) == b"x"
    two.ways.ends = ends
    with pytest.raises(StreamOver, match=str(ends)):
        await stream.read()
    await until(lambda: not two.there._streams, "the carrying host lets it go")
    assert await receive(far, 1) == b""


async def test_a_carrier_whose_process_began_anew_says_that_it_knows_nothing(two: TwoEnds) -> None:
    stream, _ = await two.open()
    two.there._streams.clear()
    await stream.write(b"hello?")
    with pytest.raises(StreamOver, match="not known there any more"):
        await stream.read()


async def test_it_ends_soon_when_the_host_of_the_workspace_is_gone(
    two: TwoEnds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "STREAM_CHECK_S", 0.02)
    stream, _ = await two.open()
    two.cut = True
    two.ways.gone.append(THERE)
    with pytest.raises(StreamOver, match="the host of the workspace is gone"):
        await stream.read()


async def test_a_client_that_goes_away_ends_it_at_the_workspace(two: TwoEnds) -> None:
    stream, far = await two.open()
    stream.close(Why.RESET, "its client went away")
    await until(lambda: not two.there._streams, "the carrying host hears it")
    assert await receive(far, 1) == b""


async def test_a_workspace_that_resets_is_told_as_that(two: TwoEnds) -> None:
    stream, far = await two.open()
    await send(far, b"some of it")
    far.close()  # with bytes of ours unread, as a crash does
    assert await read(stream, 10) == b"some of it"

    async def go_on() -> None:
        while True:
            await stream.write(b"x" * 1000)
            await asyncio.sleep(0)

    with pytest.raises(StreamOver, match="closed the connection") as raised:
        await go_on()
    assert raised.value.why is Why.RESET


async def test_a_peer_opens_so_many_for_its_people(
    two: TwoEnds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "STREAMS_FROM_HERE", 2)
    first, _ = await two.open()
    await two.open()
    with pytest.raises(StreamOver, match="2 streams are open through this peer") as refused:
        await two.here.ask(THERE, ORDER)
    assert refused.value.why is Why.BUSY
    first.close(Why.RESET, "enough")
    await two.open()


async def test_a_peer_may_be_both_ends(two: TwoEnds) -> None:
    stream = await two.there.ask(THERE, ORDER)
    await until(lambda: two.network.connected, "the workspace is asked")
    far = two.network.connected[0]
    far.setblocking(False)
    await stream.write(b"ping")
    assert await receive(far, 4) == b"ping"
    await send(far, b"pong")
    assert await read(stream, 4) == b"pong"
