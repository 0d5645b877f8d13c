"""The contract of Compute: in memory, on libvirt's test driver, and on real QEMU processes."""
# ruff: noqa: ASYNC240 (a test has its loop for itself, so it may block)

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import libvirt
import msgspec
import pytest
from federation.serial import SerialConsole

from overlayd.adapters.image_format import unpack
from overlayd.adapters.libvirt import domains, private
from overlayd.adapters.libvirt.compute import LibvirtCompute
from overlayd.adapters.libvirt.driver import DomainType, Driver
from overlayd.adapters.libvirt.xml import try_out_xml
from overlayd.fakes.compute import FakeCompute, FakeHypervisor
from overlayd.ports.compute import (
    NO_DISK_RATE,
    Cause,
    Compute,
    ComputeError,
    Disk,
    DiskBoot,
    DiskRate,
    KernelBoot,
    Machine,
    MachineSeen,
    MachineState,
    Nic,
    Resized,
    Sizes,
)
from protocol.image.facts import Firmware

TOP = Path(__file__).parents[2]
DEADLINE_S = 60.0
UUIDS = [f"6f3f6b1e-0000-4000-8000-{number:012d}" for number in range(8)]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guest image's kernel and initrd."""
    subprocess.run([TOP / "scripts" / "build-image"], check=True, capture_output=True)
    target = tmp_path_factory.mktemp("image") / "parts"
    unpack(TOP / ".cache" / "images" / "guest.img", target)
    return target


@pytest.fixture(scope="module")
def embedded() -> Iterator[Path]:
    """One root for the process: libvirt opens no second one. Its path is short, for the sockets below it."""
    root = Path(tempfile.mkdtemp(prefix="ovc", dir="/tmp"))
    yield root
    shutil.rmtree(root)


class World:
    """One hypervisor, and as many adapters on it as a test wants."""

    kind: str
    ends_by: Cause = Cause.KILLED
    """What `end` is."""

    def __init__(self, directory: Path, parts: Path) -> None:
        self.directory = directory
        self.parts = parts
        self.changes: list[str] = []
        self.open: list[Compute] = []

    def compute(self) -> Compute:
        raise NotImplementedError

    def end(self, name: str) -> None:
        """The guest ends by itself."""
        raise NotImplementedError

    async def opened(self) -> Compute:
        made = self.compute()
        await made.open(self.changes.append)
        self.open.append(made)
        return made

    async def close(self) -> None:
        for made in self.open[:1]:
            for seen in await made.observe():
                await made.stop(seen.name)
        for made in self.open:
            await made.close()

    def machine(self, number: int = 0, **changes: object) -> Machine:
        machine = Machine(
            name=f"ovl-{number}",
            uuid=UUIDS[number],
            title="contract test",
            grid="4f2a",
            epoch=1,
            boot=1,
            vcpus=1,
            cpu_milli=500,
            memory_bytes=96 << 20,
            boots=KernelBoot(
                str(self.parts / "vmlinuz"), str(self.parts / "initrd.img"), "console=ttyS0 quiet"
            ),
            seed="",
            console_log=str(self.directory / f"{number}.log"),
            console_socket=str(self.directory / f"{number}.sock"),
            agent_socket=str(self.directory / f"{number}.agent"),
        )
        return msgspec.structs.replace(machine, **changes)


class FakeWorld(World):
    kind = "fake"

    def __init__(self, directory: Path, parts: Path) -> None:
        super().__init__(directory, parts)
        self.hypervisor = FakeHypervisor()

    def compute(self) -> Compute:
        return FakeCompute(self.hypervisor)

    def end(self, name: str) -> None:
        self.hypervisor.end(name)


class TestDriverWorld(World):
    """libvirt's own pretence: its real API and XML, no guests, no privileges."""

    __test__ = False
    kind = "test"
    ends_by = Cause.POWERED_OFF

    def compute(self) -> Compute:
        return LibvirtCompute("test:///default", self.directory)

    def end(self, name: str) -> None:
        connection = libvirt.open("test:///default")
        connection.lookupByName(name).shutdown()
        connection.close()


