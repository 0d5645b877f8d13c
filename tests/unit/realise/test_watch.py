"""From running to reachable to ready: what guests say, and when those that say nothing count as ready."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from host_world import GRID, HostWorld, until

from overlayd.realise import watch
from overlayd.realise.paths import machine_name
from protocol.grid.lifecycle import Phase, Word
from protocol.hosting.events import GuestSaid

HEAD = machine_name(GRID, "head-1")


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HostWorld]:
    monkeypatch.setattr(watch, "_PROBE_EVERY_S", 0.0)
    monkeypatch.setattr(watch, "_WATCH_EVERY_S", 0.01)
    world = HostWorld(tmp_path)
    await world.start()
    world.want()
    await until(lambda: world.phases("head-1")[-1:] == [Phase.RUNNING], "the head runs")
    await until(lambda: world.phases("worker-1")[-1:] == [Phase.RUNNING], "the worker runs")
    yield world
    await world.end()


def says(world: HostWorld, word: Word | None, workspace: str = "head-1") -> None:
    """The node knows it, and has the host looked at again."""
    assert world.part is not None
    mine = tuple(
        msgspec.structs.replace(p, word=word) if p.workspace.name == workspace else p
        for p in world.part.mine
    )
    world.part = msgspec.structs.replace(world.part, mine=mine)
    world.realiser.kick(GRID)


def words(world: HostWorld) -> list[GuestSaid]:
    return [event for event in world.told if isinstance(event, GuestSaid)]


async def test_reachable_and_then_ready_when_the_guest_says_so(world: HostWorld) -> None:
    world.answer("head-1")
    await until(lambda: world.phase("head-1") == (Phase.REACHABLE, ""), "it answers")
    says(world, Word("head-1", 1))
    await until(lambda: world.phase("head-1") == (Phase.READY, ""), "it is ready")
    assert words(world) == []


async def test_a_guest_whose_ssh_nobody_reaches_is_ready_by_its_word(world: HostWorld) -> None:
    says(world, Word("head-1", 1))
    await until(lambda: world.phase("head-1") == (Phase.READY, ""), "it is ready")


async def test_after_the_daemons_restart_it_is_ready_without_a_word_more(world: HostWorld) -> None:
    world.answer("head-1")
    for restart in (False, True):
        says(world, Word("head-1", 1))
        says(world, Word("worker-1", 1), "worker-1")  # its SSH answers nobody
        for name in ("head-1", "worker-1"):
            await until(lambda n=name: world.phase(n) == (Phase.READY, ""), "ready again")
        if not restart:
            await world.end()
            world.told.clear()
            await world.start()


async def test_a_problem_is_told_in_its_words_and_it_is_never_ready_by_silence(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(world, Word("head-1", 1, (), "no database"))
    world.answer("head-1")
    says(world, Word("worker-1", 1, (), "no disk"), "worker-1")  # its SSH answers nobody
    told = (Phase.REACHABLE, "its guest says: no database")
    await until(lambda: world.phase("head-1") == told, "it is told")
    told = (Phase.REACHABLE, "its guest says: no disk")
    await until(lambda: world.phase("worker-1") == told, "also of one that nobody can log in to")
    monkeypatch.setattr(watch, "READY_UNSAID_S", 0.0)
    says(world, Word("head-1", 1))
    await until(lambda: world.phase("head-1") == (Phase.READY, ""), "and then it is ready")
    assert words(world) == []


async def test_one_that_says_nothing_counts_as_ready_after_a_while(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "READY_UNSAID_S", 0.02)
    world.answer("head-1", "worker-1")
    world.realiser.asked(GRID, "worker-1")  # which is therefore likely to say so
    await until(lambda: GuestSaid(GRID, "head-1", 1) in words(world), "its silence is enough")
    assert {said.workspace for said in words(world)} == {"head-1"}
    monkeypatch.setattr(watch, "READY_LATE_S", 0.02)
    await until(lambda: GuestSaid(GRID, "worker-1", 1) in words(world), "also of the other, later")


async def test_with_user_data_it_is_likely_to_say_so(world: HostWorld) -> None:
    assert world.part is not None
    mine = world.part.mine[0]
    given = msgspec.structs.replace(mine.workspace, user_data="a" * 64)
    patience = watch._Guest((GRID, "head-1"), mine, "").patience_s()
    late = watch._Guest(
        (GRID, "head-1"), msgspec.structs.replace(mine, workspace=given), ""
    ).patience_s()
    assert (patience, late) == (60.0, 900.0)


async def test_one_that_answers_no_more_is_not_ready_until_it_does(world: HostWorld) -> None:
    world.answer("head-1")
    says(world, Word("head-1", 1))
    await until(lambda: world.phase("head-1") == (Phase.READY, ""), "it is ready")
    world.network.listeners.clear()
    await until(lambda: world.phase("head-1") == (Phase.RUNNING, "does not answer"), "it is lost")
    world.answer("head-1")
    await until(lambda: world.phase("head-1") == (Phase.READY, ""), "it is back")


async def test_a_guest_that_restarts_itself_takes_its_word_back(world: HostWorld) -> None:
    world.answer("head-1")
    says(world, Word("head-1", 1))
    await until(lambda: world.phase("head-1") == (Phase.READY, ""), "it is ready")
    world.hypervisor.reset(HEAD)
    back = GuestSaid(GRID, "head-1", 1, taken_back=True)
    await until(lambda: back in words(world), "it is taken back")
    says(world, None)
    await until(lambda: world.phase("head-1") == (Phase.REACHABLE, ""), "and not ready yet")


async def test_a_guest_that_ended_and_is_started_again_takes_its_word_back(
    world: HostWorld,
) -> None:
    says(world, Word("head-1", 1))
    await until(lambda: world.phase("head-1") == (Phase.READY, ""), "it is ready")
    world.hypervisor.end(HEAD)
    back = GuestSaid(GRID, "head-1", 1, taken_back=True)
    await until(lambda: back in words(world), "it is taken back")
    await until(lambda: world.phases("head-1")[-1] is Phase.RUNNING, "it runs again")
