"""What a neighbour that takes all it can costs a guest: cpu, disks, network; held to a quantum, and to nothing.

Two guests on this host, and a receiver behind a link that is as fast as both of their cards together. `quiet`
does the same all the time. What it gets is counted by the kernel (cpu time), what it does by itself (loops), by
its hypervisor (disks) and by the receiver (network), in turn while `greedy` is paused, while that one is held
to a quantum like its own, and while it is held to nothing. Each ratio is of two spans next to each other, so
that what else this machine does matters less; and for as long as it is measured, the guests' control group
outweighs all of that. Loops depend on more than cpu time: cpus share caches, and may be threads of one core.
"""

import argparse
import asyncio
import contextlib
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import libvirt
from federation.serial import SerialConsole
from federation.stage import IMAGE
from rich.console import Console
from rich.table import Table

from netns import program
from netns.kernel import namespaces, rates
from netns.resources import Rate
from overlayd.adapters.images import DirectoryImages
from overlayd.adapters.libvirt.compute import LibvirtCompute
from overlayd.ports.compute import NO_DISK_RATE, Disk, DiskRate, KernelBoot, Machine, Nic, Sizes
from protocol.grid.apply import cpus_seen
from protocol.terms.quantities import cpus_in_words, format_byte_rate, format_rate

INSIDE = "--inside"  # a network namespace of its own
SINK, SINK_AT, SINK_PORT = "quanta-sink", "10.99.0.1", 9000
GUESTS = {"quiet": "10.99.0.2", "greedy": "10.99.0.3"}
CPU_MILLI, MEMORY_BYTES = 800, 96 << 20
ALL_CPUS_MILLI = 2000
DISK_RATE, DISK_BYTES = DiskRate(20 << 20), 1 << 30
CARD_BITS_S = 8_000_000
LINK_BITS_S = 2 * CARD_BITS_S
SETTLES_S = 1.0
WORK = {
    "cpu": "while :; do n=$((n+1)); echo $n >/run/n; done",
    "disks": "while :; do dd if=/dev/zero of=/dev/vda bs=256k oflag=direct conv=notrunc; done",
    "network": f"while :; do nc {SINK_AT} {SINK_PORT} </dev/zero; done",
}
COUNTED = {"cpu": ("cpu time", "loops")}
"""What is counted of it; of others just that."""
HELD = {
    "cpu time": cpus_in_words(CPU_MILLI),
    "loops": cpus_in_words(CPU_MILLI),
    "disks": format_byte_rate(DISK_RATE.bytes_s),
    "network": format_rate(CARD_BITS_S),
}
Spans = list[tuple[float, ...]]
"""How much of each that is counted was done in a second: alone, then beside the other, and so on."""


class Sink:
    """Takes what guests send, and counts it."""

    def __init__(self) -> None:
        self.got: defaultdict[str, int] = defaultdict(int)
        self._listener = namespaces.stream_socket_in(SINK)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((SINK_AT, SINK_PORT))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            taken, (peer, _) = self._listener.accept()
            threading.Thread(target=self._take, args=(taken, peer), daemon=True).start()

    def _take(self, taken: socket.socket, peer: str) -> None:
        with contextlib.suppress(OSError):
            while data := taken.recv(1 << 16):
                self.got[peer] += len(data)


class Guest:
    """One of the two."""

    def __init__(self, folder: Path, number: int, name: str, boots: KernelBoot) -> None:
        disk = folder / f"{name}.raw"
        with disk.open("wb") as file:
            file.truncate(DISK_BYTES)
        self.name, self.address = name, GUESTS[name]
        self.rate = Rate(f"q-{name}", f"r-{name}", CARD_BITS_S, CARD_BITS_S, "quanta")
        self.machine = Machine(
            name=f"quanta-{name}", uuid=f"00000000-0000-4000-8000-{number:012x}", title=name,
            grid="quanta", epoch=1, boot=1, vcpus=1, vcpus_max=2, cpu_milli=CPU_MILLI,
            memory_bytes=MEMORY_BYTES,
            boots=boots, seed="", disks=(Disk(str(disk), "disk"),),
            nics=(Nic(self.rate.tap, f"52:54:00:00:99:0{number}", 1500),),
            console_log=str(folder / f"{name}.log"), console_socket=str(folder / f"{name}.sock"),
            disk_rate=DISK_RATE,
        )  # fmt: skip

    def console(self) -> SerialConsole:
        """Its shell, once it is ready."""
        log, until_s = Path(self.machine.console_log), time.monotonic() + 300
        while not log.exists() or "guest ready" not in log.read_text(errors="replace"):
            if time.monotonic() > until_s:
                raise RuntimeError(f"{self.name} does not boot: {log.read_text()[-500:]}")
            time.sleep(0.2)
        console = SerialConsole(self.machine.console_socket)
        console.ask(f"ip addr add {self.address}/24 dev eth0; ip link set eth0 up; stty -echo")
        return console


