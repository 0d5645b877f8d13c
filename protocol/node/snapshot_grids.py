"""Rows of grids and workspaces, as a PeerView answers them, and what an owner may ask of one workspace here."""

from protocol.contract.notices import Notice
from protocol.contract.told import HeardNotice
from protocol.grid.exposed import ports_of_workspaces
from protocol.grid.lifecycle import Phase, Power, Status
from protocol.grid.model import ImageRef
from protocol.grid.record import GridRecord, GridState, is_about
from protocol.grid.syntax import image_name_problem
from protocol.hosting.lease import Lease
from protocol.image.commit import CommitTerms
from protocol.node.carried import NotYours, carried
from protocol.node.node import Node
from protocol.node.rows import GridRow, NoCommit, NoConsole, UnknownRow, VolumeRow, WorkspaceRow
from protocol.node.snapshot_peers import health_of, name_of, site_of
from protocol.node.snapshot_story import detail, waits_for
from protocol.requesting.silence import Silence, Unanswered, whereabouts
from protocol.terms.ids import Digest, GridId, PeerId
from protocol.trust.order import Action, Order, SignedOrder
from protocol.trust.owner import is_called
from protocol.wire.codec import Malformed, decode


def grids(node: Node, now: float) -> list[GridRow]:
    """Every grid that a host tells of, those that are up first."""
    rows = []
    for grid in node.notices.grids():
        newest = node.notices.newest(grid)
        if newest is None:
            continue
        members = workspaces(node, grid, now)
        lost = _lost(node, newest, members, now)
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
                stewards=tuple(name_of(node, peer) for peer in newest.stewards),
                lease_left_s=max(0.0, newest.ends_s - max(now, newest.starts_s)),
                starts_in_s=max(0.0, newest.starts_s - now),
                kept_left_s=max(0.0, newest.kept_until_s - now),
                lost=lost,
                networks=_networks(node, grid),
                detail=detail(node, newest, members, lost, now) or _hearsay(node, grid),
                confirmed=node.notices.confirmed(grid),
                volumes=_volumes(node, grid),
                member=newest.member,
            )
        )
    return sorted(rows, key=lambda row: (not row.confirmed, row.state != GridState.UP, row.name))


def checking(node: Node, about: str, now: float) -> bool:
    """Whether something is told of grids of that name or id, or of any, that is being checked, or can be."""
    return any(node.requester.confirming.open(grid, now) for grid in node.notices.told(about))


def _hearsay(node: Node, grid: GridId) -> str:
    """Who tells of a grid of which nobody has shown that it was decided; a line for people."""
    if node.notices.confirmed(grid):
        return ""
    tellers = [name_of(node, peer) for peer in node.notices.about(grid)]
    many = f" and {len(tellers) - 1} more" if len(tellers) > 1 else ""
    return f"unconfirmed: told by {tellers[0]}{many}"


def find_grids(node: Node, name: str, site: str) -> list[GridId]:
    """The grids with that name, or that an order means by it, that are up, one for each owner; else the newest
    that was. Those that are only told count where none is known to be up.
    """
    found = [
        notice
        for grid in node.notices.grids()
        if (notice := node.notices.newest(grid)) is not None
        and (name == notice.name or is_about(notice.grid, name))
        and is_called(notice.owner_site, site)
    ]
    known = [notice for notice in found if node.notices.confirmed(notice.grid)]
    if any(notice.state is GridState.UP for notice in known) or len(known) == len(found):
        found = known
    else:
        told = [notice for notice in found if notice not in known]
        return [notice.grid for notice in sorted(told, key=lambda notice: notice.grid)]
    found.sort(key=lambda notice: (notice.epoch, notice.made_s))
    up = {notice.owner: notice for notice in found if notice.state is GridState.UP}
    chosen = sorted(up.values(), key=lambda notice: (notice.owner_site, notice.grid)) or found[-1:]
    return [notice.grid for notice in chosen]