class EmbeddedWorld(World):
    kind = "embed"

    def compute(self) -> Compute:
        root = self.directory / "libvirt"
        return LibvirtCompute(f"qemu:///embed?root={root}", self.directory, "never")

    def end(self, name: str) -> None:
        os.kill(self.pid(name), signal.SIGKILL)

    def pid(self, name: str) -> int:
        return int((self.directory / "libvirt" / "run" / "qemu" / f"{name}.pid").read_text())


@pytest.fixture(params=[FakeWorld, TestDriverWorld, EmbeddedWorld], ids=lambda kind: kind.kind)
async def world(
    request: pytest.FixtureRequest, embedded: Path, parts: Path
) -> AsyncIterator[World]:
    made: World = request.param(embedded, parts)
    try:
        yield made
    finally:
        await made.close()


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:g} s: {what}"
        await asyncio.sleep(0.01)


# Each opening of the embedded driver leaves something in libvirt, which refuses one above some twenty in a
# process: so what can be asked of one opening is asked of one.


async def test_offers_what_there_is_and_tries_a_tiny_guest(world: World) -> None:
    made = world.compute()
    offer = await made.open(world.changes.append)
    world.open.append(made)
    assert offer.cpus_milli >= 1000
    assert offer.memory_bytes > 1 << 29
    assert offer.why.startswith(offer.accelerator.value)
    assert await made.try_out() == ""
    assert await made.try_out() == "", "as often as one likes"
    assert await made.observe() == ()


async def test_not_open_is_said(world: World) -> None:
    with pytest.raises(ComputeError, match="not open"):
        await world.compute().observe()


async def test_started_once_with_its_quantum(world: World) -> None:
    compute = await world.opened()
    machine = world.machine(cpu_milli=300)
    await compute.start(machine)
    await compute.start(machine)
    (seen,) = await compute.observe()
    assert (seen.name, seen.uuid, seen.boot) == (machine.name, machine.uuid, 1)
    assert seen.state is MachineState.RUNNING
    assert (seen.cpu_milli, seen.memory_bytes) == (300, 96 << 20)
    await compute.start(msgspec.structs.replace(machine, cpu_milli=700))
    (seen,) = await compute.observe()
    assert (seen.boot, seen.cpu_milli) == (1, 700)


async def test_its_sizes_change_while_it_runs_and_what_cannot_is_said(
    world: World, tmp_path: Path
) -> None:
    """What is its guest's to do is another test: this guest has just been started."""
    compute = await world.opened()
    with pytest.raises(ComputeError, match="ovl-0 cannot be resized: it does not run"):
        await compute.resize("ovl-0", Sizes(500, 1, 96 << 20))
    disk = tmp_path / "scratch.raw"
    with disk.open("wb") as file:
        file.truncate(8 << 20)
    disks = (Disk(str(disk), "scratch"),)
    machine = world.machine(vcpus_max=3, memory_max_bytes=192 << 20, disks=disks)
    await compute.start(machine)
    for _ in range(2):
        left = await compute.resize("ovl-0", Sizes(1500, 2, 96 << 20))
        (seen,) = await compute.observe()
        assert (seen.boot, seen.cpu_milli, seen.vcpus, left.restart) == (1, 1500, 2, "")
    left = await compute.resize("ovl-0", Sizes(4000, 4, 256 << 20))
    (seen,) = await compute.observe()
    assert (seen.cpu_milli, seen.vcpus) == (4000, 3), "the cap always; cpus as far as it has places"
    assert "4 cpus" in left.restart
    assert "3" in left.restart
    assert "of memory: it was started with room for" in left.restart
    await compute.resize("ovl-0", Sizes(250, 1, 96 << 20))
    (seen,) = await compute.observe()
    assert (seen.boot, seen.cpu_milli, seen.vcpus) == (1, 250, 3), "the cap holds without pulling"
    await compute.start(msgspec.structs.replace(machine, cpu_milli=600))
    assert [seen.cpu_milli for seen in await compute.observe()] == [600], "a start brings it, too"
    for rate in (DiskRate(50 << 20, 500), DiskRate(50 << 20), DiskRate(0, 100), NO_DISK_RATE):
        await compute.resize("ovl-0", Sizes(600, 1, 96 << 20, rate))
        assert [seen.disk_rate for seen in await compute.observe()] == [rate]
    await compute.pause("ovl-0")
    with pytest.raises(ComputeError, match="does not run"):
        await compute.resize("ovl-0", Sizes(500, 1, 96 << 20))


