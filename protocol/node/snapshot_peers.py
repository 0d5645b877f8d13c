"""Rows of peers and sites, as a PeerView answers them. They are read from the node's parts when asked for."""

from math import isfinite

import msgspec

from protocol.capacity.advert import Advert, shapes_in
from protocol.capacity.quantum import Quantum, total
from protocol.capacity.room import Room, Step
from protocol.node.node import Node
from protocol.node.rows import PeerRow, SelfRow, SiteRow, TimetableRow
from protocol.node.seats import seats
from protocol.node.site_summaries import Summary
from protocol.terms.coordinate import distance_s
from protocol.terms.coordinate import known as known_place
from protocol.terms.ids import Digest, PeerId
from protocol.terms.limits import CLOCK_APART_S, LATER_STEPS
from protocol.trust.certificate import read_certificate


def this_peer(node: Node) -> SelfRow:
    """The row of the peer itself."""
    return SelfRow(
        peer=node.me,
        name=node.identity.name,
        site=node.identity.site,
        address=node.identity.address,
        incarnation=node.broadcast.incarnation,
        neighbours=len(node.membership.view.neighbours),
        known=len(node.membership.known),
        records=len(node.broadcast.directory),
        holds=len(node.host.holds),
        carried=len(node.host.leases.rows()),
        faults=dict(sorted(node.quarantines.counts.items())),
        dropped=node.membership.links.dropped,
        relayed=dict(sorted(node.relay.counts.items())),
        quarantined=len(node.quarantines.quarantined),
        leaving=node.announcer.leaving,
        seats=seats(node, node.host.ledger.now_s, unchecked=True),
    )


def peers(node: Node, now: float) -> list[PeerRow]:
    """Every known peer, this one among them, by site and name."""
    rows = [_own_row(node, now)]
    for peer, known in node.membership.known.items():
        heard = node.directory.adverts.get(peer)
        link = node.membership.links.view(peer)
        advert = heard.advert if heard is not None else None
        facts = advert.facts if advert is not None else None
        rows.append(
            PeerRow(
                peer=peer,
                name=known.name,
                site=known.site,
                address=known.address,
                health=str(node.membership.liveness.health(peer)),
                neighbour=node.membership.view.is_neighbour(peer),
                reach=known.reach,
                through=_through(node, peer),
                age_s=now - heard.received_s if heard is not None else -1.0,
                round_trip_s=link.round_trip_s if link is not None else 0.0,
                distance_s=_distance_s(node, advert),
                driver=facts.driver if facts else "",
                accelerator=facts.accelerator if facts else "",
                accelerator_why=facts.accelerator_why if facts else "",
                free=advert.free if advert else Quantum(),
                capacity=facts.capacity if facts else Quantum(),
                shapes=advert.shapes if advert else (),
                workspaces=advert.workspaces if advert else 0,
                images=advert.images if advert else (),
                faults=node.quarantines.faults(peer),
                quarantine_s=node.quarantines.left_s(peer, now),
                serial=known.certified[0][1],
                certificate_s=known.expires_s - now,
                labels=facts.labels if facts else (),
                clock_ahead_s=_clock_ahead_s(node, peer, advert),
                confined=facts.confined if facts else "",
                wireguard=facts.wireguard is not None if facts else None,
                wireguard_why=facts.wireguard_why if facts else "",
                store=known.store,
                leaving=known.leaving,
                lied=node.overlay.past.out.said_of(peer),
            )
        )
    rows += _ousted(node)
    return sorted(rows, key=lambda row: (row.site, row.name))


def _ousted(node: Node) -> list[PeerRow]:
    """Hosts that are out because they are proven to lie: what is left of them is the proof."""
    found = {out.proven.steward: out for out in node.overlay.past.out.all()}
    return [
        PeerRow(
            peer=peer,
            name=out.name,
            site=out.site,
            address="",
            health="out",
            neighbour=False,
            reach="-",
            through="",
            age_s=-1.0,
            round_trip_s=0.0,
            distance_s=-1.0,
            driver="",
            accelerator="",
            accelerator_why="",
            free=Quantum(),
            capacity=Quantum(),
            shapes=(),
            workspaces=0,
            images=(),
            faults=node.quarantines.faults(peer),
            store=out.proven.store,
            lied=node.overlay.past.out.said_of(peer),
        )
        for peer, out in found.items()
        if peer not in node.membership.known and peer != node.me
    ]


def timetables(node: Node, now: float) -> list[TimetableRow]:
    """The timetable of every host that has told it, this one among them, by site and name."""
    rows = [
        _timetable(node, peer, h.advert, now - h.received_s, now)
        for peer, h in node.directory.adverts.items()
    ]
    if node.host.known:
        own = _timetable(node, node.me, node.host.advert(), 0.0, now)
        steps = node.host.ledger.room.steps(now, LATER_STEPS)
        rows.append(msgspec.structs.replace(own, steps=steps))
    return sorted(rows, key=lambda row: (row.site, row.name))


def _timetable(node: Node, peer: PeerId, advert: Advert, age_s: float, now: float) -> TimetableRow:
    return TimetableRow(
        name=name_of(node, peer),
        site=site_of(node, peer),
        health=health_of(node, peer),
        age_s=age_s,
        now_s=now,
        capacity=advert.facts.capacity,
        steps=_since(advert, age_s),
        rates=advert.rates,
    )


