"""What reaching a guest costs: copies through two peers beside the same without them, and what the peers feel.

A guest on a host at one site is reached from a host at another. The same is done from inside the guest's
network on its own host, where no peer is in between. A peer feels it as the time for which events wait in its
inbox; that is compared with the same peers while nothing is asked of them.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from federation import orders
from federation.launch import Caps, Federation, Host, wait_for
from federation.stage import IMAGE
from rich.console import Console
from rich.table import Table

from netns.kernel import namespaces
from netns.lab.lab import Lab
from netns.lab.topology import Host as LabHost
from netns.lab.topology import Site, Topology
from netns.model import namespace_name
from overlayd.adapters.credentials import load_host
from overlayd.assembly import OWNER_TAG
from protocol.grid.model import Encryption, GridSpec, NetworkSpec, PlacementSpec
from protocol.grid.record import vni_of
from protocol.requesting.request import RequestState
from protocol.terms.ids import GridId, short_hash

GUEST = "far/n-1"
PIECE_BYTES = 1 << 16
UP_WITHIN_S, WITHIN_S = 120, 300


def spec_of(host: Host, key: Path) -> GridSpec:
    """One guest at the other site."""
    plain = orders.spec("far", orders.add_image(host, IMAGE), 1, memory_bytes=512 << 20)
    return msgspec.structs.replace(
        plain,
        clusters=(msgspec.structs.replace(plain.clusters[0], cpus_milli=800, networks=("lan",)),),
        networks=(NetworkSpec("lan", "10.43.0.0/24", Encryption.NONE),),
        placement=PlacementSpec(sites=("bnl",)),
        ssh_authorized_keys=(key.with_suffix(".pub").read_text().strip(),),
    )


def waits_ms(host: Host) -> tuple[float, float]:
    """The median and the 99th percentile of how long the last events waited in a host's inbox."""
    text = host.ask("GET", "metrics").text
    found = dict(re.findall(r'overlayd_inbox_wait_seconds\{quantile="([0-9.]+)"\} (\S+)', text))
    return 1000 * float(found["0.5"]), 1000 * float(found["0.99"])


