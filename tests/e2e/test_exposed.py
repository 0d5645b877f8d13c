"""A real guest that is reached from outside at ports of its host, which follow the file while it runs."""

import re
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from carried import WITHIN_S, Workspace
from federation import orders
from federation.launch import Caps, Federation, wait_for
from federation.outside import NEAR, address_of, forwards, outside
from two_hosts import two_hosts

from netns import program
from netns.kernel import namespaces
from netns.lab.topology import Host as LabHost
from netns.lab.topology import Site, Topology

IMAGE = Path(__file__).resolve().parents[2] / ".cache" / "images" / "guest.img"
TOPOLOGY = Topology(
    "door",
    (
        Site("ams", "198.51.100.64/28", (LabHost("a", "198.51.100.65"),)),
        Site("bnl", "198.51.100.80/28", (LabHost("b", "198.51.100.81"),)),
    ),
)
A = TOPOLOGY.sites[0].hosts[0].address
HOST, OUT = "ovl-lab-door.a", "ovl-lab-door.a.out"
GRID = """\
grid: door
networks:
  lan: {cidr: 10.42.0.0/24}
clusters:
  n:
    image: guest
    cpus: 0.8
    memory: 128M
    networks: [lan]
    expose: [22]
    network-rate: 50M
"""


@pytest.fixture
def federation() -> Iterator[Federation]:
    """Two hosts that are to give ports. Only the first forwards packets; who asks is on a link of its own."""
    with (
        two_hosts(TOPOLOGY, Caps("1", "256M", "1G"), 'expose = "30000-30009"') as made,
        outside(TOPOLOGY.name, ("a",), BaseHTTPRequestHandler),
    ):
        forwards(TOPOLOGY.name, "a")
        program.run(f"ip -n {OUT} route add 198.51.100.64/28 via {address_of(0)}".split())
        yield made


def dials(port: int) -> socket.socket | None:
    """A connection from outside to that port of the host; None if it is not to be had."""

    def dial() -> socket.socket | None:
        handle = socket.socket()
        handle.settimeout(2.0)
        if handle.connect_ex((A, port)) == 0:
            return handle
        handle.close()
        return None

    return namespaces.inside(OUT, dial)


def greets(port: int) -> bool:
    """Whether the guest's SSH server answers there."""
    with dials(port) or socket.socket() as door:
        try:
            return door.recv(64).startswith(b"SSH-2.0-")
        except OSError:
            return False


def ctl(federation: Federation, *arguments: str) -> str:
    done = federation.ctl("a", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def shown(federation: Federation) -> str:
    """The line of `show` that says where the guest is reached."""
    lines = ctl(federation, "show", "door").splitlines()
    return next((line for line in lines if line.startswith("exposed ")), "")


def exposed(federation: Federation) -> int:
    """The port at which `show` says that the guest is reached."""
    found = wait_for(lambda: shown(federation), 20, "show tells a port")
    match = re.fullmatch(rf"exposed +{re.escape(A)}:(\d+) -> n-1:22", found)
    assert match is not None, found
    return int(match[1])


def test_a_guest_is_reached_from_outside_and_its_ports_follow_the_file(
    federation: Federation, tmp_path: Path
) -> None:
    a, b = federation.hosts["a"], federation.hosts["b"]
    orders.add_image(a, IMAGE)
    wait_for(lambda: "guests are not" not in federation.ctl("a", "status").stdout, 60, "a forwards")
    assert (
        "this host does not forward packets (network.expose)"
        in federation.ctl("b", "status").stdout
    )
    wait_for(lambda: orders.peers(b)["a"].images, 20, "b has heard of the image")
    file = tmp_path / "door.yaml"
    file.write_text(GRID)
    assert f"  exposed: {A}, one of 30000-30009 -> n-1:22\n" in ctl(federation, "plan", str(file))
    ctl(federation, "up", str(file), "--yes")
    port = exposed(federation)
    assert 30_000 <= port <= 30_009

    wait_for(lambda: greets(port), WITHIN_S, "the guest answers from outside")
    queues = program.run(["ip", "netns", "exec", HOST, "tc", "qdisc", "show"])
    assert queues.count("rate 50Mbit") == 2, "libvirt's own queue did not stay in the way"
    assert "network.mended" not in a.ask("GET", "events").text, "nobody undid anything"
    one = Workspace(federation, orders.id_of(a, "door"), "n-1")
    with dials(port) as held:
        one.console(b"cat /proc/net/tcp\n")
        seen = bytes(reversed(socket.inet_aton(NEAR))).hex().upper()
        wait_for(lambda: f" {seen}:" in one.console(), 60, "the guest sees who asks")
        federation.kill("a")
        assert greets(port), "the daemon is not on the way"
        held.settimeout(5)
    federation.wait_ready(federation.start("a"))
    for table in program.run(
        ["ip", "netns", "exec", HOST, "nft", "list", "tables", "ip"]
    ).splitlines():
        if " ovl_" in table:
            program.run(["ip", "netns", "exec", HOST, "nft", "flush", *table.split()])
    wait_for(lambda: greets(port), 60, "what somebody flushed is mended")
    assert exposed(federation) == port, "as it was promised"

    small = GRID.replace("grid: door", "grid: other").replace("0.8", "0.1").replace("128M", "64M")
    taken = small.replace("[22]", f"[{{port: 80, as: {port}}}]")
    (tmp_path / "other.yaml").write_text(taken)
    refused = federation.ctl("a", "up", str(tmp_path / "other.yaml"), "--yes")
    assert refused.returncode != 0
    assert f"port {port} has another workspace there; `as: " in refused.stderr

    boot = orders.grid(a, "door").workspaces[0].boot
    other = next(n for n in range(30_000, 30_010) if n != port)
    file.write_text(GRID.replace("[22]", f"[{{port: 22, as: {other}}}]"))
    changed = ctl(federation, "up", str(file), "--yes")
    assert "live" in changed or "changed" in changed, changed
    wait_for(lambda: greets(other), 30, "the guest answers at the port that the file names now")
    assert dials(port) is None
    assert exposed(federation) == other
    assert orders.grid(a, "door").workspaces[0].boot == boot, "it was not started again"
    ctl(federation, "down", "door")
    assert dials(other) is None
    rules = program.run(["ip", "netns", "exec", HOST, "nft", "list", "ruleset"])
    assert str(other) not in rules
