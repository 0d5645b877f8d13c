"""Wanted and observed: the realiser mends the difference, tells of it, and starts nothing twice."""

import asyncio

import msgspec
import pytest
from host_world import GRID, HostWorld, until, up

from overlayd.ports.compute import MachineSeen, MachineState
from overlayd.ports.seeds import Seed, SeedError
from overlayd.realise import realiser
from overlayd.realise.paths import machine_name
from overlayd.realise.strays import look_around
from protocol.grid.lifecycle import Phase, Power
from protocol.hosting.events import Measured, Progressed

HEAD, WORKER = machine_name(GRID, "head-1"), machine_name(GRID, "worker-1")
VOLUME, SCRATCH = f"{GRID}.data", f"{GRID}.head-1.scratch"
DISKS = {VOLUME: 16 << 20, SCRATCH: 32 << 20}


async def test_from_nothing_to_reachable(world: HostWorld) -> None:
    await up(world)
    world.answer("head-1", "worker-1")
    await until(lambda: world.phase("head-1") == (Phase.REACHABLE, ""), "the head answers")
    seen = list(dict.fromkeys(world.phases("head-1")))
    assert seen == [Phase.NETWORK, Phase.BOOTING, Phase.RUNNING, Phase.REACHABLE]
    assert sorted(world.hypervisor.machines) == sorted([HEAD, WORKER])
    assert world.volumes.sizes == DISKS
    assert [disk.serial for disk in world.hypervisor.machines[HEAD].disks] == ["data", "scratch"]
    assert world.hypervisor.machines[WORKER].disks == ()
    assert world.seeds.seeds[HEAD].hostname == "head-1"
    assert world.seeds.seeds[HEAD].mounts == (("scratch", "/scratch"), ("data", "/srv"))


async def test_the_network_knows_who_is_here_and_who_is_elsewhere(world: HostWorld) -> None:
    await up(world)
    (network,) = world.network.plans.values()
    assert [port.name for port in network.ports] == ["head-1", "worker-1"]
    assert [(n.name, n.via) for n in network.neighbours] == [("worker-2", "192.0.2.2")]
    head = world.hypervisor.machines[HEAD]
    assert head.nics[0].tap == network.ports[0].tap
    assert head.nics[0].mac == network.ports[0].mac
    assert head.title == "star/head-1"


async def test_kicked_again_nothing_is_started_twice(world: HostWorld) -> None:
    await up(world)
    for _ in range(5):
        world.realiser.kick(GRID)
        await until(lambda: True, "a turn")
    assert sorted(world.hypervisor.starts) == sorted([(HEAD, 1), (WORKER, 1)])


async def test_a_new_daemon_finds_what_the_last_one_made(world: HostWorld) -> None:
    await up(world)
    await world.end()
    world.told.clear()
    await world.start()
    await look_around(world.tools, [GRID])
    await up(world)
    assert sorted(world.hypervisor.starts) == sorted([(HEAD, 1), (WORKER, 1)])
    assert world.volumes.sizes == DISKS


async def test_what_a_grid_has_of_the_disk_is_promised_once(world: HostWorld) -> None:
    """A new daemon counts its promises from the whole disk, so what they took of it is part of that."""
    whole = await world.realiser.disk_bytes()
    await up(world)
    assert await world.realiser.disk_bytes() == whole


async def test_a_worker_waits_for_its_head(world: HostWorld) -> None:
    world.want()
    world.wait_for_head()
    await until(lambda: world.phases("head-1")[-1:] == [Phase.RUNNING], "the head runs")
    assert world.phase("worker-1") == (Phase.HELD, "waits for head-1")
    assert world.state("worker-1") is None
    world.want()
    await until(lambda: world.state("worker-1") is MachineState.RUNNING, "the worker starts")


