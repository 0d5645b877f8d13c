"""How a peer is, and what is wrong with it: the answer to `overlayctl status`.

Whatever knows of something wrong at this peer adds it to `problems`, in words for people, with what would help.
"""

from collections import Counter
from statistics import median

from protocol.grid.problem import listed
from protocol.hosting.probing import LEAVES
from protocol.node.node import Node
from protocol.node.seats import seats
from protocol.node.snapshot_peers import name_of
from protocol.node.status_rows import StatusRow
from protocol.peering.announcer import DOUBLE_HELP, double_in_words, twin_in_words
from protocol.peering.certificates import ENROL, own_revocation
from protocol.terms.limits import CERTIFICATE_WARN_S, MTU_USUAL
from protocol.terms.problem import Problem
from protocol.terms.quantities import counted, format_duration, format_moment
from protocol.trust.certificate import read_certificate

_FORWARDER_HELP = "the daemon starts it again by itself; its log says why it does not run"
_TELLS_HELP = "overlayd of this version on them, with its forwarder running"
_ANSWERS_HELP = "overlayctl peers shows whether they are heard; their status says what they lack"


def status(node: Node, now: float) -> StatusRow:
    """How the peer is."""
    identity, membership, host = node.identity, node.membership, node.host
    offsets = membership.links.offsets()
    ends_s = node.certificates.ends_s
    return StatusRow(
        peer=node.me,
        name=identity.name,
        site=identity.site,
        address=identity.address,
        incarnation=node.broadcast.incarnation,
        serial=read_certificate(identity.chain[0]).serial,
        certificate_ends_s=ends_s,
        certificate_left_s=ends_s - now,
        overlay=str(node.overlay.joining.state()),
        tried=node.overlay.joining.tried(now),
        connected=membership.links.count_introduced(),
        healths=dict(Counter(str(membership.liveness.health(peer)) for peer in membership.known)),
        clock_ahead_s=-median(offsets) if offsets else None,
        clock_compared=len(offsets),
        free=host.ledger.free,
        capacity=host.facts.capacity,
        no_room_why=_no_room(node),
        grids=len(host.leases.rows()),
        workspaces=len(host.ledger),
        underlay=host.facts.underlay,
        mtu=host.facts.mtu or MTU_USUAL,
        tunnel_port=host.facts.tunnel_port,
        wireguard_port=host.facts.wireguard.port if host.facts.wireguard is not None else 0,
        wireguard_why=host.facts.wireguard_why,
        leaving=node.announcer.leaving,
        seats=seats(node, now),
        problems=tuple(problems(node, now)),
        now_s=now,
    )


def _no_room(node: Node) -> str:
    if node.certificates.revoked is not None:
        return "its certificate was revoked"
    if not node.host.known:
        return "what this host has is still being found out"
    clock = node.membership.clock
    if node.announcer.leaving:
        return LEAVES
    return node.host.facts.unfit or (clock.doubt if clock.apart else "")


def problems(node: Node, now: float) -> list[Problem]:
    """Everything that is known to be wrong at this peer, what matters most first."""
    mine = (
        *_certificate(node, now),
        *_overlay(node, now),
        *_keys(node, now),
        *_clock(node),
        *_underlay(node),
        *_sealed(node, now),
        *_egress(node),
        *_ports(node),
    )
    return [*mine, *_host(node), *_unknown(node)]


def _certificate(node: Node, now: float) -> list[Problem]:
    identity, ends_s = node.identity, node.certificates.ends_s
    if (revocation := node.certificates.revoked) is not None:
        said = f"{own_revocation(revocation)}: no peer believes it, and it takes no work"
        return [Problem("certificate", said, ENROL)]
    renew = (
        f"overlayctl host renew {identity.site} {identity.name}, and the file it writes copied here"
    )
    if ends_s <= now:
        past = format_duration(now - ends_s)
        said = f"this host's certificate ended {past} ago, {format_moment(ends_s)}"
        return [Problem("certificate", f"{said}: nobody believes it", renew)]
    if ends_s - now < CERTIFICATE_WARN_S:
        left = format_duration(ends_s - now)
        said = f"this host's certificate ends in {left}, {format_moment(ends_s)}"
        return [Problem("certificate", said, renew)]
    return []


