"""What goes into the audit log, in which order, and what a disk that takes nothing means."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from turns import until

from overlayd.fakes.clock import FakeClock
from overlayd.loop import auditing
from overlayd.loop.auditing import WAITING_MOST, Auditing
from overlayd.ports.audit import AuditFault
from overlayd.telemetry.lines import LINE_CHARACTERS, NAME_CHARACTERS
from protocol.policy.audit import REFUSALS, Chain, Report
from protocol.terms.effects import Audit
from protocol.terms.ids import KeyId


class Log:
    """A log in memory, on a disk that may be full."""

    def __init__(self) -> None:
        self.written: list[Audit] = []
        self.batches: list[int] = []
        self.full, self.closed, self.fault = False, False, ""
        self.end = Chain(0, "")

    async def open(self, at_s: float) -> None:
        self._require_room()

    async def add(self, decisions: Sequence[tuple[float, Audit]]) -> None:
        self._require_room()
        self.fault = ""
        self.batches.append(len(decisions))
        self.written += [audit for _, audit in decisions]

    async def lines(self, after: int, most: int) -> list[bytes]:
        return []

    async def examine(self) -> Report:
        raise AuditFault("nothing is here")

    async def close(self) -> None:
        self.closed = True

    def _require_room(self) -> None:
        if self.full:
            self.fault = "no room"
            raise AuditFault("no room")


class World:
    def __init__(self) -> None:
        self.log = Log()
        self.auditing = Auditing(self.log, FakeClock().now)


@pytest.fixture
def world() -> World:
    return World()


def decision(number: int, what: str = "act", *, allowed: bool = True) -> Audit:
    return Audit(what, allowed, order=f"{number:064d}", owner=KeyId("a" * 64), via_site="s1")


async def test_what_was_allowed_is_on_the_disk_with_all_that_waited_before_it(
    world: World,
) -> None:
    await world.auditing.take(decision(1, allowed=False))
    await world.auditing.take(decision(2, "order"))
    assert world.log.written == []
    await world.auditing.take(decision(3))
    assert [audit.order[-1] for audit in world.log.written] == ["1", "2", "3"]
    assert world.log.batches == [3]


async def test_the_rest_is_written_by_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "_EVERY_S", 0.0)
    running = asyncio.create_task(world.auditing.run())
    for number in range(3):
        world.auditing.put(decision(number, allowed=False))
        await until(lambda most=number: len(world.log.written) > most, "it is written")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_closing_writes_what_waits(world: World) -> None:
    world.auditing.put(decision(1, allowed=False))
    await world.auditing.close()
    assert len(world.log.written) == 1
    assert world.log.closed


async def test_a_full_disk_stops_nothing_and_is_counted(world: World) -> None:
    world.log.full = True
    await world.auditing.open()
    await world.auditing.take(decision(1))
    await world.auditing.take(decision(2))
    assert world.auditing.counts == {"audit-unwritten": 2}
    world.log.full = False
    await world.auditing.take(decision(3))
    assert [audit.order[-1] for audit in world.log.written] == ["3"]


async def test_a_flood_of_refusals_is_bounded_in_lines_and_in_memory(world: World) -> None:
    for number in range(1000):
        await world.auditing.take(decision(number, allowed=False))
    assert world.auditing.counts == {"audit-left-out": 1000 - REFUSALS}
    await world.auditing.flush()
    assert len(world.log.written) == REFUSALS
    for number in range(WAITING_MOST + 10):
        other = msgspec.structs.replace(decision(number, "x"), owner=KeyId(f"{number // 100:064d}"))
        world.auditing.put(other)
    assert world.auditing.counts["audit-unwritten"] == 10


async def test_texts_of_strangers_are_cut_and_escaped(world: World) -> None:
    long = "\x1b[31m" + "x" * 5000
    world.auditing.put(
        Audit(
            "act",
            False,
            long,
            "pause",
            long,
            long,
            owner=KeyId("a"),
            whose=long,
            member=long,
            via_site=long,
        )
    )
    await world.auditing.flush()
    (audit,) = world.log.written
    assert audit.why.startswith("\\x1b[31m")
    assert len(audit.why) <= LINE_CHARACTERS + 8
    for text in (audit.grid, audit.workspace, audit.whose, audit.member, audit.via_site):
        assert text.isprintable()
        assert len(text) <= NAME_CHARACTERS + 8
