"""A real guest on a network with internet fetches from a server outside, and reaches nothing of its host."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from federation import orders
from federation.launch import Caps, Federation, wait_for
from federation.outside import FAR, NEAR, forwards, outside, serving
from two_hosts import two_hosts

from netns import program
from netns.lab.topology import Host as LabHost
from netns.lab.topology import Site, Topology
from overlayd.api.views import ConsoleRequest, ConsoleView
from protocol.grid.model import Encryption, NetworkSpec
from protocol.requesting.request import RequestState
from protocol.trust.order import Action

IMAGE = Path(__file__).resolve().parents[2] / ".cache" / "images" / "guest.img"
TOPOLOGY = Topology(
    "inet",
    (
        Site("ams", "198.51.100.64/28", (LabHost("a", "198.51.100.65"),)),
        Site("bnl", "198.51.100.80/28", (LabHost("b", "198.51.100.81"),)),
    ),
)
UP_WITHIN_S = 120
PAGE = b"what the outside says"


class Server(BaseHTTPRequestHandler):
    """Answers any question with the page, and notes who asked."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.client_address[0])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(PAGE)


@pytest.fixture
def federation() -> Iterator[Federation]:
    """Two hosts, each with a link to the outside. Only the first forwards packets."""
    with (
        ExitStack() as stack,
        two_hosts(TOPOLOGY, Caps("1", "256M", "1G"), 'egress = "nat"') as made,
        outside(TOPOLOGY.name, made.hosts, Server),
    ):
        forwards(TOPOLOGY.name, "a")
        for name, host in made.hosts.items():
            stack.enter_context(serving(f"ovl-lab-inet.{name}", host.address, Server))
        yield made


def console(federation: Federation, keys: bytes = b"") -> str:
    order = orders.signed(
        federation.identity("ams"), Action.CONSOLE, "out", "n-1", via=federation.hosts["b"]
    )
    said = federation.hosts["b"].ask(
        "POST", "console", msgspec.json.encode(ConsoleRequest(order, 0, keys))
    )
    return msgspec.json.decode(said.content, type=ConsoleView).data.decode(errors="replace")


def fetched(federation: Federation, address: str, mark: str) -> str:
    """What a fetch from there ended with, as the guest's shell says it."""
    asked = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 4 {address} 8000"
    ask = f"{asked}; echo; echo {mark}-$((1+$?))"
    console(federation, ask.encode() + b"\n")
    pattern = rf"{mark}-\$.*?\n(.*?){mark}-\d"
    return wait_for(
        lambda: re.search(pattern, console(federation), re.DOTALL), 60, f"an answer from {address}"
    )[1]


def test_a_guest_fetches_from_outside_and_reaches_nothing_of_its_host(
    federation: Federation,
) -> None:
    a, b = federation.hosts["a"], federation.hosts["b"]
    image = orders.add_image(a, IMAGE)
    wait_for(lambda: orders.peers(b)["a"].images, 20, "b has heard of the image")
    wait_for(lambda: "egress" not in federation.ctl("a", "status").stdout, 60, "a has a way out")
    told = federation.ctl("b", "status").stdout
    assert "this host does not forward packets" in told
    assert "sysctl -w net.ipv4.ip_forward=1" in told

    spec = orders.spec("out", image, 1, memory_bytes=128 << 20)
    cluster = msgspec.structs.replace(spec.clusters[0], cpus_milli=800, networks=("lan",))
    network = NetworkSpec("lan", "10.42.0.0/24", Encryption.NONE, internet=True)
    spec = msgspec.structs.replace(spec, clusters=(cluster,), networks=(network,))
    order = orders.up(federation.identity("ams"), spec, b)
    assert orders.obeyed(b, order, UP_WITHIN_S).state is RequestState.DONE
    (row,) = orders.grid(b, "out").workspaces
    assert row.host == "a", "the only one with a way out"
    wait_for(lambda: "Enter 'help'" in console(federation), UP_WITHIN_S, "it has a shell")
    assert PAGE.decode() in fetched(federation, FAR, "out")
    assert set(Server.asked) == {"203.0.113.1"}, "its host's address stands for it"
    for address in (a.address, "203.0.113.1", b.address, NEAR):
        assert PAGE.decode() not in fetched(federation, address, f"at-{address}"), address
    assert set(Server.asked) == {"203.0.113.1"}, "nobody else was asked"
    down = orders.signed(federation.identity("ams"), Action.DOWN, "out")
    assert orders.obeyed(b, down).state is RequestState.DONE
    left = program.run(["ip", "-n", "ovl-lab-inet.a", "-o", "link"])
    assert "ove-" not in left
