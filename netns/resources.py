"""The things a network is made of on one host, and the steps that change them.

A resource is a frozen value with a `key`. Two with the same key are the same thing in two states.
Wanted and observed are both plain tuples of resources, so the difference is set arithmetic that knows
nothing of the kernel.
"""

from enum import StrEnum

import msgspec

from netns.inside import WireguardPeer

Key = tuple[str, ...]

INNER_LINK = "gw0"  # the veth's end inside the network's namespace
OUTER_LINK = "out0"  # the end of the way out in there


class LinkKind(StrEnum):
    BRIDGE = "bridge"
    VXLAN = "vxlan"
    SEALED = "sealed"  # the tap of the forwarder that seals what goes to other hosts
    VETH = "veth"
    CARD = "card"  # the host's end of a veth pair whose other end is for a container
    PORT = "port"  # a tap; anything else that already bears its name is taken as it is
    FOREIGN = "foreign"  # observed only: our name, on something that is not ours to use


class Namespace(msgspec.Struct, frozen=True, tag="namespace"):
    """/run/netns/NAME, as `ip netns` makes it. If it is not mounted, its maker was killed half-way."""

    name: str
    mounted: bool = True

    @property
    def key(self) -> Key:
        return ("namespace", self.name)


class Filter(msgspec.Struct, frozen=True, tag="filter"):
    """One nftables table. `ruleset` is the whole text that makes it."""

    table: str
    """Its family and its name, as nft takes them: `bridge ovl_12`."""
    ruleset: str

    @property
    def key(self) -> Key:
        return ("filter", self.table)


class WireguardLink(msgspec.Struct, frozen=True):
    """This host's WireGuard interface, by which some of its networks cross hosts.

    `address` is its own inside, `peers` are the hosts of all those networks, by key. `config` is what `wg` is
    told, but for the private key, and `filter` the rules that belong to it.
    """

    name: str
    address: str
    port: int
    mtu: int
    peers: tuple[WireguardPeer, ...]
    config: str
    filter: Filter


class Link(msgspec.Struct, frozen=True, tag="link"):
    """What cannot change while the link lives. Only a vxlan device has `vni`, `local` and `safe`.

    `mac` is what the other end of a card's pair was made with.
    `namespace` is where the other end of a veth pair sits. `safe` says that a vxlan device neither
    learns nor passes ARP on, and of a forwarder's tap that it stays, root's, whoever has it open.
    """

    name: str
    kind: LinkKind
    vni: int = 0
    local: str = ""
    safe: bool = True
    namespace: str = ""
    mac: str = ""

    @property
    def key(self) -> Key:
        return ("link", self.name)


class LinkSettings(msgspec.Struct, frozen=True, tag="settings"):
    """What can change. `amiss`: as a bridge port it learns, floods unknown destinations or lets nothing by.
    `floods`: as a bridge port it takes what goes to a group.

    For a bridge `amiss` means that it snoops multicast, speaks STP or filters VLANs.
    """

    name: str
    master: str
    mtu: int
    alias: str
    up: bool = True
    ipv6: bool = False
    amiss: bool = False
    floods: bool = False

    @property
    def key(self) -> Key:
        return ("settings", self.name)


class Gateway(msgspec.Struct, frozen=True, tag="gateway"):
    """The service addresses at the inner end of veth `link`.

    `address` has all of them, each with its prefix length, sorted, a space between.

    `checksum_offload` must be off. A guest that reads raw packets (every DHCP client does) would see the
    unfinished checksum that the veth leaves to hardware that is not there.
    """

    namespace: str
    link: str
    address: str
    mac: str
    mtu: int
    up: bool = True
    ipv6: bool = False
    forwarding: bool = False
    checksum_offload: bool = False

    @property
    def key(self) -> Key:
        return ("gateway", self.namespace)