async def test_started_by_many_at_once_is_started_once(world: World) -> None:
    compute = await world.opened()
    await asyncio.gather(*(compute.start(world.machine()) for _ in range(5)))
    assert len(await compute.observe()) == 1


async def test_a_larger_boot_replaces_and_a_smaller_is_out_of_date(world: World) -> None:
    compute = await world.opened()
    await compute.start(world.machine(boot=1))
    await compute.start(world.machine(boot=3))
    with pytest.raises(ComputeError, match="out of date"):
        await compute.start(world.machine(boot=2))
    (seen,) = await compute.observe()
    assert (seen.boot, seen.state) == (3, MachineState.RUNNING)


async def test_pause_and_resume(world: World) -> None:
    """What it uses is counted meanwhile, and not once it is stopped."""
    compute = await world.opened()
    for act in (compute.pause, compute.resume):
        with pytest.raises(ComputeError, match="ovl-7"):
            await act("ovl-7")
    await compute.start(world.machine(workspace="web-1"))
    ((whose, figures),) = (await compute.figures()).items()
    assert whose == ("4f2a", "web-1")
    assert figures.memory_bytes > 0
    for _ in range(2):
        await compute.pause("ovl-0")
        assert [seen.state for seen in await compute.observe()] == [MachineState.PAUSED]
    (seen,) = await compute.observe()
    assert (seen.cause, bool(seen.why), seen.stuck_on) == (Cause.ASKED, True, ())
    for _ in range(2):
        await compute.resume("ovl-0")
        assert [seen.state for seen in await compute.observe()] == [MachineState.RUNNING]
    await until(lambda: "ovl-0" in world.changes, "told of a change")
    assert await compute.set_clock("ovl-0") is (world.kind == "fake"), "no agent is no error"
    await compute.stop("ovl-0")
    assert await compute.figures() == {}


async def test_stopped_is_gone_and_stopping_again_succeeds(world: World) -> None:
    compute = await world.opened()
    await compute.start(world.machine())
    await compute.stop("ovl-0")
    await compute.stop("ovl-0")
    assert await compute.observe() == ()


async def test_saved_it_uses_nothing_and_goes_on_as_the_same_start(
    world: World, tmp_path: Path
) -> None:
    """One test, because one process can open libvirt's embedded driver a score of times only."""
    compute = await world.opened()
    with pytest.raises(ComputeError, match="ovl-0 cannot be saved: it does not run"):
        await compute.save("ovl-0")
    disk = tmp_path / "scratch.raw"
    with disk.open("wb") as file:
        file.truncate(8 << 20)
    disks = (Disk(str(disk), "scratch"),)
    await compute.start(world.machine(boot=2, disks=disks))
    for _ in range(2):
        await compute.save("ovl-0")
        (seen,) = await compute.observe()
        assert (seen.state, seen.boot, seen.cpu_milli) == (MachineState.SAVED, 2, 500)
    with pytest.raises(ComputeError, match="does not run"):
        await compute.resume("ovl-0")
    for _ in range(2):
        await compute.start(world.machine(boot=2, disks=disks))
        (seen,) = await compute.observe()
        assert (seen.state, seen.boot) == (MachineState.RUNNING, 2)
    await compute.pause("ovl-0")
    await compute.save("ovl-0")
    await compute.start(world.machine(boot=2, disks=disks))
    assert [seen.state for seen in await compute.observe()] == [MachineState.RUNNING]
    await compute.save("ovl-0")
    await compute.start(world.machine(boot=3, disks=disks))
    (seen,) = await compute.observe()
    assert (seen.state, seen.boot) == (MachineState.RUNNING, 3), "a new start forgets it"
    await compute.save("ovl-0")
    await compute.stop("ovl-0")
    assert await compute.observe() == (), "and so does the end"
    assert disk.stat().st_size == 8 << 20, "which is not the end of its disk"


