"""What a face may see of a peer: plain values, each saying how old it is. Reading changes nothing."""

import msgspec

from protocol.capacity.advert import Advert, shapes_in
from protocol.capacity.quantum import Quantum
from protocol.capacity.room import Room, Step
from protocol.contract.notices import Notice
from protocol.grid.lifecycle import Phase, Status
from protocol.grid.record import GridState
from protocol.node.node import Node
from protocol.node.rows import GridRow, PeerRow, SelfRow, SiteRow, TimetableRow, WorkspaceRow
from protocol.node.site_summaries import Summary
from protocol.terms.coordinate import distance_s
from protocol.terms.coordinate import known as known_place
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import LATER_STEPS
from protocol.trust.certificate import read_certificate


def this_peer(node: Node) -> SelfRow:
    """About the peer itself."""
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
            )
        )
    return sorted(rows, key=lambda row: (row.site, row.name))


def timetables(node: Node, now: float) -> list[TimetableRow]:
    """Of every host that has told its, this one among them, by site and name."""
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
        name=_name(node, peer),
        site=_site(node, peer),
        health=_health(node, peer),
        age_s=age_s,
        now_s=now,
        capacity=advert.facts.capacity,
        steps=_since(advert, age_s),
        rates=advert.rates,
    )


def _since(advert: Advert, age_s: float) -> tuple[Step, ...]:
    """What it told, as it is by now; what makes no sense is told as nothing free."""
    try:
        return Room.heard(advert.later, -age_s).steps(0.0, len(advert.later))
    except ValueError:
        return (Step(0.0, Quantum()),)


def sites(node: Node, now: float) -> list[SiteRow]:
    """Sites, by name. When there are too many peers to know all, others' by their summaries."""
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


def grids(node: Node, now: float) -> list[GridRow]:
    """Every grid anybody tells of, those that are up first."""
    rows = []
    for grid in node.notices.grids():
        newest = node.notices.newest(grid)
        if newest is None:
            continue
        members = workspaces(node, grid, now)
        phases: dict[str, int] = {}
        for member in members:
            phases[member.phase] = phases.get(member.phase, 0) + 1
        rows.append(
            GridRow(
                grid=grid,
                name=newest.name,
                owner_site=newest.owner_site,
                state=newest.state,
                epoch=newest.epoch,
                workspaces=len(members),
                phases=tuple(phases.items()),
                hosts=len(dict.fromkeys(m.peer for m in members)),
                sites=len(dict.fromkeys(m.site for m in members)),
                stewards=tuple(_name(node, peer) for peer in newest.stewards),
                lease_left_s=max(0.0, newest.ends_s - max(now, newest.starts_s)),
                starts_in_s=max(0.0, newest.starts_s - now),
                kept_left_s=max(0.0, newest.kept_until_s - now),
            )
        )
    return sorted(rows, key=lambda row: (row.state != GridState.UP, row.name))


def find_grid(node: Node, name: str) -> Notice | None:
    """The grid of that name or id."""
    return node.notices.named(name)


def workspaces(node: Node, grid: GridId, now: float) -> list[WorkspaceRow]:
    """The workspaces of a grid, in the record's order."""
    newest = node.notices.newest(grid)
    if newest is None:
        return []
    addresses = dict(newest.addresses)
    about = node.notices.about(grid)
    rows = []
    for name, peer in newest.placed:
        heard = about.get(peer)
        status = _status(heard.notice, name) if heard is not None else None
        phase = status.phase if status is not None else Phase.HELD
        if newest.state is GridState.DOWN and status is None:
            phase = Phase.GONE if heard is not None else Phase.ENDING
        rows.append(
            WorkspaceRow(
                grid=newest.name,
                grid_id=grid,
                workspace=name,
                host=_name(node, peer),
                peer=peer,
                site=_site(node, peer),
                phase=phase,
                detail=status.detail if status is not None else "",
                address=addresses.get(name, ""),
                boot=status.boot if status is not None else 0,
                age_s=now - heard.received_s if heard is not None else -1.0,
                host_health=_health(node, peer),
            )
        )
    return rows


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
    )


def _site_row(site: str, rows: list[PeerRow]) -> SiteRow:
    live = [row for row in rows if row.health in ("self", "alive", "suspect") and row.age_s >= 0]
    return SiteRow(
        site=site,
        hosts=len(rows),
        alive=len(live),
        free=sum((row.free for row in live), Quantum()),
        capacity=sum((row.capacity for row in live), Quantum()),
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


def _status(notice: Notice, workspace: str) -> Status | None:
    return next((status for status in notice.mine if status.workspace == workspace), None)


def _distance_s(node: Node, advert: Advert | None) -> float:
    here = node.membership.vivaldi.here
    if advert is None or not (known_place(here) and known_place(advert.here)):
        return -1.0
    return distance_s(here, advert.here)


def _name(node: Node, peer: PeerId) -> str:
    if peer == node.me:
        return node.identity.name
    known = node.membership.known.get(peer)
    return known.name if known is not None else peer[:12]


def _through(node: Node, peer: PeerId) -> str:
    relay = node.relaying.through(peer)
    return _name(node, relay) if relay is not None else ""


def _site(node: Node, peer: PeerId) -> str:
    if peer == node.me:
        return node.identity.site
    known = node.membership.known.get(peer)
    return known.site if known is not None else ""


def _health(node: Node, peer: PeerId) -> str:
    return "self" if peer == node.me else str(node.membership.liveness.health(peer) or "unknown")