def _overlay(node: Node, now: float) -> list[Problem]:
    said, _, help_ = node.overlay.fault.partition("; ")
    found = node.overlay.joining.problems(now)
    return [*found, Problem("overlay", said, help_)] if said else found


def _host(node: Node) -> list[Problem]:
    unfit = node.host.facts.unfit
    if not unfit:
        return []
    said = f"this host takes no new work: {unfit}"
    return [
        Problem("host", said, "to mend that; it tries again by itself, and then offers its room")
    ]


def _keys(node: Node, now: float) -> list[Problem]:
    """Keys that two processes use: this peer's own, and others'."""
    found: list[Problem] = []
    twin = node.announcer.twin
    if twin.lives(now):
        found.append(Problem("key", *twin_in_words(node.identity, twin)))
    for double in node.membership.doubles.all(now):
        said = double_in_words(name_of(node, double.peer), double)
        found.append(Problem("key", said, DOUBLE_HELP))
    return found


def _clock(node: Node) -> list[Problem]:
    clock = node.membership.clock
    fault = node.membership.clock_fault()
    if clock.apart:
        fault = f"{clock.doubt}; no lease ends here, and nothing new is taken, until they agree"
    if not fault:
        return []
    many = counted(len(node.membership.links.offsets()), "neighbour")
    help_ = f"NTP (chrony, systemd-timesyncd) on this host, or on the {many} if this one is right"
    return [Problem("clock", fault, help_)]


def _unknown(node: Node) -> list[Problem]:
    """What was found here and is not remembered, a line a grid."""
    return [
        Problem(
            "unknown",
            f"{counted(len(row.things), 'thing')} of grid {row.name} unknown to this host: {row.why}",
            "it is kept until its stewards answer; overlayctl ps shows what it is",
        )
        for row in node.host.foundlings.rows()
    ]


def _underlay(node: Node) -> list[Problem]:
    said, _, help_ = node.host.facts.underlay_fault.partition("; ")
    return [Problem("underlay", f"no networks can be made here: {said}", help_)] if said else []


def _sealed(node: Node, now: float) -> list[Problem]:
    """Hosts that share sealed networks with this one, and that there are no keys with."""
    keys = node.tunnel_partners.keys
    lacking = keys.lacking(now)
    if not lacking:
        return _silent(node, now)
    peers = [peer for peer, _ in lacking]
    lasts = format_duration(now - min(since_s for _, since_s in lacking))
    hosts = f"{counted(len(peers), 'host')} ({listed([name_of(node, peer) for peer in peers])})"
    said = f"no sealed traffic with {hosts} for {lasts}"
    if not keys.instance:
        return [Problem("sealed", f"{said}: this host's forwarder does not run", _FORWARDER_HELP)]
    if not any(keys.is_reachable(peer) for peer in peers):
        return [Problem("sealed", f"{said}: none of them tells where it takes that", _TELLS_HELP)]
    return [Problem("sealed", f"{said}: no keys were agreed on", _ANSWERS_HELP)]


def _silent(node: Node, now: float) -> list[Problem]:
    """Hosts that there are keys with, and from whose forwarders no probe comes back."""
    silent = node.tunnel_partners.paths.silent(now)
    if not silent:
        return []
    lasts = format_duration(now - min(max(p.since_s, p.answered_s or 0.0) for _, p in silent))
    places = listed([f"{name_of(node, p)} ({path.told})" for p, path in silent])
    said = f"UDP to {places} does not come back for {lasts}: guests here and there do not hear each other"
    ports = f"{node.host.facts.tunnel_port} here and {silent[0][1].told.port} there"
    return [Problem("sealed", said, f"UDP ports {ports} open in the firewalls on the way")]


def _ports(node: Node) -> list[Problem]:
    said, _, help_ = node.host.facts.ports_fault.partition("; ")
    return [Problem("expose", said, help_)] if said else []


def _egress(node: Node) -> list[Problem]:
    said, _, help_ = node.host.facts.egress_fault.partition("; ")
    return [Problem("egress", said, help_)] if said else []
