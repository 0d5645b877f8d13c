"""How long a host takes to mend what somebody undoes of its networks, and what keeping them costs while idle.

Two daemons in a lab carry grids of two workspaces each, with a network between them. Machines are of libvirt's
test driver; links, rules and services are real. Each row is done to another grid, so none of them waits for the
last. The cpu is the daemon's and its children's, by the kernel's account, while nothing happens.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from federation.launch import Caps, Federation, Host, cpu_s, wait_for
from federation.stage import IMAGE
from rich.console import Console
from rich.table import Table

from netns.lab.lab import Lab
from netns.lab.topology import Host as LabHost
from netns.lab.topology import Site, Topology
from netns.model import mac_of, namespace_name, tap_name
from overlayd.adapters.credentials import load_host
from overlayd.assembly import OWNER_TAG
from protocol.grid.record import vni_of
from protocol.terms.ids import GridId, short_hash

GRID = """\
grid: {name}
lease: {{for: 1h}}
networks:
  lan: {{cidr: 10.42.0.0/24, encryption: none}}
clusters:
  box: {{count: 2, image: guest, cpus: 0.1, memory: 64M, networks: [lan]}}
placement: {{spread: host}}
"""
FLUSH = "nft flush ruleset"
ROWS = {
    FLUSH: "nft flush ruleset",
    "a rule added": "nft insert rule bridge ovl_{vni} from_guest accept",
    "ip link del TUNNEL": "ip link delete ovx-{vni}",
    "ip link del BRIDGE": "ip link delete ovb-{vni}",
    "ip link del VETH": "ip link delete ovv-{vni}",
    "ip link del TAP": "ip link delete {tap}",
    "ip netns del NETWORK": "ip netns delete {namespace}",
    "a forwarding entry deleted": "bridge fdb delete {far} dev ovx-{vni} master",
    "neighbours deleted": "ip neigh flush dev ovx-{vni} nud permanent",
    "a link set down": "ip link set ovx-{vni} down",
    "the gateway's address removed": "ip -n {namespace} address flush dev gw0",
    "ip_forward=1 in the namespace": "ip netns exec {namespace} sysctl -qw net.ipv4.ip_forward=1",
    "kill -9 dnsmasq": "kill -9 {dnsmasq}",
}
WITHIN_S = 60
SETTLES_S = 20  # until the news of the last grid has gone round


def events(host: Host) -> list[dict[str, Any]]:
    """What the host's daemon says of networks."""
    lines = map(json.loads, host.ask("GET", "events").text.splitlines())
    return [line for line in lines if str(line["kind"]).startswith("network.")]


def daemon_cpu_s(host: Host) -> float:
    """Cpu time of the daemon and of the children it has waited for."""
    assert host.process is not None
    return cpu_s(host.process.pid, waited_for=True)


def share(host: Host, for_s: float) -> float:
    """Per cent of a core that the daemon takes while nothing is asked of it."""
    before_s, at_s = daemon_cpu_s(host), time.monotonic()
    time.sleep(for_s)
    return 100 * (daemon_cpu_s(host) - before_s) / (time.monotonic() - at_s)


class Bench:
    """Two hosts and their grids."""

    def __init__(self, folder: Path) -> None:
        hosts = (LabHost("m1", "192.0.2.1"), LabHost("m2", "192.0.2.2"))
        self.lab = Lab(Topology("mend", (Site("s", "192.0.2.0/24", hosts),)))
        caps = Caps(cpus="16", memory="16G", disk="8G")
        self.federation = Federation(folder, uri="test:///default", caps=caps)

    @property
    def host(self) -> Host:
        """The host that all is done to."""
        return self.federation.hosts["m1"]

    def start(self) -> None:
        """Daemons up, each with the image."""
        self.lab.up()
        self.federation.enrol_lab(self.lab)
        self.federation.start_all()
        for name in self.federation.hosts:
            self._ctl(name, "image", "add", str(IMAGE))

    def up(self, name: str) -> None:
        """One grid more."""
        file = self.federation.folder / f"{name}.yaml"
        file.write_text(GRID.format(name=name))
        self._ctl("m1", "up", str(file))

    def end(self) -> None:
        """Nothing is left."""
        for grid in self.host.get("grids"):  # type: ignore[attr-defined]
            self._ctl("m1", "down", grid["name"])
        self.federation.stop_all()
        self.lab.down(force=True)

    def mend(self, row: str, grid: str, mends: int) -> tuple[float, str]:
        """Seconds until it is told that the row is mended, in so many networks, and what is told."""
        already = len(events(self.host))
        command = self._command(row, grid)
        began_s = time.monotonic()
        subprocess.run(self.lab.command("m1", *command.split()), check=True)
        wait_for(lambda: len(events(self.host)) >= already + mends, WITHIN_S, f"{row} is mended")
        return time.monotonic() - began_s, str(events(self.host)[already]["detail"])

    def _command(self, row: str, grid: str) -> str:
        shown: Any = self.host.get(f"grids/{grid}")
        id_ = GridId(shown["grid"]["grid"])
        mine = next(w["workspace"] for w in shown["workspaces"] if w["host"] == "m1")
        far = next(w["address"] for w in shown["workspaces"] if w["host"] != "m1")
        vni, network = vni_of(id_, "lan"), f"{id_}.lan"
        keys = self.federation.identity("s") / "hosts" / "m1"
        tag = short_hash(load_host(keys).identity.key, digits=OWNER_TAG)
        pid = (self.host.folder / "state" / "networks" / network / "dnsmasq.pid").read_text()
        return ROWS[row].format(
            vni=f"{vni:06x}", tap=tap_name(network, mine), namespace=namespace_name(tag, vni),
            dnsmasq=pid.strip(), far=mac_of(network, far),
        )  # fmt: skip

    def _ctl(self, peer: str, *arguments: str) -> None:
        done = self.federation.ctl(peer, *arguments)
        if done.returncode:
            raise RuntimeError(f"overlayctl {' '.join(arguments)}: {done.stdout}{done.stderr}")


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="scripts/bench mend")
    parser.add_argument("--grids", type=int, default=20)
    parser.add_argument("--idle", type=float, default=60.0, metavar="SECONDS")
    options = parser.parse_args()
    console = Console()
    table = Table("what somebody does", "mended after", "what the daemon says")
    with tempfile.TemporaryDirectory(prefix="ovl", dir="/tmp") as folder:
        bench = Bench(Path(folder))
        try:
            bench.start()
            without = share(bench.host, options.idle)
            for index in range(options.grids):
                bench.up(f"g{index}")
            time.sleep(SETTLES_S)
            with_grids = share(bench.host, options.idle)
            for index, row in enumerate(ROWS):
                mends = options.grids if row == FLUSH else 1  # it hits every network
                took_s, said = bench.mend(row, f"g{index % options.grids}", mends)
                table.add_row(row, f"{took_s:.2f} s", said)
                console.print(f"{row}: {took_s:.2f} s", style="dim")
        finally:
            bench.end()
    console.print(table)
    console.print(
        f"idle: {without:.2f} % of a core without a grid, {with_grids:.2f} % with {options.grids}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
