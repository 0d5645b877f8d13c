"""The stage of the demo: its hosts, what is said and checked, and how one looks at hosts and guests."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from federation import traces
from federation.launch import Caps, Federation, Host
from netns.lab.lab import Lab
from netns.model import namespace_name
from overlayd.adapters.credentials import load_host
from overlayd.assembly import OWNER_TAG
from protocol.grid.record import vni_of
from protocol.terms.ids import GridId, short_hash

TOP = Path(__file__).resolve().parents[2]
TOPOLOGY = TOP / "examples" / "three-sites.toml"
IMAGE = TOP / ".cache" / "images" / "guest.img"
DEBIAN = TOP / ".cache" / "images" / "debian.qcow2"
FOLDER = Path("/tmp/overlayd-demo")  # noqa: S108  one demo at a time, and short: sockets live in it


class Unmet(Exception):
    """A check of the demo did not hold."""


class Stage:
    """What is needed to tell the story."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.lab = Lab.from_file(TOPOLOGY)
        self.federation = Federation(FOLDER, caps=Caps(cpus="2", memory="1G", disk="4G"), kvm="try")
        self.began_s = time.monotonic()
        self.steps = 0
        self.key = FOLDER / "id_ed25519"

    # -- telling

    def step(self, title: str) -> None:
        """Prints a heading with its number and the time so far."""
        at_s = time.monotonic() - self.began_s
        self.steps += 1
        self.console.print(f"\n[bold]{self.steps}. {title}[/bold]  [dim]{at_s:.0f} s[/dim]")

    def check(self, what: str, holds: object, found: object = "") -> None:
        """Prints a mark and what was checked. Raises Unmet if it does not hold."""
        if not holds:
            raise Unmet(f"{what}{f': found {found}' if found != '' else ''}")
        self.console.print(Text.assemble(("  ok  ", "green"), what))

    def typed(self, peer: str, *arguments: str, expect: int = 0, site: str = "uc") -> str:
        """An overlayctl command as a site's admin types it at a peer, with what it prints."""
        self.console.print(f"[cyan]{site}@{peer}$ overlayctl {' '.join(arguments)}[/cyan]")
        done = self.federation.ctl(peer, *arguments, site=site)
        out = (done.stdout + done.stderr).rstrip()
        self.console.print(Text.from_ansi("\n".join(f"  {line}" for line in out.splitlines())))
        if done.returncode != expect:
            raise Unmet(f"overlayctl {arguments[0]} ended with {done.returncode}, not {expect}")
        return out

    # -- looking

    def host(self, name: str) -> Host:
        """A host by name."""
        return self.federation.hosts[name]

    def grid(self, name: str, peer: str = "uc-1") -> dict[str, Any]:
        """A grid as a peer's API shows it."""
        answer = self.host(peer).get(f"grids/{name}")
        assert isinstance(answer, dict)
        return answer

    def workspace(self, grid: str, name: str) -> dict[str, Any]:
        """One workspace of a grid."""
        rows = self.grid(grid)["workspaces"]
        return next(row for row in rows if row["workspace"] == name)

    def shell(self, grid: str, name: str, command: str) -> str:
        """Runs a command in a guest, by ssh from its network's namespace on its host."""
        row = self.workspace(grid, name)
        host = self.host(row["host"])
        vni = self.vni(grid)
        space = namespace_name(self.tag(host), vni)
        argv = [
            "nsenter", f"--net=/run/netns/{space}", "ssh", "-i", str(self.key), "-q",
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "ConnectTimeout=10", f"root@{row['address']}", command,
        ]  # fmt: skip
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        self.console.print(f"[cyan]{grid}/{name}# {command}[/cyan]")
        if done.returncode:
            raise Unmet(f"{name}: {command}: {(done.stderr or done.stdout)[-300:]}")
        return done.stdout.strip()

    def tag(self, host: Host) -> str:
        keys = self.federation.identity(host.site) / "hosts" / host.name
        return short_hash(load_host(keys).identity.key, digits=OWNER_TAG)

    def vni(self, grid: str) -> int:
        return vni_of(GridId(self.grid(grid)["grid"]["grid"]), "lan")

    def guests(self) -> dict[str, int]:
        """All guests of all hosts, by domain name."""
        found: dict[str, int] = {}
        for host in self.federation.hosts.values():
            found |= traces.guests(host)
        return found

    def mends(self, name: str) -> list[str]:
        """What a host's daemon says of star's networks that had to be mended."""
        lines = map(json.loads, self.host(name).ask("GET", "events").text.splitlines())
        return [
            f"{line['kind']} {line['subject']}: {line['detail']}"
            for line in lines
            if str(line["kind"]).startswith("network.") and str(line["subject"]).startswith("star/")
        ]

    # -- before and after

    def clear(self) -> None:
        """Takes down whatever is there, what an earlier demo left included."""
        self.federation.stop_all()
        self._end_leftovers()
        self.lab.down(force=True)
        shutil.rmtree(FOLDER, ignore_errors=True)

    def _end_leftovers(self) -> None:
        """Ends the processes of an earlier demo, which name its folder on their command lines."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            pid = int(path.parent.name)
            if pid != os.getpid() and any(
                word.startswith(f"{FOLDER}/") or f"={FOLDER}/" in word for word in words
            ):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