class Bench:
    """Both guests, and what they do."""

    def __init__(self, folder: Path) -> None:
        self.uri = f"qemu:///embed?root={folder / 'libvirt'}"
        self._folder = folder
        self._compute = LibvirtCompute(self.uri, folder, "never")
        self._guests: dict[str, Guest] = {}
        self._consoles: dict[str, SerialConsole] = {}

    async def start(self) -> None:
        """Guests up."""
        await self._compute.open(lambda name: None)
        images = DirectoryImages(self._folder / "images")
        image = await images.files((await images.add(IMAGE)).digest)
        boots = KernelBoot(image.kernel, image.initrd, f"{image.cmdline} no_timer_check")
        for number, name in enumerate(GUESTS, 1):
            guest = self._guests[name] = Guest(self._folder, number, name, boots)
            program.run(["ip", "link", "set", guest.rate.tap, "master", "q-bridge", "up"])
            rates.bring_about(guest.rate)
            await self._compute.start(guest.machine)
        self._consoles = {name: guest.console() for name, guest in self._guests.items()}
        self._sink = Sink()
        self._connection = libvirt.open(self.uri)

    async def end(self) -> None:
        """Nothing is left."""
        for guest in self._guests.values():
            await self._compute.stop(guest.machine.name)
        await self._compute.close()

    async def spans(self, work: str, rounds: int, seconds: float) -> tuple[Spans, Spans]:
        """Beside one that is held to its quantum, and beside one that is not."""
        many = {"quiet": 1, "greedy": 2}
        for name, console in self._consoles.items():
            for number in range(many[name]):
                loop = WORK[work].replace("/run/n", f"/run/n{number or ''}")
                console.ask(f"({loop}) >/dev/null 2>&1 & echo $! >>/run/work")
        held = await self._turns(work, rounds, seconds)
        await self._hold(work, free=True)
        free = await self._turns(work, rounds, seconds)
        await self._hold(work, free=False)
        for console in self._consoles.values():
            console.ask("kill $(cat /run/work); rm /run/work; killall dd nc; rm -f /run/n*")
        return held, free

    async def _turns(self, work: str, rounds: int, seconds: float) -> Spans:
        greedy, spans = self._guests["greedy"].machine.name, []
        for _ in range(rounds):
            for change in (self._compute.pause, self._compute.resume):
                await change(greedy)
                await asyncio.sleep(SETTLES_S)
                spans.append(await self._measured(COUNTED.get(work, (work,)), seconds))
        return spans

    async def _measured(self, counted: tuple[str, ...], seconds: float) -> tuple[float, ...]:
        before, began_s = [self._done(what) for what in counted], time.monotonic()
        await asyncio.sleep(seconds)
        after, took_s = [self._done(what) for what in counted], time.monotonic() - began_s
        return tuple((now - was) / took_s for was, now in zip(before, after, strict=True))

    def _done(self, what: str) -> int:
        """How much `quiet` has done so far."""
        guest = self._guests["quiet"]
        if what == "network":
            return self._sink.got[guest.address]
        domain = self._connection.lookupByName(guest.machine.name)
        if what == "disks":
            return int(domain.blockStats("vda")[3])
        if what == "cpu time":
            return int(domain.info()[4])
        return int(self._consoles["quiet"].ask("until read -r n </run/n; do :; done; echo $n"))

    async def _hold(self, what: str, *, free: bool) -> None:
        """Holds `greedy` to its quantum, or to nothing."""
        guest = self._guests["greedy"]
        if what == "network":
            (rates.remove if free else rates.bring_about)(guest.rate)
            return
        cpu_milli = ALL_CPUS_MILLI if free and what == "cpu" else CPU_MILLI
        disk_rate = NO_DISK_RATE if free and what == "disks" else DISK_RATE
        sizes = Sizes(cpu_milli, cpus_seen(cpu_milli), MEMORY_BYTES, disk_rate)
        left = await self._compute.resize(guest.machine.name, sizes)
        if left.restart or left.waits:
            raise RuntimeError(f"{guest.name}: {left}")


