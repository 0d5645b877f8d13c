"""A plan as the resources that carry it out.

Nothing learns and nothing floods. The bridge knows by static entries behind which port each MAC is, and the
vxlan device knows by permanent entries at which VTEP. The vxlan device has `proxy`: it answers ARP for the
members it has a neighbour for, and swallows all other ARP; and neighbour discovery likewise, for which alone it
speaks IPv6, without an address. It has no default destination, so a broadcast ends there; on a network with
`multicast` it has every other host as one, and the bridge gives what goes to a group to all of its ports but
that of the services. The gateway's MAC is the same on every host, and is pinned to the local veth.

A sealed network has a tap in the place of the vxlan device. Whoever has it open seals what leaves by it, and
answers ARP as the vxlan device would; the bridge and its filters do not tell the two apart. The tap takes
packets of any length, and so does the host's end of a container's pair: a guest that was told a larger MTU, and
sends what is too long by now, is told so by the forwarder, where those would only drop it.
"""

from netns import model
from netns.model import NetworkPlan, Port
from netns.plan import dnsmasq, filter_text, tunnel_text, way_text
from netns.resources import (
    ArpEntry,
    BridgeEntry,
    CopyEntry,
    Filter,
    Gateway,
    Link,
    LinkKind,
    LinkSettings,
    Namespace,
    Rate,
    Resource,
    Scope,
    Service,
    TunnelEntry,
    WayOut,
)

_OF_ANY_LENGTH = (LinkKind.SEALED, LinkKind.CARD)


def alias_of(owner_tag: str, network: str) -> str:
    """What every link of the network says about itself in `ip link`."""
    return f"overlayd/{owner_tag}/{network}"


def scope_of_vni(
    owner_tag: str, vni: int, taps: tuple[str, ...] = (), cards: tuple[str, ...] = ()
) -> Scope:
    return Scope(
        bridge=model.bridge_name(vni),
        vxlan=model.vxlan_name(vni),
        sealed=model.sealed_name(vni),
        veth=model.veth_name(vni),
        way=model.way_name(vni),
        namespace=model.namespace_name(owner_tag, vni),
        table=model.table_name(vni),
        taps=taps,
        cards=cards,
    )


def addresses_of(plan: NetworkPlan) -> str:
    """The addresses of the namespace's end of the network, as a `Gateway` has them."""
    found = [f"{plan.gateway}/{plan.prefix_bits}", f"{model.METADATA_ADDRESS}/32"]
    if plan.cidr6:
        six = (plan.six(plan.gateway), model.GATEWAY_LINK_ADDRESS)
        found += [f"{address}/{model.PREFIX6_BITS}" for address in six]
    return " ".join(sorted(found))


def wanted(plan: NetworkPlan, slot: int = 0) -> tuple[Resource, ...]:
    """Everything that must exist on this host for the plan, and nothing else of this network.

    `slot` tells the way out of this network from those of others on this host.
    """
    alias = alias_of(plan.owner_tag, plan.network)
    links = [
        Link(plan.bridge, LinkKind.BRIDGE),
        _tunnel(plan),
        Link(plan.veth, LinkKind.VETH, namespace=plan.namespace),
        *(_port(port) for port in plan.ports),
    ]
    settings = [
        LinkSettings(
            link.name,
            "" if link.name == plan.bridge else plan.bridge,
            model.MTU_MAX if plan.sealed and link.kind in _OF_ANY_LENGTH else plan.mtu,
            alias,
            ipv6=link.kind is LinkKind.VXLAN and bool(plan.cidr6),
            floods=plan.multicast and link.name not in (plan.bridge, plan.veth),
        )
        for link in links
    ]
    entries: list[Resource] = [BridgeEntry(plan.bridge, plan.veth, plan.gateway_mac)]
    entries += [BridgeEntry(plan.bridge, port.tap, port.mac) for port in plan.ports]
    for neighbour in plan.neighbours:
        entries.append(BridgeEntry(plan.bridge, plan.tunnel, neighbour.mac))
        if plan.sealed:
            continue
        entries.append(TunnelEntry(plan.vxlan, neighbour.mac, neighbour.via))
        entries.append(ArpEntry(plan.vxlan, neighbour.address, neighbour.mac))
        if plan.cidr6 and not neighbour.four_alone:
            entries.append(ArpEntry(plan.vxlan, plan.six(neighbour.address), neighbour.mac))
    if plan.multicast and not plan.sealed:
        vias = dict.fromkeys(neighbour.via for neighbour in plan.neighbours)
        entries += [CopyEntry(plan.vxlan, via) for via in vias]
    return (
        Namespace(plan.namespace),
        Filter(f"bridge {plan.table}", filter_text.ruleset(plan)),
        Filter(f"inet {plan.table}", tunnel_text.ruleset(plan)),
        *links,
        *settings,
        Gateway(
            plan.namespace,
            plan.veth,
            addresses_of(plan),
            plan.gateway_mac,
            plan.mtu,
            ipv6=bool(plan.cidr6),
            forwarding=plan.leads_out,
        ),
        *_ways(plan, slot),
        *entries,
        *(_rate(port, alias) for port in plan.ports if port.bits_s),
        Service(
            plan.namespace,
            dnsmasq.config(plan, way_text.ends(slot)[0]),
            dnsmasq.dhcp_hosts(plan),
            dnsmasq.names(plan),
        ),
        *_relays(plan, slot),
    )


def _tunnel(plan: NetworkPlan) -> Link:
    if plan.sealed:
        return Link(plan.tunnel, LinkKind.SEALED)
    return Link(plan.vxlan, LinkKind.VXLAN, vni=plan.vni, local=plan.vtep)


def _port(port: Port) -> Link:
    if port.paired:
        return Link(port.tap, LinkKind.CARD, mac=port.mac)
    return Link(port.tap, LinkKind.PORT)


def _rate(port: Port, alias: str) -> Rate:
    bits_s = port.bits_s // 8 * 8  # the kernel counts bytes
    return Rate(port.tap, model.rate_name(port.tap), bits_s, bits_s, alias)


def _ways(plan: NetworkPlan, slot: int) -> tuple[WayOut, ...]:
    if not plan.leads_out:
        return ()
    outside, inside = way_text.ends(slot)
    rules, inner = way_text.ruleset(plan, slot), way_text.inner_ruleset(plan)
    return (WayOut(plan.namespace, plan.way, inside, outside, rules, inner),)


def _relays(plan: NetworkPlan, slot: int) -> tuple[Service, ...]:
    if plan.egress is None or not dnsmasq.asks_host(plan.egress):
        return ()
    return (Service("", dnsmasq.relay(plan.egress, way_text.ends(slot)[0]), "", ""),)
