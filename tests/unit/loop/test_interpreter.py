"""Effects are carried out in order; nothing behind a write that failed happens."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from turns import until

from overlayd.fakes.clock import FakeClock
from overlayd.fakes.store import FakeStore
from overlayd.fakes.transport import FakeHub, FakeTransport
from overlayd.loop.interpreter import Interpreter
from overlayd.ports.store import StoreError, StoreFull
from overlayd.ports.transport import Arrived as FrameArrived
from overlayd.ports.transport import TransportEvent
from overlayd.telemetry.events import EventRing
from protocol.broadcast.messages import Gossip
from protocol.membership.messages import Ping
from protocol.node.events import Arrived
from protocol.node.messages import ImageAsk, Message
from protocol.terms.effects import (
    Audit,
    Dial,
    HandOver,
    HangUp,
    Note,
    Persist,
    Probing,
    Realise,
    Row,
    Sealed,
    Send,
    Untidied,
)
from protocol.terms.ids import Digest, PeerId
from protocol.trust.record import SignedRecord
from protocol.wire.envelope import unpack
from protocol.wire.limits import MAX_FRAME_BYTES
from protocol.wire.versions import SPOKEN

ROW = Persist((Row("hold", "g", b"1"),))


class Taken:
    """What was handed to the realiser and the bulk server."""

    def __init__(self) -> None:
        self.kicked: list[tuple[str, str]] = []
        self.bulk: list[tuple[PeerId, Any, str]] = []
        self.sealed: list[Sealed] = []
        self.probed: list[Probing] = []

    def kick(self, grid: str, cause: str) -> None:
        self.kicked.append((grid, cause))

    def take(self, peer: PeerId, message: Any, cause: str) -> None:
        self.bulk.append((peer, message, cause))

    def seal(self, table: Sealed) -> None:
        self.sealed.append(table)

    def probe_paths(self, probing: Probing) -> None:
        self.probed.append(probing)


class World:
    def __init__(self) -> None:
        hub = FakeHub()
        self.mine, self.far = (FakeTransport(hub, PeerId(c * 64)) for c in "ab")
        self.store, self.taken = FakeStore(), Taken()
        self.ring, self.clock = EventRing("h1"), FakeClock()
        self.heard: list[TransportEvent] = []
        self.audited: list[tuple[Audit, bool]] = []
        self.interpreter = Interpreter(
            self.mine.peer,
            self.mine,
            self.store,
            self.taken,
            self.taken,
            self.taken,
            self.ring,
            self.clock,
            self,
        )

    async def take(self, audit: Audit) -> None:
        """Stands for the audit log."""
        self.audited.append((audit, bool(self.mine.traffic)))

    async def open(self) -> None:
        await self.store.open()
        await self.mine.open("tcp://127.0.0.1:0", lambda _: None)
        await self.far.open("tcp://127.0.0.1:0", self.heard.append)

    def frames(self) -> list[tuple[str, Any]]:
        return [unpack(e.frame, Message) for e in self.heard if isinstance(e, FrameArrived)]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.open()
    yield made
    await made.mine.close()
    await made.far.close()
    await made.store.close()


async def connected(world: World) -> None:
    where = world.far.address.removeprefix("tcp://")
    await world.interpreter.carry_out([Dial(world.far.peer, where)])
    await until(lambda: world.mine.peer in [getattr(e, "peer", "") for e in world.heard], "a path")


def said(world: World, message: Ping) -> Send:
    """What the node has it say to the other peer, in the version that they agreed."""
    return Send(world.far.peer, message, "c", SPOKEN.newest)


async def test_a_promise_is_on_disk_before_it_is_said(world: World) -> None:
    await connected(world)
    write, at_write = world.store.write, []

    async def watched(puts: Any, *, must: bool) -> None:
        at_write.append(world.mine.traffic.copy())
        assert must, "nothing is to happen otherwise"
        await write(puts, must=must)

    world.store.write = watched  # type: ignore[method-assign]  # the fake, watched
    assert await world.interpreter.carry_out([ROW, said(world, Ping(1.0))]) == []
    assert at_write == [{}]
    assert await world.store.load() == {"hold": {"g": b"1"}}
    await until(world.frames, "the frame arrives")
    assert world.frames() == [("c", Ping(1.0))]


async def test_behind_a_failed_write_nothing_happens_and_its_otherwise_follows(
    world: World,
) -> None:
    await connected(world)
    world.store.fail_next = StoreFull("no room")
    failed = Persist(ROW.rows, Untidied())
    effects = [failed, Send(world.far.peer, Ping(1.0)), Realise("g", ""), Note("a", "b")]
    assert await world.interpreter.carry_out(effects) == [Untidied()]
    assert world.mine.traffic == {}
    assert world.taken.kicked == []
    assert world.ring.since(0) == []
    assert world.interpreter.counts == {"store-refused": 1}


async def test_what_no_frame_holds_is_counted_and_ends_nothing(world: World) -> None:
    await connected(world)
    huge = Gossip((SignedRecord(b"x" * MAX_FRAME_BYTES, b""),))
    effects = [Send(world.far.peer, huge), said(world, Ping(1.0))]
    assert await world.interpreter.carry_out(effects) == []
    assert world.interpreter.counts == {"not-sendable": 1}
    await until(world.frames, "the other arrives")
    assert world.frames() == [("c", Ping(1.0))]


async def test_a_failed_write_without_otherwise_ends_the_process(world: World) -> None:
    world.store.fail_next = StoreError("the disk is gone")
    with pytest.raises(StoreError, match="the disk is gone"):
        await world.interpreter.carry_out([ROW, Realise("g", "")])
    assert world.taken.kicked == []


async def test_what_was_ahead_of_a_failed_write_has_happened(world: World) -> None:
    world.store.fail_next = StoreFull("no room")
    follow = await world.interpreter.carry_out([Realise("g", "x"), Persist(ROW.rows, Untidied())])
    assert follow == [Untidied()]
    assert world.taken.kicked == [("g", "x")]


async def test_a_message_to_oneself_comes_back_as_an_event(world: World) -> None:
    me = world.mine.peer
    follow = await world.interpreter.carry_out([Send(me, Ping(1.0), "c"), Send(me, Ping(2.0))])
    assert follow == [Arrived(me, Ping(1.0), "c"), Arrived(me, Ping(2.0), "")]


async def test_what_finds_no_connection_is_counted(world: World) -> None:
    await world.interpreter.carry_out([Send(world.far.peer, Ping(1.0))])
    assert world.interpreter.counts == {"not-sent": 1}


async def test_hanging_up(world: World) -> None:
    await connected(world)
    await world.interpreter.carry_out([HangUp(world.far.peer, "idle")])
    assert not world.mine.send(world.far.peer, b"x")


async def test_notes_become_events_with_their_time(world: World) -> None:
    world.clock.advance(5)
    await world.interpreter.carry_out([Note("hold.granted", "star", "n-1", "cause")])
    (line,) = world.ring.since(0)
    assert (line.kind, line.subject, line.detail, line.cause, line.host) == (
        "hold.granted",
        "star",
        "n-1",
        "cause",
        "h1",
    )
    assert line.at_s == world.clock.now()


async def test_bulk_and_grids_are_handed_over(world: World) -> None:
    ask = ImageAsk("s", Digest("0" * 64), 0, 1)
    await world.interpreter.carry_out([HandOver(world.far.peer, ask, "c"), Realise("g", "c")])
    assert world.taken.bulk == [(world.far.peer, ask, "c")]
    assert world.taken.kicked == [("g", "c")]


async def test_a_table_and_probes_go_to_the_forwarder(world: World) -> None:
    await world.interpreter.carry_out([Sealed("one", ()), Probing("one", ())])
    assert world.taken.sealed == [Sealed("one", ())]
    assert world.taken.probed == [Probing("one", ())]


async def test_a_decision_is_in_the_audit_log_before_it_is_said(world: World) -> None:
    await connected(world)
    line = Audit("act", True)
    await world.interpreter.carry_out([ROW, line, said(world, Ping(1.0))])
    assert world.audited == [(line, False)]
    await until(world.frames, "the frame arrives")
