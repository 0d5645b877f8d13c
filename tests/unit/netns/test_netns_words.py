"""What was wrong is said by what somebody did, not by what hangs on it."""

import pytest
from msgspec.structs import replace

from netns.model import Neighbour, NetworkPlan, Port, mac_of, tap_name
from netns.plan.difference import steps
from netns.plan.wanted import wanted
from netns.plan.words import harm
from netns.resources import (
    ArpEntry,
    BridgeEntry,
    Filter,
    Gateway,
    Link,
    LinkKind,
    LinkSettings,
    Namespace,
    Rate,
    Resource,
    Service,
    TunnelEntry,
)

NETWORK = "lan"
PLAN = NetworkPlan(
    NETWORK, "t", 5, "10.1.0.0/24", "10.1.0.1", 1400, "192.0.2.1", "star", 1,
    (Port(tap_name(NETWORK, "head"), mac_of(NETWORK, "10.1.0.2"), "10.1.0.2", "head"),),
    (Neighbour(mac_of(NETWORK, "10.1.0.3"), "10.1.0.3", "far", "192.0.2.2"),),
)  # fmt: skip
TAP = PLAN.ports[0].tap


def said(observed: list[Resource]) -> str:
    return harm(PLAN, steps(wanted(PLAN), observed), observed)


def without_link(name: str) -> list[Resource]:
    """As the kernel has it after `ip link del`: what hangs on the link is gone, ports are off a bridge."""
    left: list[Resource] = []
    for resource in wanted(PLAN):
        match resource:
            case Link(name=link) | LinkSettings(name=link) if link == name:
                continue
            case LinkSettings(master=master) if master == name:
                left.append(replace(resource, master="", amiss=True))
            case BridgeEntry(link=link, bridge=bridge) if name in (link, bridge):
                continue
            case TunnelEntry(vxlan=link) | ArpEntry(vxlan=link) | Gateway(link=link) if (
                link == name
            ):
                continue
            case _:
                left.append(resource)
    return left


def test_the_tap_of_a_forwarder_is_the_tunnels_device() -> None:
    sealed = replace(PLAN, sealed=True)
    there = [one for one in wanted(sealed) if one.key[1:2] != (sealed.tunnel,)]
    told = harm(sealed, steps(wanted(sealed), there), there)
    assert told.startswith("tunnel device ovs-000005 was gone")


def changed(kind: type[Resource], **how: object) -> list[Resource]:
    """One thing of that kind is as somebody set it."""
    first = next(resource for resource in reversed(wanted(PLAN)) if isinstance(resource, kind))
    return [replace(one, **how) if one == first else one for one in wanted(PLAN)]


def test_nothing_is_said_of_what_is_as_it_should_be() -> None:
    assert said(list(wanted(PLAN))) == ""


@pytest.mark.parametrize(
    ("link", "words"),
    [
        (PLAN.vxlan, "tunnel device ovx-000005 was gone"),
        (PLAN.bridge, "bridge ovb-000005 was gone"),
        (PLAN.veth, "link to its services ovv-000005 was gone"),
        (TAP, f"tap of head {TAP} was gone"),
    ],
)
def test_a_link_that_was_deleted_is_named_alone(link: str, words: str) -> None:
    assert said(without_link(link)) == words


def test_the_rules_and_the_service() -> None:
    flushed = [one for one in wanted(PLAN) if not isinstance(one, Filter)]
    assert said(flushed) == (
        "packet filter ovl_000005 was gone; tunnel's packet filter ovl_000005 was gone"
    )
    changes = changed(Filter, ruleset="")
    assert said(changes) == "tunnel's packet filter ovl_000005 had other rules than ours"
    killed = changed(Service, config="", dhcp_hosts="", names="")
    assert said(killed) == "dnsmasq (DHCP and DNS) did not run as started"
    assert said([one for one in wanted(PLAN) if not isinstance(one, Service)]) == (
        "dnsmasq (DHCP and DNS) was gone"
    )


def test_settings_are_said_one_by_one() -> None:
    down = changed(LinkSettings, up=False, mtu=900, master="", alias="", ipv6=True)
    assert said(down) == (
        f"tap of head {TAP} was down, off its bridge, of mtu 900, without its alias, speaking IPv6"
    )
    six = replace(PLAN, cidr6="fd42::/64")
    silent = [
        replace(one, ipv6=False) if isinstance(one, LinkSettings | Gateway) else one
        for one in wanted(six)
    ]
    assert harm(six, steps(wanted(six), silent), silent) == (
        f"tunnel device {PLAN.vxlan} was silent over IPv6; gateway's link had changed: no IPv6"
    )
    amiss = changed(LinkSettings, amiss=True)
    assert said(amiss) == f"tap of head {TAP} was set to flood, filter or hold frames"
    assert said(changed(LinkSettings, master="br0")) == f"tap of head {TAP} was on br0"
    other = changed(
        Gateway, up=False, address="", mac="02:00:00:00:00:01", mtu=900, ipv6=True,
        forwarding=True, checksum_offload=True,
    )  # fmt: skip
    assert said(other) == (
        "gateway's link had changed: down, address none, mac 02:00:00:00:00:01, mtu 900, IPv6, forwarding, "
        "checksum offload"
    )


def test_a_rate_is_said_by_whose_it_is_and_which_way() -> None:
    held = replace(PLAN, ports=(replace(PLAN.ports[0], bits_s=10**6),))

    def told(**how: object) -> str:
        there = [replace(one, **how) if isinstance(one, Rate) else one for one in wanted(held)]
        return harm(held, steps(wanted(held), there), there)

    assert told() == ""
    assert told(to_bits_s=0) == f"rate of head at {TAP} was none to its guest"
    other = told(from_bits_s=8, alias="")
    assert other == f"rate of head at {TAP} was 8 bit/s from its guest, without its alias"
    assert told(to_bits_s=0, from_bits_s=0) == f"rate of head at {TAP} was gone"
    strange = harm(PLAN, steps(wanted(PLAN), wanted(held)), wanted(held))
    assert strange == f"rate of head at {TAP} was added by somebody"
    gone = [one for one in wanted(held) if one.key[1:2] != (TAP,) and not isinstance(one, Rate)]
    assert harm(held, steps(wanted(held), gone), gone) == f"tap of head {TAP} was gone"


def test_entries_are_counted() -> None:
    kinds = (BridgeEntry, TunnelEntry, ArpEntry)
    bare = [one for one in wanted(PLAN) if not isinstance(one, kinds)]
    assert said(bare) == "3 forwarding entries gone; 1 tunnel entry gone; 1 neighbour entry gone"
    strange = TunnelEntry(PLAN.vxlan, "00:00:00:00:00:00", "192.0.2.9")
    assert said([*wanted(PLAN), strange]) == "1 tunnel entry added by somebody"


def test_a_namespace_that_lost_its_name_is_named_alone() -> None:
    lost = [
        replace(one, namespace="") if isinstance(one, Link) and one.kind is LinkKind.VETH else one
        for one in wanted(PLAN)
        if not isinstance(one, Namespace | Gateway)
    ]
    assert said(lost).startswith(f"namespace {PLAN.namespace} was gone")


def test_what_is_too_much_to_say_is_counted() -> None:
    assert said([]).endswith("and 4 more")


def test_ports_of_a_bridge_that_is_down_are_not_told_besides() -> None:
    down = [
        replace(one, up=one.name != PLAN.bridge, amiss=one.name != PLAN.bridge)
        if isinstance(one, LinkSettings)
        else one
        for one in wanted(PLAN)
    ]
    assert said(down) == "bridge ovb-000005 was down"
