"""The overlay beside serf: N real daemons and N serf agents, on loopback, in the same run.

    joined     start of the last peer to every peer listing every peer
    killed     SIGKILL of one peer to every other knowing
    stopped    SIGSTOP of one peer to every other knowing; and after SIGCONT, to all having it back
    idle       resident memory, cpu and bytes a second of each peer with nothing happening

Times are taken where a daemon's log line arrives here over a pipe. Ours start one after the other with a
pause, since starting a Python process costs a second of a core; serf's harness (`../shared/bench`)
does the same with its own pause. Everything runs in a network namespace of its own.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from federation.launch import BIN, Federation, Host
from rich.console import Console
from rich.table import Table

TOP = Path(__file__).resolve().parents[2]
SERF = TOP.parent / "shared" / "bench" / "serf_bench.py"
INSIDE = "OVERLAYD_BENCH_INSIDE"
_SITES = 4
_LINE = msgspec.json.Decoder(dict[str, object])
_GONE = ("peer.dead", "peer.left")
_HERE = ("peer.joined", "peer.alive")


class Watched:
    """One daemon whose log is read as it comes."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.present: dict[str, float] = {}
        self.gone: dict[str, float] = {}
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts it; its lines are read from now on."""
        self.process = await asyncio.create_subprocess_exec(
            str(BIN / "overlayd"), "run", "-c", str(self.host.folder / "overlayd.toml"),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process is not None
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            try:
                event = _LINE.decode(line)
            except msgspec.DecodeError:
                continue
            subject, kind = str(event.get("subject", "")), str(event.get("event", ""))
            if kind in _GONE:
                self.present.pop(subject, None)
                self.gone[subject] = time.monotonic()
            elif kind in _HERE:
                self.present.setdefault(subject, time.monotonic())
                self.gone.pop(subject, None)


class Ours:
    """N daemons, and what is measured of them."""

    def __init__(self, count: int, pause_s: float, folder: Path) -> None:
        self._count, self._pause_s = count, pause_s
        federation = Federation(folder, uri="test:///default")
        for index in range(count):
            federation.enrol(f"h{index}", f"s{index % _SITES}", f"127.0.0.1:{18000 + index}")
        self.peers = [Watched(host) for host in federation.hosts.values()]

    async def joined(self) -> float:
        """Seconds from the last start to all listing all."""
        for peer in self.peers:
            await peer.start()
            await asyncio.sleep(self._pause_s)
        began_s = time.monotonic() - self._pause_s
        everyone = self._count - 1
        await _until(lambda: all(len(peer.present) >= everyone for peer in self.peers), 180)
        return max(max(peer.present.values()) for peer in self.peers) - began_s

    async def ended(self, number: signal.Signals) -> tuple[float, float | None]:
        """Seconds until all others know that one is gone, and (SIGSTOP) until all have it back."""
        victim, others = self.peers.pop(), self.peers
        name, process = victim.host.name, victim.process
        assert process is not None
        process.send_signal(number)
        began_s = time.monotonic()
        await _until(lambda: all(name in peer.gone for peer in others), 60)
        took_s = max(peer.gone[name] for peer in others) - began_s
        if number is signal.SIGKILL:
            return took_s, None
        process.send_signal(signal.SIGCONT)
        began_s = time.monotonic()
        await _until(lambda: all(name in peer.present for peer in others), 60)
        back_s = max(peer.present[name] for peer in others) - began_s
        self.peers.append(victim)
        return took_s, back_s

    async def idle(self, for_s: float) -> tuple[float, float, float]:
        """(MiB resident, % of a core, bytes a second) of one peer, medians."""
        before, sent, began_s = [_cpu_s(p) for p in self.peers], _sent_bytes(), time.monotonic()
        await asyncio.sleep(for_s)
        took_s = time.monotonic() - began_s
        cpu = [100 * (_cpu_s(p) - b) / took_s for p, b in zip(self.peers, before, strict=True)]
        resident = [_resident_mib(p) for p in self.peers]
        rate = (_sent_bytes() - sent) / took_s / len(self.peers)
        return statistics.median(resident), statistics.median(cpu), rate

    async def close(self) -> None:
        """Ends every daemon."""
        for peer in self.peers:
            if peer.process is not None and peer.process.returncode is None:
                peer.process.kill()
        await asyncio.gather(*(p.process.wait() for p in self.peers if p.process is not None))


async def _until(condition: Callable[[], bool], within_s: float) -> None:
    end_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError(f"not within {within_s:.0f} s")
        await asyncio.sleep(0.02)


def _cpu_s(peer: Watched) -> float:
    assert peer.process is not None
    fields = Path(f"/proc/{peer.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mib(peer: Watched) -> float:
    assert peer.process is not None
    status = Path(f"/proc/{peer.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found is not None
    return int(found[1]) / 1024


def _sent_bytes() -> int:
    for line in Path("/proc/net/dev").read_text().splitlines():
        if line.strip().startswith("lo:"):
            return int(line.split(":")[1].split()[8])
    raise RuntimeError("no loopback here")


async def ours(count: int, options: argparse.Namespace) -> list[str]:
    """A row of overlayd."""
    with tempfile.TemporaryDirectory(prefix="ovb-") as name:
        peers = Ours(count, options.pause, Path(name))
        try:
            joined_s = await peers.joined()
            await asyncio.sleep(options.settle)
            resident, cpu, rate = await peers.idle(options.idle)
            killed = [(await peers.ended(signal.SIGKILL))[0] for _ in range(options.kills)]
            stopped_s, back_s = await peers.ended(signal.SIGSTOP)
        finally:
            await peers.close()
    return [
        f"overlayd x {count}", f"{joined_s:.2f}", _spread(killed), f"{stopped_s:.1f}",
        f"{back_s:.2f}", f"{resident:.0f}", f"{cpu:.2f}", f"{rate:.0f}",
    ]  # fmt: skip


def serf(count: int, options: argparse.Namespace) -> list[str]:
    """A row of serf, by the shared harness."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        argv = [
            sys.executable, str(SERF), "-n", str(count), "--idle", str(options.idle), "--joins", "0",
            "--events", "0", "--kills", str(options.kills), "--stops", "1", "-o", file.name,
        ]  # fmt: skip
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        result = json.loads(Path(file.name).read_text())
    killed = [k["per_agent_s"]["max"] for k in result["kill"]]
    stop, idle = result["stop"][0], result["idle"]
    return [
        f"serf x {count}", f"{result['boot']['all_list_N_after_last_start_s']:.2f}",
        _spread(killed), f"{stop['per_agent_s']['max']:.1f}",
        f"{stop['rejoin_after_cont_s']['max']:.2f}", f"{idle['rss_MiB']['p50']:.0f}",
        f"{idle['cpu_pct']['p50']:.2f}", f"{idle['tx_bytes_per_s_per_agent']:.0f}",
    ]  # fmt: skip


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="scripts/bench overlay", description=__doc__)
    parser.add_argument("--peers", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--idle", type=float, default=30, help="seconds of doing nothing (30)")
    parser.add_argument("--settle", type=float, default=10, help="seconds before that (10)")
    parser.add_argument("--pause", type=float, default=0.7, help="seconds between starts of ours")
    parser.add_argument("--only", choices=["overlayd", "serf"])
    options = parser.parse_args()
    if options.only != "overlayd" and shutil.which("serf") is None:
        parser.error("serf is not installed; apt-get install serf, or --only overlayd")
    if INSIDE not in os.environ:
        argv = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", sys.executable,
                "-m", "benches.overlay", *sys.argv[1:]]  # fmt: skip
        os.execvpe("/usr/bin/unshare", argv, {**os.environ, INSIDE: "1"})  # noqa: S606
    console = Console(stderr=True)
    table = Table(title="the overlay on loopback, seconds")
    for column in (
        "",
        "joined",
        "killed, median (range)",
        "stopped",
        "back",
        "MiB",
        "cpu %",
        "bytes/s",
    ):
        table.add_column(column, justify="right" if column else "left")
    for count in options.peers:
        if options.only != "overlayd":
            console.print(f"serf, {count} agents")
            table.add_row(*serf(count, options))
        if options.only != "serf":
            console.print(f"overlayd, {count} daemons")
            table.add_row(*asyncio.run(ours(count, options)))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
