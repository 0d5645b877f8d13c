"""N real daemons on loopback, and what is measured of them.

Times are taken where a log line arrives over a pipe.
"""

import asyncio
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
from federation.launch import BIN, Federation, Host, cpu_s

_SITES = 4
_LINE = msgspec.json.Decoder(dict[str, object])
_GONE = ("peer.dead", "peer.left")
_HERE = ("peer.joined", "peer.alive")
_CHUNK_BYTES = 1 << 16
_BASE_PORT = 18000


class Watched:
    """One daemon whose log is read as it comes."""

    def __init__(self, host: Host, shared: "Shared") -> None:
        self.host, self._shared = host, shared
        self.present: dict[str, float] = {}
        self.gone: dict[str, float] = {}
        self.news: dict[str, float] = {}
        self.said_dead: list[tuple[float, str]] = []
        self.started_s = 0.0
        self.process: subprocess.Popen[bytes] | None = None
        self._rest = b""

    @property
    def pid(self) -> int:
        """The id of the daemon's process."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Starts the daemon. Its lines are read from now on."""
        self.started_s = time.monotonic()
        self.process = subprocess.Popen(
            [str(BIN / "overlayd"), "run", "-c", str(self.host.folder / "overlayd.toml")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stderr is not None
        os.set_blocking(self.process.stderr.fileno(), False)
        asyncio.get_running_loop().add_reader(self.process.stderr.fileno(), self._read)

    def end(self) -> None:
        """Kills the daemon, if it runs."""
        if self.process is None:
            return
        assert self.process.stderr is not None
        asyncio.get_running_loop().remove_reader(self.process.stderr.fileno())
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process is not None
        assert self.process.stderr is not None
        at_s, descriptor = time.monotonic(), self.process.stderr.fileno()
        try:
            data = os.read(descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            return
        if not data:
            asyncio.get_running_loop().remove_reader(descriptor)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._said(line, at_s)
        self._shared.changed.set()

    def _said(self, line: bytes, at_s: float) -> None:
        try:
            event = _LINE.decode(line)
        except msgspec.DecodeError:
            self._shared.odd.append(f"{self.host.name}: {line.decode(errors='replace')[:200]}")
            return
        subject, kind = str(event.get("subject", "")), str(event.get("event", ""))
        if kind in _GONE:
            self.present.pop(subject, None)
            self.gone[subject] = at_s
            if kind == "peer.dead":
                self.said_dead.append((at_s, subject))
        elif kind in _HERE:
            self.present.setdefault(subject, at_s)
            self.gone.pop(subject, None)
        elif kind == "news":
            self.news.setdefault(str(event.get("detail", "")), at_s)


class Shared:
    """What the readers of all logs share."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.odd: list[str] = []
        """Lines that are not JSON: mostly a traceback."""


class Daemons:
    """N daemons of one federation at four sites, started one after the other or all at once."""

    def __init__(self, count: int, folder: Path, seed: int = 1) -> None:
        self.shared = Shared()
        self._random = random.Random(seed)  # noqa: S311  which peer is killed is no secret
        federation = Federation(folder, uri="test:///default")
        for index in range(count):
            federation.enrol(f"h{index}", f"s{index % _SITES}", f"127.0.0.1:{_BASE_PORT + index}")
        self.peers = [Watched(host, self.shared) for host in federation.hosts.values()]
        self._all = tuple(self.peers)

    async def joined(self, pause_s: float, within_s: float) -> tuple[float | None, int]:
        """Starts all. Answers seconds from the last start to all listing all, or None, and how many do not."""
        for peer in self.peers:
            peer.start()
            await asyncio.sleep(pause_s)
        others = len(self.peers) - 1
        ok = await self._until(lambda: all(len(p.present) >= others for p in self.peers), within_s)
        short = sum(len(p.present) < others for p in self.peers)
        if not ok:
            return None, short
        last_s = max(max(peer.present.values()) for peer in self.peers)
        return last_s - self.peers[-1].started_s, 0

    async def idle(self, for_s: float) -> tuple[float, float, float]:
        """MiB resident, per cent of a core, and bytes a second of one peer. The first two are medians."""
        before, sent, began_s = [cpu_s(p.pid) for p in self.peers], sent_bytes(), time.monotonic()
        await asyncio.sleep(for_s)
        took_s = time.monotonic() - began_s
        cpu = [100 * (cpu_s(p.pid) - b) / took_s for p, b in zip(self.peers, before, strict=True)]
        resident = [resident_mib(p.pid) for p in self.peers]
        rate = (sent_bytes() - sent) / took_s / len(self.peers)
        return statistics.median(resident), statistics.median(cpu), rate

    async def events(self, count: int) -> tuple[list[float], int]:
        """Tells `count` lines at random peers. Answers the seconds to each other, and how many never came."""
        took: list[float] = []
        missing = 0
        for number in range(count):
            teller, text = self._random.choice(self.peers), f"event {number}"
            transport = httpx.AsyncHTTPTransport(uds=str(teller.host.socket), verify=False)
            async with httpx.AsyncClient(transport=transport, timeout=30) as client:
                # The first answer loads the API; it is not part of an event.
                (await client.get("http://overlayd/v1/self")).raise_for_status()
                await asyncio.sleep(self._random.uniform(0.3, 0.7))
                began_s = time.monotonic()
                answer = await client.post("http://overlayd/v1/news", json={"text": text})
                answer.raise_for_status()
            others = [peer for peer in self.peers if peer is not teller]
            await self._until(lambda text=text: all(text in p.news for p in self.peers), 15)
            took += [peer.news[text] - began_s for peer in others if text in peer.news]
            missing += sum(text not in peer.news for peer in others)
        return took, missing

    async def ended(
        self, number: signal.Signals, within_s: float = 60
    ) -> tuple[float | None, float | None]:
        """Seconds until all others know that one is gone and, for SIGSTOP, until all have it back; or None."""
        victim = self._random.choice(self.peers[1:])
        others = [peer for peer in self.peers if peer is not victim]
        name = victim.host.name
        began_s = time.monotonic()
        os.kill(victim.pid, number)
        gone = await self._until(lambda: all(name in p.gone for p in others), within_s)
        took_s = max(peer.gone[name] for peer in others) - began_s if gone else None
        if number is signal.SIGKILL:
            self.peers.remove(victim)
            return took_s, None
        began_s = time.monotonic()
        os.kill(victim.pid, signal.SIGCONT)
        back = await self._until(lambda: all(name in p.present for p in others), within_s)
        return took_s, max(peer.present[name] for peer in others) - began_s if back else None

    async def busy(self, for_s: float) -> int:
        """How often a peer was declared dead while another program kept every core busy."""
        began_s = time.monotonic()
        loops = spinning()
        try:
            await asyncio.sleep(for_s)
        finally:
            for loop in loops:
                loop.kill()
                loop.wait()
        await asyncio.sleep(5)
        return self.dead_since(began_s)

    def dead_since(self, began_s: float) -> int:
        """How many lines of any peer said that a peer is dead, though all that run are alive."""
        return sum(at_s >= began_s for peer in self.peers for at_s, _ in peer.said_dead)

    def ended_by_themselves(self) -> int:
        """How many daemons do not run though nobody ended them."""
        return sum(p.process is not None and p.process.poll() is not None for p in self.peers)

    def close(self) -> None:
        """Ends every daemon."""
        for peer in self._all:
            peer.end()

    async def _until(self, condition: Callable[[], bool], within_s: float) -> bool:
        end_s = time.monotonic() + within_s
        while not condition():
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                return False
            self.shared.changed.clear()
            try:
                await asyncio.wait_for(self.shared.changed.wait(), min(left_s, 0.5))
            except TimeoutError:
                continue
            # To look costs as much as to read a few lines, so it does not look after each.
            await asyncio.sleep(0.01)
        return True


def spinning() -> list[subprocess.Popen[bytes]]:
    """Starts another program: for each core, one process that does nothing but keep it busy."""
    argv = [sys.executable, "-c", "while True: pass"]
    return [subprocess.Popen(argv) for _ in range(os.cpu_count() or 1)]


def sent_bytes() -> int:
    """How many bytes this network namespace's loopback has carried, headers included."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        if line.strip().startswith("lo:"):
            return int(line.split(":")[1].split()[8])
    raise RuntimeError("no loopback here")


def resident_mib(pid: int) -> float:
    """What of a process is in memory."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024
