"""What the networks of a host want of its WireGuard interface, and what `wg` says of it."""

import pytest
from msgspec.structs import replace

from netns.inside import PREFIX, Wireguard, WireguardPeer, inside_address
from netns.kernel import wireguard
from netns.model import Neighbour, NetworkPlan, mac_of
from netns.plan.wireguard_text import link_of

OWN = inside_address("me")
KEYS = [f"{letter}{'A' * 41}8=" for letter in "PQR"]
KEY = f"{'K' * 42}A="


def peer(name: str, key: str, at: str = "") -> WireguardPeer:
    return WireguardPeer(name, key, inside_address(name), at)


def plan(network: str, *peers: WireguardPeer, epoch: int = 1, mtu: int = 1370) -> NetworkPlan:
    afar = tuple(
        Neighbour(
            mac_of(network, f"10.42.0.{n}"), f"10.42.0.{n}", f"w-{n}", peer.address, peer.peer
        )
        for n, peer in enumerate(peers, start=2)
    )
    made = NetworkPlan(
        network, "uc1", 7, "10.42.0.0/24", "10.42.0.1", mtu, "192.0.2.1", "star", epoch,
        neighbours=afar, wireguard=Wireguard(OWN, 7701, peers),
    )  # fmt: skip
    made.check()
    return made


A, B = peer("a", KEYS[0], "192.0.2.2:7701"), peer("b", KEYS[1])


def test_a_host_whose_networks_want_none_has_none() -> None:
    plain = replace(plan("lan"), wireguard=None)
    assert link_of("uc1", (), {}) is None
    assert link_of("uc1", (plain,), {}) is None


def test_one_interface_has_the_hosts_of_all_networks() -> None:
    link = link_of("uc1", (plan("lan", A), plan("wan", A, B, mtu=1400)), {})
    assert link is not None
    assert (link.name, link.address, link.port) == ("ovw-uc1", OWN, 7701)
    assert link.mtu == 1470, "of the largest packet, with VXLAN and IPv6"
    assert link.peers == (A, B)
    assert link.config == (
        f"ListenPort = 7701\n[Peer]\nPublicKey = {A.key}\nAllowedIPs = {A.address}/128\n"
        f"Endpoint = 192.0.2.2:7701\n[Peer]\nPublicKey = {B.key}\nAllowedIPs = {B.address}/128\n"
    )
    alone = link_of("uc1", (plan("lan", mtu=600),), {})
    assert alone is not None
    assert (alone.peers, alone.mtu) == ((), 1280)


def test_the_newest_plan_says_what_this_host_is() -> None:
    older = replace(plan("lan", A), wireguard=Wireguard(OWN, 7799, (A,)))
    link = link_of("uc1", (plan("wan", A, epoch=2), older), {})
    assert link is not None
    assert link.port == 7701


@pytest.mark.parametrize(("thief", "owner"), [("a", "b"), ("b", "a")])
def test_who_tells_the_key_of_another_does_not_get_it(thief: str, owner: str) -> None:
    """Whoever was known by a key first keeps it, whatever the names."""
    both = plan("lan", peer(thief, KEYS[0], "203.0.113.66:7701"), peer(owner, KEYS[0]))
    link = link_of("uc1", (both,), {KEYS[0]: owner})
    assert link is not None
    assert [each.peer for each in link.peers] == [owner]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"address": inside_address("c")}, "is not its address inside WireGuard"),
        ({"key": "x"}, "is not a key of WireGuard"),
        ({"key": f"{KEYS[0]}\nAllowedIPs = ::/0"}, "is not a key of WireGuard"),
        ({"endpoint": "192.0.2.2"}, "is not an address and a port"),
        ({"endpoint": "192.0.2.2:0"}, "is not an address and a port"),
        ({"endpoint": "h1.ams:7701"}, "is not an address and a port"),
        ({"endpoint": "192.0.2.2:7701\nAllowedIPs = ::/0"}, "is not an address and a port"),
    ],
)
def test_a_peer_that_cannot_be(change: dict[str, str], said: str) -> None:
    wrong = replace(plan("lan", A), wireguard=Wireguard(OWN, 7701, (replace(A, **change),)))
    with pytest.raises(ValueError, match=said):
        wrong.check()


def test_a_network_that_cannot_be() -> None:
    whole = plan("lan", A)
    with pytest.raises(ValueError, match="is no host inside WireGuard"):
        replace(whole, wireguard=Wireguard(OWN, 7701, (B,))).check()
    with pytest.raises(ValueError, match="one of both"):
        replace(whole, sealed=True).check()
    with pytest.raises(ValueError, match="which this host cannot do any more"):
        replace(whole, wireguard=Wireguard(OWN, 0, (A,))).check()
    with pytest.raises(ValueError, match="port 65536 is not in"):
        replace(whole, wireguard=Wireguard(OWN, 65536, (A,))).check()
    with pytest.raises(ValueError, match="have one address"):
        replace(whole, wireguard=Wireguard(A.address, 7701, (A,))).check()


def test_what_wireguard_leaves_of_a_packet() -> None:
    assert 1500 - plan("lan").overhead_bytes == 1370
    assert 1500 - replace(plan("lan"), underlay="2001:db8::1").overhead_bytes == 1350


def test_what_wg_says_is_read() -> None:
    text = (
        f"{KEY}\t{KEYS[2]}\t7701\toff\n"
        f"{A.key}\t(none)\t192.0.2.2:7701\t{A.address}/128\t1796066282\t1948\t2004\toff\n"
        f"{B.key}\t(none)\t(none)\t(none)\t0\t0\t0\toff\n"
    )
    said = wireguard.read(text)
    assert said == wireguard.Said(KEY, 7701, {A.key: f"{A.address}/128", B.key: "(none)"})
    for other in ("", "nothing of that\n", text.replace("\t1948", "")):
        assert wireguard.read(other) is None


def test_every_host_reckons_the_same_address_of_another() -> None:
    """It is on the wire: builds agree on it."""
    assert PREFIX == "fd84:a5c1:e31b::/48"
    assert inside_address("a" * 64) == "fd84:a5c1:e31b:ffe0:54fe:7ae0:cb6d:c65c"
