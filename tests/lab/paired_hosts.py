"""Two daemons in a lab, and grids over both.

Guests are namespaces: the machines are libvirt's test driver's, which plug nothing into their taps.
"""

import os
from pathlib import Path

import msgspec
from federation import orders
from federation.launch import Host, wait_for
from loopback import Daemons, image_file
from netns_world import Guest

from netns import program
from netns.kernel import namespaces
from netns.lab.lab import Lab
from netns.lab.topology import Site, Topology
from netns.model import Port, mac_of, tap_name
from overlayd.realise.paths import network_name
from protocol.grid.addresses import plan
from protocol.grid.model import (
    SIX_AUTO,
    Encryption,
    GridSpec,
    NetworkSpec,
    PlacementSpec,
    Spread,
    Strict,
)
from protocol.node.rows import WorkspaceRow
from protocol.requesting.request import RequestState
from protocol.trust.order import Action

PLUGGED_MTU = "1450"
"""What guests were told at their start, as far as their cards are concerned."""


class Pair:
    """Hosts `a` and `b`, and the guests of grids of two workspaces, one on each."""

    def __init__(self, folder: Path, encryption: Encryption, *sites: Site) -> None:
        self.tag = f"under{os.getpid() % 0xFFF:x}"
        self.lab = Lab(Topology(self.tag, sites))
        self.daemons = Daemons(folder, uri="test:///default")
        self.encryption = encryption
        self.bits_s = 0
        """The `network-rate` of each guest."""
        self.guests: dict[str, list[Guest]] = {}
        self.ids: dict[str, str] = {}

    def enrol(self) -> None:
        self.lab.down(force=True)
        self.lab.up()
        self.daemons.enrol_lab(self.lab)

    def start(self) -> None:
        self.daemons.start_all()
        self.image = orders.add_image(self.host("a"), image_file(self.daemons.folder / "image"))
        wait_for(lambda: self.daemons.converged("a", "b"), 30, "both list each other")

    def configure(self, host: str, old: str, new: str) -> None:
        """Changes what its next daemon is to read."""
        file = self.host(host).folder / "overlayd.toml"
        before = file.read_text()
        assert old in before
        file.write_text(before.replace(old, new))

    def listens_everywhere(self, host: str) -> None:
        """Its daemon is to be dialled at whatever address it has."""
        self.configure(host, f"{self.lab.address(host)}:", "0.0.0.0:")

    def move(self, host: str, old: str, new: str, router: str) -> None:
        """Gives a host another address in place of the one that it has, as DHCP or another cable does."""
        self.ip(host, "address", "del", f"{old}/28", "dev", "eth0")
        self.ip(host, "address", "add", f"{new}/28", "dev", "eth0")
        self.ip(host, "route", "replace", "default", "via", router)

    def host(self, name: str) -> Host:
        return self.daemons.hosts[name]

    def ip(self, host: str, *words: str) -> str:
        return program.run(["ip", "-n", self.lab.namespace(host), *words])

    def spec(self, name: str) -> GridSpec:
        plain = orders.spec(name, self.image, 2)
        cluster = msgspec.structs.replace(
            plain.clusters[0], networks=("lan",), network_bits_s=self.bits_s
        )
        return msgspec.structs.replace(
            plain,
            clusters=(cluster,),
            networks=(
                NetworkSpec("lan", "10.42.0.0/24", self.encryption, multicast=True, cidr6=SIX_AUTO),
            ),
            placement=PlacementSpec(spread=Spread.HOST, strict=(Strict.SPREAD,)),
        )

    def up(self, name: str = "pair") -> list[Guest]:
        """Makes the grid, and plugs a namespace in where the guest of each workspace would be, `a`'s first."""
        admin = self.daemons.identity(self.lab.site("a"))
        spec = self.spec(name)
        made = orders.obeyed(self.host("a"), orders.up(admin, spec, self.host("a")))
        assert made.state is RequestState.DONE, made
        view = orders.grid(self.host("a"), name)
        assert view is not None
        self.ids[name] = view.grid.grid
        network = network_name(view.grid.grid, "lan")
        hosts = {row.workspace: row.host for row in view.workspaces}
        guests = {}
        for card in plan(spec):
            inside = self.lab.namespace(hosts[card.workspace])
            tap, mac = tap_name(network, card.workspace), mac_of(network, card.address)
            guest = Guest(
                inside, Port(tap, mac, card.address, card.workspace), f"test-{self.tag}-{name}"
            )
            guests[hosts[card.workspace]] = guest
            guest.plug_in(instead=True)
            guest.take_address()
            guest.run("ip", "link", "set", "eth0", "mtu", PLUGGED_MTU)
        self.guests[name] = [guests["a"], guests["b"]]
        for host in guests:
            self.kick(host, name)
        return self.guests[name]

    def kick(self, host: str, name: str = "pair") -> None:
        """Has the host look at its grid again, as a notice or a restart does."""
        workspace = next(r.workspace for r in self.rows(name) if r.host == host)
        for action in (Action.PAUSE, Action.RESUME):
            admin = self.daemons.identity(self.lab.site("a"))
            order = orders.signed(admin, action, name, workspace)
            assert orders.obeyed(self.host("a"), order).state is RequestState.DONE

    def rows(self, name: str = "pair") -> tuple[WorkspaceRow, ...]:
        view = orders.grid(self.host("a"), name)
        return view.workspaces if view is not None else ()

    def take_six(self, name: str = "pair") -> list[str]:
        """Gives the guests the IPv6 addresses that their grid has for them, `a`'s first."""
        told = {row.host: [one for one in row.addresses if ":" in one] for row in self.rows(name)}
        taken = []
        for guest, host in zip(self.guests[name], ("a", "b"), strict=True):
            (six,) = told[host]
            guest.run("ip", "address", "replace", f"{six}/64", "dev", "eth0", "nodad")
            taken.append(six)
        return taken

    def meet(self, size: int = 56, name: str = "pair") -> bool:
        """Whether packets of that size get from each guest to the other unfragmented."""
        one, other = self.guests[name]
        return all(
            not a.misses(b.port.address, "-M", "do", "-s", str(size - 28))
            for a, b in ((one, other), (other, one))
        )

    def down(self, name: str = "pair") -> None:
        order = orders.signed(self.daemons.identity(self.lab.site("a")), Action.DOWN, name)
        assert orders.obeyed(self.host("a"), order).state is RequestState.DONE

    def tear_down(self) -> None:
        self.daemons.stop_all()
        self.daemons.end_forwarders()
        for guests in self.guests.values():
            for guest in guests:
                namespaces.delete(guest.namespace)
        self.lab.down(force=True)
