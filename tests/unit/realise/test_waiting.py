"""What waits is not started, and is looked at again also if nobody tells anything."""

from pathlib import Path

import msgspec
import pytest
from host_world import GRID, HostWorld, until

from overlayd.ports.compute import MachineState
from overlayd.realise import waiting
from protocol.grid.lifecycle import Phase

AWAY = "waits until it is gone from b: ending there"


def gone(world: HostWorld, why: str) -> None:
    """The head is (not) told elsewhere."""
    assert world.part is not None
    head, *others = world.part.mine
    world.part = msgspec.structs.replace(
        world.part, mine=(msgspec.structs.replace(head, elsewhere=why), *others)
    )


async def test_what_another_host_may_still_run_is_not_started_here_and_what_runs_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "AGAIN_S", 0.0)
    world = HostWorld(tmp_path)
    await world.start()
    world.want()
    gone(world, AWAY)
    await until(lambda: world.phase("head-1") == (Phase.HELD, AWAY), "it is held, and told why")
    await until(lambda: world.state("worker-1") is MachineState.RUNNING, "others are started")
    assert world.state("head-1") is None
    gone(world, "")
    await until(lambda: world.state("head-1") is MachineState.RUNNING, "nobody looked again")
    gone(world, AWAY)
    world.realiser.kick(GRID)
    await until(lambda: world.phase("head-1")[0] is Phase.RUNNING, "it is told that it runs")
    await world.end()
