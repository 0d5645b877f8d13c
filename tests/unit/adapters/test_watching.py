"""What the kernel says of networks, and a service's end, come to the loop."""

import asyncio
import os

import pytest

from netns.failures import NetnsError
from overlayd.adapters.watching import Watching


class FakeChanges:
    """A pipe to be read; what is written says whether it concerns us."""

    def __init__(self) -> None:
        self.there, self.here = os.pipe()
        self.closed = False

    def handles(self) -> tuple[int, ...]:
        return (self.there,)

    def hear(self, handle: int) -> bool:
        return os.read(handle, 1) == b"!"

    def close(self) -> None:
        self.closed = True
        os.close(self.there)
        os.close(self.here)


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch) -> FakeChanges:
    made = FakeChanges()
    monkeypatch.setattr("netns.kernel.changes.Changes", lambda: made)
    return made


async def test_what_is_heard_is_told_if_it_concerns_us(changes: FakeChanges) -> None:
    told = asyncio.Event()
    watching = Watching(told.set)
    await asyncio.to_thread(watching.open)
    await asyncio.to_thread(watching.open)
    watching.await_end("lan", None)
    os.write(changes.here, b".")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not told.is_set()
    os.write(changes.here, b"!")
    async with asyncio.timeout(5):
        await told.wait()
    watching.close()
    assert changes.closed
    watching.close()


async def test_the_end_of_a_process_is_told_once(changes: FakeChanges) -> None:
    told = asyncio.Event()
    watching = Watching(told.set)
    service = await asyncio.create_subprocess_exec("sleep", "60")
    watching.await_end("lan", os.pidfd_open(service.pid))
    watching.await_end("lan", os.pidfd_open(service.pid))
    service.kill()
    async with asyncio.timeout(5):
        await told.wait()
    await service.wait()
    watching.close()
    changes.close()


async def test_a_network_that_goes_takes_its_watch_with_it(changes: FakeChanges) -> None:
    told = asyncio.Event()
    watching = Watching(told.set)
    service = await asyncio.create_subprocess_exec("sleep", "60")
    watching.await_end("lan", os.pidfd_open(service.pid))
    watching.await_end("lan", None)
    service.kill()
    await service.wait()
    assert not told.is_set()
    changes.close()


async def test_a_kernel_that_has_no_watch_left_is_asked_again_and_stops_no_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[FakeChanges] = []

    def changes() -> FakeChanges:
        if not made:
            made.append(FakeChanges())
            raise NetnsError("cannot watch: inotify: Too many open files")
        return made[0]

    monkeypatch.setattr("netns.kernel.changes.Changes", changes)
    told = asyncio.Event()
    watching = Watching(told.set)
    await asyncio.to_thread(watching.open)
    watching.await_end("lan", None)
    await asyncio.to_thread(watching.open)
    watching.await_end("lan", None)
    os.write(made[0].here, b"!")
    async with asyncio.timeout(5):
        await told.wait()
    watching.close()
