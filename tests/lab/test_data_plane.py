"""Networks between two hosts, on real kernels: what must get through, and what must not."""

import socket
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from netns_world import World, ask_dns, echos_received, eventually, mac_bytes, send_frames

from netns import apply, program
from netns.failures import NetnsError
from netns.kernel import namespaces, sockets
from netns.model import METADATA_ADDRESS, VXLAN_PORT

BROADCAST = b"\xff" * 6


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("networks"))
    try:
        made.start()
        yield made
    finally:
        made.tear_down()


@pytest.fixture
def cut(world: World) -> Iterator[World]:
    """A world whose second host cannot be reached over the underlay."""
    world.lab.partition("b")
    yield world
    world.lab.heal()


def test_guests_reach_each_other_on_and_across_hosts(world: World) -> None:
    head, far = world.guests["head"], world.guests["far"]
    assert head.pings("10.42.0.3")
    assert head.pings("10.42.0.4")
    assert far.pings("10.42.0.2")
    assert world.count("a", "packets") > 0
    head.run("ping", "-c", "1", "-W", "1", "-M", "do", "-s", "1372", "10.42.0.4")  # 1400 in all


def test_what_crosses_hosts_crosses_the_underlay(cut: World) -> None:
    assert cut.guests["head"].pings("10.42.0.3")
    assert cut.guests["head"].misses("10.42.0.4")


def test_arp_for_a_remote_member_is_answered_here(cut: World) -> None:
    head, far = cut.guests["head"], cut.guests["far"]
    head.run("ip", "neigh", "flush", "all")
    before = cut.count("a", "packets")
    assert head.misses("10.42.0.4")
    assert far.port.mac in head.run("ip", "neigh", "show", far.port.address)
    assert cut.count("a", "packets") == before + 1  # the echo request; no ARP


def test_nothing_unknown_goes_through_the_tunnel_or_to_others(world: World) -> None:
    head, near = world.guests["head"], world.guests["near"]
    sent, heard = world.count("a", "packets"), near.received()
    unknown = "02:00:00:00:00:63"
    head.run("ip", "neigh", "replace", "10.42.0.99", "lladdr", unknown, "dev", "eth0")
    assert head.misses("10.42.0.99")  # unknown unicast
    assert near.received() == heard
    assert head.misses("10.42.0.98")  # ARP for nobody
    head.run("ping", "-b", "-c", "1", "-W", "0.2", "10.42.0.1")
    assert world.count("a", "packets") == sent
    assert head.pings("10.42.0.4")
    assert world.count("a", "packets") > sent


def test_the_gateway_is_the_local_one_on_both_hosts(world: World) -> None:
    before = {host: world.count(host, "packets") for host in ("a", "b")}
    for name in ("head", "far"):
        assert world.guests[name].pings("10.42.0.1")
        shown = world.guests[name].run("ip", "neigh", "show", "10.42.0.1")
        assert world.plans["a"].gateway_mac in shown
    assert {host: world.count(host, "packets") for host in ("a", "b")} == before


@pytest.mark.parametrize(("name", "address"), [("near", "10.42.0.3"), ("far", "10.42.0.4")])
def test_a_lease_is_really_obtained(world: World, tmp_path: Path, name: str, address: str) -> None:
    script = tmp_path / "bound"
    script.write_text(f'#!/bin/sh\n[ "$1" = bound ] && set > {tmp_path}/lease\nexit 0\n')
    script.chmod(0o755)
    guest = world.guests[name]
    client = ["busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "5", "-T", "1", "-s"]
    guest.run(*client, str(script))
    lease = (tmp_path / "lease").read_text()
    assert f"ip='{address}'" in lease
    assert "mtu='1400'" in lease
    assert "dns='10.42.0.1'" in lease
    assert "domain='star'" in lease
    assert "router=" not in lease


def test_who_breaks_out_of_its_server_is_nobody(world: World) -> None:
    """What it has is powers over networks, in the network's own namespace."""
    pid = (world.run_dirs["a"] / world.network / "dnsmasq.pid").read_text().strip()
    text = Path("/proc", pid, "status").read_text()
    status = dict(line.split(":\t", 1) for line in text.splitlines())
    assert "0" not in status["Uid"].split() + status["Gid"].split() + status["Groups"].split()
    few = 1 << 10 | 1 << 12 | 1 << 13  # CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_NET_RAW
    assert {int(status[powers], 16) for powers in ("CapEff", "CapPrm", "CapBnd")} == {few}
    assert status["NoNewPrivs"] == "1"
    plan = world.run_dirs["a"] / world.network / "plan.json"
    uid = status["Uid"].split()[0]
    attempt = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "cat", str(plan)]
    assert program.attempt(attempt)[0] != 0


