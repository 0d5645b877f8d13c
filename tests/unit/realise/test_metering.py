"""Once a minute is looked at what leases use; nothing counts before it is on the disk."""

import asyncio
from collections.abc import Sequence

import pytest

from overlayd.ports.compute import ComputeError
from overlayd.ports.usage import UsageFault
from overlayd.realise import metering
from overlayd.realise.metering import Metering
from protocol.capacity.quantum import Quantum
from protocol.policy.receipts import (
    HOUR_S,
    Counts,
    Figures,
    LeaseNow,
    Meter,
    Payer,
    SignedReceipt,
    Used,
    check_receipt,
)
from protocol.sim.keys import SimSigner, SimVerifier
from protocol.terms.ids import GridId, KeyId

HOST = SimSigner("host")
G = GridId("g")


class World:
    """A hypervisor, a disk, a clock and leases, all of them played."""

    def __init__(self) -> None:
        self.now_s = 1000.0 * HOUR_S
        self.cpu_ms, self.full, self.deaf = 0, False, False
        self.leases = [LeaseNow(G, "shop", Payer(KeyId("a" * 64), "ams"), Quantum(1000))]
        self.disk: Counts = {}
        self.receipts: list[SignedReceipt] = []
        self.writes, self.closed = 0, False

    def life(self) -> Metering:
        meter = Meter(HOST.key, "h1", "ams")
        return Metering(self, self, meter, HOST, lambda: self.leases, lambda: self.now_s)  # type: ignore[arg-type]  # as much of a hypervisor as it needs

    async def figures(self) -> dict[tuple[str, str], Figures]:
        if self.deaf:
            raise ComputeError("libvirt is away")
        return {(G, "w-1"): Figures(self.cpu_ms)}

    async def open(self) -> Counts:
        return dict(self.disk)

    async def write(self, receipts: Sequence[tuple[int, SignedReceipt]], counts: Counts) -> None:
        if self.full:
            raise UsageFault("no room")
        self.writes += 1
        self.receipts += [each for _, each in receipts]
        self.disk = dict(counts)

    async def since(self, since_s: float) -> list[SignedReceipt]:
        return self.receipts

    async def close(self) -> None:
        self.closed = True

    async def later(self, life: Metering, for_s: float, cpu_ms: int) -> None:
        self.now_s += for_s
        self.cpu_ms += cpu_ms
        await life.look()


@pytest.fixture
def world() -> World:
    return World()


async def test_an_hour_has_a_receipt_that_the_host_signed(world: World) -> None:
    life = world.life()
    await life.look()
    await world.later(life, 60, 500)
    assert life.running()[0].used == Used(500)
    await world.later(life, HOUR_S, 100)
    (signed,) = await life.signed(0.0)
    receipt = check_receipt(signed, SimVerifier())
    assert (receipt.grid, receipt.used.cpu_ms, receipt.reserved.cpu_milli_s) == (
        G,
        500,
        1000 * HOUR_S,
    )
    await life.close()
    assert world.closed


async def test_a_daemon_that_was_killed_goes_on_from_its_disk(world: World) -> None:
    first = world.life()
    await first.look()
    await world.later(first, 60, 500)
    second = world.life()
    assert second.running() == []
    await world.later(second, 60, 300)
    assert second.running()[0].used == Used(800)
    assert second.running()[0].reserved.cpu_milli_s == 1000 * 120


async def test_what_could_not_be_written_is_counted_with_the_next_look(world: World) -> None:
    life = world.life()
    await life.look()
    world.full = True
    with pytest.raises(UsageFault):
        await world.later(life, 60, 500)
    assert life.running()[0].used == Used()
    world.full = False
    await world.later(life, 60, 100)
    assert life.running()[0].used == Used(600)


async def test_a_host_without_leases_writes_nothing(world: World) -> None:
    world.leases = []
    life = world.life()
    await life.look()
    await world.later(life, 60, 0)
    assert world.writes == 0


async def test_a_fault_is_counted_and_it_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering, "APART_S", 0.0)
    life, world.deaf = world.life(), True
    running = asyncio.create_task(life.run())
    async with asyncio.timeout(5):
        while life.counts["usage-not-counted"] < 2:
            life.soon()
            await asyncio.sleep(0)
        world.deaf = False
        life.soon()
        while not world.writes:  # noqa: ASYNC110
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
