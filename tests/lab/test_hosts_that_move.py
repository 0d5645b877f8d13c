"""Two daemons whose addresses and links change under a grid that stands: its network goes on by itself."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from federation import orders
from federation.launch import PORT, wait_for
from paired_hosts import Pair

from netns import program
from netns.failures import NetnsError
from netns.kernel import namespaces
from netns.lab.topology import Host as LabHost
from netns.lab.topology import Site
from netns.model import vxlan_name
from protocol.grid.model import Encryption
from protocol.grid.record import vni_of
from protocol.terms.ids import GridId

FOLLOWS_WITHIN_S = 15
MOVED = "198.51.100.9"
ADDRESSES = {"a": "198.51.100.1", "b": "198.51.100.2"}


class Moving(Pair):
    """The pair, of which one listens wherever it is, and has the smaller link."""

    def __init__(self, folder: Path) -> None:
        hosts = tuple(LabHost(name, address) for name, address in ADDRESSES.items())
        super().__init__(folder, Encryption.NONE, Site("ams", "198.51.100.0/28", hosts))

    def begin(self) -> None:
        self.enrol()
        self.listens_everywhere("b")
        self.ip("b", "link", "set", "eth0", "mtu", "1400")
        self.start()
        self.up()
        self.vxlan = vxlan_name(vni_of(GridId(self.ids["pair"]), "lan"))

    def tunnel(self, host: str) -> tuple[str, int]:
        """Its end of the tunnel, as the kernel has it: address and MTU."""
        try:
            (link,) = json.loads(self.ip(host, "-d", "-j", "link", "show", self.vxlan))
        except NetnsError:
            return "", 0  # it is being made anew
        return link["linkinfo"]["info_data"].get("local", ""), link["mtu"]

    def segment_bytes(self) -> int:
        """How large a segment of TCP is between guests that were told another MTU at their start."""
        one, other = self.guests["pair"]
        with (
            namespaces.stream_socket_in(other.namespace) as door,
            namespaces.stream_socket_in(one.namespace) as sender,
        ):
            door.bind((other.port.address, 0))
            door.listen(1)
            sender.settimeout(FOLLOWS_WITHIN_S)
            sender.connect(door.getsockname())
            return sender.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)


@pytest.fixture
def pair(folder: Path) -> Iterator[Moving]:
    made = Moving(folder / "f")
    try:
        yield made
    finally:
        made.tear_down()


def test_a_network_follows_the_addresses_and_the_links_of_its_hosts(pair: Moving) -> None:
    pair.begin()
    _the_least_mtu_counts_from_the_start(pair)
    _a_host_gets_another_address(pair)
    _a_link_shrinks(pair)
    _it_stays_so_after_restarts(pair)


def _the_least_mtu_counts_from_the_start(pair: Moving) -> None:
    assert pair.tunnel("a") == (ADDRESSES["a"], 1350)
    assert pair.tunnel("b") == (ADDRESSES["b"], 1350)
    wait_for(pair.meet, FOLLOWS_WITHIN_S, "guests meet")
    assert pair.meet(1350)
    shown = pair.daemons.ctl("a", "show", "pair").stdout
    assert "networks    lan (plain, mtu 1350)" in shown.splitlines()


def _a_host_gets_another_address(pair: Moving) -> None:
    pair.move("b", ADDRESSES["b"], MOVED, "198.51.100.14")
    wait_for(lambda: pair.tunnel("b")[0] == MOVED, FOLLOWS_WITHIN_S, "b's own tunnel follows")
    wait_for(lambda: pair.meet(1350), FOLLOWS_WITHIN_S, "guests meet again")
    assert ADDRESSES["b"] not in pair.ip("a", "-d", "link", "show", pair.vxlan)
    forwarding = program.run(["bridge", "-n", pair.lab.namespace("a"), "fdb"])
    assert MOVED in forwarding
    assert ADDRESSES["b"] not in forwarding
    wait_for(
        lambda: orders.peers(pair.host("a"))["b"].address == f"{MOVED}:{PORT}",
        FOLLOWS_WITHIN_S,
        "a dials b where it is",
    )
    assert "tunnel.moved" in pair.daemons.ctl("a", "events").stdout
    assert "underlay.changed" in pair.daemons.ctl("b", "events").stdout


def _a_link_shrinks(pair: Moving) -> None:
    pair.ip("a", "link", "set", "eth0", "mtu", "1300")
    for host in ("a", "b"):
        wait_for(lambda h=host: pair.tunnel(h)[1] == 1250, FOLLOWS_WITHIN_S, f"{host} follows")
    wait_for(lambda: pair.meet(1250), FOLLOWS_WITHIN_S, "guests meet")
    assert pair.segment_bytes() <= 1250 - 40
    assert "network.mtu" in pair.daemons.ctl("b", "events").stdout


def _it_stays_so_after_restarts(pair: Moving) -> None:
    for host in ("a", "b"):
        pair.daemons.kill(host)
    for host in ("a", "b"):
        pair.daemons.restart(host)
        pair.kick(host)
    assert pair.tunnel("a") == (ADDRESSES["a"], 1250)
    assert pair.tunnel("b") == (MOVED, 1250)
    assert pair.meet(1250)
