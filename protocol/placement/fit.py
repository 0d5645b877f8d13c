"""Does it fit? One set of rules, for the requester that chooses and for the host that promises.

If bidder and committer ask different functions (Nomad's plan applier), they loop. So every rule is here, in
three parts by what it depends on: `unsuitable` on host and workspace alone, `lacking` on the room that is
left, `apart_from` on two hosts that would both carry members. `refusals` is all of it. A host that promises
knows only the members on itself, so it asks with those.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from math import inf

import msgspec

from protocol.capacity.advert import GivenPorts, HostFacts
from protocol.capacity.quantum import Guaranteed, Quantum, is_port, port_named
from protocol.grid.model import (
    Compact,
    Encryption,
    Exposure,
    GridSpec,
    Spread,
    Strict,
    Workspace,
)
from protocol.policy.site_policy import PortSpan
from protocol.terms.coordinate import Coordinate, distance_s, known
from protocol.terms.ids import PeerId
from protocol.terms.quantities import cpus_in_words, format_size
from protocol.terms.refusal import PORTS, Constraint, Refusal


class Offer(msgspec.Struct, frozen=True):
    """What one host says it has now."""

    peer: PeerId
    host: str
    site: str
    facts: HostFacts
    free: Quantum
    images: tuple[str, ...] = ()
    """Digests of the images it has."""
    refused: Refusal | None = None
    """Set if the host said no for a reason that is not about room."""
    coordinate: Coordinate | None = None
    clashes: tuple[str, ...] = ()
    """Grids it carries that must be kept apart from the one asked for."""
    hidden: bool = False
    """Not every host can reach it, so tunnels of grid networks do not leave its site."""
    kept: Quantum = Quantum()
    """Room it keeps for older orders; not in `free`."""
    guaranteed: Guaranteed = Guaranteed()
    """Room that it keeps for others; not in `free`."""
    shut: tuple[tuple[int, str], ...] = ()
    """Ports that the grid names and the host does not give, and why."""
    spans: tuple[PortSpan, ...] = ()
    """Ports that it may choose for whose grid it is; none for any that it gives."""

    @property
    def by_ipv6(self) -> bool:
        """Whether its networks cross hosts by IPv6."""
        return ":" in self.facts.underlay


class Rules(msgspec.Struct, frozen=True):
    """What the grid asks of every host."""

    sites: tuple[str, ...] = ()
    """Only these sites; empty means any."""
    exclude: tuple[str, ...] = ()
    """Never on these hosts, by name."""
    exclude_sites: tuple[str, ...] = ()
    prefer: tuple[str, ...] = ()
    """Sites, the best first."""
    spread: str = "none"
    """`site`, `host` or `none`."""
    strict_spread: bool = False
    """No two members may share it."""
    compact: str = "none"
    """`site`, `host` or `none`."""
    strict_compact: bool = False
    """All members must share it."""
    within_ms: int = 0
    sealed: bool = False
    """Members must be on one host or on hosts that seal: what they send each other may not be readable."""
    tunnels: bool = False
    """Members share a network that is not sealed, and not all hosts can reach all. No tunnel of such a network
    leaves the site of a hidden host."""
    open_hosts: bool = False
    """Members share a sealed network, and not all hosts can reach all. Those that all reach are preferred: for
    others a third host may have to pass everything on."""
    families: bool = False
    """Members share a network, which some hosts take by IPv4 and some by IPv6: no tunnel joins the two."""
    least: tuple[tuple[str, int], ...] = ()
    """Clusters that may be smaller than asked, and the fewest workspaces of each that still make a grid."""

    @property
    def pairs(self) -> bool:
        """Whether a member's place rules out places for others."""
        strict = self.strict_spread or self.strict_compact
        return strict or self.crossing or self.within_ms > 0

    @property
    def crossing(self) -> bool:
        """Whether not every pair of hosts can carry a network of it together."""
        return self.sealed or self.tunnels or self.families


def rules_of(spec: GridSpec, offers: Iterable[Offer] = ()) -> Rules:
    """What a grid asks of `offers`, of which some may not seal, or may not be reachable by all."""
    offers = tuple(offers)
    placement = spec.placement
    shared, sealed = _shared_networks(spec), sealed_networks(spec)
    hides = any(offer.hidden for offer in offers)
    return Rules(
        sites=placement.sites,
        exclude=placement.exclude,
        exclude_sites=placement.exclude_sites,
        prefer=placement.prefer,
        spread=placement.spread,
        strict_spread=Strict.SPREAD in placement.strict and placement.spread is not Spread.NONE,
        compact=placement.compact,
        strict_compact=Strict.COMPACT in placement.strict and placement.compact is not Compact.NONE,
        within_ms=placement.within_ms,
        sealed=bool(sealed) and not all(offer.facts.encrypts for offer in offers),
        tunnels=hides and len(sealed) < len(shared),
        open_hosts=hides and bool(sealed),
        families=bool(spec.networks) and len({offer.by_ipv6 for offer in offers}) > 1,
        least=tuple((c.name, c.least) for c in spec.clusters if c.least < c.count),
    )


