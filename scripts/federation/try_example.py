"""Runs an example of `examples/` whole, as it stands there: three sites with a host each, real Debian guests.

The guests reach no mirror of Debian's. So the image names one of the lab's own, as a site's image would, and
packages come from there by each host's way out (`outside.py`).
"""

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from federation import orders
from federation.launch import Caps, Federation, wait_for
from federation.outside import FAR, PORT, folder, forwards, outside, serving
from netns import program
from netns.lab.lab import Lab
from netns.lab.topology import Host, Site, Topology

TOP = Path(__file__).resolve().parents[2]
IMAGE = TOP / ".cache" / "images" / "debian.qcow2"
ROOT_OFFSET = 73728 * 512
"""Where the image's root file system begins, in bytes (`debian-image/layout`)."""
TOPOLOGY = Topology(
    "try",
    tuple(
        Site(name, f"198.51.100.{16 * n}/28", (Host(f"{name}-1", f"198.51.100.{16 * n + 1}"),))
        for n, name in enumerate(("ams", "bnl", "uc"))
    ),
)
HERE = "ams-1"
"""The host at which a person types."""
UP_WITHIN_S = 2400


@dataclass(frozen=True)
class Example:
    """One of them: how it is asked for, and what it is to do once it is up."""

    up: tuple[str, ...]
    asks: tuple[str, ...]
    """A workspace, and a command there."""
    says: tuple[str, ...]
    """Words of its answer."""


EXAMPLES = {
    "mpi": Example(
        ("--profile", "wide"),
        ("head-1", "sudo", "mpi-hello"),
        ("3 ranks:", "head-1", "worker-1", "worker-2"),
    ),
    "web": Example(
        (),
        ("front-1", "curl", "--silent", "--fail", "http://localhost/"),
        ("visit 1, from app-",),
    ),
}


class Unmet(Exception):
    """The example did not do what it is to do."""


class Try:
    """One example, from nothing to nothing."""

    def __init__(self, name: str, work: Path, federation: Federation) -> None:
        self.name, self.example = name, EXAMPLES[name]
        self.work, self.federation = work, federation
        self.key = work / "key"
        self.began_s = time.monotonic()

    def say(self, what: str) -> None:
        """Prints it, with the seconds so far."""
        print(f"{time.monotonic() - self.began_s:5.0f} s  {what}", flush=True)

    def ctl(self, *words: str) -> str:
        """An overlayctl command, and what it prints. Raises Unmet if it fails."""
        argv = self.federation.ctl_argv(HERE, *words)
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=UP_WITHIN_S, check=False
        )
        if done.returncode:
            said = f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
            raise Unmet(f"overlayctl {' '.join(words)}: {done.returncode}\n{said}")
        return done.stdout

    def inside(self, workspace: str, *command: str) -> str:
        """A command in a guest."""
        login = ("ssh", "--user", "debian", "--key", str(self.key), f"{self.name}/{workspace}")
        return self.ctl(*login, "--", *command)

    def run(self) -> None:
        """All of it. Raises Unmet."""
        program.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)])
        self.ctl("image", "add", str(with_mirror(self.work)), "--name", "debian-12")
        self.say("the image is added")
        file = TOP / "examples" / f"{self.name}.yaml"
        self.ctl("up", str(file), *self.example.up, "--ssh-key", f"{self.key}.pub")
        view = orders.grid(self.federation.hosts[HERE], self.name)
        rows = view.workspaces if view else ()
        self.say(f"all are ready: {', '.join(f'{r.workspace} at {r.host}' for r in rows)}")
        workspace, *command = self.example.asks
        said = self.inside(workspace, *command).strip()
        self.say(f"{workspace} says: {said}")
        if not all(word in said for word in self.example.says):
            raise Unmet(f"it was to say {self.example.says}")
        for row in rows:
            self.is_shut(row.workspace)
        self.say("no guest reaches a host")
        self.ctl("down", self.name, "--delete-volumes")
        self.say("it is down")

    def is_shut(self, workspace: str) -> None:
        """No host of the underlay answers that guest, though it reaches the mirror."""
        fetch = "curl --silent --output /dev/null --max-time 3 http://{}:{}/"
        self.inside(workspace, *fetch.format(FAR, PORT).split())
        for host in self.federation.hosts.values():
            tried = f"! {fetch.format(host.address, PORT)}"
            self.inside(workspace, "sh", "-c", f"'{tried}'")


def with_mirror(work: Path) -> Path:
    """The Debian image, raw, with the lab's mirror as its only source of packages."""
    disk, sources = work / "debian.raw", work / "sources.list"
    program.run(["qemu-img", "convert", "-O", "raw", str(IMAGE), str(disk)])
    sources.write_text(f"deb [trusted=yes] http://{FAR}:{PORT} ./\n")
    for command in (
        "rm /etc/apt/sources.list.d/0000main.sources",
        f"write {sources} /etc/apt/sources.list",
    ):
        program.run(["debugfs", "-w", "-R", command, f"{disk}?offset={ROOT_OFFSET}"])
    return disk


def main(name: str) -> int:
    """Tries an example by that name."""
    with ExitStack() as stack:
        # The path is short: sockets live below it.
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ovt", dir="/tmp")))
        lab = Lab(TOPOLOGY)
        lab.down(force=True)
        stack.callback(lab.down, force=True)
        lab.up()
        caps = Caps(cpus="2", memory="2500M", disk="20G")
        made = Federation(work, caps=caps, kvm="try", network='egress = "nat"')
        made.enrol_lab(lab)
        stack.enter_context(made)
        mirror = folder(TOP / ".cache" / f"repository.{name}")
        stack.enter_context(outside(TOPOLOGY.name, made.hosts, mirror))
        for host in made.hosts.values():
            forwards(TOPOLOGY.name, host.name)
            there = f"ovl-lab-{TOPOLOGY.name}.{host.name}"
            stack.enter_context(serving(there, host.address, mirror))
        made.start_all()
        wait_for(lambda: _converged(made), 60, "all peers list each other")
        tried = Try(name, work, made)
        try:
            tried.run()
        except Unmet as error:
            print(f"try-example: {error}", file=sys.stderr)
            return 1
        finally:
            subprocess.run(
                made.ctl_argv(HERE, "down", name, "--now"), capture_output=True, check=False
            )
    print(f"examples/{name}.yaml does what it says.")
    return 0


def _converged(made: Federation) -> bool:
    rows = [orders.peers(host) for host in made.hosts.values()]
    return all(len(r) == 3 and all(row.age_s >= 0 for row in r.values()) for r in rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