async def test_found_by_the_next_adapter(world: World) -> None:
    first = await world.opened()
    kept = {"workspace": "head-1", "keepsake": bytes(range(256)) * 256}
    await first.start(world.machine(boot=2, **kept))
    (before,) = await first.observe()
    second = await world.opened()
    world.open.remove(first)
    await first.close()
    (after,) = await second.observe()
    assert (after.name, after.boot, after.state) == (before.name, 2, MachineState.RUNNING)
    assert (after.grid, after.workspace, after.keepsake) == ("4f2a", *kept.values())
    assert await second.lost() == ()


async def told_to_be(state: MachineState, world: World, compute: Compute) -> MachineSeen:
    """The one machine, once it is in that state. It is looked at whenever a change is told."""
    while True:
        world.changes.clear()
        (seen,) = await compute.observe()
        if seen.state is state:
            return seen
        await until(lambda: bool(world.changes), f"it is {state}")


async def test_one_that_ends_by_itself_is_told_and_starts_again(world: World) -> None:
    compute = await world.opened()
    await compute.start(world.machine())
    await until(lambda: world.kind == "fake" or "ovl-0" in world.changes, "its start told")
    world.changes.clear()
    world.end("ovl-0")
    await until(lambda: "ovl-0" in world.changes, "its end told")
    seen = await told_to_be(MachineState.STOPPED, world, compute)
    assert (seen.boot, seen.cause) == (1, world.ends_by)
    assert ("killed" if world.ends_by is Cause.KILLED else "powered off") in seen.why
    with pytest.raises(ComputeError, match="does not run"):
        await compute.pause("ovl-0")
    await compute.start(world.machine())
    assert [seen.state for seen in await compute.observe()] == [MachineState.RUNNING]


async def test_a_refusal_leaves_nothing(world: World) -> None:
    compute = await world.opened()
    with pytest.raises(ComputeError, match=r"ovl-0: .*UUID"):
        await compute.start(world.machine(uuid="not a uuid"))
    with pytest.raises(ComputeError, match=r"ovl-0: .*least"):
        await compute.start(world.machine(cpu_milli=1))
    assert await compute.observe() == ()


async def test_names_and_uuids_are_not_mixed_up(world: World) -> None:
    compute = await world.opened()
    await compute.start(world.machine(0))
    with pytest.raises(ComputeError, match=r"UUID"):
        await compute.start(world.machine(1, uuid=UUIDS[0]))
    with pytest.raises(ComputeError, match=r"UUID"):
        await compute.start(world.machine(0, uuid=UUIDS[1]))
    assert [seen.uuid for seen in await compute.observe()] == [UUIDS[0]]


# What only libvirt has.


@pytest.fixture
async def test_driver(embedded: Path, parts: Path) -> AsyncIterator[World]:
    made = TestDriverWorld(embedded, parts)
    yield made
    await made.close()


@pytest.fixture
async def embed(embedded: Path, parts: Path) -> AsyncIterator[EmbeddedWorld]:
    made = EmbeddedWorld(embedded, parts)
    yield made
    await made.close()


async def test_domains_of_others_are_left_alone(test_driver: World) -> None:
    """The test driver comes with a domain called `test`; another owner's is not ours either."""
    compute = await test_driver.opened()
    assert await compute.observe() == ()
    with pytest.raises(ComputeError, match="not ours"):
        await compute.start(test_driver.machine(name="test"))
    with pytest.raises(ComputeError, match="not ours"):
        await compute.stop("test")
    other = LibvirtCompute("test:///default", test_driver.directory, owner="other")
    await other.open(test_driver.changes.append)
    await other.start(test_driver.machine())
    assert await compute.observe() == ()
    assert len(await other.observe()) == 1
    await other.stop("ovl-0")
    await other.close()