def sealed_networks(spec: GridSpec) -> list[str]:
    """The networks by which members send each other what may not be readable on the way."""
    sealed = [n.name for n in spec.networks if n.encryption is Encryption.REQUIRED]
    shared = _shared_networks(spec)
    return [name for name in sealed if name in shared]


def _shared_networks(spec: GridSpec) -> list[str]:
    """The networks with several members."""
    members = Counter(name for c in spec.clusters for name in c.networks * c.count)
    return [network.name for network in spec.networks if members[network.name] > 1]


def quantum_of(workspace: Workspace) -> Quantum:
    """What a workspace takes from its host."""
    devices = [(device.name, device.count) for device in workspace.devices]
    if workspace.expose:
        devices += ports_of(workspace.expose)
    return Quantum(
        workspace.cpus_milli,
        workspace.memory_bytes,
        workspace.disk_bytes,
        tuple(sorted(devices)),
        workspace.network_bits_s * len(workspace.networks),
        workspace.disk_bytes_s,
        workspace.disk_operations_s,
    )


def ports_of(expose: Iterable[Exposure]) -> list[tuple[str, int]]:
    """How many ports of its host a workspace takes, and each one that it names. Where the host chooses, a port
    of the guest takes one by TCP and UDP together."""
    fixed = dict.fromkeys(each.outside for each in expose if each.outside)
    chosen = dict.fromkeys(each.port for each in expose if not each.outside)
    return [(PORTS, len(fixed) + len(chosen)), *((port_named(number), 1) for number in fixed)]


def refusals(
    workspace: Workspace,
    offer: Offer,
    free: Quantum,
    rules: Rules,
    company: Iterable[Offer] = (),
) -> list[Refusal]:
    """Everything that stops this host, the binding dimension last; empty if the workspace fits.

    `free` is what is left of its room. `company` are the hosts that carry members already, itself included.
    """
    found = unsuitable(workspace, offer, rules)
    for other in company:
        if apart := apart_from(offer, other, rules):
            found.append(apart)
            break
    short = lacking(quantum_of(workspace), offer, free)
    found += short
    if short and offer.kept != Quantum() and quantum_of(workspace).fits(free + offer.kept):
        why = "it keeps what is free for an older request"
        found.append(Refusal(Constraint.OLDER, offer.host, detail=why))
    if offer.refused is not None:
        found.append(offer.refused)
    return found


def unsuitable(workspace: Workspace, offer: Offer, rules: Rules) -> list[Refusal]:
    """What stops this host, however much room it has."""
    found = []
    facts = offer.facts

    def no(constraint: Constraint, detail: str) -> None:
        found.append(Refusal(constraint, offer.host, detail=detail))

    if facts.unfit:
        no(Constraint.UNFIT, facts.unfit)
    if rules.sites and offer.site not in rules.sites:
        no(Constraint.SITE, f"it is at {offer.site}, asked: {', '.join(rules.sites)}")
    if offer.site in rules.exclude_sites:
        no(Constraint.SITE, f"the grid excludes site {offer.site}")
    if offer.host in rules.exclude:
        no(Constraint.SITE, "the grid excludes this host")
    if offer.clashes:
        no(Constraint.APART, f"it carries {', '.join(offer.clashes)}, to be kept apart")
    if workspace.architecture and workspace.architecture != facts.architecture:
        no(Constraint.ARCHITECTURE, f"it is {facts.architecture}, asked: {workspace.architecture}")
    if workspace.driver and workspace.driver not in facts.runs_by:
        by = ", ".join(facts.runs_by) or "nothing it names"
        no(Constraint.DRIVER, f"it runs guests by {by}, asked: {workspace.driver}")
    if (workspace.disk_bytes_s or workspace.disk_operations_s) and facts.disk_rate_fault:
        no(
            Constraint.DRIVER,
            f"it cannot hold its guests to a rate of disks: {facts.disk_rate_fault}",
        )
    if workspace.networks and facts.underlay_fault:
        no(Constraint.UNDERLAY, facts.underlay_fault)
    if workspace.internet and not facts.egress:
        none = "it gives guests no way out, and a network asks for `internet`"
        no(Constraint.EGRESS, facts.egress_fault or none)
    if workspace.expose:
        for detail in _unexposed(workspace, offer):
            no(Constraint.PORT, detail)
    missing = [label for label in workspace.labels if label not in facts.labels]
    if missing:
        no(Constraint.LABEL, f"it has no label {', '.join(missing)}")
    return found


def _unexposed(workspace: Workspace, offer: Offer) -> Iterator[str]:
    """Why a host does not give the ports that a workspace names, or any."""
    ports, shut = offer.facts.ports, dict(offer.shut)
    if not ports.first:
        yield offer.facts.ports_fault or ports.why_not(0)
        return
    for number in dict.fromkeys(each.outside for each in workspace.expose if each.outside):
        if number in shut:
            yield shut[number]
        elif why := ports.why_not(number):
            yield why


def to_be_exposed(workspace: Workspace, ports: GivenPorts) -> tuple[str, ...]:
    """Where it would be reached from outside on a host with these ports, a line for each port; for people."""
    chosen = f", one of {ports.first}-{ports.last}"
    return tuple(
        f"{ports.address}{f':{e.outside}' if e.outside else chosen}{e.suffix} -> {workspace.name}:{e.port}"
        for e in workspace.expose
    )


