"""A network inside WireGuard between two hosts: the kernel's where it has it, else wireguard-go's."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from federation.eavesdrop import Capture
from msgspec.structs import replace
from netns_world import Talk, World, eventually, mac_bytes

from netns import apply, program
from netns.failures import NetnsError
from netns.inside import PREFIX, Wireguard, WireguardPeer, inside_address, link_name, table_name
from netns.kernel import wireguard
from netns.kernel.filters import Listing
from netns.model import NetworkPlan
from netns.traces import any_of

PORT, MTU = 7701, 1370
MARK = b"what only the two guests are to read. "


class Crossing(World):
    """A network over two hosts that WireGuard carries."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.tags = {host: f"w{os.getpid() % 0xFFFF:x}{host}" for host in ("a", "b")}
        self.stand_ins: dict[str, subprocess.Popen[bytes]] = {}
        both = {host: self._crossing(host, other) for host, other in (("a", "b"), ("b", "a"))}
        self.plans = both

    def _crossing(self, host: str, other: str) -> NetworkPlan:
        peer = WireguardPeer(
            other,
            wireguard.public_key(self.run_dirs[other]),
            inside_address(other),
            f"{self.lab.address(other)}:{PORT}",
        )
        plain = self.plans[host]
        return replace(
            plain,
            owner_tag=self.tags[host],
            mtu=MTU,
            wireguard=Wireguard(inside_address(host), PORT, (peer,)),
            neighbours=tuple(replace(each, via=peer.address) for each in plain.neighbours),
        )

    def link(self, host: str) -> str:
        return link_name(self.tags[host])

    def start(self) -> None:
        self.lab.up()
        for guest in self.guests.values():
            guest.plug_in()
            guest.take_address()
        lacks_it = wireguard.fault(PORT, "test")
        for host in ("a", "b"):
            if lacks_it:
                self.stand_in(host)
            self.ensure(host)

    def stand_in(self, host: str) -> None:
        """wireguard-go's interface in place of the kernel's."""
        self.stand_ins[host] = subprocess.Popen(
            [
                "ip",
                "netns",
                "exec",
                self.lab.namespace(host),
                "wireguard-go",
                "-f",
                self.link(host),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        socket = Path("/var/run/wireguard", f"{self.link(host)}.sock")
        eventually(socket.exists, "wireguard-go listens")

    def run(self, host: str, command: str) -> str:
        return program.run(["ip", "netns", "exec", self.lab.namespace(host), *command.split()])

    def harms(self, host: str) -> dict[str, str]:
        return self.on(
            host, lambda: apply.harms((self.plans[host],), self.run_dirs[host], Listing())
        )

    def tear_down(self) -> None:
        for stand_in in self.stand_ins.values():
            stand_in.terminate()
            stand_in.wait()
        super().tear_down()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Crossing]:
    made = Crossing(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.tear_down()


def test_a_network_crosses_by_wireguard_and_by_nothing_else(world: Crossing) -> None:
    head, far = world.guests["head"], world.guests["far"]
    assert head.pings(far.port.address)
    head.run("ping", "-c", "1", "-W", "5", "-M", "do", "-s", str(MTU - 28), far.port.address)
    _nothing_is_read_on_the_way(world)
    _what_somebody_undoes_is_mended(world)
    _without_it_nothing_goes(world)
    _who_is_no_partner_any_more_has_no_key_here(world)
    for host in ("a", "b"):
        world.remove(host)
        left = [line for line in world.left_on(host).splitlines() if ".wireguard" not in line]
        assert left == []
        assert not world.on(host, lambda h=host: any_of(world.run_dirs[h], world.tags[h]))


def _nothing_is_read_on_the_way(world: Crossing) -> None:
    head, far = world.guests["head"], world.guests["far"]
    content, host = MARK * 5000, world.lab.namespace("a")
    with (
        Talk(head, far) as talk,
        Capture(host, "eth0") as wide,
        Capture(host, head.port.tap) as near,
    ):
        assert talk.crosses(content)
    assert near.has(MARK), "so much for the capture"
    assert wide.sent_to(PORT) > 2 * len(content), "it went there"
    assert not wide.has(MARK)
    assert not wide.has(mac_bytes(head.port.mac))


def _what_somebody_undoes_is_mended(world: Crossing) -> None:
    plan, link, table = world.plans["a"], world.link("a"), table_name(world.tags["a"])
    assert plan.wireguard is not None
    peer = plan.wireguard.peers[0]
    harms = [
        (f"wg set {link} peer {peer.key} remove", "other peers"),
        (f"wg set {link} peer {peer.key} allowed-ips {peer.address}/128,::/0", "other peers"),
        (f"wg set {link} listen-port 7702", "other peers"),
        (f"ip address flush dev {link} scope global", "other addresses"),
        (f"ip link set {link} mtu 1300", "another mtu"),
        (f"ip link set {link} down", "was down"),
        (f"nft flush chain {table} input", "other rules"),
        (f"nft delete table {table}", "packet filter of"),
        (f"nft flush chain inet {plan.table} output", "tunnel's packet filter"),
        (f"ip link delete {plan.vxlan}", "tunnel device"),
    ]
    for harm, said in harms:
        world.run("a", harm)
        assert said in world.harms("a")[plan.network], harm
        done = world.on("a", lambda: apply.ensure(plan, world.run_dirs["a"]))
        assert said in done.harm, harm
        assert world.harms("a") == {}, f"not mended: {harm}"
        assert world.guests["head"].pings("10.42.0.4"), harm


def _without_it_nothing_goes(world: Crossing) -> None:
    """Not even where somebody leads it past WireGuard, and the other host would take it."""
    head, plan, link = world.guests["head"], world.plans["a"], world.link("a")
    assert plan.wireguard is not None
    other = plan.wireguard.peers[0].address
    world.run("a", f"ip link set {link} down")
    for command in (
        "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0",
        f"ip address add {plan.wireguard.address}/128 dev eth0 nodad",
        f"ip -6 route replace {PREFIX} dev eth0",
        f"ip neighbour replace {other} lladdr 02:00:00:00:00:99 dev eth0",
    ):
        world.run("a", command)
    with Capture(world.lab.namespace("a"), "eth0") as wide:
        assert head.misses("10.42.0.4")
    assert not wide.has(mac_bytes(head.port.mac))
    world.run("a", f"ip address delete {plan.wireguard.address}/128 dev eth0")
    world.run("a", f"ip -6 route delete {PREFIX} dev eth0")
    world.ensure("a")
    assert head.pings("10.42.0.4")


def _who_is_no_partner_any_more_has_no_key_here(world: Crossing) -> None:
    plan, link = world.plans["a"], world.link("a")
    assert plan.wireguard is not None
    alone = replace(plan, epoch=2, neighbours=(), wireguard=replace(plan.wireguard, peers=()))
    world.ensure("a", alone)
    assert world.run("a", f"wg show {link} peers") == ""
    assert world.guests["head"].misses("10.42.0.4")


def test_a_kernel_without_it_says_so_and_carries_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever this kernel has, there is one kind of link that it has not."""
    monkeypatch.setattr(wireguard, "_KIND", "no-such-kind")
    world = Crossing(tmp_path)
    try:
        world.lab.up()
        assert wireguard.fault(PORT, "test") == "this kernel has no WireGuard (CONFIG_WIREGUARD)"
        with pytest.raises(NetnsError, match="this kernel has no WireGuard"):
            world.ensure("a")
        world.remove("a")
        assert world.observe("a") == ()
    finally:
        world.tear_down()
