"""A few start side by side; one that is saved is alone, and does not wait behind starts that come later."""

import asyncio

from overlayd.realise.turns import Turns


async def test_one_that_is_alone_is_beside_nobody() -> None:
    turns, inside = Turns(2), list[str]()
    seen: list[tuple[str, ...]] = []
    go = asyncio.Event()

    async def start(name: str) -> None:
        async with turns.start():
            inside.append(name)
            seen.append(tuple(inside))
            await go.wait()
            inside.remove(name)

    async def alone(name: str) -> None:
        async with turns.alone():
            inside.append(name)
            seen.append(tuple(inside))
            await asyncio.sleep(0)
            inside.remove(name)

    async with asyncio.TaskGroup() as group:
        for name in ("a", "b"):
            group.create_task(start(name))
        await asyncio.sleep(0)
        group.create_task(alone("save 1"))
        group.create_task(alone("save 2"))
        await asyncio.sleep(0)
        group.create_task(start("c"))
        await asyncio.sleep(0)
        assert seen == [("a",), ("a", "b")]
        go.set()
    assert seen[2:] == [("save 1",), ("save 2",), ("c",)]


async def test_whoever_gives_up_waiting_leaves_no_trace() -> None:
    turns = Turns(1)
    async with turns.start():
        waiting = asyncio.create_task(turns.alone().__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    for turn in (turns.start, turns.alone):
        async with asyncio.timeout(1):
            async with turn():
                await asyncio.sleep(0)