class Bench:
    """A federation with a guest, and how each thing is done to it."""

    def __init__(self, federation: Federation, key: Path, megabytes: int) -> None:
        self.a, self.b = federation.hosts["a"], federation.hosts["b"]
        self.identity, self.key = federation.identity("ams"), key
        self.lots = os.urandom(1 << 20) * megabytes
        self.megabytes = megabytes
        wait_for(lambda: orders.peers(self.b).get("a") is not None, 20, "they know each other")
        done = orders.obeyed(
            self.a, orders.up(self.identity, spec_of(self.a, key), self.a), UP_WITHIN_S
        )
        view = orders.grid(self.a, "far")
        if view is None or done.state is not RequestState.DONE:
            raise RuntimeError("\n".join(done.answer))
        (self.row,) = view.workspaces
        keys = federation.identity("bnl") / "hosts" / "b"
        tag = short_hash(load_host(keys).identity.key, digits=OWNER_TAG)
        grid = GridId(view.grid.grid)
        self.namespace = namespace_name(tag, vni_of(grid, "lan"))
        self.inside = ["nsenter", f"--net=/run/netns/{self.namespace}"]

    def ctl(self, *words: str) -> list[str]:
        """overlayctl at the first host."""
        options = ["--peer", str(self.a.socket), "--identity", str(self.identity)]
        return [sys.executable, "-m", "overlayd.cli.entry", *options, *words]

    def login(self) -> list[str]:
        """What ssh is told when it goes there without the overlay."""
        known = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        return ["-i", str(self.key), *(word for option in known for word in ("-o", option))]

    def direct(self, command: str) -> bytes:
        """Runs a command in the guest from its own network."""
        words = [*self.inside, "ssh", *self.login(), f"root@{self.row.address}", command]
        done = subprocess.run(words, capture_output=True, timeout=WITHIN_S)
        if done.returncode:
            raise RuntimeError(f"{command} in the guest: {done.stderr.decode()}")
        return done.stdout

    def listen(self, port: int) -> None:
        """Lets the guest take what comes at a port, and throw it away."""
        listens = f"while ! netstat -ltn | grep -q :{port}; do sleep 0.05; done"
        self.direct(f"nc -l -p {port} </dev/null >/dev/null 2>&1 & {listens}")

    def send(self, words: list[str]) -> float:
        """How long it takes to give a command everything, until it has ended."""
        began_s = time.monotonic()
        subprocess.run(words, input=self.lots, check=True, timeout=WITHIN_S, capture_output=True)
        return time.monotonic() - began_s

    def copy(self, words: list[str]) -> float:
        """How long a copy by scp takes, as `words` make it."""
        began_s = time.monotonic()
        subprocess.run(words, check=True, timeout=WITHIN_S, capture_output=True)
        return time.monotonic() - began_s

    def through_peers(self, port: int) -> float:
        """Everything to a port of the guest by `connect`."""
        self.listen(port)
        return self.send(self.ctl("connect", GUEST, str(port)))

    def without_peers(self, port: int) -> float:
        """The same by a TCP connection from the guest's own network."""
        self.listen(port)
        began_s = time.monotonic()
        with namespaces.stream_socket_in(self.namespace) as handle:
            handle.settimeout(WITHIN_S)
            handle.connect((self.row.address, port))
            handle.sendall(self.lots)
            handle.shutdown(socket.SHUT_WR)
            while handle.recv(PIECE_BYTES):
                pass
        return time.monotonic() - began_s

    def cp(self, file: Path) -> float:
        """A file to the guest by `cp`."""
        login = ["-i", str(self.key)]
        return self.copy(self.ctl("cp", str(file), f"{GUEST}:/tmp/lots", *login))

    def scp(self, file: Path) -> float:
        """The same by scp from the guest's own network."""
        there = f"root@{self.row.address}:/tmp/lots"
        return self.copy([*self.inside, "scp", "-q", *self.login(), str(file), there])

    def waits(self) -> str:
        """How long events waited at both peers lately: the median and the 99th percentile of each."""
        found = [waits_ms(host) for host in (self.a, self.b)]
        return ", ".join(f"{median:.2f} / {most:.2f} ms" for median, most in found)


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="scripts/bench reach")
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--idle", type=float, default=40.0, metavar="SECONDS")
    options = parser.parse_args()
    console = Console()
    hosts = (LabHost("a", "198.51.100.1"),), (LabHost("b", "198.51.100.17"),)
    sites = (Site("ams", "198.51.100.0/28", hosts[0]), Site("bnl", "198.51.100.16/28", hosts[1]))
    lab = Lab(Topology("reach", sites))
    with tempfile.TemporaryDirectory(prefix="ovl", dir="/tmp") as name:
        folder = Path(name)
        key, file = folder / "id", folder / "lots"
        made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
        subprocess.run(made, check=True)
        federation = Federation(folder / "f", caps=Caps(cpus="1", memory="768M", disk="512M"))
        try:
            lab.up()
            federation.enrol_lab(lab)
            with federation:
                federation.start_all()
                bench = Bench(federation, key, options.megabytes)
                file.write_bytes(bench.lots)
                console.print(_table(bench, file, options.runs, options.idle))
        finally:
            lab.down(force=True)
    return 0


def _table(bench: Bench, file: Path, runs: int, idle_s: float) -> Table:
    title = f"{bench.megabytes} MiB to an emulated guest, best of {runs}"
    table = Table("what", "takes", "rate", "inbox of both peers, p50 / p99", title=title)
    time.sleep(idle_s)
    table.add_row("nothing is asked", "", "", bench.waits())
    ports = iter(range(9000, 9999))
    ways: list[tuple[str, Callable[[], float]]] = [
        ("a TCP connection, without peers", lambda: bench.without_peers(next(ports))),
        ("overlayctl connect", lambda: bench.through_peers(next(ports))),
        ("scp, without peers", lambda: bench.scp(file)),
        ("overlayctl cp", lambda: bench.cp(file)),
    ]
    for what, way in ways:
        took = [way() for _ in range(runs)]
        rate = bench.megabytes / min(took)
        table.add_row(what, f"{min(took):.2f} s", f"{rate:.1f} MiB/s", bench.waits())
    return table


if __name__ == "__main__":
    sys.exit(main())