async def test_what_qemu_refuses_is_said_and_leaves_nothing(
    embed: EmbeddedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = await embed.opened()
    no_tap = Nic(tap="ovt-absent", mac="52:54:00:00:00:01", mtu=1370)
    for wrong, words in (
        (
            embed.machine(boots=KernelBoot("/absent/vmlinuz", "/absent/initrd.img", "")),
            "ovl-0: a file cannot be given to its user: .*/absent/vmlinuz",
        ),
        (
            embed.machine(disks=(Disk("/absent/disk", "d"),)),
            "ovl-0: a file cannot be given to its user: .*/absent/disk",
        ),
        (embed.machine(nics=(no_tap,)), "ovl-0: libvirt says: .*dev doesn't exist"),
        (embed.machine(disks=(Disk("/x", "d"),) * 40), "16 too many"),
        (embed.machine(console_socket="/" + "s" * 120), "14 characters too long"),
    ):
        with pytest.raises(ComputeError, match=words):
            await compute.start(wrong)
        assert await compute.observe() == ()
    assert not list((embed.directory / "libvirt" / "run" / "qemu").glob("ovl-*"))
    broken = try_out_xml(Driver(DomainType.QEMU)).replace(
        "</devices>", "<emulator>/nowhere</emulator></devices>"
    )
    monkeypatch.setattr(domains, "try_out_xml", lambda *_: broken)
    assert "/nowhere" in await compute.try_out(), "a host without its emulator says why"


async def test_a_guest_is_resized_while_a_counter_in_it_runs_on(
    embed: EmbeddedWorld, tmp_path: Path
) -> None:
    """Cap, cpus and memory of one guest, which is booted once; then it is saved, and goes on with them. Rates
    of disks, of another."""
    compute = await embed.opened()
    machine = embed.machine(
        5, cpu_milli=2000, memory_bytes=160 << 20, vcpus_max=2, memory_max_bytes=320 << 20
    )
    assert isinstance(machine.boots, KernelBoot)
    # A busy host may be late with the timer's first ticks.
    cmdline = f"{machine.boots.cmdline} no_timer_check"
    boots = msgspec.structs.replace(machine.boots, cmdline=cmdline)
    machine = msgspec.structs.replace(machine, boots=boots)
    await compute.start(machine)
    log = Path(machine.console_log)
    await until(lambda: "guest ready" in log.read_text(errors="replace"), "it is ready")
    console = SerialConsole(machine.console_socket)
    count = "while :; do n=$((n+1)); echo $n >/run/counted; done"
    console.ask(f"({count}) & until [ -s /run/counted ]; do :; done")

    def counted() -> int:
        return int(console.ask("until read -r n </run/counted; do :; done; echo $n"))

    async def has(mib: int, sizes: Sizes) -> MachineSeen:
        """Once its guest has that memory, as it is asked again and again."""
        give_up = time.monotonic() + DEADLINE_S
        while True:
            left = await compute.resize(machine.name, sizes)
            (seen,) = await compute.observe()
            if seen.memory_bytes == mib << 20:
                return seen
            assert time.monotonic() < give_up, f"{mib} MiB: {seen}, {left}"

    def total_mib() -> int:
        return int(console.ask("free -m | awk '/Mem/ {print $2}'"))

    before = counted()
    await has(320, Sizes(300, 1, 320 << 20))
    most = total_mib()
    assert most > 160
    began_s, used_s = time.monotonic(), (await compute.observe())[0].cpu_time_s
    await asyncio.sleep(2)
    used_s = (await compute.observe())[0].cpu_time_s - used_s
    assert 0 < used_s <= 0.3 * (time.monotonic() - began_s + 0.2), (
        "it spins, and is held to its cap"
    )
    await has(128, Sizes(2000, 2, 128 << 20))
    assert most - 196 < total_mib() < most - 180, "it gave 192 MiB back"
    await until(lambda: console.ask("nproc") == "2", "it uses the cpu that was plugged in")
    console.ask("dd if=/dev/zero of=/run/held bs=1M count=32 2>/dev/null")
    left = await compute.resize(machine.name, Sizes(2000, 2, 48 << 20))
    assert "since it uses " in left.waits, "what it uses is not taken from it"
    assert (await compute.observe())[0].memory_bytes > 64 << 20
    assert counted() > before, "it is the same start"
    assert "ut of memory" not in log.read_text(errors="replace")
    await compute.save(machine.name)
    grown = msgspec.structs.replace(machine, cpu_milli=1000, vcpus=2, memory_bytes=256 << 20)
    await compute.start(grown)
    seen = await has(256, grown.sizes)
    assert (seen.boot, seen.cpu_milli, seen.vcpus) == (1, 1000, 2)
    console.close()
    console = SerialConsole(machine.console_socket)
    assert counted() > before
    console.close()
    await compute.stop(machine.name)
    await _is_held_to_a_rate_of_all_its_disks(embed, compute, tmp_path)


async def _is_held_to_a_rate_of_all_its_disks(
    embed: EmbeddedWorld, compute: Compute, tmp_path: Path
) -> None:
    """By what its hypervisor counts, while it writes to two disks at once: told at its start, changed while it
    runs, mended when somebody takes it away, and there again when it has been saved."""
    rate = DiskRate(4 << 20, 64)
    disks = []
    for name in ("one", "two"):
        path = tmp_path / name
        with path.open("wb") as file:
            file.truncate(256 << 20)
        disks.append(Disk(str(path), name))
    machine = embed.machine(6, cpu_milli=2000, disks=tuple(disks), disk_rate=rate)
    await compute.start(machine)
    (seen,) = await compute.observe()
    assert seen.disk_rate == rate
    log = Path(machine.console_log)
    await until(lambda: "guest ready" in log.read_text(errors="replace"), "it is ready")
    console = SerialConsole(machine.console_socket)
    for disk in ("vda", "vdb"):
        write = f"dd if=/dev/zero of=/dev/{disk} bs=256k oflag=direct conv=notrunc"
        console.ask(f"(while :; do {write}; done) >/dev/null 2>&1 & echo")
    assert isinstance(compute, LibvirtCompute)
    assert compute._connection is not None
    domain = compute._connection.lookupByName(machine.name)

    def written() -> tuple[int, int]:
        stats = [domain.blockStats(disk) for disk in ("vda", "vdb")]
        return sum(s[3] for s in stats), sum(s[2] for s in stats)

    async def measured(seconds: float) -> tuple[float, float]:
        """(bytes, writes) a second."""
        before, began_s = written(), time.monotonic()
        await asyncio.sleep(seconds)
        after, took_s = written(), time.monotonic() - began_s
        return (after[0] - before[0]) / took_s, (after[1] - before[1]) / took_s

    await until(lambda: all(domain.blockStats(d)[3] > 1 << 20 for d in ("vda", "vdb")), "both")
    bytes_s, _ = await measured(2)
    assert 0 < bytes_s < 1.5 * rate.bytes_s, "both disks together"
    slower = DiskRate(0, 4)
    assert await compute.resize(machine.name, Sizes(2000, 1, 96 << 20, slower)) == Resized()
    _, operations_s = await measured(2)
    assert 0 < operations_s < 2 * slower.operations_s
    domain.setBlockIoTune("vda", {"total_iops_sec": 0}, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    domain.setSchedulerParametersFlags({"cpu_shares": 2}, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    (seen,) = await compute.observe()
    assert seen.disk_rate != slower
    assert seen.cpu_milli == 0, "it does not weigh what it should"
    await compute.resize(machine.name, Sizes(2000, 1, 96 << 20, slower))
    (seen,) = await compute.observe()
    assert (seen.cpu_milli, seen.disk_rate) == (2000, slower)
    console.close()
    await compute.save(machine.name)
    await compute.start(msgspec.structs.replace(machine, disk_rate=rate))
    (seen,) = await compute.observe()
    assert (seen.boot, seen.disk_rate) == (1, rate)
    await compute.resize(machine.name, Sizes(2000, 1, 96 << 20))
    (seen,) = await compute.observe()
    assert seen.disk_rate == NO_DISK_RATE


SECOND = """
import asyncio, sys
from pathlib import Path
from overlayd.adapters.libvirt.compute import LibvirtCompute

async def opened(folder):
    made = LibvirtCompute(f"qemu:///embed?root={folder / 'libvirt'}", folder, "never")
    await made.open(lambda change: None)
    return made

async def main(first, second):
    kept = await opened(first)
    await opened(second)

asyncio.run(main(*map(Path, sys.argv[1:])))
"""
"""Each root that a process opens counts for its life, and libvirt takes about twenty: this one has its own."""


def test_a_second_root_in_one_process_is_refused(embedded: Path) -> None:
    argv = [sys.executable, "-c", SECOND, str(embedded / "a"), str(embedded / "b")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "already open" in done.stderr


async def test_a_stopped_guest_leaves_its_log_and_nothing_else(embed: EmbeddedWorld) -> None:
    stray = embed.directory / "libvirt" / "log" / "qemu" / "ovl-of-nobody.log"
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.touch()
    compute = await embed.opened()
    assert not stray.exists(), "nor does one of long ago"
    machine = embed.machine()
    await compute.start(machine)
    pid = embed.pid(machine.name)
    cgroup = Path("/proc", str(pid), "cgroup").read_text()
    assert "qemu-embed" in cgroup
    assert Path(machine.console_socket).is_socket()
    assert Path(machine.agent_socket).is_socket()
    (said,) = (embed.directory / "libvirt").rglob("ovl-0.log")
    await compute.save(machine.name)
    assert not Path("/proc", str(pid)).exists()
    (image,) = (embed.directory / "libvirt").rglob("ovl-0.save")
    assert image.stat().st_size > 0
    await compute.stop(machine.name)
    assert not Path("/proc", str(pid)).exists()
    assert not image.exists()
    assert not Path(machine.console_socket).exists()
    assert not Path(machine.agent_socket).exists()
    assert not said.exists(), "what QEMU said of it is nobody's any more"
    assert Path(machine.console_log).exists()
    assert not list((embed.directory / "libvirt" / "etc" / "qemu").glob("*.xml"))
    for line in cgroup.splitlines():
        controller, group = line.split(":")[1:]
        if machine.name in group:
            place = Path("/sys/fs/cgroup", controller or "unified", group.strip("/"))
            assert not place.exists()


async def test_containers_say_what_they_lack(embedded: Path, parts: Path) -> None:
    from overlayd.adapters.libvirt.domains import Domains
    from overlayd.adapters.libvirt.driver import DomainType, Driver
    from overlayd.adapters.libvirt.history import History

    connection = libvirt.open("test:///default")
    from_disk = DiskBoot(Firmware.BIOS, "")
    machine = EmbeddedWorld(embedded, parts).machine(boots=from_disk)
    with pytest.raises(ComputeError, match="does not start from a virtual disk"):
        Domains(connection, Driver(DomainType.LXC), History(None)).start(machine)
    with pytest.raises(ComputeError, match="containers cannot be saved"):
        Domains(connection, Driver(DomainType.LXC), History(None)).save(machine.name)
    connection.close()


class BoxWorld(World):
    """Containers by a libvirtd of our own."""

    kind = "box"

    def compute(self) -> Compute:
        return LibvirtCompute(f"lxc:///?root={self.directory / 'lxc'}", self.directory)


@pytest.fixture
async def boxes(parts: Path) -> AsyncIterator[World]:
    root = Path(tempfile.mkdtemp(prefix="ovb", dir="/tmp"))
    made = BoxWorld(root, parts)
    try:
        yield made
    finally:
        await made.close()
        await until(lambda: not (root / "lxc" / "libvirtd.pid").exists(), "its libvirtd has ended")
        shutil.rmtree(root)


def holding(mib: int, beside: str) -> subprocess.Popen[str]:
    """A process in the control group of another, with so much memory that nobody can take from it."""
    work = f"input(); held = bytearray({mib << 20}); print(len(held), flush=True); input()"
    argv = [sys.executable, "-c", work]
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    for line in Path(f"/proc/{beside}/cgroup").read_text().splitlines():
        _, controller, group = line.split(":", 2)
        if controller in ("", "memory"):
            place = Path("/sys/fs/cgroup", controller, group.strip("/"), "cgroup.procs")
            if place.exists():
                place.write_text(str(process.pid))
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    assert process.stdout.readline().strip() == str(mib << 20)
    return process


async def test_a_container_is_resized_while_it_runs(boxes: World) -> None:
    """It can be given anything; what it uses of its memory is left to it."""
    compute = await boxes.opened()
    machine = boxes.machine(memory_bytes=128 << 20)
    await compute.start(machine)
    connection = libvirt.open(private.uri_of(boxes.directory / "lxc"))
    keeper = connection.lookupByName(machine.name).ID()
    connection.close()
    (init,) = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()

    async def sizes() -> tuple[int, int, int]:
        (seen,) = await compute.observe()
        return seen.boot, seen.cpu_milli, seen.memory_bytes >> 20

    assert await sizes() == (1, 500, 128)
    for _ in range(2):
        assert await compute.resize(machine.name, Sizes(1500, 2, 256 << 20)) == Resized()
        assert await sizes() == (1, 1500, 256)
    holder = holding(64, init)
    left = await compute.resize(machine.name, Sizes(250, 1, 48 << 20))
    assert "since it uses " in left.waits
    assert 64 < (await sizes())[2] < 128
    holder.kill()
    holder.wait()
    assert await compute.resize(machine.name, Sizes(250, 1, 48 << 20)) == Resized()
    assert await sizes() == (1, 250, 48)
    assert Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split() == [init]


UNIFIED = Path("/sys/fs/cgroup/cgroup.controllers").exists()
MIB = 1 << 20


def some_disk(folder: Path, name: str) -> Disk:
    """A disk of a container, empty."""
    path = folder / name
    path.touch()
    os.truncate(path, 64 * MIB)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", path], check=True)
    return Disk(str(path), name, mount=f"/{name}")


@pytest.mark.skipif(not UNIFIED, reason="needs control groups of version 2")
async def test_a_container_is_held_to_the_rate_of_its_disks_and_cannot_lift_it(
    boxes: World,
) -> None:
    compute = await boxes.opened()
    rate = DiskRate(MIB, 50)
    disks = tuple(some_disk(boxes.directory, name) for name in ("a", "b"))
    machine = boxes.machine(memory_bytes=128 * MIB, disks=disks, disk_rate=rate)
    await compute.start(machine)
    connection = libvirt.open(private.uri_of(boxes.directory / "lxc"))
    keeper = connection.lookupByName(machine.name).ID()
    connection.close()
    (init,) = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    group = Path("/sys/fs/cgroup" + Path(f"/proc/{init}/cgroup").read_text().strip()[3:])

    def inside(said: str) -> subprocess.CompletedProcess[str]:
        enter = f"nsenter --target {init} --mount --user --setuid 0 --setgid 0 --root sh -c"
        script = f'echo $$ >{group}/cgroup.procs; exec {enter} "$0"'
        return subprocess.run(["sh", "-c", script, said], capture_output=True, text=True)

    async def has() -> DiskRate:
        (seen,) = await compute.observe()
        return seen.disk_rate

    def write_s(disk: str) -> float:
        began_s = time.monotonic()
        done = inside(f"dd if=/dev/zero of={disk}/f bs=256k count=16 conv=fsync")
        assert done.returncode == 0, done.stderr
        return time.monotonic() - began_s

    assert await has() == rate
    for disk in disks:
        assert write_s(disk.mount) > 3, "4 MiB at one a second"
    given = {file.name for file in group.iterdir() if file.stat().st_uid}
    assert given <= {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control"}
    for file in ("io.max", "cpu.max", "memory.max"):
        assert "ermission denied" in inside(f"echo max >{group}/{file}").stderr
    faster = DiskRate(2 * MIB, 0)
    sizes = msgspec.structs.replace(machine.sizes, disk_rate=faster)
    assert await compute.resize(machine.name, sizes) == Resized()
    assert await has() == faster
    assert write_s("/a") > 1.5
    assert (
        await compute.resize(machine.name, msgspec.structs.replace(sizes, disk_rate=NO_DISK_RATE))
        == Resized()
    )
    assert await has() == NO_DISK_RATE
