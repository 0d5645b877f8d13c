"""A guest that has lost its card with its tap is saved and restored, and has it again; or it is told."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from host_world import GRID, HostWorld, until

from netns.model import tap_name
from overlayd.fakes.compute import FakeCompute
from overlayd.realise.paths import machine_name, network_name
from protocol.grid.lifecycle import Phase, Power
from protocol.hosting.events import Care, Kept

TAP = tap_name(network_name(GRID, "lan"), "worker-1")
NAME = machine_name(GRID, "worker-1")


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HostWorld]:
    """A host whose grid runs. A machine that starts plugs its card in."""
    made = HostWorld(tmp_path)
    start = FakeCompute.start

    async def plug_in(compute: FakeCompute, machine: object) -> None:
        await start(compute, machine)  # type: ignore[arg-type]
        made.network.loose.clear()

    monkeypatch.setattr(FakeCompute, "start", plug_in)
    await made.start()
    made.want()
    await until(lambda: made.phase("worker-1") == (Phase.RUNNING, ""), "it runs")
    yield made
    await made.end()


async def test_it_is_saved_and_restored_and_that_is_told(world: HostWorld) -> None:
    world.network.loose.add(TAP)
    world.realiser.kick(GRID)
    await until(lambda: any(isinstance(event, Kept) for event in world.told), "it is told")
    assert world.hypervisor.saves == [NAME]
    assert world.hypervisor.starts.count((NAME, 1)) == 1, "it is not started anew"
    (kept,) = (event for event in world.told if isinstance(event, Kept))
    assert (kept.subject, kept.care) == ("star/worker-1", Care.MENDED)
    assert "saved and restored" in kept.detail
    await until(lambda: world.phase("worker-1") == (Phase.RUNNING, ""), "it runs on")
    phases = world.phases("worker-1")[-3:]
    assert phases == [Phase.SAVING, Phase.RESTORING, Phase.RUNNING]


async def test_if_it_cannot_be_saved_it_is_told_with_what_helps(world: HostWorld) -> None:
    world.hypervisor.save_refusals[NAME] = "no room"
    world.network.loose.add(TAP)
    world.realiser.kick(GRID)
    await until(lambda: (world.phase("worker-1") or "")[0] is Phase.FAILED, "it failed")
    (_, detail) = world.phase("worker-1") or ("", "")
    assert "no room; overlayctl restart gives it a new one" in detail
    world.want(boot=2)
    await until(lambda: world.phase("worker-1") == (Phase.RUNNING, ""), "a restart helps")
    del world.hypervisor.save_refusals[NAME]
    world.want({"head-1": Power.RUNNING, "worker-1": Power.SUSPENDED}, boot=2)
    await until(lambda: world.phases("worker-1")[-1] is Phase.SUSPENDED, "it is suspended")
    world.want(boot=2)
    await until(lambda: world.phase("worker-1") == (Phase.RUNNING, ""), "it is restored")
    assert not any(isinstance(event, Kept) for event in world.told), "for no lost card, this time"


async def test_a_paused_machine_gets_it_when_it_goes_on(world: HostWorld) -> None:
    world.want(dict.fromkeys(("head-1", "worker-1"), Power.PAUSED))
    await until(lambda: world.phase("worker-1") == (Phase.PAUSED, ""), "it is paused")
    world.network.loose.add(TAP)
    world.realiser.kick(GRID)
    await until(lambda: world.phases("worker-1").count(Phase.PAUSED) >= 2, "another look")
    assert world.hypervisor.saves == []
    world.want()
    await until(lambda: world.phase("worker-1") == (Phase.RUNNING, ""), "it runs on")
    assert world.hypervisor.saves == [NAME]
