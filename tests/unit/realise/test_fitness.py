"""A host that cannot start guests finds that out, says so, and tries again."""

import asyncio

import pytest

from overlayd.realise import fitness
from overlayd.realise.fitness import Fitness, Ill
from overlayd.telemetry import supervisor
from overlayd.telemetry.supervisor import Supervisor


class Body:
    """What is tried out, and what was heard of it."""

    def __init__(self) -> None:
        self.why, self.tried, self.heard = "", 0, []
        self.changed = asyncio.Event()
        self.supervisor = Supervisor()
        self.fitness = Fitness(self.try_out, self.hear, self.supervisor)

    async def try_out(self) -> str:
        self.tried += 1
        return self.why

    def hear(self) -> None:
        self.heard.append(self.fitness.unfit)
        self.changed.set()

    async def until(self, heard: list[str]) -> None:
        async with asyncio.timeout(5):
            while self.heard[: len(heard)] != heard:
                self.changed.clear()
                await self.changed.wait()


NO_GROUPS = "it cannot start guests: no cgroups"


async def test_two_failures_in_a_row_are_a_reason_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitness, "AGAIN_S", 0.0)
    body = Body()
    body.why = "no cgroups"
    body.fitness.started(False)
    body.fitness.started(True)
    body.fitness.started(False)
    await asyncio.sleep(0)
    assert (body.tried, body.fitness.unfit) == (0, ""), "one failure may be the guest's own"
    body.fitness.started(False)
    await body.until([NO_GROUPS])
    body.why = ""
    await body.until([NO_GROUPS, ""])
    await body.supervisor.close()


async def test_guests_that_fail_on_a_host_that_can_are_their_own_fault() -> None:
    body = Body()
    for _ in range(6):
        body.fitness.started(False)
        await asyncio.sleep(0)
    assert body.tried >= 1
    assert body.heard == []
    await body.supervisor.close()


async def test_a_guest_that_starts_proves_more_than_a_trial() -> None:
    body = Body()
    body.why = "no cgroups"
    await body.fitness.look()
    body.fitness.started(True)
    assert body.heard == [NO_GROUPS, ""]


async def test_a_full_disk_is_followed_until_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitness, "STORE_EVERY_S", 0.0)
    body, said = Body(), iter(["", "its disk is full", "its disk is full", ""])

    async def short() -> str:
        return next(said, "")

    body.supervisor.spawn("store", body.fitness.follow_store(short))
    await body.until(["its disk is full", ""])
    await body.supervisor.close()


async def test_all_that_is_wrong_is_said_within_bounds() -> None:
    body = Body()
    body.fitness.found(Ill.STORE, "its disk is full")
    body.fitness.found(Ill.GUESTS, "x" * 500)
    assert body.fitness.unfit.startswith("xxx")
    assert len(body.fitness.unfit) == 200
    body.fitness.found(Ill.GUESTS, "")
    body.fitness.found(Ill.GUESTS, "")
    assert body.fitness.unfit == "its disk is full"
    assert len(body.heard) == 3


async def test_a_try_that_cannot_even_be_made_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fitness, "AGAIN_S", 0.0)
    monkeypatch.setattr(supervisor, "_AGAIN_S", (0.0,))
    body = Body()
    body.why = "no cgroups"
    for _ in range(fitness.DOUBT):
        body.fitness.started(False)
    await body.until([NO_GROUPS])
    tries, failed = body.try_out, asyncio.Event()

    async def broken() -> str:
        failed.set()
        raise RuntimeError("can't start new thread")

    body.fitness._try_out = broken
    async with asyncio.timeout(5):
        await failed.wait()
    body.why, body.fitness._try_out = "", tries
    await body.until([NO_GROUPS, ""])
    await body.supervisor.close()


async def test_a_store_that_cannot_be_asked_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitness, "STORE_EVERY_S", 0.0)
    monkeypatch.setattr(supervisor, "_AGAIN_S", (0.0,))
    body, answers = Body(), iter([OSError(5, "Input/output error"), "its disk is full"])

    async def short() -> str:
        answer = next(answers, "")
        if isinstance(answer, OSError):
            raise answer
        return answer

    body.supervisor.keep("store", lambda: body.fitness.follow_store(short))
    await body.until(["its disk is full", ""])
    await body.supervisor.close()
