"""IPv6 in a network between two hosts, on real kernels: what must get through, and what must not."""

import contextlib
import socket
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace
from netns_world import Guest, World, eventually, mac_bytes, send_frames

from netns import program
from netns.kernel import namespaces
from netns.model import GATEWAY_LINK_ADDRESS, address6

CIDR6 = "fd42:1:2:3::/64"
HEAD, NEAR, FAR, GATEWAY = (address6(CIDR6, f"10.42.0.{last}") for last in (2, 3, 4, 1))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("networks"), "six-lan", cidr6=CIDR6)
    try:
        made.start()
        take_addresses(made)
        yield made
    finally:
        made.tear_down()


def take_addresses(world: World) -> None:
    for guest in world.guests.values():
        six = address6(CIDR6, guest.port.address)
        guest.run("ip", "address", "add", f"{six}/64", "dev", "eth0", "nodad")


def neighbours(guest: Guest) -> str:
    return guest.run("ip", "-6", "neigh", "show", "dev", "eth0")


def test_guests_reach_each_other_on_and_across_hosts(world: World) -> None:
    head, far = world.guests["head"], world.guests["far"]
    for asker, address in ((head, NEAR), (head, FAR), (far, HEAD), (head, GATEWAY)):
        assert asker.pings(address), address
    assert world.count("a", "packets") > 0
    head.run("ping", "-c", "1", "-W", "1", "-M", "do", "-s", "1352", FAR)  # 1400 in all
    with namespaces.inside(
        far.namespace, lambda: socket.create_server((FAR, 0), family=socket.AF_INET6)
    ) as server:
        at = server.getsockname()[:2]
        with namespaces.inside(head.namespace, lambda: socket.create_connection(at, timeout=5)):
            assert server.accept()[1][0] == HEAD


def test_a_remote_member_is_found_without_asking_it(world: World) -> None:
    head, far = world.guests["head"], world.guests["far"]
    world.lab.partition("b")
    try:
        head.run("ip", "neigh", "flush", "all")
        before = world.count("a", "packets")
        assert head.misses(FAR)
        assert far.port.mac in neighbours(head)
        assert world.count("a", "packets") == before + 1, "the echo request alone"
    finally:
        world.lab.heal()


def test_a_guest_hears_from_its_router_what_to_do_and_that_it_is_none(world: World) -> None:
    near = world.guests["near"]
    near.run("ip", "link", "set", "eth0", "down")
    near.run("sysctl", "-qw", "net.ipv6.conf.eth0.router_solicitation_delay=0")
    near.run("ip", "link", "set", "eth0", "mtu", "1500", "up")
    settings = "/proc/sys/net/ipv6/conf/eth0/mtu"
    eventually(lambda: near.run("cat", settings).strip() == "1400", "an advertisement")
    routes = near.run("ip", "-6", "route")
    assert "fd42:1:2:3::/64 dev eth0 proto kernel" in routes
    assert "default" not in routes
    assert " dynamic " not in near.run("ip", "-6", "address"), "addresses come by DHCPv6 alone"
    near.run("ip", "link", "set", "eth0", "mtu", "1400")
    near.run("ip", "address", "replace", f"{NEAR}/64", "dev", "eth0", "nodad")


@pytest.mark.parametrize(("name", "address"), [("near", NEAR), ("far", FAR)])
def test_a_guest_gets_its_address_by_dhcpv6(world: World, name: str, address: str) -> None:
    """Solicited as any client does, with a DUID of its own: it is known by its card."""
    guest = world.guests[name]
    eventually(lambda: "fe80::" in link_addresses(guest), "a link-local address")
    mac = mac_bytes(guest.port.mac)
    duid = struct.pack(">HH", 3, 1) + mac
    options = _option(1, duid) + _option(3, b"\0\0\0\1" + bytes(8)) + _option(6, b"\0\x17\0\x18")
    reply = namespaces.inside(guest.namespace, partial(_asked, b"\1abc" + options))
    assert reply[:4] == b"\2abc", "an advertisement in answer to it"
    assert _option(5, socket.inet_pton(socket.AF_INET6, address))[4:] in reply
    assert _option(23, socket.inet_pton(socket.AF_INET6, GATEWAY)) in reply
    assert _option(24, b"\4star\0") in reply
    assert (
        _option(2, struct.pack(">HI", 2, 32473) + mac_bytes(world.plans["a"].gateway_mac)) in reply
    )