async def test_pause_and_resume(world: HostWorld) -> None:
    await up(world)
    both = {"head-1": Power.PAUSED, "worker-1": Power.RUNNING}
    world.want(both)
    await until(lambda: world.phase("head-1") == (Phase.PAUSED, ""), "it pauses")
    assert world.state("head-1") is MachineState.PAUSED
    assert world.state("worker-1") is MachineState.RUNNING
    world.want()
    await until(lambda: world.state("head-1") is MachineState.RUNNING, "it goes on")
    await until(lambda: world.phase("head-1") == (Phase.RUNNING, ""), "and that is told")
    assert world.hypervisor.starts.count((HEAD, 1)) == 1


async def test_suspended_it_is_on_disk_and_restored_it_is_the_same_start(world: HostWorld) -> None:
    await up(world)
    both = {"head-1": Power.SUSPENDED, "worker-1": Power.RUNNING}
    world.want(both)
    await until(lambda: world.phase("head-1") == (Phase.SUSPENDED, ""), "it is suspended")
    assert world.state("head-1") is MachineState.SAVED
    assert [p for p in world.phases("head-1") if p is Phase.SAVING]
    world.realiser.kick(GRID)
    await world.end()
    await world.start()
    world.want(both)
    await until(lambda: world.phases("head-1")[-1] is Phase.SUSPENDED, "found again")
    assert world.hypervisor.saves == [HEAD], "saved once"
    assert world.volumes.sizes == DISKS
    world.want()
    await until(lambda: world.state("head-1") is MachineState.RUNNING, "it goes on")
    await until(lambda: world.phases("head-1")[-1] is Phase.RUNNING, "and that is told")
    assert Phase.RESTORING in world.phases("head-1")
    assert world.hypervisor.starts.count((HEAD, 1)) == 1, "it was not started anew"
    measured = [event for event in world.told if isinstance(event, Measured)]
    assert [(m.saved, m.size_bytes) for m in measured] == [(True, 64 << 20), (False, 64 << 20)]


async def test_all_suspended_the_network_goes_and_comes_back(world: HostWorld) -> None:
    await up(world)
    world.want(dict.fromkeys(("head-1", "worker-1"), Power.SUSPENDED))
    await until(lambda: world.network.plans == {}, "nothing needs the network")
    assert world.hypervisor.saves == [HEAD, WORKER], "one after the other"
    world.want()
    await until(lambda: world.state("worker-1") is MachineState.RUNNING, "it goes on")
    assert len(world.network.plans) == 1


async def test_what_cannot_be_saved_goes_on_and_is_tried_again(world: HostWorld) -> None:
    await up(world)
    world.hypervisor.save_refusals[HEAD] = "no space left on device"
    world.want({"head-1": Power.SUSPENDED, "worker-1": Power.RUNNING})
    await until(lambda: world.phases("head-1")[-1] is Phase.FAILED, "told")
    assert "no space left" in world.details("head-1")[-1]
    assert world.state("head-1") is MachineState.RUNNING
    del world.hypervisor.save_refusals[HEAD]
    world.realiser.kick(GRID)
    await until(lambda: world.phases("head-1")[-1] is Phase.SUSPENDED, "saved")


async def test_what_never_ran_is_suspended_without_a_save(world: HostWorld) -> None:
    world.want(dict.fromkeys(("head-1", "worker-1"), Power.SUSPENDED))
    await until(lambda: world.phase("head-1") == (Phase.SUSPENDED, "it did not run"), "told")
    assert world.hypervisor.saves == []


async def test_what_is_not_its_time_is_neither_made_nor_ended(world: HostWorld) -> None:
    await up(world)
    assert world.part is not None
    mine = tuple(msgspec.structs.replace(p, not_yet="starts later") for p in world.part.mine)
    world.part = msgspec.structs.replace(world.part, mine=mine)
    world.realiser.kick(GRID)
    await until(lambda: world.phase("head-1") == (Phase.HELD, "starts later"), "told")
    assert len(world.network.plans) == 1, "a guest that runs would not get its network back"
    assert world.state("head-1") is MachineState.RUNNING


async def test_a_restart_is_another_boot_on_the_same_disk(world: HostWorld) -> None:
    await up(world)
    disks = world.hypervisor.machines[HEAD].disks
    world.want(boot=2)
    await until(lambda: (HEAD, 2) in world.hypervisor.starts, "the second boot")
    assert world.hypervisor.machines[HEAD].disks == disks
    assert world.seeds.writes == 2


