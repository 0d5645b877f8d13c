"""Events are numbered, bounded and awaitable; tasks are named and ended; logs are lines of JSON; metrics."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator

import pytest
import structlog

from overlayd.config.daemonfile import LogFormat, LogLevel, LogTable
from overlayd.fakes.transport import FakeHub, FakeTransport
from overlayd.telemetry import logs, metrics
from overlayd.telemetry import supervisor as supervisor_module
from overlayd.telemetry.events import KEPT, EventRing
from overlayd.telemetry.supervisor import Supervisor
from protocol.node.snapshot import PeerView
from protocol.sim.world import CAPACITY, World
from protocol.terms.effects import Note


@pytest.fixture
def logging() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_events_have_numbers_that_go_on_when_old_ones_are_dropped() -> None:
    ring = EventRing("h1")
    for number in range(KEPT + 10):
        ring.add(Note("n", str(number)), float(number))
    lines = ring.since(0)
    assert len(lines) == KEPT
    assert [lines[0].seq, lines[-1].seq] == [11, KEPT + 10]
    assert [line.subject for line in ring.since(KEPT + 8)] == [str(KEPT + 8), str(KEPT + 9)]
    assert ring.since(KEPT + 10) == []


async def test_waiting_for_events_ends_with_the_first_for_everybody() -> None:
    ring = EventRing("h1")
    waiting = [asyncio.create_task(ring.after(0, 60)) for _ in range(3)]
    await asyncio.sleep(0)
    ring.add(Note("n", "s"), 1.0)
    answers = await asyncio.gather(*waiting)
    assert [[line.seq for line in lines] for lines in answers] == [[1]] * 3


async def test_what_came_before_the_wait_is_not_missed() -> None:
    ring = EventRing("h1")
    ring.add(Note("n", "s"), 1.0)
    assert [line.seq for line in await ring.after(0, 60)] == [1]


async def test_waiting_in_vain_ends_empty() -> None:
    ring = EventRing("h1")
    ring.add(Note("n", "s"), 1.0)
    assert await ring.after(1, 0.01) == []


@pytest.mark.usefixtures("logging")
async def test_a_task_that_fails_is_told_by_name_and_ends_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(LogTable(format=LogFormat.JSON))
    supervisor = Supervisor()

    async def fails() -> None:
        raise ValueError("no")

    other = supervisor.spawn("other", asyncio.sleep(3600))
    task = supervisor.spawn("unlucky", fails())
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert not other.done()
    (told,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert (told["event"], told["task"], told["level"]) == ("task.failed", "unlucky", "error")
    assert told["exception"].endswith("ValueError: no")
    await supervisor.close()
    assert other.cancelled()


async def test_work_that_is_kept_is_begun_again_after_an_error_and_ends_when_it_is_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.configure(LogTable(format=LogFormat.JSON))
    monkeypatch.setattr(supervisor_module, "_AGAIN_S", (0.0,))
    supervisor, begun = Supervisor(), []

    async def third_time() -> None:
        begun.append(True)
        if len(begun) < 3:
            raise RuntimeError("can't start new thread")

    await supervisor.keep("steady", third_time)
    assert len(begun) == 3
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["task"]) for line in told] == [("task.failed", "steady")] * 2
    monkeypatch.setattr(supervisor_module, "_AGAIN_S", (3600.0,))
    begun.clear()
    resting = supervisor.keep("steady", third_time)
    await asyncio.sleep(0)
    await supervisor.close()
    assert resting.cancelled()


async def test_closing_waits_for_what_tasks_do_at_their_end() -> None:
    supervisor, done = Supervisor(), []

    async def tidy() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            done.append(True)

    supervisor.spawn("tidy", tidy())
    await asyncio.sleep(0)
    await supervisor.close()
    assert done == [True]


@pytest.mark.usefixtures("logging")
def test_logs_are_lines_of_json_with_their_cause(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogTable(level=LogLevel.INFO, format=LogFormat.JSON))
    logs.logger().debug("quiet")
    logs.logger().info("hold.granted", subject="star", cause="abc")
    (line,) = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    assert (said["event"], said["cause"], said["level"]) == ("hold.granted", "abc", "info")
    assert said["timestamp"].endswith("Z")


@pytest.mark.usefixtures("logging")
def test_logs_for_people_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogTable(level=LogLevel.DEBUG, format=LogFormat.CONSOLE))
    logs.logger().debug("hold.granted", subject="star\n\x1b[2J")
    said = capsys.readouterr().err
    assert "hold.granted" in said
    assert "star" in said
    assert "\x1b[2J" not in said


def test_metrics_are_read_from_the_view_of_the_peer() -> None:
    world = World(1, 2, 1)
    world.start_all()
    world.run(5.0)
    node = world.peers[0].node
    assert node is not None
    transport = FakeTransport(FakeHub(), world.peers[0].id)
    shell = Counter({"told-while-busy": 3})
    text = metrics.render(PeerView(node), transport, shell, {"0.99": 0.25}, world.now_s).decode()
    lines = text.splitlines()
    for line in (
        "overlayd_peers_known 1.0",
        "overlayd_neighbours 1.0",
        "overlayd_joined 1.0",
        "overlayd_problems 0.0",
        f"overlayd_free_cpus {CAPACITY.cpus_milli / 1000}",
        'overlayd_shell{what="told-while-busy"} 3.0',
        'overlayd_inbox_wait_seconds{quantile="0.99"} 0.25',
    ):
        assert line in lines
