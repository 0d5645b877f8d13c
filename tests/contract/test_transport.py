"""The transport's contract, on the hub in memory and on ZeroMQ over loopback."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from ipaddress import IPv4Address
from typing import Any

import pytest
import zmq

from overlayd.adapters.nacl_keys import NaclIdentity
from overlayd.adapters.names import Names
from overlayd.adapters.zmq_paths import greeting
from overlayd.adapters.zmq_sockets import dialler_socket, new_context
from overlayd.adapters.zmq_transport import ZmqTransport
from overlayd.fakes.keys import FakeIdentity
from overlayd.fakes.transport import FakeHub, FakeTransport
from overlayd.ports.transport import (
    Arrived,
    Down,
    Knocked,
    Refused,
    Transport,
    TransportError,
    TransportEvent,
    Up,
    dialled,
)
from protocol.terms.ids import KeyId, PeerId
from protocol.terms.problem import Trouble
from protocol.wire.limits import MAX_FRAME_BYTES

LOOP = IPv4Address("127.0.0.1")
ANY_PORT = "tcp://127.0.0.1:0"
DEADLINE_S = 20.0


class Peer:
    """A transport and what it said."""

    def __init__(self, transport: Transport, key: PeerId) -> None:
        self.transport = transport
        self.key = key
        self.events: list[TransportEvent] = []
        self._changed = asyncio.Event()

    async def open(self, listen: str = ANY_PORT) -> "Peer":
        await self.transport.open(listen, self._record)
        return self

    async def until(self, condition: Callable[["Peer"], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    def said(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def is_up(self, peer: "Peer") -> bool:
        standing = [e for e in self.events if isinstance(e, Up | Down) and e.peer == peer.key]
        return bool(standing) and isinstance(standing[-1], Up)

    def frames(self) -> list[bytes]:
        return [event.frame for event in self.said(Arrived)]

    def _record(self, event: TransportEvent) -> None:
        self.events.append(event)
        self._changed.set()


class World:
    """Makes peers by name and closes them all."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.hub = FakeHub()
        self.identities: dict[str, Any] = {}
        self._open: list[Peer] = []

    def identity(self, name: str) -> Any:
        make = FakeIdentity if self.kind == "fake" else lambda _: NaclIdentity.generate()
        if name not in self.identities:
            self.identities[name] = make(name)
        return self.identities[name]

    def key(self, name: str) -> PeerId:
        return PeerId(self.identity(name).key)

    async def peer(self, name: str, listen: str = ANY_PORT) -> Peer:
        return await self._started(name, self.key(name), listen)

    async def impostor(self, name: str, claims: str) -> Peer:
        return await self._started(name, self.key(claims), ANY_PORT)

    async def _started(self, name: str, claims: PeerId, listen: str) -> Peer:
        transport: Transport
        if self.kind == "fake":
            transport = FakeTransport(self.hub, self.key(name), claims=claims)
        else:
            transport = ZmqTransport(_Claiming(self.identity(name), claims))
        peer = Peer(transport, claims)
        self._open.append(peer)
        return await peer.open(listen)

    async def close(self) -> None:
        for peer in self._open:
            await peer.transport.close()


class _Claiming:
    """An identity that says it has another's signing key; its transport key is its own."""

    def __init__(self, identity: NaclIdentity, claims: PeerId) -> None:
        self.key = KeyId(claims)
        self.transport_secret = identity.transport_secret
        self.transport_public = identity.transport_public
        self.transport_key_of = identity.transport_key_of
        self.sign = identity.sign