async def test_a_restart_without_its_image_says_so_and_that_the_last_start_runs_on(
    world: HostWorld,
) -> None:
    await up(world)
    await world.images.remove(world.digest)
    world.want(boot=2)
    await until(lambda: (world.phase("head-1") or ("",))[0] is Phase.FAILED, "it is told")
    said = world.phase("head-1")
    assert said is not None
    assert said[1].startswith(f"no live peer has image {world.digest[:12]}; add it with")
    assert said[1].endswith("; until then its last start runs on")
    assert world.state("head-1") is MachineState.RUNNING
    assert world.hypervisor.machines[HEAD].boot == 1


async def test_a_guest_that_stops_by_itself_is_started_again(world: HostWorld) -> None:
    await up(world)
    world.hypervisor.end(HEAD)
    await until(lambda: world.state("head-1") is MachineState.RUNNING, "it runs again")
    assert world.hypervisor.starts.count((HEAD, 1)) == 2
    assert world.hypervisor.starts.count((WORKER, 1)) == 1


async def test_a_guest_that_never_stays_up_rests_until_a_person_asks(world: HostWorld) -> None:
    await up(world)
    world.hypervisor.end(HEAD)
    await until(lambda: world.hypervisor.starts.count((HEAD, 1)) == 2, "started again at once")
    world.hypervisor.end(HEAD)
    await until(lambda: world.phase("head-1")[0] is Phase.FAILED, "it rests")
    assert "ended by itself 2 times" in world.phase("head-1")[1]
    assert world.state("worker-1") is MachineState.RUNNING
    world.want(boot=2)
    await until(lambda: (HEAD, 2) in world.hypervisor.starts, "a person's start does not wait")
    await until(
        lambda: world.phase("head-1") == (Phase.RUNNING, ""), "and nothing is said of the past"
    )


async def test_one_that_goes_leaves_the_others(world: HostWorld) -> None:
    await up(world)
    world.want({"head-1": Power.RUNNING, "worker-1": Power.GONE})
    await until(lambda: world.phase("worker-1") == (Phase.GONE, ""), "the worker is gone")
    assert list(world.hypervisor.machines) == [HEAD]
    (network,) = world.network.plans.values()
    assert [port.name for port in network.ports] == ["head-1"]
    assert not world.cleared


async def test_down_leaves_nothing(world: HostWorld) -> None:
    await up(world)
    world.want(dict.fromkeys(("head-1", "worker-1"), Power.GONE), up=False)
    await until(lambda: world.cleared, "it says that nothing is left")
    assert world.hypervisor.machines == {}
    assert world.network.plans == {}
    assert world.volumes.sizes == {}
    assert world.seeds.seeds == {}
    assert world.phase("head-1") == (Phase.GONE, "")


async def test_a_lease_that_ended_stops_machines_and_keeps_disks(world: HostWorld) -> None:
    await up(world)
    world.want(dict.fromkeys(("head-1", "worker-1"), Power.OFF))
    await until(lambda: world.phase("head-1") == (Phase.EXPIRED, ""), "it is over")
    assert world.hypervisor.machines == {}
    assert world.network.plans == {}
    assert world.volumes.sizes == DISKS
    assert not world.cleared


@pytest.mark.parametrize("turns", range(4))
async def test_a_task_that_is_kicked_as_it_is_cancelled_still_ends(
    world: HostWorld, turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realiser, "_RETRY_S", (60.0,))
    world.hypervisor.refusals[HEAD] = "no"
    world.want()
    await until(lambda: (world.phase("head-1") or ("",))[0] is Phase.FAILED, "it failed")
    for _ in range(20):
        await asyncio.sleep(0)
    world.realiser.kick(GRID)
    for _ in range(turns):
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await world.supervisor.close()