def unconnected(workspace: Workspace, offer: Offer, rules: Rules) -> list[Refusal]:
    """What of that may be new for one that is here already: further networks, and rates."""
    about = (Constraint.UNDERLAY, Constraint.EGRESS, Constraint.PORT, Constraint.DRIVER)
    return [r for r in unsuitable(workspace, offer, rules) if r.constraint in about]


def lacking(asked: Quantum, offer: Offer, free: Quantum) -> list[Refusal]:
    """What a host has too little of, by how much, and whether that is since others are guaranteed it."""
    host, found = offer.host, []
    for name, need in asked.devices:
        if need > (have := free.devices_of(name)):
            once = f"the {name} has another workspace there, and a host gives each to one"
            port = Refusal(Constraint.PORT, host, detail=once)
            few = Refusal(Constraint.DEVICE, host, need, max(0, have), name)
            found.append(port if is_port(name) else few)
    kept = offer.guaranteed.quantum.by_constraint()
    for (name, need), (_, have) in zip(asked.by_constraint(), free.by_constraint(), strict=True):
        if need > have:
            others = _others(name, offer) if need <= have + dict(kept).get(name, 0) else ""
            found.append(Refusal(name, host, need, max(0, have), others))
    return found


def _others(constraint: Constraint, offer: Offer) -> str:
    """For whom a host keeps room, in words."""
    kept = offer.guaranteed.quantum
    some = {
        Constraint.CPUS: cpus_in_words(kept.cpus_milli),
        Constraint.MEMORY: f"{format_size(kept.memory_bytes)} of memory",
    }
    if constraint not in some or not offer.guaranteed.to:
        return ""
    return f"{some[constraint]} are kept for {offer.guaranteed.to}; best effort may use them"


def conflict(offer: Offer, other: Offer, rules: Rules) -> Constraint | None:
    """The rule that keeps this host from carrying a member when `other` (perhaps itself) does; None if none."""
    same_host, same_site = offer.peer == other.peer, offer.site == other.site
    if rules.strict_spread and (same_host if rules.spread == "host" else same_site):
        return Constraint.SPREAD
    if same_host:
        return None
    if rules.strict_compact and (rules.compact == "host" or not same_site):
        return Constraint.COMPACT
    if rules.tunnels and not same_site and (offer.hidden or other.hidden):
        return Constraint.UNDERLAY
    if rules.families and offer.by_ipv6 != other.by_ipv6:
        return Constraint.UNDERLAY
    if rules.sealed and not (offer.facts.encrypts and other.facts.encrypts):
        return Constraint.ENCRYPTION
    if rules.within_ms and apart_ms(offer, other) > rules.within_ms:
        return Constraint.DISTANCE
    return None


def apart_ms(offer: Offer, other: Offer) -> float:
    """The round trip between two hosts by their coordinates, in milliseconds; infinite if nobody knows it.

    Two hosts of one site whose coordinates are not measured yet count as next to each other.
    """
    here, there = offer.coordinate, other.coordinate
    if here is None or there is None or not (known(here) and known(there)):
        return 0.0 if offer.site == other.site else inf
    return 1000 * distance_s(here, there)


def apart_from(offer: Offer, other: Offer, rules: Rules) -> Refusal | None:
    """What `conflict` answers, as a refusal with its words; None if there is no conflict."""
    constraint = conflict(offer, other, rules)
    match constraint:
        case None:
            return None
        case Constraint.SPREAD:
            detail = f"{other.host} has a member already"
        case Constraint.COMPACT:
            where = other.host if rules.compact == "host" else f"site {other.site}"
            detail = f"other members are at {where}"
        case Constraint.DISTANCE:
            return _too_far(offer, other, rules.within_ms)
        case Constraint.UNDERLAY if rules.families and offer.by_ipv6 != other.by_ipv6:
            detail = (
                f"its networks cross hosts by {offer.facts.underlay}, those of {other.host} by "
                f"{other.facts.underlay}: no tunnel leads from IPv4 to IPv6"
            )
        case Constraint.UNDERLAY:
            behind = offer if offer.hidden else other
            detail = (
                f"no tunnel leaves site {behind.site}, where not every host can reach {behind.host}"
            )
        case _:
            clear = other if offer.facts.encrypts else offer
            detail = f"{clear.host} cannot seal what a network of this grid sends to other hosts"
    return Refusal(constraint, offer.host, detail=detail)


def _too_far(offer: Offer, other: Offer, within_ms: int) -> Refusal:
    far_ms = apart_ms(offer, other)
    if far_ms == inf:
        detail = f"its distance from {other.host} is not known, asked: within {within_ms} ms"
        return Refusal(Constraint.DISTANCE, offer.host, within_ms * 1000, 0, detail)
    detail = f"it is {far_ms:.0f} ms from {other.host}, asked: within {within_ms} ms"
    return Refusal(Constraint.DISTANCE, offer.host, within_ms * 1000, int(far_ms * 1000), detail)