def test_every_member_has_a_name_on_every_host(world: World) -> None:
    for asker in ("head", "far"):
        inside = world.guests[asker].namespace
        for name, last in (("head", 2), ("near", 3), ("far", 4)):
            for asked in (name, f"{name}.star"):
                answer = namespaces.inside(inside, partial(ask_dns, asked, "10.42.0.1"))
                assert answer == (0, [f"10.42.0.{last}"])
        code, _ = namespaces.inside(inside, lambda: ask_dns("example.org", "10.42.0.1"))
        assert code != 0


def test_a_foreign_address_or_mac_is_not_let_out(world: World) -> None:
    near = world.guests["near"]
    assert near.pings("10.42.0.2")
    near.run("ip", "address", "add", "10.42.0.77/24", "dev", "eth0")
    assert near.misses("10.42.0.2", "-I", "10.42.0.77")
    near.run("ip", "address", "del", "10.42.0.77/24", "dev", "eth0")
    near.run("ip", "link", "set", "eth0", "address", "02:00:00:00:00:77")
    assert near.misses("10.42.0.2")
    near.run("ip", "link", "set", "eth0", "address", near.port.mac)
    eventually(lambda: near.pings("10.42.0.2"), "answer to the right MAC")


def test_an_arp_lie_and_ipv6_and_a_dhcp_server_are_dropped(world: World) -> None:
    head, near, far = (world.guests[name] for name in ("head", "near", "far"))
    me, you = mac_bytes(near.port.mac), mac_bytes(head.port.mac)
    mine, yours = (socket.inet_aton(guest.port.address) for guest in (near, head))
    theirs = socket.inet_aton(far.port.address)
    lie = BROADCAST + me + b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x02" + me + theirs + you + yours
    ipv6 = you + me + b"\x86\xdd" + b"\x60" + bytes(53)
    rogue = you + me + b"\x08\x00" + _udp(mine, yours, 67, 68)
    other = you + me + b"\x08\x00" + _udp(mine, yours, 4000, 68)
    tagged = you + me + b"\x81\x00\x00\x05\x08\x00" + _udp(mine, yours, 9, 9)
    honest = you + me + b"\x08\x00" + _udp(mine, yours, 4000, 4001)
    with namespaces.inside(head.namespace, _listener) as ear:
        namespaces.inside(
            near.namespace, lambda: send_frames(lie, ipv6, rogue, other, tagged, lie, honest)
        )
        heard: list[bytes] = []
        while not heard or heard[-1] != honest:
            frame = ear.recv(2000)
            heard += [frame] if frame[6:12] == me else []
    assert heard == [honest]


def test_the_host_is_out_of_reach_of_its_guests(world: World) -> None:
    near, host = world.guests["near"], world.lab.namespace("a")
    address = world.lab.address("a")
    bridge_mac = near.host_link_mac(world.plans["a"].bridge)
    near.run("ip", "route", "replace", address, "dev", "eth0")
    near.run("ip", "neigh", "replace", address, "lladdr", bridge_mac, "dev", "eth0")
    before = namespaces.inside(host, echos_received)
    assert near.misses(address)
    assert namespaces.inside(host, echos_received) == before
    near.run("ip", "route", "del", address, "dev", "eth0")


def test_reachable_is_seen_from_inside(world: World) -> None:
    guest = world.guests["head"]
    with namespaces.stream_socket_in(guest.namespace) as server:
        server.bind((guest.port.address, 0))
        server.listen(1)
        open_port = server.getsockname()[1]
        assert world.reaches(guest.port.address, open_port)
    assert not world.reaches(guest.port.address, open_port)
    assert not world.reaches("10.42.0.200", 22)
    with pytest.raises(NetnsError, match="not on this host"):
        apply.reachable("nowhere", world.run_dirs["a"], "10.42.0.2", 22, 1)