def _volumes(node: Node, grid: GridId) -> tuple[VolumeRow, ...]:
    return tuple(
        VolumeRow(name, name_of(node, peer), size_bytes, workspace)
        for peer, heard in node.notices.about(grid).items()
        for name, size_bytes, workspace in heard.notice.volumes
    )


def workspaces(node: Node, grid: GridId, now: float) -> list[WorkspaceRow]:
    """The workspaces of a grid, in the record's order; none if no host tells of it."""
    newest = node.notices.newest(grid)
    if newest is None:
        return []
    about = node.notices.about(grid)
    told = {peer: _told(heard.notice) for peer, heard in about.items()}
    rows = []
    for name, peer in newest.placed:
        heard = about.get(peer)
        status, addresses = told.get(peer, {}).get(name, (None, ()))
        logins = heard.notice.logins if heard is not None else ()
        silence = node.directory.silence(peer, now)
        where = whereabouts(status, heard is not None, newest.state, silence, now)
        rows.append(
            WorkspaceRow(
                grid=newest.name,
                grid_id=grid,
                workspace=name,
                host=name_of(node, peer),
                peer=peer,
                site=site_of(node, peer),
                phase=where.phase,
                detail=where.detail
                or _halted(heard, where.phase)
                or waits_for(heard, name, where.phase),
                address=addresses[0] if addresses else "",
                addresses=addresses,
                boot=status.boot if status is not None else 0,
                age_s=now - heard.received_s if heard is not None else -1.0,
                host_health=health_of(node, peer),
                told=where.told,
                silent_s=_silent_s(silence, now),
                host_keys=status.host_keys if status is not None else (),
                exposed=_exposed(heard, name),
                login=next((login for workspace, login in logins if workspace == name), ""),
            )
        )
    return rows


def _lost(node: Node, notice: Notice, members: list[WorkspaceRow], now: float) -> tuple[str, ...]:
    """The hosts of a grid that are not heard, and what would work."""
    peers = dict.fromkeys(row.peer for row in members if row.phase == Phase.LOST)
    if not peers or notice.state is not GridState.UP:
        return ()
    unanswered = Unanswered(notice.name, notice.placed, peers, node.directory, now)
    return unanswered.who(), f"  would work: {unanswered.would_work()}"


def _halted(heard: HeardNotice | None, phase: Phase) -> str:
    """Why a workspace is stopped, if that is because its grid's owner ordered it."""
    halted = heard is not None and heard.notice.halted and phase is Phase.EXPIRED
    return "stopped: down ordered, waits for its stewards" if halted else ""


def _exposed(heard: HeardNotice | None, workspace: str) -> tuple[str, ...]:
    """Where a workspace is reached from outside, as its host tells."""
    if heard is None or heard.notice.state is not GridState.UP:
        return ()
    mine = ports_of_workspaces(heard.notice.exposes, (workspace,))
    return tuple(f"{heard.notice.exposed_at}:{port}" for port in mine)


def _silent_s(silence: Silence | None, now: float) -> float | None:
    if silence is None:
        return None
    return max(0.0, now - silence.since_s) if silence.since_s else -1.0


def unknown(node: Node, now: float) -> list[UnknownRow]:
    """What was found on this host and is unknown to it, in the order in which it was found."""
    return [
        UnknownRow(
            grid=row.grid,
            name=row.name,
            things=tuple(f"{thing.what} {thing.detail}".strip() for thing in row.things),
            workspaces=tuple(dict.fromkeys(t.workspace for t in row.things if t.workspace)),
            quantum=row.quantum,
            stewards=tuple(name_of(node, peer) for peer in row.stewards),
            asked=row.tries,
            why=row.why,
            age_s=now - row.found_s,
        )
        for row in node.host.foundlings.rows()
    ]


