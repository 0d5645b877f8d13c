"""What nft and dnsmasq are told, against the texts in golden/.

`UPDATE_GOLDEN=1 pytest tests/unit/netns` writes them anew; read the difference before you commit.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from netns import model
from netns.inside import Wireguard, WireguardPeer, inside_address
from netns.model import MTU_MAX, Egress, Neighbour, NetworkPlan, Port, mac_of, tap_name
from netns.plan import dnsmasq, filter_text, tunnel_text, way_text, wireguard_text
from netns.plan.wanted import wanted
from netns.resources import LinkSettings, WireguardLink

GOLDEN = Path(__file__).parent / "golden"
NETWORK = "5f2c-lan"


def _port(name: str, last: int) -> Port:
    address = f"10.42.0.{last}"
    return Port(tap_name(NETWORK, name), mac_of(NETWORK, address), address, name)


PLAN = NetworkPlan(
    network=NETWORK,
    owner_tag="uc1",
    vni=0xC0FFEE,
    cidr="10.42.0.0/24",
    gateway="10.42.0.1",
    mtu=1450,
    underlay="192.0.2.1",
    domain="star",
    epoch=1,
    ports=(_port("head", 2), _port("worker-1", 3)),
    neighbours=tuple(
        Neighbour(mac_of(NETWORK, f"10.42.0.{last}"), f"10.42.0.{last}", name, via)
        for name, last, via in (("worker-2", 4, "192.0.2.2"), ("worker-3", 5, "192.0.2.3"))
    ),
)
SEALED = replace(
    PLAN,
    sealed=True,
    mtu=1418,
    neighbours=tuple(replace(each, via="", peer="ab" * 16) for each in PLAN.neighbours),
)
INSIDE = replace(
    PLAN,
    mtu=1370,
    neighbours=tuple(replace(each, via=inside_address(each.via)) for each in PLAN.neighbours),
    wireguard=Wireguard(
        inside_address("me"),
        7701,
        tuple(
            WireguardPeer(host, "A" * 43 + "=", inside_address(host), f"{host}:7701")
            for host in ("192.0.2.2", "192.0.2.3")
        ),
    ),
)
OUTSIDE = way_text.ends(0)[0]
HOSTS = Egress(closed=("10.0.0.0/8",))
EGRESS = Egress(closed=("10.0.0.0/8", "192.0.2.0/24"), resolvers=("9.9.9.9",))


def _out(plan: NetworkPlan) -> NetworkPlan:
    return replace(plan, egress=EGRESS)


def _wireguard() -> WireguardLink:
    link = wireguard_text.link_of("uc1", (INSIDE,), {})
    assert link is not None
    return link


SIX = replace(
    PLAN,
    cidr6="fd12:3456:789a:1::/64",
    others=(("web", "10.43.0.2"),),
    others6=(("web", "fd00::2"),),
)


def _exposed(plan: NetworkPlan) -> NetworkPlan:
    head = PLAN.ports[0].address
    ways = (
        model.Exposed(head, 443, "tcp", 31443),
        model.Exposed(head, 53, "udp", 31443),
        model.Exposed(head, 22, "tcp", 30022),
    )
    return replace(plan, exposed=ways, exposed_at="198.51.100.7")


TEXTS: dict[str, Callable[[NetworkPlan], str]] = {
    "filter.nft": filter_text.ruleset,
    "dnsmasq.conf": lambda plan: dnsmasq.config(plan, OUTSIDE),
    "dhcp-hosts": dnsmasq.dhcp_hosts,
    "names": dnsmasq.names,
    "filter-groups.nft": lambda plan: filter_text.ruleset(replace(plan, multicast=True)),
    "filter-out.nft": lambda plan: filter_text.ruleset(_out(plan)),
    "filter-six.nft": lambda _: filter_text.ruleset(SIX),
    "dnsmasq-six.conf": lambda _: dnsmasq.config(SIX, OUTSIDE),
    "dhcp-hosts-six": lambda _: dnsmasq.dhcp_hosts(SIX),
    "names-six": lambda _: dnsmasq.names(SIX),
    "dnsmasq-out.conf": lambda plan: dnsmasq.config(_out(plan), OUTSIDE),
    "dnsmasq-host.conf": lambda plan: dnsmasq.config(replace(plan, egress=HOSTS), OUTSIDE),
    "dnsmasq-relay.conf": lambda _: dnsmasq.relay(HOSTS, OUTSIDE),
    "tunnel.nft": tunnel_text.ruleset,
    "tunnel-sealed.nft": lambda _: tunnel_text.ruleset(SEALED),
    "tunnel-inside.nft": lambda _: tunnel_text.ruleset(INSIDE),
    "wireguard.nft": lambda _: _wireguard().filter.ruleset,
    "way.nft": lambda plan: way_text.ruleset(_out(plan), 0),
    "way-host.nft": lambda plan: way_text.ruleset(replace(plan, egress=HOSTS), 0),
    "way-exposed.nft": lambda plan: way_text.ruleset(_exposed(_out(plan)), 0),
    "way-in.nft": lambda plan: way_text.ruleset(_exposed(plan), 0),
    "inside.nft": lambda plan: way_text.inner_ruleset(_out(plan)),
    "inside-exposed.nft": lambda plan: way_text.inner_ruleset(_exposed(_out(plan))),
    "inside-in.nft": lambda plan: way_text.inner_ruleset(_exposed(plan)),
    "filter-exposed.nft": lambda plan: filter_text.ruleset(_exposed(_out(plan))),
    "dnsmasq-in.conf": lambda plan: dnsmasq.config(_exposed(plan), OUTSIDE),
    "dhcp-hosts-in": lambda plan: dnsmasq.dhcp_hosts(_exposed(plan)),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_the_golden_one(name: str) -> None:
    text = TEXTS[name](PLAN)
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / name).write_text(text)
    assert text == (GOLDEN / name).read_text()


def test_who_gets_out_is_exposed_by_what_the_same_server_says() -> None:
    """A port that comes or goes does not stop names and leases for a moment."""
    plan = _out(PLAN)
    assert dnsmasq.config(_exposed(plan), OUTSIDE) == dnsmasq.config(plan, OUTSIDE)
    assert dnsmasq.dhcp_hosts(_exposed(plan)) == dnsmasq.dhcp_hosts(plan)


def test_a_sealed_network_has_the_rules_of_a_plain_one_at_another_door() -> None:
    plain = filter_text.ruleset(replace(PLAN, mtu=SEALED.mtu))
    assert filter_text.ruleset(SEALED) == plain.replace(PLAN.vxlan, "ovs-c0ffee")
    assert "ovx-" not in filter_text.ruleset(SEALED)


def test_guests_are_told_what_the_narrowest_path_takes_and_links_stay_as_they_are() -> None:
    narrow = replace(SEALED, told_mtu=1318)
    narrow.check()
    assert "dhcp-option-force=option:mtu,1318\n" in dnsmasq.config(narrow, OUTSIDE)
    assert "dhcp-option-force=option:mtu,1418\n" in dnsmasq.config(SEALED, OUTSIDE)
    assert filter_text.ruleset(narrow) == filter_text.ruleset(SEALED), "the forwarder sees to it"
    six = dnsmasq.config(replace(narrow, told_mtu=1178, cidr6="fd00:1:2:3::/64"), OUTSIDE)
    assert "dhcp-option-force=option:mtu,1280\n" in six, "with less Linux speaks no IPv6"
    assert ",mtu:1280," in six


@pytest.mark.parametrize(
    "egress", [Egress(closed=("10.0.0.0/33",)), Egress(resolvers=("resolver.example",))]
)
def test_a_way_out_that_cannot_be(egress: Egress) -> None:
    with pytest.raises(ValueError, match=r"is not an IPv4"):
        replace(PLAN, egress=egress).check()


def test_who_is_on_another_network_is_known_by_name_and_gets_no_lease() -> None:
    other = replace(PLAN, others=(("db-1", "10.43.0.10"),))
    other.check()
    assert "10.43.0.10 db-1.star db-1\n" in dnsmasq.names(other)
    assert dnsmasq.dhcp_hosts(other) == dnsmasq.dhcp_hosts(PLAN)
    assert dnsmasq.config(other, OUTSIDE) == dnsmasq.config(PLAN, OUTSIDE), "no restart is needed"


@pytest.mark.parametrize(
    "other", [("head", "10.43.0.10"), ("db-1", "nowhere"), ("Not a label", "10.43.0.10")]
)
def test_a_name_of_another_network_that_cannot_be(other: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"is not a DNS label with|there 2 times"):
        replace(PLAN, others=(other,)).check()


@pytest.mark.parametrize("name", TEXTS)
def test_text_does_not_depend_on_the_order_of_members(name: str) -> None:
    turned = replace(PLAN, ports=PLAN.ports[::-1], neighbours=PLAN.neighbours[::-1])
    assert TEXTS[name](turned) == TEXTS[name](PLAN)


def test_a_network_without_members_has_no_empty_element_lists() -> None:
    bare = replace(PLAN, ports=(), neighbours=())
    assert "elements" not in filter_text.ruleset(bare)
    assert "elements" not in tunnel_text.ruleset(bare)


def test_what_a_guest_sends_too_long_reaches_the_forwarder() -> None:
    card = replace(SEALED.ports[0], paired=True)
    for plan, most in ((SEALED, MTU_MAX), (PLAN, PLAN.mtu)):
        mixed = replace(plan, ports=(card, *plan.ports[1:]))
        mtus = {r.name: r.mtu for r in wanted(mixed) if isinstance(r, LinkSettings)}
        assert (mtus[mixed.tunnel], mtus[card.tap]) == (most, most)
        assert mtus[mixed.ports[1].tap] == mtus[mixed.veth] == mixed.mtu


def test_who_has_ipv4_alone_is_not_looked_for_over_ipv6() -> None:
    """A guest that asks for it by name would begin with that, and wait."""
    first, *others = SIX.neighbours
    alone = replace(SIX, neighbours=(replace(first, four_alone=True), *others))
    six = SIX.six(first.address)
    assert f"{six} {first.name}.star {first.name}\n" in dnsmasq.names(SIX)
    assert six not in dnsmasq.names(alone)
    assert f"{first.address} {first.name}.star {first.name}\n" in dnsmasq.names(alone)
    assert six in filter_text.ruleset(SIX)
    assert six not in filter_text.ruleset(alone)
    assert first.mac in filter_text.ruleset(alone)