def link_addresses(guest: Guest) -> str:
    shown = guest.run("ip", "-6", "-o", "address", "show", "dev", "eth0", "scope", "link")
    return "" if "tentative" in shown else shown


def _option(code: int, data: bytes) -> bytes:
    return struct.pack(">HH", code, len(data)) + data


def _asked(message: bytes) -> bytes:
    """What is answered to a message to all DHCPv6 servers, from the thread's namespace."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as handle:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        handle.bind(("::", 546))
        handle.settimeout(2)
        for _ in range(5):
            handle.sendto(message, ("ff02::1:2", 547, 0, socket.if_nametoindex("eth0")))
            with contextlib.suppress(TimeoutError):
                return handle.recv(1500)
    raise AssertionError("no answer")


def test_every_member_has_a_name_over_ipv6(world: World) -> None:
    for asker in ("head", "far"):
        inside = world.guests[asker].namespace
        for name, address in (("head", HEAD), ("near", NEAR), ("far", FAR)):
            found = namespaces.inside(inside, partial(_names_of, f"{name}.star"))
            assert found == socket.inet_pton(socket.AF_INET6, address)


def _names_of(name: str) -> bytes:
    """The address in the answer to a question for AAAA, asked of the gateway over IPv6."""
    labels = b"".join(bytes((len(part),)) + part.encode() for part in name.split("."))
    query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 28, 1)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as handle:
        handle.settimeout(3)
        handle.sendto(query, (GATEWAY, 53))
        return handle.recv(1500)[-16:]


def test_a_foreign_address_is_not_let_out(world: World) -> None:
    near = world.guests["near"]
    foreign = address6(CIDR6, "10.42.0.77")
    assert near.pings(HEAD)
    near.run("ip", "address", "add", f"{foreign}/64", "dev", "eth0", "nodad")
    for address in (HEAD, FAR, GATEWAY):
        assert near.misses(address, "-I", foreign), address
    near.run("ip", "address", "del", f"{foreign}/64", "dev", "eth0")


def test_lies_about_neighbours_and_routers_are_dropped(world: World) -> None:
    head, near = world.guests["head"], world.guests["near"]
    me, you = mac_bytes(near.port.mac), mac_bytes(head.port.mac)
    mine, yours, far, gateway, link = (
        socket.inet_pton(socket.AF_INET6, text)
        for text in (NEAR, HEAD, FAR, GATEWAY, GATEWAY_LINK_ADDRESS)
    )
    own_link = b"\xfe\x80" + bytes(13) + b"\7"
    with_mac = b"\1\1" + me
    lies = [
        _icmp(mine, yours, 136, b"\x60\0\0\0" + far + b"\2\1" + me),
        _icmp(mine, yours, 136, b"\x60\0\0\0" + gateway + b"\2\1" + me),
        _icmp(mine, yours, 136, b"\xe0\0\0\0" + link + b"\2\1" + me),
        _icmp(link, yours, 135, bytes(4) + yours + with_mac),
        _icmp(far, yours, 135, bytes(4) + yours + with_mac),
        _icmp(link, yours, 134, b"\x40\0\7\x08" + bytes(8)),
        _icmp(own_link, yours, 134, b"\x40\0\7\x08" + bytes(8)),
        _icmp(mine, yours, 137, bytes(4) + far + far),
        _icmp(own_link, yours, 128, bytes(4)),
        _packet(mine, yours, 17, struct.pack(">4H", 547, 546, 8, 0)),
        _packet(mine, yours, 17, struct.pack(">4H", 4000, 546, 8, 0)),
        _packet(mine, yours, 0, b"\x3a\0" + bytes(6) + b"\x86" + bytes(15)),  # behind a header
    ]
    groups = [b"\x33\x33\0\0\0\1", b"\xff" * 6]
    honest = you + me + _packet(mine, yours, 17, struct.pack(">4H", 4000, 4001, 8, 0))
    frames = [to + me + lie for lie in lies for to in (you, *groups)]
    with namespaces.inside(head.namespace, _listener) as ear:
        namespaces.inside(near.namespace, lambda: send_frames(*frames, honest))
        heard: list[bytes] = []
        while not heard or heard[-1] != honest:
            frame = ear.recv(2000)
            heard += [frame] if frame[6:12] == me else []
    assert heard == [honest]


def test_no_guest_tells_the_gateway_where_another_is(world: World) -> None:
    """It hears of their link-local addresses from them, of the others it knows."""
    head, near = world.guests["head"], world.guests["near"]
    gateway = mac_bytes(world.plans["a"].gateway_mac)
    me, mine, yours, theirs = (
        mac_bytes(near.port.mac),
        *(socket.inet_pton(socket.AF_INET6, text) for text in (NEAR, HEAD, GATEWAY)),
    )
    assert head.pings(GATEWAY)
    lie = _icmp(mine, theirs, 136, b"\x60\0\0\0" + yours + b"\2\1" + me)
    checked = lie[:44] + struct.pack(">H", _checksum(lie)) + lie[46:]
    namespaces.inside(near.namespace, lambda: send_frames(gateway + me + checked))
    assert near.pings(GATEWAY)
    known = program.run(["ip", "-n", world.plans["a"].namespace, "-6", "neigh", "show", HEAD])
    assert head.port.mac in known


def _checksum(packet: bytes) -> int:
    """Of ICMPv6 in what follows the MACs of a frame, whose own field is zero."""
    body = packet[42:]
    pseudo = packet[10:42] + struct.pack(">II", len(body), 58)
    total = sum(struct.unpack(f">{(len(pseudo) + len(body)) // 2}H", pseudo + body))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _listener() -> socket.socket:
    ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    ear.bind(("eth0", 3))
    ear.settimeout(5)
    return ear


def _icmp(source: bytes, target: bytes, kind: int, rest: bytes) -> bytes:
    return _packet(source, target, 58, bytes((kind, 0, 0, 0)) + rest)


def _packet(source: bytes, target: bytes, protocol: int, payload: bytes) -> bytes:
    """What follows the MACs of a frame. Checksums are not right, and no filter minds."""
    head = struct.pack(">IHBB", 0x6000_0000, len(payload), protocol, 255)
    return b"\x86\xdd" + head + source + target + payload


def test_a_second_network_with_the_same_range_does_not_meet_the_first(
    world: World, tmp_path: Path
) -> None:
    other = World(tmp_path, network="other-six-lan", lab=world.lab, cidr6=CIDR6)
    try:
        other.start()
        take_addresses(other)
        eventually(lambda: other.guests["head"].pings(FAR), "a way")
        other.guests["far"].run("ip", "link", "set", "eth0", "down")
        assert world.guests["head"].pings(FAR)
        assert other.guests["head"].misses(FAR)
    finally:
        other.tear_down()


def test_a_second_ensure_takes_no_step_and_harm_is_mended(world: World) -> None:
    plan, host = world.plans["a"], world.lab.namespace("a")
    harms = [
        f"ip -n {plan.namespace} -6 address flush dev gw0",
        f"ip -n {plan.namespace} address delete {GATEWAY_LINK_ADDRESS}/64 dev gw0",
        f"ip -n {plan.namespace} address add fd42::99/64 dev gw0",
        f"ip -n {host} -6 neigh flush dev {plan.vxlan} nud permanent",
        f"ip -n {host} neigh replace fd42::99 lladdr {plan.gateway_mac} dev {plan.vxlan} nud permanent",
        f"nsenter --net=/run/netns/{host} sysctl -qw net.ipv6.conf.{plan.vxlan}.disable_ipv6=1",
        f"nsenter --net=/run/netns/{plan.namespace} sysctl -qw net.ipv6.conf.gw0.disable_ipv6=1",
    ]
    assert world.ensure("a") == []
    for harm in harms:
        program.run(harm.split())
        assert world.ensure("a"), f"not seen: {harm}"
        assert world.ensure("a") == [], f"not mended: {harm}"
        world.guests["head"].run("ip", "neigh", "flush", "all")
        assert world.guests["head"].pings(FAR), harm
        assert world.guests["head"].pings(GATEWAY), harm


def test_a_network_can_do_without_and_have_it_again(world: World) -> None:
    head = world.guests["head"]
    world.ensure("a", replace(world.plans["a"], cidr6="", epoch=2))
    assert world.ensure("a", replace(world.plans["a"], cidr6="", epoch=2)) == []
    assert head.misses(FAR)
    assert head.misses(NEAR)
    assert head.pings("10.42.0.4")
    world.ensure("a", replace(world.plans["a"], epoch=3))
    assert head.pings(FAR)