def test_a_second_network_with_the_same_cidr_does_not_meet_the_first(
    world: World, tmp_path: Path
) -> None:
    other = World(tmp_path, network="other-lan", lab=world.lab)
    try:
        other.start()
        assert world.guests["head"].pings("10.42.0.4")
        assert other.guests["head"].pings("10.42.0.4")
        other.guests["far"].run("ip", "link", "set", "eth0", "down")
        assert world.guests["head"].pings("10.42.0.4")
        assert other.guests["head"].misses("10.42.0.4")
    finally:
        other.tear_down()
    assert world.guests["head"].pings("10.42.0.4")


def _udp(source: bytes, target: bytes, sport: int, dport: int) -> bytes:
    payload = struct.pack("!4H", sport, dport, 8 + 18, 0) + bytes(18)
    head = struct.pack("!2B3H2BH", 0x45, 0, 20 + len(payload), 0, 0, 64, 17, 0) + source + target
    words = struct.unpack("!10H", head)
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:] + payload


def _listener() -> socket.socket:
    ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    ear.bind(("eth0", 3))
    ear.settimeout(5)
    return ear


def test_a_guest_asks_its_own_host_at_the_metadata_address(world: World) -> None:
    """By a route to the gateway, as DHCP gives it, or on the link, as an image without DHCP has it."""
    ears = {
        host: sockets.listen_in(world.plans[host].namespace, METADATA_ADDRESS, 80) for host in "ab"
    }
    for name, host, route in (
        ("head", "a", f"{METADATA_ADDRESS}/32 via 10.42.0.1 dev eth0"),
        ("near", "a", "169.254.0.0/16 dev eth0"),
        ("far", "b", f"{METADATA_ADDRESS}/32 via 10.42.0.1 dev eth0"),
    ):
        guest, ear = world.guests[name], ears[host]
        guest.run("ip", "route", "replace", *route.split())
        with namespaces.inside(guest.namespace, _asks):
            ear.settimeout(5)
            asks, (address, _) = ear.accept()
            asks.close()
            assert address == guest.port.address, "who asks is told by its address"
    for ear in ears.values():
        ear.close()


def test_a_guest_that_knocks_without_end_keeps_no_other_from_the_metadata_address(
    world: World,
) -> None:
    head, near = world.guests["head"], world.guests["near"]
    for guest in (head, near):
        guest.run("ip", "route", "replace", METADATA_ADDRESS, "via", "10.42.0.1", "dev", "eth0")
    with sockets.listen_in(world.plans["a"].namespace, METADATA_ADDRESS, 80) as ear:
        knocks = namespaces.inside(near.namespace, lambda: [_knock() for _ in range(400)])
        namespaces.inside(head.namespace, _asks).close()
        heard: list[str] = []
        while "10.42.0.2" not in heard:
            try:
                asks, (address, _) = ear.accept()
            except BlockingIOError:
                continue
            asks.close()
            heard.append(address)
        assert heard.count(near.port.address) < 100
        for knock in knocks:
            knock.close()


def _asks() -> socket.socket:
    return socket.create_connection((METADATA_ADDRESS, 80), timeout=10)


def _knock() -> socket.socket:
    handle = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    handle.connect_ex((METADATA_ADDRESS, 80))
    return handle


def test_only_carriers_get_frames_into_a_tunnel(world: World) -> None:
    """A host of the same segment that carries nothing of the network says that it does."""
    head, far = world.guests["head"], world.guests["far"]
    vxlan = struct.pack("!II", 0x08000000, world.plans["a"].vni << 8)
    frame = vxlan + echo_request(far.port.mac, head.port.mac, far.port.address, head.port.address)

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
            handle.sendto(frame, (world.lab.address("a"), VXLAN_PORT))

    def heard() -> int:
        return namespaces.inside(head.namespace, echos_received)

    before = heard()
    namespaces.inside(world.lab.namespace("c"), send)
    namespaces.inside(world.lab.namespace("b"), send)
    eventually(lambda: heard() > before, "what a carrier sends")
    assert heard() == before + 1
    assert far.pings(head.port.address)


def echo_request(source_mac: str, mac: str, source: str, target: str) -> bytes:
    """A frame with one ICMP echo request."""
    icmp = checked(struct.pack("!BBHHH", 8, 0, 0, 1, 1), 2)
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(icmp), 0, 0, 64, 1, 0) + ends
    return mac_bytes(mac) + mac_bytes(source_mac) + b"\x08\0" + checked(ip, 10) + icmp


def checked(header: bytes, at: int) -> bytes:
    """The header with its Internet checksum at that place."""
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return header[:at] + struct.pack("!H", ~total & 0xFFFF) + header[at + 2 :]