async def test_a_refused_machine_is_told_and_tried_again(world: HostWorld) -> None:
    world.hypervisor.refusals[HEAD] = "the hypervisor has its reasons"
    world.want()
    await until(lambda: world.phases("head-1").count(Phase.FAILED) >= 3, "it is tried again")
    assert world.realiser.counts["failed"] >= 2
    told = world.details("head-1")
    first = next(at for at, detail in enumerate(told) if detail)
    assert all("the hypervisor has its reasons" in detail for detail in told[first:])
    assert any(detail.startswith("again, after: ") for detail in told), "between two tries too"
    assert world.state("worker-1") is MachineState.RUNNING
    world.hypervisor.refusals.clear()
    await until(lambda: world.phase("head-1") == (Phase.RUNNING, ""), "it runs in the end")


async def test_a_network_that_cannot_be_made_is_told_of_every_workspace(world: HostWorld) -> None:
    world.network.refusals = ["no bridge today"] * 2
    world.want()
    await until(lambda: world.phase("worker-1") == (Phase.FAILED, "no bridge today"), "it is told")
    assert world.phase("head-1") == (Phase.FAILED, "no bridge today")
    await until(lambda: world.phase("head-1") == (Phase.RUNNING, ""), "it runs in the end")


async def test_a_running_guest_is_not_called_failed_for_its_network(world: HostWorld) -> None:
    await up(world)
    world.told.clear()
    world.network.refusals = ["no bridge today"]
    world.realiser.kick(GRID)
    await until(lambda: not world.network.refusals, "it was tried")
    await until(lambda: world.realiser.counts["failed"] == 1, "it was counted")
    assert Phase.FAILED not in world.phases("head-1")


async def test_a_seed_that_cannot_be_written_is_told_and_tried_again(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure, tries = world.seeds.ensure, []

    async def sometimes(machine: str, seed: Seed) -> str:
        tries.append(machine)
        if len(tries) < 4:
            raise SeedError("no room for the seed")
        return await ensure(machine, seed)

    monkeypatch.setattr(world.seeds, "ensure", sometimes)
    await up(world)
    assert Phase.FAILED in world.phases("head-1") + world.phases("worker-1")


async def test_an_error_nobody_foresaw_does_not_end_the_care_for_a_grid(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Seed:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(realiser.plan, "seed", broken)
        world.want()
        await until(lambda: Phase.FAILED in world.phases("head-1"), "it is told")
    told = [e for e in world.told if isinstance(e, Progressed) and e.phase is Phase.FAILED]
    assert "ZeroDivisionError" in told[0].detail
    await until(lambda: world.phases("head-1")[-1:] == [Phase.RUNNING], "the next try works")


async def test_a_hypervisor_that_answers_nonsense_once_is_asked_again_without_a_kick(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe = world.compute.observe

    async def sometimes() -> tuple[MachineSeen, ...]:
        monkeypatch.setattr(world.compute, "observe", observe)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(world.compute, "observe", sometimes)
    await up(world)
    assert world.realiser.counts["failed"] == 1


async def test_a_volume_without_room_is_told_with_its_workspace_only(world: HostWorld) -> None:
    world.volumes.room_bytes = 1 << 20
    world.want()
    await until(lambda: world.phase("worker-1") == (Phase.RUNNING, ""), "the worker runs")
    await until(lambda: Phase.FAILED in world.phases("head-1"), "the head cannot")
    assert any("no room for volume" in str(event) for event in world.told)


async def test_down_while_it_fails_leaves_nothing(world: HostWorld) -> None:
    world.hypervisor.refusals = {HEAD: "no", WORKER: "no"}
    world.want()
    await until(lambda: Phase.FAILED in world.phases("head-1"), "it fails")
    world.want(dict.fromkeys(("head-1", "worker-1"), Power.GONE), up=False)
    await until(lambda: world.cleared, "it is cleared")
    assert world.volumes.sizes == {}
    assert world.network.plans == {}
    assert world.seeds.seeds == {}


async def test_an_image_nobody_has_is_told(world: HostWorld) -> None:
    await world.images.remove(world.digest)
    world.want()
    await until(lambda: Phase.FAILED in world.phases("head-1"), "it fails")
    assert any("no live peer has image" in str(event) for event in world.told)
