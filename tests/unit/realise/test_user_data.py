"""A guest is started with its user-data or not at all, and says what it waits for."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from host_world import GRID, HostWorld
from test_realiser import HEAD, WORKER, until

from overlayd.realise.realiser import Realiser
from overlayd.realise.user_data import WAITS
from protocol.grid.lifecycle import Phase, Power
from protocol.hosting.events import Progressed
from protocol.terms.ids import digest_of

SCRIPT = b"#!/bin/sh\n"


class Files:
    """The files that are here."""

    def __init__(self) -> None:
        self.here: dict[str, bytes] = {}

    async def read(self, grid: str, digest: str) -> bytes | None:
        assert grid == GRID
        return self.here.get(digest)


@pytest.fixture
async def files() -> Files:
    return Files()


@pytest.fixture
async def world(tmp_path: Path, files: Files) -> AsyncIterator[HostWorld]:
    made = HostWorld(tmp_path)
    await made.start()
    made.tools = replace(made.tools, user_data=files.read)
    made.realiser = Realiser(made.tools, made.supervisor, probes=True)
    yield made
    await made.end()


def want(world: HostWorld, **asked: object) -> None:
    """The grid is wanted, and its head has user-data."""
    world.want(**asked)  # type: ignore[arg-type]  # as `want` takes it
    assert world.part is not None
    mine = tuple(
        msgspec.structs.replace(
            part, workspace=msgspec.structs.replace(part.workspace, user_data=digest_of(SCRIPT))
        )
        if part.workspace.name == "head-1"
        else part
        for part in world.part.mine
    )
    world.part = msgspec.structs.replace(world.part, mine=mine)
    world.realiser.kick(GRID)


def waits(world: HostWorld) -> bool:
    told = [e for e in world.told if isinstance(e, Progressed) and e.workspace == "head-1"]
    return bool(told) and (told[-1].phase, told[-1].detail) == (Phase.HELD, WAITS)


async def test_without_it_a_workspace_waits_and_the_others_start(
    world: HostWorld, files: Files
) -> None:
    want(world)
    await until(lambda: WORKER in world.hypervisor.machines, "the worker runs")
    await until(lambda: waits(world), "the head says what it waits for")
    assert HEAD not in world.hypervisor.machines
    assert HEAD not in world.seeds.seeds
    files.here[digest_of(SCRIPT)] = SCRIPT
    world.realiser.kick(GRID)
    await until(lambda: HEAD in world.hypervisor.machines, "it has come")
    assert world.seeds.seeds[HEAD].user_data == SCRIPT
    assert world.seeds.seeds[WORKER].user_data == b""


async def test_what_runs_does_not_need_it_again(world: HostWorld, files: Files) -> None:
    files.here[digest_of(SCRIPT)] = SCRIPT
    want(world)
    await until(lambda: HEAD in world.hypervisor.machines, "it runs")
    files.here.clear()
    want(world, powers={"head-1": Power.RUNNING, "worker-1": Power.OFF})
    await until(lambda: WORKER not in world.hypervisor.machines, "it was looked at again")
    assert not waits(world)
    assert HEAD in world.hypervisor.machines


async def test_a_saved_one_is_not_restored_without_it(world: HostWorld, files: Files) -> None:
    files.here[digest_of(SCRIPT)] = SCRIPT
    both = ("head-1", "worker-1")
    want(world)
    await until(lambda: HEAD in world.hypervisor.machines, "it runs")
    want(world, powers=dict.fromkeys(both, Power.SUSPENDED))
    await until(lambda: Phase.SUSPENDED in world.phases("head-1"), "it is saved")
    files.here.clear()
    want(world)
    await until(lambda: waits(world), "it waits")
    files.here[digest_of(SCRIPT)] = SCRIPT
    world.realiser.kick(GRID)
    await until(lambda: world.phases("head-1")[-1] is Phase.RUNNING, "it goes on")
