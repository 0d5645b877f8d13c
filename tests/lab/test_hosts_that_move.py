"""Two daemons whose addresses and links change under a grid that stands: its network goes on by itself.

Guests are namespaces: the machines are libvirt's test driver's, which plug nothing into their taps.
"""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from federation import orders
from federation.launch import PORT, Host, wait_for
from loopback import Daemons, image_file
from netns_world import Guest

from netns import program
from netns.failures import NetnsError
from netns.kernel import namespaces
from netns.lab.lab import Lab
from netns.lab.topology import Host as LabHost
from netns.lab.topology import Site, Topology
from netns.model import Port, mac_of, tap_name, vxlan_name
from overlayd.realise.paths import network_name
from protocol.grid.addresses import plan
from protocol.grid.model import GridSpec, NetworkSpec, PlacementSpec, Spread, Strict
from protocol.grid.record import vni_of as vni_of_grid
from protocol.node.rows import WorkspaceRow
from protocol.requesting.request import RequestState
from protocol.trust.order import Action

FOLLOWS_WITHIN_S = 15
PLUGGED_MTU = "1450"
MOVED = "198.51.100.9"
ADDRESSES = {"a": "198.51.100.1", "b": "198.51.100.2"}


class Pair:
    """Two hosts in a lab, and the guests of a grid of two workspaces, one on each."""

    def __init__(self, folder: Path) -> None:
        hosts = tuple(LabHost(name, address) for name, address in ADDRESSES.items())
        tag = f"under{os.getpid() % 0xFFF:x}"
        self.lab = Lab(Topology(tag, (Site("ams", "198.51.100.0/28", hosts),)))
        self.daemons = Daemons(folder, uri="test:///default")
        self.guests: list[Guest] = []

    def start(self) -> None:
        self.lab.down(force=True)
        self.lab.up()
        self.daemons.enrol_lab(self.lab)
        config = self.host("b").folder / "overlayd.toml"
        config.write_text(config.read_text().replace(f"{ADDRESSES['b']}:", "0.0.0.0:"))
        self.ip("b", "link", "set", "eth0", "mtu", "1400")
        self.daemons.start_all()
        self.image = orders.add_image(self.host("a"), image_file(self.daemons.folder / "image"))
        wait_for(lambda: self.daemons.converged("a", "b"), 30, "both list each other")

    def host(self, name: str) -> Host:
        return self.daemons.hosts[name]

    def ip(self, host: str, *words: str) -> str:
        return program.run(["ip", "-n", self.lab.namespace(host), *words])

    def spec(self) -> GridSpec:
        plain = orders.spec("pair", self.image, 2)
        cluster = msgspec.structs.replace(plain.clusters[0], networks=("lan",))
        return msgspec.structs.replace(
            plain,
            clusters=(cluster,),
            networks=(NetworkSpec("lan", "10.42.0.0/24"),),
            placement=PlacementSpec(spread=Spread.HOST, strict=(Strict.SPREAD,)),
        )

    def up(self) -> None:
        """Makes the grid, and plugs a namespace in where the guest of each workspace would be."""
        order = orders.up(self.daemons.identity("ams"), self.spec(), self.host("a"))
        made = orders.obeyed(self.host("a"), order)
        assert made.state is RequestState.DONE, made
        view = orders.grid(self.host("a"), "pair")
        assert view is not None
        self.grid = view.grid.grid
        self.vxlan = vxlan_name(vni_of_grid(self.grid, "lan"))
        network = network_name(self.grid, "lan")
        hosts = {row.workspace: row.host for row in view.workspaces}
        for card in plan(self.spec()):
            inside = self.lab.namespace(hosts[card.workspace])
            tap, mac = tap_name(network, card.workspace), mac_of(network, card.address)
            guest = Guest(inside, Port(tap, mac, card.address, card.workspace), "test-under")
            self.guests.append(guest)
            program.run(["ip", "-n", inside, "link", "del", tap])
            guest.plug_in()
            guest.take_address()
            guest.run("ip", "link", "set", "eth0", "mtu", PLUGGED_MTU)
        for host in self.lab.hosts:
            self.kick(host)

    def kick(self, host: str) -> None:
        """Has the host look at its grid again, as a notice or a restart does."""
        name = next(r.workspace for r in self.rows() if r.host == host)
        for action in (Action.PAUSE, Action.RESUME):
            order = orders.signed(self.daemons.identity("ams"), action, "pair", name)
            assert orders.obeyed(self.host("a"), order).state is RequestState.DONE

    def rows(self) -> tuple[WorkspaceRow, ...]:
        view = orders.grid(self.host("a"), "pair")
        return view.workspaces if view is not None else ()

    def tunnel(self, host: str) -> tuple[str, int]:
        """Its end of the tunnel, as the kernel has it: address and MTU."""
        try:
            (link,) = json.loads(self.ip(host, "-d", "-j", "link", "show", self.vxlan))
        except NetnsError:
            return "", 0  # it is being made anew
        return link["linkinfo"]["info_data"].get("local", ""), link["mtu"]

    def meet(self, size: int = 56) -> bool:
        """Whether packets of that size get from each guest to the other unfragmented."""
        one, other = self.guests
        return all(
            not a.misses(b.port.address, "-M", "do", "-s", str(size - 28))
            for a, b in ((one, other), (other, one))
        )

    def segment_bytes(self) -> int:
        """How large a segment of TCP is between guests that were told another MTU at their start."""
        one, other = self.guests
        with (
            namespaces.stream_socket_in(other.namespace) as door,
            namespaces.stream_socket_in(one.namespace) as sender,
        ):
            door.bind((other.port.address, 0))
            door.listen(1)
            sender.settimeout(FOLLOWS_WITHIN_S)
            sender.connect(door.getsockname())
            return sender.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)

    def tear_down(self) -> None:
        self.daemons.stop_all()
        for guest in self.guests:
            namespaces.delete(guest.namespace)
        self.lab.down(force=True)