class WayOut(msgspec.Struct, frozen=True, tag="way-out"):
    """A veth pair from the namespace to the host, by which guests get out with the host's own address.

    `inside` and `outside` are the addresses of its ends, a /31. `rules` is the whole text of the host's own
    nftables table for it, `inner` that of the namespace's. In there the default route leads to `outside`
    (`leads`).
    """

    namespace: str
    link: str
    inside: str
    outside: str
    rules: str
    inner: str
    leads: bool = True

    @property
    def key(self) -> Key:
        return ("way-out", self.namespace)


class Rate(msgspec.Struct, frozen=True, tag="rate"):
    """What the card at a tap is held to, in bits a second: what is sent to it, and what comes from it.

    What comes from it waits in `link`, which has the alias of all links of the network. A way that is not
    held to anything has 0.
    """

    tap: str
    link: str
    to_bits_s: int
    from_bits_s: int
    alias: str

    @property
    def key(self) -> Key:
        return ("rate", self.tap)


class BridgeEntry(msgspec.Struct, frozen=True, tag="bridge-entry"):
    """A static forwarding entry of the bridge: this MAC is behind that link."""

    bridge: str
    link: str
    mac: str

    @property
    def key(self) -> Key:
        return ("bridge-entry", self.bridge, self.mac)


class TunnelEntry(msgspec.Struct, frozen=True, tag="tunnel-entry"):
    """A permanent forwarding entry of the vxlan device: this MAC is at that VTEP."""

    vxlan: str
    mac: str
    via: str

    @property
    def key(self) -> Key:
        return ("tunnel-entry", self.vxlan, self.mac)


class CopyEntry(msgspec.Struct, frozen=True, tag="copy-entry"):
    """A permanent entry of the vxlan device: what goes to a group, or to all, goes to that VTEP, too."""

    vxlan: str
    via: str

    @property
    def key(self) -> Key:
        return ("copy-entry", self.vxlan, self.via)


class ArpEntry(msgspec.Struct, frozen=True, tag="arp-entry"):
    """A permanent neighbour of the vxlan device. It answers ARP, or neighbour discovery, itself from it."""

    vxlan: str
    address: str
    mac: str

    @property
    def key(self) -> Key:
        return ("arp-entry", self.vxlan, self.address)


class Service(msgspec.Struct, frozen=True, tag="service"):
    """dnsmasq in the network's namespace: its configuration, its DHCP hosts, its DNS names.

    One without a namespace is the host's own, which asks the host's resolvers for that one. The observed one is
    what the running process has really read.
    """

    namespace: str
    config: str
    dhcp_hosts: str
    names: str

    @property
    def key(self) -> Key:
        return ("service", self.namespace)


Resource = (
    Namespace
    | Filter
    | Link
    | LinkSettings
    | Gateway
    | WayOut
    | Rate
    | BridgeEntry
    | TunnelEntry
    | CopyEntry
    | ArpEntry
    | Service
)


class Action(StrEnum):
    ADD = "add"
    REPLACE = "replace"
    DELETE = "delete"


class Step(msgspec.Struct, frozen=True):
    """One idempotent change."""

    action: Action
    resource: Resource

    def __str__(self) -> str:
        return f"{self.action} {' '.join(self.resource.key)}"


class Scope(msgspec.Struct, frozen=True):
    """The names under which everything of one network on one host is found."""

    bridge: str
    vxlan: str
    sealed: str
    veth: str
    namespace: str
    table: str
    """The name of its tables, of which there is one in each family (`tables`)."""
    way: str
    taps: tuple[str, ...] = ()
    cards: tuple[str, ...] = ()
    """Those of the taps that are the ends of containers' cards."""

    @property
    def filters(self) -> tuple[str, str]:
        """The tables that a `Filter` is: what frames pass in the bridge, and what the tunnel lets in."""
        return f"bridge {self.table}", f"inet {self.table}"

    @property
    def way_table(self) -> str:
        """The host's table for the way out."""
        return f"ip {self.table}"