@contextlib.contextmanager
def wired() -> Iterator[None]:
    """A bridge with a tap for each guest, and the receiver behind a link."""
    namespaces.add(SINK)
    try:
        for command in (
            "ip link set lo up", "ip link add q-bridge type bridge", "ip link set q-bridge up",
            f"ip link add q-link type veth peer name eth0 netns {SINK}",
            "ip link set q-link master q-bridge up",
            f"tc qdisc replace dev q-link root tbf rate {LINK_BITS_S}bit burst 64k latency 50ms",
            f"ip -n {SINK} addr add {SINK_AT}/24 dev eth0", f"ip -n {SINK} link set eth0 up",
            *(f"ip tuntap add q-{name} mode tap vnet_hdr" for name in GUESTS),
        ):  # fmt: skip
            program.run(command.split())
        yield
    finally:
        namespaces.delete(SINK)


@contextlib.contextmanager
def outweighing(pid: int) -> Iterator[None]:
    """Gives the topmost control group of a guest the largest weight there is."""
    kept: dict[Path, str] = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        top = group.strip("/").split("/")[0]
        for name, most in (("cpu.shares", "262144"), ("cpu.weight", "10000")):
            path = Path("/sys/fs/cgroup", controllers, top, name)
            if top and path.exists():
                kept[path] = path.read_text()
                path.write_text(most)
    try:
        yield
    finally:
        for path, text in kept.items():
            path.write_text(text)


def pid_of(folder: Path, name: str) -> int:
    """The process of a guest."""
    return int((folder / "libvirt" / "run" / "qemu" / f"{name}.pid").read_text())


_WORDS: dict[str, Callable[[float], str]] = {
    "cpu time": lambda ns_s: cpus_in_words(round(ns_s / 1e6)),
    "loops": lambda loops_s: f"{loops_s:,.0f}/s",
    "disks": lambda bytes_s: format_byte_rate(int(bytes_s)),
    "network": lambda bytes_s: format_rate(int(8 * bytes_s)),
}


def rows(work: str, held: Spans, free: Spans) -> Iterator[tuple[str, ...]]:
    """Of the table."""
    for number, what in enumerate(COUNTED.get(work, (work,))):
        alone = statistics.median(span[number] for span in (*held[::2], *free[::2]))
        costs = (_cost([span[number] for span in spans]) for spans in (held, free))
        yield (what, HELD[what], _WORDS[what](alone), *costs)


def _cost(done: list[float]) -> str:
    costs = [
        100 * (1 - beside / alone) for alone, beside in zip(done[::2], done[1::2], strict=True)
    ]
    return f"{statistics.median(costs):.1f} % ({min(costs):.1f} to {max(costs):.1f})"


async def measure(rounds: int, seconds: float, only: str, console: Console) -> None:
    """Measures all, and prints the table."""
    table = Table(
        "what", "quantum of each", "quiet, alone", "cost, greedy held", "cost, greedy not held"
    )
    with tempfile.TemporaryDirectory(prefix="ovq-") as name, wired():
        folder = Path(name)
        bench = Bench(folder)
        try:
            await bench.start()
            with outweighing(pid_of(folder, "quanta-quiet")):
                for work in WORK:
                    if only in ("", work):
                        for row in rows(work, *await bench.spans(work, rounds, seconds)):
                            table.add_row(*row)
                        console.print(f"{work}: done")
        finally:
            await bench.end()
    console.print(table)
    console.print(f"medians of {rounds} spans of {seconds:g} s each, in turn; emulated guests")


def main() -> int:
    """The program. It begins anew in a network namespace that goes with it."""
    parser = argparse.ArgumentParser(prog="scripts/bench quanta")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--only", default="", choices=list(WORK))
    parser.add_argument(INSIDE, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.inside:
        again = ["unshare", "--net", sys.executable, "-m", "benches.quanta", INSIDE, *sys.argv[1:]]
        os.execvp("unshare", again)  # noqa: S606, S607
    asyncio.run(measure(options.rounds, options.seconds, options.only, Console()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