@pytest.fixture
def pair(folder: Path) -> Iterator[Pair]:
    made = Pair(folder / "f")
    try:
        yield made
    finally:
        made.tear_down()


def test_a_network_follows_the_addresses_and_the_links_of_its_hosts(pair: Pair) -> None:
    pair.start()
    pair.up()
    _the_least_mtu_counts_from_the_start(pair)
    _a_host_gets_another_address(pair)
    _a_link_shrinks(pair)
    _it_stays_so_after_restarts(pair)


def _the_least_mtu_counts_from_the_start(pair: Pair) -> None:
    assert pair.tunnel("a") == (ADDRESSES["a"], 1350)
    assert pair.tunnel("b") == (ADDRESSES["b"], 1350)
    wait_for(pair.meet, FOLLOWS_WITHIN_S, "guests meet")
    assert pair.meet(1350)
    shown = pair.daemons.ctl("a", "show", "pair").stdout
    assert "networks    lan (mtu 1350)" in shown.splitlines()


def _a_host_gets_another_address(pair: Pair) -> None:
    pair.ip("b", "address", "del", f"{ADDRESSES['b']}/28", "dev", "eth0")
    pair.ip("b", "address", "add", f"{MOVED}/28", "dev", "eth0")
    pair.ip("b", "route", "replace", "default", "via", "198.51.100.14")
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


def _a_link_shrinks(pair: Pair) -> None:
    pair.ip("a", "link", "set", "eth0", "mtu", "1300")
    for host in ("a", "b"):
        wait_for(lambda h=host: pair.tunnel(h)[1] == 1250, FOLLOWS_WITHIN_S, f"{host} follows")
    wait_for(lambda: pair.meet(1250), FOLLOWS_WITHIN_S, "guests meet")
    assert pair.segment_bytes() <= 1250 - 40
    assert "network.mtu" in pair.daemons.ctl("b", "events").stdout


def _it_stays_so_after_restarts(pair: Pair) -> None:
    for host in ("a", "b"):
        pair.daemons.kill(host)
    for host in ("a", "b"):
        pair.daemons.restart(host)
        pair.kick(host)
    assert pair.tunnel("a") == (ADDRESSES["a"], 1250)
    assert pair.tunnel("b") == (MOVED, 1250)
    assert pair.meet(1250)