@pytest.fixture(params=["fake", "zmq"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    made = World(request.param)
    yield made
    await made.close()


async def joined(world: World) -> tuple[Peer, Peer]:
    """Two peers; the first dialled the second."""
    a, b = await world.peer("a"), await world.peer("b")
    a.transport.dial(b.key, b.transport.address)
    await a.until(lambda p: p.is_up(b))
    await b.until(lambda p: p.is_up(a))
    return a, b


async def test_one_dial_serves_both_ways_in_order(world: World) -> None:
    a, b = await joined(world)
    there = [b"there %d" % n for n in range(100)]
    back = [b"back %d" % n for n in range(100)]
    assert all(a.transport.send(b.key, frame) for frame in there)
    assert all(b.transport.send(a.key, frame) for frame in back)
    await b.until(lambda p: len(p.frames()) == 100)
    await a.until(lambda p: len(p.frames()) == 100)
    assert (b.frames(), a.frames()) == (there, back)
    sent = a.transport.traffic[b.key]
    assert sent.bytes_out == sum(map(len, there))
    assert sent.bytes_in == sum(map(len, back))


async def test_the_largest_frame_arrives_and_a_larger_or_empty_one_is_not_taken(
    world: World,
) -> None:
    a, b = await joined(world)
    assert not a.transport.send(b.key, b"x" * (MAX_FRAME_BYTES + 1))
    assert a.transport.send(b.key, b"x" * MAX_FRAME_BYTES)
    assert not a.transport.send(b.key, b"")
    assert a.transport.send(b.key, b"x")
    await b.until(lambda p: len(p.frames()) == 2)
    assert [len(frame) for frame in b.frames()] == [MAX_FRAME_BYTES, 1]
    assert a.transport.traffic[b.key].bytes_out == MAX_FRAME_BYTES + 1


async def test_no_event_is_given_from_inside_a_call(world: World) -> None:
    a, b = await joined(world)
    before = len(a.events)
    a.transport.hang_up(b.key)
    a.transport.dial(b.key, "ipc:///tmp/x")
    assert len(a.events) == before
    await a.until(lambda p: bool(p.said(Down)) and bool(p.said(Refused)))


async def test_dialling_twice_and_from_both_sides_is_one_up(world: World) -> None:
    a, b = await joined(world)
    a.transport.dial(b.key, b.transport.address)
    b.transport.dial(a.key, a.transport.address)
    assert a.transport.send(b.key, b"1")
    assert b.transport.send(a.key, b"2")
    await a.until(lambda p: p.frames() == [b"2"])
    await b.until(lambda p: p.frames() == [b"1"])
    assert (len(a.said(Up)), len(b.said(Up))) == (1, 1)
    assert not a.said(Down)
    assert not b.said(Down)


async def test_dialling_goes_on_until_somebody_listens(world: World) -> None:
    a, b = await world.peer("a"), await world.peer("b")
    address = b.transport.address
    await b.transport.close()
    a.transport.dial(b.key, address)
    await a.until(lambda p: len(p.said(Refused)) >= 2)
    assert a.said(Refused)[0].peer == b.key
    late = await world.peer("b", address)
    await a.until(lambda p: p.is_up(late))


async def test_another_address_is_tried_at_once(world: World) -> None:
    a, b = await world.peer("a"), await world.peer("b")
    gone = await world.peer("c")
    await gone.transport.close()
    a.transport.dial(b.key, gone.transport.address)
    await a.until(lambda p: bool(p.said(Refused)))
    a.transport.dial(b.key, b.transport.address)
    await a.until(lambda p: p.is_up(b))


async def test_a_restarted_peer_is_down_and_up_again(world: World) -> None:
    a, b = await joined(world)
    address = b.transport.address
    await b.transport.close()
    await a.until(lambda p: bool(p.said(Down)))
    assert not a.transport.send(b.key, b"lost")
    again = await world.peer("b", address)
    await a.until(lambda p: p.is_up(again))
    await again.until(lambda p: p.is_up(a))
    assert a.transport.send(b.key, b"hello again")
    await again.until(lambda p: p.frames() == [b"hello again"])


async def test_a_restarted_dialler_is_down_and_up_again(world: World) -> None:
    a, b = await joined(world)
    await a.transport.close()
    again = await world.peer("a")
    again.transport.dial(b.key, b.transport.address)
    await again.until(lambda p: p.is_up(b))
    await b.until(lambda p: len(p.said(Up)) == 2)
    assert [type(event) for event in b.events] == [Up, Down, Up]
    assert b.transport.send(a.key, b"to the new one")
    await again.until(lambda p: p.frames() == [b"to the new one"])


async def test_hanging_up_ends_it_on_both_sides(world: World) -> None:
    a, b = await joined(world)
    a.transport.hang_up(b.key)
    await a.until(lambda p: not p.is_up(b))
    await b.until(lambda p: not p.is_up(a))
    assert not a.transport.send(b.key, b"x")
    assert not b.transport.send(a.key, b"x")


async def test_the_dialled_side_can_hang_up_and_be_dialled_again(world: World) -> None:
    a, b = await joined(world)
    b.transport.hang_up(a.key)
    await b.until(lambda p: bool(p.said(Down)))
    await a.until(lambda p: bool(p.said(Down)))
    await b.until(lambda p: len(p.said(Up)) == 2)
    await a.until(lambda p: len(p.said(Up)) == 2)


async def test_another_peer_behind_the_address_never_comes_up(world: World) -> None:
    a, b = await world.peer("a"), await world.peer("b")
    a.transport.dial(world.key("c"), b.transport.address)
    await a.until(lambda p: len(p.said(Refused)) >= 2)
    assert not a.said(Up)
    assert not b.said(Up)


async def test_a_try_in_vain_says_what_came_back(world: World) -> None:
    a, b, gone = await world.peer("a"), await world.peer("b"), await world.peer("gone")
    nowhere = gone.transport.address
    await gone.transport.close()

    async def trouble(of: PeerId, at: str) -> Trouble:
        before = len(a.said(Refused))
        a.transport.dial(of, at)
        await a.until(lambda p: len(p.said(Refused)) > before)
        a.transport.hang_up(of)
        said: Trouble = a.said(Refused)[before].trouble
        return said

    assert await trouble(gone.key, nowhere) is Trouble.REFUSED
    assert await trouble(world.key("c"), b.transport.address) is Trouble.OTHER_KEY
    assert await trouble(a.key, b.transport.address) is Trouble.OWN_KEY
    assert await trouble(PeerId("no key"), b.transport.address) is Trouble.NO_KEY
    assert await trouble(b.key, "tcp://no where:1") is Trouble.NO_ADDRESS
    b.transport.deny({a.key})
    assert await trouble(b.key, b.transport.address) is Trouble.TURNED_AWAY
    b.transport.deny(set())
    a.transport.deny({b.key})
    assert await trouble(b.key, b.transport.address) is Trouble.DENIED


async def test_by_ipv6_and_by_names_over_zeromq() -> None:
    """Only over ZeroMQ: the names are of this host, and one socket takes both families."""
    stands_for = {
        "both.example": ["2001:db8::dead", "::1"],
        "mad.example": ["ff02::1"],
        "here.example": ["::1", "127.0.0.1"],
    }

    def ask(name: str) -> list[str]:
        if name not in stands_for:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return stands_for[name]

    b = Peer(ZmqTransport(NaclIdentity.generate()), PeerId(""))
    b.key = PeerId(b.transport._identity.key)  # type: ignore[attr-defined]
    await b.open("tcp://[::]:0")
    port = b.transport.address.rpartition(":")[2]
    told = [f"both.example:{port}"]
    a = Peer(ZmqTransport(NaclIdentity.generate(), Names(told, ask)), PeerId(""))
    await a.open("tcp://[::1]:0")
    try:
        for at in (f"[::1]:{port}", f"127.0.0.1:{port}", f"both.example:{port}"):
            before = len(a.said(Up))
            a.transport.dial(b.key, f"tcp://{at}")
            await a.until(lambda p, before=before: len(p.said(Up)) > before)
            a.transport.hang_up(b.key)
            await b.until(lambda p, before=before: len(p.said(Down)) > before)
        a.transport.knock(b.key, "tcp://[::1]:" + port)
        await a.until(lambda p: p.said(Knocked) == [Knocked(b.key, True)])
        for name, trouble in (
            ("none.example", Trouble.NO_NAME),
            ("mad.example", Trouble.NAME_ASTRAY),
            (
                "here.example",
                Trouble.NAME_ASTRAY,
            ),  # b listens there, and nobody but the name says so
        ):
            before = len(a.said(Refused))
            a.transport.dial(b.key, f"tcp://{name}:{port}")
            await a.until(lambda p, before=before: len(p.said(Refused)) > before)
            a.transport.hang_up(b.key)
            assert a.said(Refused)[before].trouble is trouble
        a.transport.knock(b.key, f"tcp://none.example:{port}")
        await a.until(lambda p: p.said(Knocked)[1:] == [Knocked(b.key, False)])
        unheard = ZmqTransport(NaclIdentity.generate(), Names(ask=ask))
        with pytest.raises(
            TransportError, match=r"none.example: there is no such name; write the name"
        ):
            await unheard.open("tcp://none.example:7700", lambda _: None)
    finally:
        await a.transport.close()
        await b.transport.close()


async def test_who_says_nothing_or_something_else_is_told_from_who_has_another_key() -> None:
    """Only over ZeroMQ: it is the far end that is none of ours."""
    world = World("zmq")
    a = await world.peer("a")
    silent = await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0)
    shell = await asyncio.start_server(
        lambda _, writer: writer.write(b"SSH-2.0-OpenSSH_9.2p1\r\n" * 8), "127.0.0.1", 0
    )
    at = [f"tcp://127.0.0.1:{s.sockets[0].getsockname()[1]}" for s in (silent, shell)]
    # The queue of a socket that is full: what asks is dropped, as by a firewall.
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    queued = [socket.socket() for _ in range(2)]
    for one in queued:
        one.setblocking(False)
        one.connect_ex(full.getsockname())
    at.append(f"tcp://127.0.0.1:{full.getsockname()[1]}")
    for peer, address in zip((world.key("b"), world.key("c"), world.key("d")), at, strict=True):
        a.transport.dial(peer, address)
    try:
        await a.until(lambda p: {e.address for e in p.said(Refused)} == set(at))
        told = {event.address: event.trouble for event in a.said(Refused)}
        assert [told[address] for address in at] == [
            Trouble.SILENT,
            Trouble.NO_OVERLAYD,
            Trouble.NO_ANSWER,
        ]
    finally:
        for one in (*queued, full):
            one.close()
        await world.close()
        silent.close()
        shell.close()


@pytest.mark.parametrize("side", ["dialler", "acceptor"])
async def test_the_last_words_of_a_parting_peer_arrive_and_nothing_is_heard_after_them(
    world: World, side: str
) -> None:
    a, b = await joined(world)
    if side == "acceptor":
        a, b = b, a
    assert a.transport.send(b.key, b"because")
    a.transport.hang_up(b.key, parting=True)
    assert not a.transport.send(b.key, b"no more")
    b.transport.send(a.key, b"but")
    await a.until(lambda p: bool(p.said(Down)))
    await b.until(lambda p: bool(p.said(Down)))
    assert b.frames() == [b"because"]
    assert a.frames() == []


async def test_an_impostor_is_refused_and_counted(world: World) -> None:
    b, honest = await world.peer("b"), await world.peer("honest")
    mallory = await world.impostor("mallory", claims="honest")
    mallory.transport.dial(b.key, b.transport.address)
    await b.until(lambda p: b.transport.refused["impostor"] >= 1 and bool(p.said(Refused)))
    honest.transport.dial(b.key, b.transport.address)
    await honest.until(lambda p: p.is_up(b))
    assert not mallory.said(Up)
    assert b.transport.send(honest.key, b"for honest eyes")
    await honest.until(lambda p: p.frames() == [b"for honest eyes"])
    assert not mallory.frames()


async def test_a_denied_peer_is_cut_off_and_kept_out(world: World) -> None:
    a, b = await joined(world)
    b.transport.deny({a.key})
    await a.until(lambda p: bool(p.said(Down)))
    await a.until(lambda p: len(p.said(Refused)) >= 1)
    assert b.transport.refused["denied"] >= 1
    assert not a.is_up(b)
    b.transport.dial(a.key, a.transport.address)
    await b.until(lambda p: any(event.peer == a.key for event in p.said(Refused)))
    b.transport.deny(set())
    await a.until(lambda p: p.is_up(b))


async def test_what_can_never_come_up_is_refused(world: World) -> None:
    a, b = await world.peer("a"), await world.peer("b")
    impossible = [
        (a.key, a.transport.address),
        (b.key, "tcp://example.org:1"),
        (b.key, "inproc://zeromq.zap.01"),
        (b.key, "tcp://0.0.0.0:7"),
        (b.key, "tcp://127.0.0.1:0"),
        (PeerId("not a key"), b.transport.address),
    ]
    for peer, address in impossible:
        a.transport.dial(peer, address)
    await a.until(lambda p: len(p.said(Refused)) == len(impossible))
    assert not a.transport.send(PeerId("00" * 32), b"x")


@pytest.mark.parametrize("sender", ["dialler", "acceptor"])
async def test_a_full_queue_refuses_and_loses_nothing_it_took(world: World, sender: str) -> None:
    a, b = await joined(world)
    if sender == "acceptor":
        a, b = b, a
    frame, took = b"x" * 65_536, 0
    while a.transport.send(b.key, frame):
        took += 1
        assert took < 10_000
    assert took >= 128
    assert a.transport.traffic[b.key].bytes_out == took * len(frame)
    await b.until(lambda p: len(p.said(Arrived)) == took)
    assert a.transport.send(b.key, b"room again")


async def test_a_knock_tells_whether_the_peer_itself_is_there_and_leaves_no_path(
    world: World,
) -> None:
    a, b = await joined(world)
    stranger = await world.peer("stranger")
    a.transport.knock(b.key, b.transport.address)
    await a.until(lambda p: p.said(Knocked) == [Knocked(b.key, True)])
    b.transport.knock(a.key, a.transport.address)
    await b.until(lambda p: p.said(Knocked) == [Knocked(a.key, True)])
    a.transport.knock(b.key, stranger.transport.address)
    await a.until(lambda p: p.said(Knocked)[1:] == [Knocked(b.key, False)])
    stranger.transport.knock(b.key, "tcp://0.0.0.0:7")
    await stranger.until(lambda p: p.said(Knocked) == [Knocked(b.key, False)])
    assert not stranger.said(Up)
    assert (len(a.said(Up)), len(b.said(Up))) == (1, 1)
    assert not a.said(Down)
    assert not b.said(Down)
    assert a.transport.send(b.key, b"still there")
    await b.until(lambda p: p.frames() == [b"still there"])


async def test_a_knock_where_nobody_listens_is_told_so(world: World) -> None:
    a, b = await world.peer("a"), await world.peer("b")
    address = b.transport.address
    await b.transport.close()
    a.transport.knock(b.key, address)
    await a.until(lambda p: p.said(Knocked) == [Knocked(b.key, False)])


async def test_who_dialled_is_known(world: World) -> None:
    a, b = await joined(world)
    assert a.said(Up) == [Up(b.key)]
    assert b.said(Up) == [Up(a.key, accepted=True)]


async def test_an_address_in_use_says_so(world: World) -> None:
    a = await world.peer("a")
    with pytest.raises(TransportError, match="cannot listen on"):
        await world.peer("b", a.transport.address)


# ZeroMQ only: what needs real connections.


@pytest.fixture
async def real() -> AsyncIterator[World]:
    made = World("zmq")
    yield made
    await made.close()


async def test_garbage_before_the_handshake_costs_nothing(real: World) -> None:
    a, b = await joined(real)
    port = int(b.transport.address.rpartition(":")[2])
    for garbage in (b"", b"GET / HTTP/1.0\r\n\r\n", os.urandom(4096), b"\xff" + b"\0" * 100):
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(garbage)
    assert a.transport.send(b.key, b"still here")
    await b.until(lambda p: p.frames() == [b"still here"])
    assert not b.said(Down)


@pytest.mark.parametrize(
    ("first", "reason"),
    [([b"x"], "no-greeting"), ([b"x", b"y"], "no-greeting"), ([], "silent")],
)
async def test_a_connection_that_does_not_greet_is_cut(
    real: World, monkeypatch: pytest.MonkeyPatch, first: list[bytes], reason: str
) -> None:
    monkeypatch.setattr("overlayd.adapters.zmq_accept.GREETING_S", 0.3)
    b = await real.peer("b")
    stranger = NaclIdentity.generate()
    with new_context() as context:
        key = stranger.transport_key_of(b.key)
        assert key is not None
        with dialler_socket(context, stranger, key, LOOP) as raw:
            raw.connect(b.transport.address)
            if first:
                raw.send_multipart(first)
            await b.until(lambda p: b.transport.refused[reason] >= 1)
    assert not b.said(Up)


async def test_with_no_room_left_newcomers_are_refused(
    real: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await joined(real)
    monkeypatch.setattr("overlayd.adapters.zmq_accept.MAX_CONNECTIONS", 1)
    late = await real.peer("late")
    late.transport.dial(b.key, b.transport.address)
    await late.until(lambda p: bool(p.said(Refused)))
    assert b.transport.refused["full"] >= 1
    assert b.is_up(a)
    a.transport.hang_up(b.key)
    await late.until(lambda p: p.is_up(b))


async def test_a_route_of_somebody_else_is_not_spoken_on(real: World) -> None:
    """Two connections choose one route. ZeroMQ and we both leave the second alone."""
    b = await real.peer("b")
    rude, other = real.identity("rude"), real.identity("other")
    with new_context() as context, dialler_socket(context, rude, _key_of(real, b), LOOP) as first:
        first.setsockopt(zmq.ROUTING_ID, b"mine")
        first.connect(b.transport.address)
        first.send(greeting(real.key("rude"), b"instance"))
        await b.until(partial(_has_said, Up, real.key("rude")))
        with dialler_socket(context, other, _key_of(real, b), LOOP) as second:
            second.setsockopt(zmq.ROUTING_ID, b"mine")
            second.connect(b.transport.address)
            second.send(greeting(real.key("other"), b"instance"))
            second.send(b"as rude")
            first.send(b"as itself")
            await b.until(lambda p: bool(p.frames()))
    assert b.frames() == [b"as itself"]
    assert not _has_said(Up, real.key("other"), b)


async def test_an_oversized_frame_ends_the_connection_only(real: World) -> None:
    a, b = await joined(real)
    rude = real.identity("rude")
    with new_context() as context, dialler_socket(context, rude, _key_of(real, b), LOOP) as raw:
        raw.connect(b.transport.address)
        raw.send(greeting(real.key("rude"), b"instance"))
        await b.until(lambda p: Up(real.key("rude"), accepted=True) in p.events)
        raw.send(b"x" * (MAX_FRAME_BYTES * 2))
        await b.until(lambda p: any(e.peer == real.key("rude") for e in p.said(Down)))
    assert b.is_up(a)
    assert not b.frames()


async def test_a_message_of_many_parts_ends_the_connection(real: World) -> None:
    b = await real.peer("b")
    rude = real.identity("rude")
    with new_context() as context, dialler_socket(context, rude, _key_of(real, b), LOOP) as raw:
        raw.connect(b.transport.address)
        raw.send(greeting(real.key("rude"), b"instance"))
        raw.send_multipart([b"one", b"two"])
        await b.until(lambda p: bool(p.said(Down)))
    assert b.transport.refused["not-a-frame"] == 1
    assert not b.frames()


async def test_idle_paths_stand_and_nobody_is_told_of_heartbeats(
    real: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("BEAT_S", 0.02), ("PULSE_S", 0.01), ("SILENCE_S", 60.0)):
        monkeypatch.setattr(f"overlayd.adapters.zmq_beat.{name}", value)
    monkeypatch.setattr("overlayd.adapters.zmq_accept._ANSWER_EVERY_S", 0.005)
    a, b = await joined(real)
    (mine,) = a.transport._paths.of(b.key)  # type: ignore[attr-defined]
    (theirs,) = b.transport._paths.of(a.key)  # type: ignore[attr-defined]
    for path in (mine, theirs) * 3:
        heard_s, give_up_s = path.heard_s, path.heard_s + DEADLINE_S
        while path.heard_s == heard_s:
            assert asyncio.get_running_loop().time() < give_up_s
            await asyncio.sleep(0)
    assert not a.said(Arrived)
    assert not b.said(Arrived)
    assert a.transport.traffic.get(b.key) is None


async def test_killed_and_frozen_peers_are_noticed(real: World) -> None:
    """One that dialled us and one we dialled, each as another process."""
    a = await real.peer("a")
    for how in (signal.SIGKILL, signal.SIGSTOP):
        child = subprocess.Popen(  # noqa: ASYNC220  a test's child, started in a moment
            [sys.executable, "-c", _CHILD, a.key, a.transport.address],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert child.stdout is not None
            key, address = (await asyncio.to_thread(child.stdout.readline)).split()
            await a.until(partial(_has_said, Up, key))
            a.transport.dial(PeerId(key), address)
            child.send_signal(how)
            await a.until(partial(_has_said, Down, key))
            assert not a.transport.send(PeerId(key), b"x")
            a.transport.hang_up(PeerId(key))
        finally:
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()


def test_addresses() -> None:
    assert dialled("tcp://10.0.0.1:7100") == ("10.0.0.1", 7100)
    assert dialled("tcp://[2001:db8::1]:7100") == ("2001:db8::1", 7100)
    assert dialled("tcp://uc-1.example.org:7100") == ("uc-1.example.org", 7100)
    for wrong in ("tcp://10.0.0.1", "tcp://10.0.0:1", "tcp://224.0.0.1:1", "tcp://1.2.3.4:70000"):
        assert dialled(wrong) is None
    for wrong in (
        "ipc:///run/x",
        "10.0.0.1:7100",
        "tcp://[::]:1",
        "tcp://[ff02::1]:1",
        "tcp://*:1",
    ):
        assert dialled(wrong) is None


def _has_said(kind: type[Any], key: str, peer: Peer) -> bool:
    return any(event.peer == key for event in peer.said(kind))


def _key_of(world: World, peer: Peer) -> bytes:
    key = world.identity("rude").transport_key_of(peer.key)
    assert isinstance(key, bytes)
    return key


_CHILD = """
import asyncio, sys
from overlayd.adapters.nacl_keys import NaclIdentity
from overlayd.adapters.names import Names
from overlayd.adapters.zmq_transport import ZmqTransport

async def main():
    identity = NaclIdentity.generate()
    transport = ZmqTransport(identity)
    await transport.open("tcp://127.0.0.1:0", lambda event: None)
    transport.dial(sys.argv[1], sys.argv[2])
    print(identity.key, transport.address, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
