"""What a member can try with streams, against a real node: each try costs its sender, and nobody else."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from carrying_host import CarryingHost, closed

from protocol.node.messages import Message
from protocol.stream.limits import (
    STREAM_FIRST_WINDOW_BYTES,
    STREAM_OPENS_BURST,
    STREAM_PIECE_BYTES,
    STREAM_WINDOW_BYTES,
    STREAMS_OF_PEER,
)
from protocol.stream.messages import (
    Flow,
    StreamClose,
    StreamCredit,
    StreamData,
    StreamOpen,
    Why,
)
from protocol.terms.ids import PeerId
from protocol.trust.order import SignedOrder
from protocol.wire.codec import Malformed
from protocol.wire.envelope import pack, unpack


@pytest.fixture
async def host() -> AsyncIterator[CarryingHost]:
    made = CarryingHost()
    yield made
    await made.close()


async def refused(host: CarryingHost, peer: PeerId, order: SignedOrder) -> StreamClose:
    """What came of an order that is to open nothing."""
    answer = closed(await host.ask(peer, "s", order))
    assert host.network.connected == []
    assert len(host.streams.admission) == 0
    return answer


async def test_a_forged_order_opens_nothing(host: CarryingHost) -> None:
    good = host.order(host.mallory)
    forged = msgspec.structs.replace(good, signature=bytes(64))
    assert (await refused(host, host.mallory, forged)).why is Why.REFUSED


async def test_an_order_whose_port_was_changed_opens_nothing(host: CarryingHost) -> None:
    good = host.order(host.mallory)
    changed = msgspec.structs.replace(good, payload=good.payload.replace(b"\x16", b"\x17"))
    assert (await refused(host, host.mallory, changed)).why is Why.REFUSED


async def test_another_owner_opens_nothing_and_learns_only_whose_it_is(host: CarryingHost) -> None:
    order = host.order(host.mallory, host.other_owner)
    answer = await refused(host, host.mallory, order)
    assert answer.why is Why.REFUSED
    assert answer.detail == f"shop belongs to site {host.owner}'s admin; use that identity"


async def test_a_recorded_order_is_of_no_use_to_another_peer(host: CarryingHost) -> None:
    answer = await refused(host, host.mallory, host.order(host.honest))
    assert (answer.why, answer.detail) == (
        Why.REFUSED,
        "this order is for use through another peer",
    )


async def test_a_recorded_order_opens_streams_for_its_validity_only(host: CarryingHost) -> None:
    order = host.order(host.honest)
    assert isinstance(await host.ask(host.honest, "one", order), StreamCredit)
    assert isinstance(await host.ask(host.honest, "two", order), StreamCredit)
    host.late_s = 700.0
    answer = closed(await host.ask(host.honest, "three", order))
    assert answer.why is Why.REFUSED
    assert "sign it again" in answer.detail


async def test_somebody_elses_session_is_nobodys(host: CarryingHost) -> None:
    far = await host.opened(host.honest, "theirs")
    for message in (
        StreamData("theirs", False, 0, b"evil"),
        StreamCredit("theirs", False, 1 << 40, 1 << 41),
        StreamClose("theirs", False, Why.RESET),
        StreamClose("theirs", True, Why.RESET),
    ):
        host.streams.take(host.mallory, message)
    assert closed(await host.answer(host.mallory, "theirs")).why is Why.UNKNOWN
    await host.works(host.honest, "theirs", far)
    assert host.faults == []


BEYOND = STREAM_FIRST_WINDOW_BYTES


@pytest.mark.parametrize(
    "attack",
    [
        [StreamData("s", False, BEYOND, b"x")],
        [StreamData("s", False, (1 << 62) - 1, b"x")],
        [
            StreamData("s", False, n * STREAM_PIECE_BYTES, b"x" * STREAM_PIECE_BYTES)
            for n in range(30)
        ],
        [StreamCredit("s", False, 1 << 61, 1 << 62)],
        [StreamData("s", False, 0, b"", last=True), StreamData("s", False, 1, b"more")],
    ],
    ids=["beyond its credit", "far out", "no end of it", "never sent", "after its end"],
)
async def test_what_breaks_the_rules_ends_its_own_stream_and_is_a_fault(
    host: CarryingHost, attack: list[Flow]
) -> None:
    far = await host.opened(host.honest, "good")
    await host.opened(host.mallory, "s")
    for message in attack:
        host.streams.take(host.mallory, message)
    async with asyncio.timeout(5):
        while (answer := await host.answer(host.mallory, "s")) and not isinstance(
            answer, StreamClose
        ):
            pass
    assert answer.why is Why.BROKEN
    assert host.faults[:1] == [host.mallory]
    await host.works(host.honest, "good", far)


async def test_a_flood_of_opens_gets_a_peers_share_and_others_theirs(host: CarryingHost) -> None:
    order = host.order(host.mallory)
    for number in range(2000):
        host.streams.take(host.mallory, StreamOpen(f"s{number}", order))
    await host.until(lambda: len(host.said) >= STREAM_OPENS_BURST)
    opened = [m for _, m in host.said if isinstance(m, StreamCredit)]
    busy = [m for _, m in host.said if isinstance(m, StreamClose) and m.why is Why.BUSY]
    assert (len(opened), len(busy)) == (STREAMS_OF_PEER, STREAM_OPENS_BURST - STREAMS_OF_PEER)
    assert host.streams.counts["stream-opens-dropped"] == 2000 - STREAM_OPENS_BURST
    assert len(host.network.connected) == STREAMS_OF_PEER
    far = await host.opened(host.honest, "mine")
    await host.works(host.honest, "mine", far)


async def test_one_session_opened_again_and_again_is_one_stream(host: CarryingHost) -> None:
    order = host.order(host.mallory)
    for _ in range(500):
        host.streams.take(host.mallory, StreamOpen("s", order))
    assert isinstance(await host.answer(host.mallory, "s"), StreamCredit)
    for _ in range(500):
        host.streams.take(host.mallory, StreamOpen("s", order))
    assert len(host.network.connected) == 1
    assert len(host.streams.admission) == 1


async def test_pieces_of_no_stream_leave_nothing_behind(host: CarryingHost) -> None:
    for number in range(3000):
        host.streams.take(host.mallory, StreamData(f"s{number}", False, 0, b"x" * 1000))
    assert len(host.said) == 3000, "each is told once that there is none"
    assert not host.streams._streams
    assert not host.streams._ended


async def test_a_reader_that_grants_no_end_and_reads_nothing_costs_a_window(
    host: CarryingHost,
) -> None:
    far = await host.opened(host.mallory, "s")
    host.streams.take(host.mallory, StreamCredit("s", False, 0, 1 << 62))
    sent = 0
    for _ in range(2000):
        await asyncio.sleep(0)
        try:
            sent += far.send(b"x" * STREAM_PIECE_BYTES)
        except BlockingIOError:
            continue
    (stream,) = host.streams._streams.values()
    stream.end_of.check()
    said = sum(len(m.data) for _, m in host.said if isinstance(m, StreamData))
    assert said <= STREAM_WINDOW_BYTES
    assert sent <= 3 * STREAM_WINDOW_BYTES


async def test_a_huge_piece_is_no_message(host: CarryingHost) -> None:
    huge = StreamData("s", False, 0, b"x" * (STREAM_PIECE_BYTES + 1))
    with pytest.raises(Malformed):
        unpack(pack(huge, ""), Message)
    assert host.said == []
