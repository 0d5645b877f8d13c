"""Networks are kept as they were made: somebody undoes a part, it is mended, and it is told."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from host_world import GRID, HostWorld, until

from overlayd.ports.compute import MachineState
from overlayd.realise import keeping, watch
from overlayd.realise.mends import AT_ONCE
from overlayd.realise.paths import network_name
from overlayd.telemetry import supervisor
from protocol.grid.lifecycle import Phase
from protocol.hosting.events import Care, Kept

LAN = network_name(GRID, "lan")
GONE = "tunnel device ovx-001267 was gone"


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HostWorld]:
    """A host whose grid is up and answers. Pauses are short."""
    monkeypatch.setattr(keeping, "_GATHER_S", 0.0)
    monkeypatch.setattr(watch, "_WATCH_EVERY_S", 0.01)
    monkeypatch.setattr(watch, "_PROBE_EVERY_S", 0.01)
    made = HostWorld(tmp_path)
    await made.start()
    made.realiser.keep()
    made.want()
    await until(lambda: made.phase("worker-1") == (Phase.RUNNING, ""), "it runs")
    made.answer("head-1", "worker-1")
    await until(lambda: made.phase("worker-1") == (Phase.REACHABLE, ""), "it answers")
    yield made
    await made.end()


def kept(world: HostWorld) -> list[Kept]:
    return [event for event in world.told if isinstance(event, Kept)]


def disturb(world: HostWorld, network: str, harm: str, *, told: bool = True) -> None:
    """Something of a network is not as it was made. It is told of, unless the kernel says nothing."""
    world.network.harmed[network] = harm
    if told:
        world.network.told()


async def mended(world: HostWorld, times: int) -> None:
    await until(lambda: len(kept(world)) >= times, f"mend {times}")


async def test_the_first_making_is_no_mend(world: HostWorld) -> None:
    world.realiser.kick(GRID)
    await asyncio.sleep(0)
    assert kept(world) == []


async def test_what_a_start_takes_from_the_rate_of_a_guest_is_given_back_without_a_word(
    tmp_path: Path,
) -> None:
    world = HostWorld(tmp_path)
    world.site = msgspec.structs.replace(world.site, guest_bits_s=10**9)
    await world.start()

    def takes(machine: str) -> None:
        if world.hypervisor.states.get(machine) is MachineState.RUNNING:
            world.network.harmed[LAN] = "rate of head-1 was none to its guest"

    world.hypervisor.listeners.insert(0, takes)
    world.want()
    await until(lambda: world.phase("worker-1") == (Phase.RUNNING, ""), "it runs")
    assert (await world.network.harms(), kept(world)) == ({}, [])
    await world.end()


async def test_what_somebody_undid_is_mended_and_told_once(world: HostWorld) -> None:
    disturb(world, LAN, GONE)
    await mended(world, 1)
    assert await world.network.harms() == {}
    assert kept(world) == [Kept(GRID, "star/lan", Care.MENDED, f"{GONE}; made as it was")]


async def test_a_comparison_that_fails_as_nobody_foresaw_is_not_the_last_one(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_AGAIN_S", (0.0,))
    failed = asyncio.Event()

    async def broken() -> dict[str, str]:
        failed.set()
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(world.network, "harms", broken)
        world.network.told()
        async with asyncio.timeout(5):
            await failed.wait()
    disturb(world, LAN, GONE)
    await mended(world, 1)


async def test_what_nobody_told_of_is_found_on_the_clock(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "EVERY_S", 0.01)
    disturb(world, LAN, GONE)
    await mended(world, 1)
    disturb(world, LAN, "dnsmasq (DHCP and DNS) did not run as started", told=False)
    await mended(world, 2)
    assert await world.network.harms() == {}


async def test_what_is_undone_again_and_again_is_mended_with_pauses_and_told_seldom(
    world: HostWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overlayd.realise.mends.PAUSES_S", (0.0, 0.0, 0.0, 3600.0))
    for count in range(1, AT_ONCE + 5):
        disturb(world, LAN, f"{GONE} ({count})")
        await until(lambda: LAN not in world.network.harmed, f"mend {count}")
    assert [event.care for event in kept(world)] == [Care.MENDED] * 3 + [Care.UNSTEADY]
    assert f"for the {AT_ONCE + 1}th time" in kept(world)[-1].detail
    disturb(world, LAN, GONE)
    for _ in range(50):
        await asyncio.sleep(0)
    assert LAN in world.network.harmed


async def test_what_cannot_be_mended_is_told_once_for_each_reason(world: HostWorld) -> None:
    world.network.refusals = ["no memory"] * 2
    world.realiser.kick(GRID)
    await mended(world, 1)
    world.realiser.kick(GRID)
    await until(lambda: not world.network.refusals, "a second refusal")
    world.realiser.kick(GRID)
    await mended(world, 2)
    assert [(event.care, event.detail) for event in kept(world)] == [
        (Care.BROKEN, "no memory; it is tried again"),
        (Care.MENDED, "it could not be mended; now it is. It was: no memory"),
    ]


async def test_a_guest_that_does_not_answer_has_the_reason_looked_for_here_first(
    world: HostWorld,
) -> None:
    listeners = set(world.network.listeners)
    disturb(world, LAN, GONE, told=False)
    world.network.listeners.clear()
    await mended(world, 1)
    assert world.phase("worker-1") == (Phase.REACHABLE, "")
    world.network.listeners |= listeners


async def test_a_guest_that_does_not_answer_is_told_with_the_trouble_of_its_network(
    world: HostWorld,
) -> None:
    world.network.refusals = ["no memory"] * 10_000
    world.realiser.kick(GRID)
    await mended(world, 1)
    world.network.listeners.clear()
    said = (Phase.RUNNING, "does not answer: no memory")
    await until(lambda: world.phase("worker-1") == said, "its trouble is told")