def image_users(node: Node, digest: Digest) -> list[str]:
    """The workspaces on this host that are made of an image: each start of theirs needs it.

    Those that are found here and not remembered count as well, as far as their machines say what they are.
    """
    leases, authority = node.host.leases, node.authority
    users = [
        (row, wanted.workspace, wanted.image)
        for row in leases.rows()
        for wanted in leases.wanted(row.record.id)
        if wanted.power is not Power.GONE
    ]
    users += [
        (found.kept.lease, thing.workspace, _image_of(found.kept.lease, thing.workspace))
        for found in node.host.foundlings.rows()
        if found.kept is not None and found.kept.lease is not None
        for thing in found.things
        if thing.workspace
    ]
    named: dict[str, None] = {}
    for row, workspace, rebuilt in users:
        member = authority.ordered(row.record).members.get(workspace)
        image = rebuilt if rebuilt.name or member is None else member.image
        if image.digest == digest:
            named[f"{row.record.name}/{workspace}"] = None
    return list(named)


def _image_of(row: Lease, workspace: str) -> ImageRef:
    """The image that a workspace was rebuilt of; one without a name if it was not."""
    return next((w.image for w in row.wanted if w.workspace == workspace), ImageRef(""))


def console(node: Node, signed: SignedOrder, via: PeerId, now: float) -> tuple[GridId, str]:
    """The grid and the workspace whose console an order that `via` shows opens here.

    Raises Untrusted or NoConsole.
    """
    record, order = _ordered(node, signed, via, now, NoConsole)
    if order.action is not Action.CONSOLE:
        raise NoConsole(f"an order to {order.action} does not open a console")
    return record.id, order.workspace


def commit(
    node: Node, signed: SignedOrder, via: PeerId, now: float
) -> tuple[GridId, str, CommitTerms]:
    """The grid and the workspace that an order that `via` shows makes an image of here.

    Raises Untrusted or NoCommit.
    """
    record, order = _ordered(node, signed, via, now, NoCommit)
    if order.action is not Action.COMMIT:
        raise NoCommit(f"an order to {order.action} does not make an image")
    try:
        terms = decode(order.body, CommitTerms)
    except Malformed:
        raise NoCommit("its body does not say what the image is called") from None
    if problem := image_name_problem(terms.name):
        raise NoCommit(problem)
    return record.id, order.workspace, terms


def _ordered(
    node: Node, signed: SignedOrder, via: PeerId, now: float, no: type[NoConsole] | type[NoCommit]
) -> tuple[GridRecord, Order]:
    """The record of a grid carried here that an owner's fresh order is about. Raises Untrusted, or `no`.

    A peer that comes by an order of which it is not the `via` can do nothing with it, as to type its own keys.
    """
    checked = node.authority.order(signed, now, fresh=True)
    order = checked.order
    try:
        row = carried(node, checked)
    except NotYours as error:
        raise no(str(error)) from None
    if row is None:
        raise no(f"this host does not carry {order.grid}/{order.workspace}")
    record = row.record
    if order.via != via:
        raise no("this order is for use through another peer")
    if order.workspace not in [wanted.workspace for wanted in row.wanted]:
        raise no(f"this host does not carry {record.name}/{order.workspace}")
    return record, order


def _networks(node: Node, grid: GridId) -> tuple[tuple[str, int], ...]:
    """The networks of a grid. While its hosts do not agree yet, what gets through is the least they tell."""
    least: dict[str, int] = {}
    for heard in node.notices.about(grid).values():
        for network, mtu in heard.notice.mtus:
            least[network] = min(mtu, least.get(network, mtu))
    return tuple(least.items())


def _told(notice: Notice) -> dict[str, tuple[Status, tuple[str, ...]]]:
    """What a host tells of each workspace it carries: its status, and its addresses."""
    addresses: dict[str, tuple[str, ...]] = {}
    for workspace, address in reversed(notice.addresses):
        addresses[workspace] = (*addresses.get(workspace, ()), address)
    return {s.workspace: (s, addresses.get(s.workspace, ())) for s in notice.mine}