def _since(advert: Advert, age_s: float) -> tuple[Step, ...]:
    """What a host told, as it is by now. If it makes no sense, nothing is free."""
    try:
        return Room.heard(advert.later, -age_s).steps(0.0, len(advert.later))
    except ValueError:
        return (Step(0.0, Quantum()),)


def sites(node: Node, now: float) -> list[SiteRow]:
    """Every site, by name. If there are too many peers to know all, other sites are as summaries say."""
    by_site: dict[str, list[PeerRow]] = {}
    for row in peers(node, now):
        by_site.setdefault(row.site, []).append(row)
    found = {site: _site_row(site, rows) for site, rows in by_site.items()}
    if node.site_summaries.wide:
        mine = node.identity.site
        found = {mine: found[mine]} | {
            site: _summary_row(heard.summary, now - heard.received_s)
            for site, heard in node.site_summaries.sites.items()
            if site != mine
        }
    return [found[site] for site in sorted(found)]


def underlays(node: Node) -> list[str]:
    """The underlay of each host that advertises one, each once, in order."""
    adverts = node.directory.adverts.values()
    return sorted({a.advert.facts.underlay for a in adverts if a.advert.facts.underlay})


def sources(node: Node, digest: Digest) -> list[PeerId]:
    """Live peers that advertise an image: those of this site first, then the nearest."""
    sites = node.membership.sites_alive()
    found: list[tuple[bool, float, PeerId]] = []
    for peer, heard in node.directory.adverts.items():
        if peer in sites and any(image.digest == digest for image in heard.advert.images):
            away_s = _distance_s(node, heard.advert)
            unknown = float("inf") if away_s < 0 else away_s
            found.append((sites[peer] != node.identity.site, unknown, peer))
    return [peer for *_, peer in sorted(found)]


def name_of(node: Node, peer: PeerId) -> str:
    """What people call a peer; the beginning of its key if it is not known."""
    return node.directory.name(peer)


def site_of(node: Node, peer: PeerId) -> str:
    """The site of a peer; empty if it is not known."""
    return node.directory.site(peer)


def health_of(node: Node, peer: PeerId) -> str:
    """The health of a peer, as a row says it."""
    return "self" if peer == node.me else str(node.membership.liveness.health(peer) or "unknown")


def _own_row(node: Node, now: float) -> PeerRow:
    facts, free = node.host.facts, node.host.ledger.free
    return PeerRow(
        peer=node.me,
        name=node.identity.name,
        site=node.identity.site,
        address=node.identity.address,
        health="self",
        neighbour=False,
        reach=node.relay.reachability.reach,
        through="",
        age_s=0.0,
        round_trip_s=0.0,
        distance_s=0.0,
        driver=facts.driver,
        accelerator=facts.accelerator,
        accelerator_why=facts.accelerator_why,
        free=free,
        capacity=facts.capacity,
        shapes=shapes_in(free),
        workspaces=len(node.host.ledger),
        images=node.host.images,
        serial=read_certificate(node.identity.chain[0]).serial,
        certificate_s=node.certificates.ends_s - now,
        labels=facts.labels,
        clock_ahead_s=node.membership.clock.ahead_s,
        confined=facts.confined,
        wireguard=facts.wireguard is not None,
        wireguard_why=facts.wireguard_why,
        store=node.overlay.past.store.id,
        leaving=node.announcer.leaving,
    )


def _site_row(site: str, rows: list[PeerRow]) -> SiteRow:
    live = [row for row in rows if row.health in ("self", "alive", "suspect") and row.age_s >= 0]
    return SiteRow(
        site=site,
        hosts=len(rows),
        alive=len(live),
        free=total(row.free for row in live),
        capacity=total(row.capacity for row in live),
        workspaces=sum(row.workspaces for row in live),
        age_s=max((row.age_s for row in live), default=-1.0),
    )


def _summary_row(summary: Summary, age_s: float) -> SiteRow:
    return SiteRow(
        site=summary.site,
        hosts=summary.alive,
        alive=summary.alive,
        free=summary.free,
        capacity=summary.capacity,
        workspaces=summary.workspaces,
        age_s=age_s,
    )


def _distance_s(node: Node, advert: Advert | None) -> float:
    here = node.membership.vivaldi.here
    if advert is None or not (known_place(here) and known_place(advert.here)):
        return -1.0
    return distance_s(here, advert.here)


def _clock_ahead_s(node: Node, peer: PeerId, advert: Advert | None) -> float:
    """How far another peer's clock is ahead, by our measure unless ours is the one that is apart."""
    measured_s = node.membership.links.offset(peer)
    if measured_s is not None and not node.membership.clock.apart:
        return measured_s if abs(measured_s) > CLOCK_APART_S else 0.0
    said_s = advert.apart_s if advert is not None else 0.0
    return said_s if isfinite(said_s) else 0.0


def _through(node: Node, peer: PeerId) -> str:
    relay = node.relaying.through(peer)
    return name_of(node, relay) if relay is not None else ""
