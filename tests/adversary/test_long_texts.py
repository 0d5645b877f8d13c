"""Texts of strangers: bounded where they are read, and in few, short, printable lines where they are told."""

from typing import get_args

import pytest
from golden import examples
from golden.vectors import tag_of
from hostile_values import CAUSE, arrived, at_path, paths, with_at

from overlayd.fakes.clock import FakeClock
from overlayd.fakes.store import FakeStore
from overlayd.fakes.transport import FakeHub, FakeTransport
from overlayd.loop.doorway import Doorway
from overlayd.loop.driver import Driver
from overlayd.loop.inbox import Inbox
from overlayd.loop.interpreter import Interpreter
from overlayd.telemetry.events import EventRing
from overlayd.telemetry.lines import LINE_CHARACTERS, LINES, NAME_CHARACTERS
from protocol.membership.messages import Ping
from protocol.node.events import Arrived, Event, Garbled
from protocol.node.messages import Message
from protocol.peering.quarantine import Quarantines
from protocol.relay.messages import Relayed
from protocol.terms.effects import Audit, Effect, Note
from protocol.terms.ids import PeerId
from protocol.wire.codec import pack_plain, to_plain
from protocol.wire.versions import SPOKEN

SENDER = PeerId("e" * 64)
LONG = "\x1b[2J\n" + "x" * 65531
RELAYED = Relayed(PeerId("a" * 64), SENDER, 0, 1000, b"")
KINDS = {tag_of(kind): kind for kind in get_args(Message)}


@pytest.mark.parametrize("name", sorted(KINDS))
def test_no_text_of_64_kib_is_read_in_any_field_of_a_message(name: str) -> None:
    plain = to_plain(examples.example(KINDS[name]))
    taken = [
        path
        for path in paths(plain)
        if isinstance(at_path(plain, path), str)
        and not isinstance(
            arrived(SENDER, pack_plain([SPOKEN.newest, CAUSE, with_at(plain, path, LONG)])), Garbled
        )
    ]
    assert taken == []


class Talkative:
    """A node that says a long line about all that anybody tells it, and opens what is relayed."""

    def __init__(self, author: PeerId = SENDER) -> None:
        self.quarantines = Quarantines()
        self._author = author

    def handle(self, event: Event, now: float) -> list[Effect]:
        assert isinstance(event, Arrived)
        for peer in (event.peer, *([self._author] if isinstance(event.message, Relayed) else [])):
            self.quarantines.fault(peer, "", 1, now)
        return [Note(event.peer[:4], LONG, LONG, LONG)]


class Unheard:
    """An audit log of which nothing is asked."""

    async def take(self, audit: Audit) -> None:
        pass


async def test_a_flood_that_makes_lines_leaves_room_for_those_of_others() -> None:
    transport = FakeTransport(FakeHub(), PeerId("a" * 64))
    ring, clock, doorway = EventRing("h1"), FakeClock(), Doorway()
    interpreter = Interpreter(
        transport.peer, transport, FakeStore(), doorway, doorway, doorway, ring, clock, Unheard()
    )
    driver = Driver(Talkative(), Inbox(), interpreter, clock)  # type: ignore[arg-type]  # as much as it needs
    honest = PeerId("f" * 64)
    await driver.step(Arrived(honest, Ping(1.0), ""))
    for _ in range(1000):
        await driver.step(Arrived(SENDER, Ping(1.0), ""))
    await driver.step(Arrived(honest, Ping(1.0), ""))
    lines = ring.since(0)
    assert len(lines) == LINES + 2
    assert [lines[0].kind, lines[-1].kind] == ["ffff", "ffff"]
    assert interpreter.counts["notes-over-budget"] == 1000 - LINES
    for line in lines:
        assert len(line.subject) <= NAME_CHARACTERS + 8
        assert len(line.detail) <= LINE_CHARACTERS + 8
        assert (line.subject + line.detail + line.cause).isprintable()


async def test_lines_about_what_was_relayed_are_its_authors_and_leave_the_relay_its_own() -> None:
    transport = FakeTransport(FakeHub(), PeerId("a" * 64))
    ring, clock, doorway = EventRing("h1"), FakeClock(), Doorway()
    interpreter = Interpreter(
        transport.peer, transport, FakeStore(), doorway, doorway, doorway, ring, clock, Unheard()
    )
    driver = Driver(Talkative(), Inbox(), interpreter, clock)  # type: ignore[arg-type]  # as much as it needs
    relay = PeerId("f" * 64)
    for _ in range(int(LINES) + 10):
        await driver.step(Arrived(relay, RELAYED, ""))
    assert interpreter.counts["notes-over-budget"] == 10
    await driver.step(Arrived(relay, Ping(1.0), ""))
    assert interpreter.counts["notes-over-budget"] == 10
    await driver.step(Arrived(SENDER, Ping(1.0), ""))
    assert interpreter.counts["notes-over-budget"] == 11
