"""The driver handles events in order, deadlines among them, says goodbye, and ends when the disk fails."""

import asyncio
from collections.abc import Callable

import pytest
from turns import until

from overlayd.adapters.clock import SystemClock
from overlayd.loop import driver
from overlayd.loop.driver import Driver
from overlayd.loop.inbox import Inbox
from overlayd.loop.mishandled import Mishandled
from overlayd.ports.store import StoreError
from protocol.node.events import Disconnected, Event, Started, Stopping, Ticked
from protocol.peering.quarantine import Quarantines
from protocol.terms.effects import Deadline, Effect, Note
from protocol.terms.ids import PeerId

PEER = PeerId("a" * 64)
NEVER = Deadline(float("inf"), "never")


class Brain:
    """A node that remembers what it was given and wants to be woken when it says."""

    def __init__(self) -> None:
        self.handled: list[Event] = []
        self.deadline = NEVER
        self.quarantines = Quarantines()
        self.on: Callable[[Event], None] = lambda _: None

    def handle(self, event: Event, now: float) -> list[Effect]:
        self.handled.append(event)
        if isinstance(event, Ticked):
            self.deadline = NEVER
        self.on(event)
        return [Note("handled", str(len(self.handled)))]

    def next_deadline(self) -> Deadline:
        return self.deadline


class Hands:
    """An interpreter that answers followers, or fails."""

    def __init__(self) -> None:
        self.follow: list[list[Event]] = []
        self.fails = False

    async def carry_out(self, effects: list[Effect]) -> list[Event]:
        if self.fails:
            raise StoreError("no room")
        return self.follow.pop(0) if self.follow else []


class World:
    def __init__(self) -> None:
        self.brain, self.hands, self.inbox = Brain(), Hands(), Inbox()
        self.clock = SystemClock()
        self.driver = Driver(self.brain, self.inbox, self.hands, self.clock)  # type: ignore[arg-type]

    async def run(self, ready: Callable[[], bool]) -> None:
        """Runs the driver until `ready`, and then stops it."""
        running = asyncio.create_task(self.driver.run())
        await until(lambda: ready() or running.done(), "what is waited for, or the end")
        self.driver.stop()
        await running


def gone(number: int) -> Event:
    return Disconnected(PEER, str(number))


async def test_events_in_order_then_goodbye() -> None:
    world = World()
    events = [gone(n) for n in range(200)]
    for event in events:
        world.inbox.put(event)
    await world.run(lambda: len(world.brain.handled) >= 200)
    assert world.brain.handled == [*events, Stopping()]
    assert world.driver.counts == {"events": 201}


async def test_what_follows_an_event_comes_before_the_next() -> None:
    world = World()
    world.hands.follow = [[gone(10), gone(11)], [gone(100)], [], []]
    world.inbox.put(gone(1))
    world.inbox.put(gone(2))
    await world.run(lambda: len(world.brain.handled) >= 5)
    assert world.brain.handled[:5] == [gone(1), gone(10), gone(100), gone(11), gone(2)]


async def test_the_deadline_wakes_it_without_an_event() -> None:
    world = World()
    world.brain.deadline = Deadline(world.clock.now() + 0.02, "soon")
    await world.run(lambda: Ticked() in world.brain.handled)
    assert world.brain.handled == [Ticked(), Stopping()]


async def test_a_nearer_deadline_replaces_a_far_one() -> None:
    world = World()
    world.brain.deadline = Deadline(world.clock.now() + 3600, "far")

    def nearer(event: Event) -> None:
        if isinstance(event, Disconnected):
            world.brain.deadline = Deadline(world.clock.now() + 0.02, "near")

    world.brain.on = nearer
    world.inbox.put(gone(1))
    await world.run(lambda: Ticked() in world.brain.handled)
    assert world.brain.handled == [gone(1), Ticked(), Stopping()]


async def test_a_deadline_in_the_past_comes_behind_waiting_events_but_comes() -> None:
    world = World()
    world.brain.deadline = Deadline(world.clock.now() - 1, "past")
    world.inbox.put(gone(1))
    await world.run(lambda: Ticked() in world.brain.handled)
    assert world.brain.handled == [gone(1), Ticked(), Stopping()]


async def test_a_busy_inbox_lets_the_loop_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets and the API live on the same loop."""
    monkeypatch.setattr(driver, "_TURN_S", 0.0)
    world = World()
    turns = 0

    def another(event: Event) -> None:
        if isinstance(event, Disconnected) and len(world.brain.handled) < 2000:
            world.inbox.put(gone(0))

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    world.brain.on = another
    world.inbox.put(gone(0))
    counting = asyncio.create_task(count())
    await world.run(lambda: len(world.brain.handled) >= 2000)
    counting.cancel()
    assert turns >= 2000


async def test_a_disk_that_fails_ends_it() -> None:
    world = World()
    world.hands.fails = True
    world.inbox.put(Started())
    with pytest.raises(StoreError):
        await world.run(lambda: False)
    assert world.brain.handled == [Started()]


async def test_an_event_that_fails_ends_the_life_with_all_that_it_was() -> None:
    world = World()

    def fails(event: Event) -> None:
        raise KeyError("half done")

    world.brain.on = fails
    world.inbox.put(gone(1))
    world.inbox.put(gone(2))
    with pytest.raises(Mishandled, match="Disconnected: KeyError: 'half done'") as caught:
        await world.driver.run()
    assert caught.value.event == gone(1)
    assert world.brain.handled == [gone(1)], (
        "nothing goes on from half-changed state, no goodbye either"
    )


async def test_what_follows_from_an_event_fails_as_that_event() -> None:
    world = World()
    world.hands.follow = [[gone(2)]]

    def fails(event: Event) -> None:
        if event == gone(2):
            raise KeyError("half done")

    world.brain.on = fails
    with pytest.raises(Mishandled) as caught:
        await world.driver.step(gone(1))
    assert caught.value.event == gone(1)
