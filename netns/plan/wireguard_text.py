"""The WireGuard interface of a host, as its networks want it, with texts for `wg` and `nft`.

A host has one for all of its networks that cross by WireGuard. VXLAN packets are all that goes through it. A
host's address inside follows from who it is, and WireGuard takes packets from that address by that host's key
alone. So a network knows by the address which host a frame is from.
"""

from collections.abc import Iterable, Mapping

from netns.inside import MTU_MIN, PREFIX, VXLAN_INSIDE_BYTES, WireguardPeer, link_name, table_name
from netns.model import VXLAN_PORT, NetworkPlan
from netns.resources import Filter, WireguardLink


def link_of(
    owner_tag: str, plans: Iterable[NetworkPlan], known: Mapping[str, str]
) -> WireguardLink | None:
    """What the plans of a host's networks want of its interface; None if they want none.

    `known` is whose each key was last. Of two hosts that tell the same key the one that told it first has it,
    so nobody gets what is for another, or stops it, by telling the other's key.
    """
    crossing = [(plan, plan.wireguard) for plan in plans if plan.wireguard is not None]
    if not crossing:
        return None
    _, newest = max(crossing, key=lambda pair: pair[0].epoch)
    own: dict[str, WireguardPeer] = {}
    for _, wireguard in crossing:
        own |= {peer.peer: peer for peer in wireguard.peers}
    by_key: dict[str, WireguardPeer] = {}
    for peer in sorted(own.values(), key=lambda peer: peer.peer):
        if known.get(peer.key) == peer.peer:
            by_key[peer.key] = peer
        else:
            by_key.setdefault(peer.key, peer)
    name, table = link_name(owner_tag), table_name(owner_tag)
    mtu = max(plan.mtu for plan, _ in crossing) + VXLAN_INSIDE_BYTES
    peers = tuple(by_key[key] for key in sorted(by_key))
    return WireguardLink(
        name=name,
        address=newest.address,
        port=newest.port,
        mtu=max(mtu, MTU_MIN),
        peers=peers,
        config=_config(newest.port, peers),
        filter=Filter(table, _rules(name, table)),
    )


def _config(port: int, peers: tuple[WireguardPeer, ...]) -> str:
    lines = [f"ListenPort = {port}"]
    for peer in peers:
        lines += ["[Peer]", f"PublicKey = {peer.key}", f"AllowedIPs = {peer.address}/128"]
        lines += [f"Endpoint = {peer.endpoint}"] if peer.endpoint else []
    return "\n".join([*lines, ""])


def _rules(name: str, table: str) -> str:
    """The host is no member of what is inside, and no way to it."""
    vxlan = f"ip6 saddr {PREFIX} ip6 daddr {PREFIX} udp dport {VXLAN_PORT} accept"
    chains = {
        "input": [f'iifname "{name}" {vxlan}', f'iifname "{name}" drop'],
        "forward": [f'iifname "{name}" drop', f'oifname "{name}" drop'],
        "output": [f'oifname "{name}" {vxlan}', f'oifname "{name}" drop'],
    }
    lines = [f"add table {table}", f"delete table {table}", f"table {table} {{"]
    for hook, each in chains.items():
        head = f"\t\ttype filter hook {hook} priority -10; policy accept;"
        lines += [f"\tchain {hook} {{", head, *(f"\t\t{rule}" for rule in each), "\t}"]
    return "\n".join([*lines, "}", ""])
