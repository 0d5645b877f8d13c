"""`overlayctl ps`, `show`, `explain` and `request list`: what grids there are and what became of requests."""

from collections.abc import Callable
from typing import Annotated

import msgspec
import typer

from overlayd.api.views import GridView, SizeView
from overlayd.cli.asking import CANCEL_WITHIN_S, as_told, follow
from overlayd.cli.client import Refused, decoded
from overlayd.cli.completing import complete_grid, complete_request
from overlayd.cli.failure import failure
from overlayd.cli.naming import requests_name, views_of
from overlayd.cli.network_paths import show_paths
from overlayd.cli.session import Session, session_of
from overlayd.cli.show import answer, print_lines, print_table, unchanged
from overlayd.cli.story import SHOWN, print_story
from overlayd.cli.unknown import print_unknown
from overlayd.cli.words import NAME, age, moment, short, size_of
from protocol.capacity.quantum import Quantum
from protocol.grid.expand import cluster_of
from protocol.grid.lifecycle import SETTLED, Phase
from protocol.grid.problem import listed, quoted
from protocol.grid.record import GridState
from protocol.node.rows import GridRow, UnknownRow, WorkspaceRow
from protocol.requesting.request import UNENDED, RequestState, RequestView
from protocol.requesting.transitions import Stage
from protocol.terms.quantities import counted, format_duration, format_size
from protocol.trust.owner import admin, plain

Grid = Annotated[
    str, typer.Argument(help="A grid's name, SITE/NAME or id.", autocompletion=complete_grid)
]

_TOLD_SHOWN = 10
"""Rows of `ps` about grids that are only told of: one member can tell of two thousand."""

_SIZES_NAMED = 4
"""Workspaces of one size that `show` names, before it says how many more there are."""

request_app = typer.Typer(no_args_is_help=True, help="Requests made of this peer.")


def ps(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="A grid's name, SITE/NAME or id.", autocompletion=complete_grid)
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Also grids that were taken down a short while ago.")
    ] = False,
) -> None:
    """Every grid that is up; with a name, that grid's workspaces.

    A grid is `unconfirmed` if hosts tell of it and nobody shows that its stewards decided it. A name never
    means such a grid while another of that name is confirmed.

    Example: overlayctl ps

    Example: overlayctl ps star
    """
    session = session_of(context)
    if name:
        _each(
            session, views_of(session, name), lambda view: _workspaces(view.workspaces, six=False)
        )
    else:
        raw = session.client.raw("GET", "/grids")
        answer(session, raw if everything else _up_only(raw), list[GridRow], _grids)
        if not session.plain:
            _waiting(session.client.get("/requests", list[RequestView]))
            print_unknown(session.client.get("/unknown", list[UnknownRow]))


def _waiting(views: list[RequestView]) -> None:
    """Prints what waits for room at this peer, and why, and what is held."""
    for view in views:
        if view.state is RequestState.HELD:
            what = "change" if view.epoch else "plan"
            when = moment(view.until_s, to_the_second=True)
            until = f"a {what} of {view.grid} is held until {when}"
            print_lines(["", f"{until}: `overlayctl up --quote {view.id}`"])
        if view.state is RequestState.QUEUED:
            print_lines(["", *view.answer, f"  `overlayctl down {view.grid}` ends the waiting"])


def _up_only(raw: bytes) -> bytes:
    """The rows of grids that are up, or only told of, each as the API wrote it."""
    rows = decoded(raw, list[msgspec.Raw])
    shown = [(raw, decoded(raw, GridRow)) for raw in rows]
    up = [raw for raw, row in shown if row.state == GridState.UP or not row.confirmed]
    return msgspec.json.encode(up)


def _grids(rows: list[GridRow]) -> None:
    told = [row for row in rows if not row.confirmed]
    rows = [row for row in rows if row.confirmed] + told[:_TOLD_SHOWN]
    columns = ("name", "state", "workspaces", "phases", "hosts", "sites", "owner", "lease", "id")
    troubled = any(row.detail for row in rows)
    print_table(
        (*columns, "detail") if troubled else columns,
        [
            (
                row.name,
                _state(row),
                str(row.workspaces),
                _phases(row),
                str(row.hosts),
                str(row.sites),
                plain(row.owner_site),
                _lease(row) if row.state == GridState.UP else "-",
                row.grid,
                *((row.detail,) if troubled else ()),
            )
            for row in rows
        ],
        "no grids",
        ("sites", "hosts", "id", "workspaces", "owner"),
    )
    if (more := len(told) - _TOLD_SHOWN) > 0:
        typer.echo(f"{more} more are told of and unconfirmed; `--output json` has them")


def _state(row: GridRow) -> str:
    """What the grid is now: `up` stands for what has begun, and is not over."""
    if not row.confirmed:
        return "unconfirmed"
    if row.state != GridState.UP:
        return row.state
    if row.starts_in_s:
        return "reserved"
    return row.state if row.lease_left_s or not row.kept_left_s else "over"


def _lease(row: GridRow) -> str:
    """What is left of the lease, or when it begins, or how long what it left is kept."""
    if row.state != GridState.UP:
        return "ended with the grid"
    if row.starts_in_s:
        length = format_duration(int(row.lease_left_s))
        return f"{length}, starts in {format_duration(int(row.starts_in_s))}"
    if row.lease_left_s or not row.kept_left_s:
        return f"{format_duration(int(row.lease_left_s))} left"
    return f"over, kept for {format_duration(int(row.kept_left_s))}"


def _phases(row: GridRow) -> str:
    return ", ".join(f"{count} {phase}" for phase, count in row.phases) or "-"


def _workspaces(rows: tuple[WorkspaceRow, ...], *, six: bool) -> None:
    """`six`: with their IPv6 addresses."""
    print_table(
        ("workspace", "host", "site", "phase", "address", "age", "detail"),
        [
            (
                row.workspace,
                _host(row),
                row.site,
                row.phase,
                _addresses(row, six) or row.address or "-",
                age(row.age_s, row.host_health),
                row.detail,
            )
            for row in rows
        ],
        "no workspaces",
        ("site", "age"),
    )


def _addresses(row: WorkspaceRow, six: bool) -> str:
    return ", ".join(one for one in row.addresses if six or ":" not in one)


def _host(row: WorkspaceRow) -> str:
    """The host. One that cannot be reached is shown so, since what it told last may no longer be so."""
    return row.host if row.host_health in ("self", "alive") else f"{row.host} ({row.host_health})"


def show(
    context: typer.Context,
    name: Grid,
    network: Annotated[
        bool, typer.Option("--network", help="How its hosts reach each other, in its place.")
    ] = False,
) -> None:
    """One grid: its owner, lease and stewards, what its workspaces are promised, and where each is.

    With --network, which host reaches which on what network: what carries it (`sealed`, by which cipher, by
    the forwarder's `native` loop or the slower one in `python`; or `plain`), `direct` or by which relay, the
    largest packet of guests that gets there, the round trip, and how many of the last probes were lost. Each
    host is asked: it knows and measures its own paths.

    Example: overlayctl show star

    Example: overlayctl show star --network
    """
    session = session_of(context)
    views = views_of(session, name)
    if network:
        show_paths(session, views)
    else:
        _each(session, views, _grid)


def _each(session: Session, raw: list[bytes], render: Callable[[GridView], None]) -> None:
    """Prints one grid, or each of several that have the same name and say so."""
    if session.plain:
        unchanged(session, raw[0] if len(raw) == 1 else b"[" + b",".join(raw) + b"]")
        return
    for number, view in enumerate(decoded(one, GridView) for one in raw):
        grid = view.grid
        if len(raw) > 1:
            said = f"{plain(grid.owner_site)}/{grid.name}, id {grid.grid}:"
            print_lines([said] if number == 0 else ["", said])
        render(view)


def _owner(grid: GridRow) -> str:
    by = f", by {grid.member}" if grid.member else ""
    return f"{admin(grid.owner_site)}{by}"


def _grid(view: GridView) -> None:
    grid = view.grid
    where = f"{counted(grid.hosts, 'host')} at {counted(grid.sites, 'site')}"
    print_lines(
        [
            f"{grid.name}  {_state(grid)}, epoch {grid.epoch}, id {grid.grid}",
            f"owner       {_owner(grid)}",
            f"lease       {_lease(grid)}",
            f"stewards    {', '.join(grid.stewards)}",
            f"workspaces  {grid.workspaces} on {where}: {_phases(grid)}",
            *_sizes(view),
            *_networks(view),
            *_volumes(grid),
            *_files(view),
            *_exposed(view),
            *_elastic(view),
            *grid.lost,
            "",
        ]
    )
    _workspaces(view.workspaces, six=True)
    print_story(view, SHOWN)


def _networks(view: GridView) -> list[str]:
    """The networks, each with what carries it between hosts, if that is known, and its largest packet."""
    carrier = {name: f"{carrier}, " for name, carrier in view.carriers}
    told = ", ".join(f"{n} ({carrier.get(n, '')}mtu {mtu})" for n, mtu in view.grid.networks)
    return [f"networks    {told}"] if told else []


def _volumes(grid: GridRow) -> list[str]:
    """The volumes, each with its size and where it is."""
    told = ", ".join(
        f"{v.name} ({format_size(v.size_bytes)}) of {v.workspace} on {v.host}" for v in grid.volumes
    )
    return [f"volumes     {told}"] if told else []


def _files(view: GridView) -> list[str]:
    """What guests are given at their first boot, by cluster: digest and size."""
    sizes = (format_size(f.size_bytes) if f.size_bytes >= 0 else "not here yet" for f in view.files)
    told = [
        f"{f.cluster} {short(f.digest)} ({size})" for f, size in zip(view.files, sizes, strict=True)
    ]
    return [f"user-data   {', '.join(told)}"] if told else []


def _exposed(view: GridView) -> list[str]:
    """Where its workspaces are reached from outside, a line for each port."""
    told = [way for row in view.workspaces for way in row.exposed]
    return [f"{'' if number else 'exposed':<12}{way}" for number, way in enumerate(told)]


def _elastic(view: GridView) -> list[str]:
    """How large its elastic clusters are, and may be."""
    told = [f"{e.cluster} {e.here}, {e.least} to {e.most} as there is room" for e in view.elastic]
    return [f"elastic     {', '.join(told)}"] if told else []


def _sizes(view: GridView) -> list[str]:
    """What its workspaces are promised: a line for each cluster, or for each size there is in it."""
    alike: dict[tuple[str, str], list[str]] = {}
    clusters: dict[str, int] = {}
    for row in view.sizes:
        cluster = cluster_of(row.workspace)
        clusters[cluster] = clusters.get(cluster, 0) + 1
        alike.setdefault((cluster, size_of(_quantum(row))), []).append(row.workspace)
    told = [
        (cluster if len(names) == clusters[cluster] else listed(names, _SIZES_NAMED), size)
        for (cluster, size), names in alike.items()
    ]
    wide = max((len(names) for names, _ in told), default=0)
    return [
        f"{'' if number else 'sizes':<12}{names:<{wide}}  {size}"
        for number, (names, size) in enumerate(told)
    ]


def _quantum(row: SizeView) -> Quantum:
    return Quantum(
        row.cpus_milli,
        row.memory_bytes,
        row.disk_bytes,
        network_bits_s=row.network_bits_s,
        disk_bytes_s=row.disk_bytes_s,
        disk_operations_s=row.disk_operations_s,
    )


def explain(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(help="A request, or a grid.", autocompletion=complete_request),
    ],
) -> None:
    """The story of a request: what was asked, what happened, and the answer.

    With a grid's name, of the last request about it at this peer, and what happened to the grid since.

    Example: overlayctl explain star
    """
    session = session_of(context)
    views = session.client.get("/requests", list[RequestView])
    grid = requests_name(session, what)
    found = [view for view in views if what == view.id] or [v for v in views if grid == v.grid]
    if found:
        newest = max(found, key=lambda view: view.started_s)
        raw = session.client.raw("GET", f"/requests/{newest.id}")
        answer(session, raw, RequestView, _story)
        if not session.plain and (grids := _there(session, newest.grid)):
            _each(session, grids, _since)
        return
    grids = _there(session, what)
    if not grids:
        raise _unknown(session, what, views)
    _each(session, grids, _standing)


def _story(view: RequestView) -> None:
    print_lines([f"{view.kind} {view.grid}: {view.state}, request {view.id}"])
    if view.state in (RequestState.RUNNING, RequestState.QUEUED):
        print_lines([f"  now {view.stage}"])
    for line in view.story:
        print_lines([f"  {max(0.0, line.at_s - view.started_s):6.1f} s  {line.text}"])
    for row in view.placement:
        size = size_of(Quantum(row.cpus_milli, row.memory_bytes, row.scratch_bytes))
        print_lines([f"  {row.workspace} on {row.host} ({row.site}): {size}"])
    print_lines(view.answer)


def _standing(view: GridView) -> None:
    """Prints a grid that was asked for elsewhere. Only what its hosts tell is known here."""
    grid = view.grid
    print_lines([f"{grid.name} is {_state(grid)}; it was asked for at another peer, or long ago"])
    print_lines(grid.lost)
    for row in view.workspaces:
        if (
            row.phase not in SETTLED
            or row.phase == Phase.OFF
            or row.host_health not in ("self", "alive")
        ):
            told = age(row.age_s, row.host_health)
            detail = f": {row.detail}" if row.detail else ""
            print_lines([f"  {row.workspace} on {_host(row)}: {row.phase}{detail} (told {told})"])
    if all(row.phase in SETTLED for row in view.workspaces):
        print_lines(["  every workspace is where it should be"])
    print_story(view)


def _since(view: GridView) -> None:
    """Prints what became of a grid since it was asked for."""
    print_lines(view.grid.lost)
    print_story(view)


def _there(session: Session, name: str) -> list[bytes]:
    """The grids that are meant by a name or an id, as the API tells them; empty if there are none."""
    try:
        return views_of(session, name) if name else []
    except Refused as refused:
        if refused.status != 404:
            raise
        return []


def _unknown(session: Session, what: str, views: list[RequestView]) -> Exception:
    names = [row.name for row in session.client.get("/grids", list[GridRow])]
    names += [view.grid for view in views if view.grid]
    known = listed(list(dict.fromkeys(names))) or "none yet"
    return failure(f"there is no request or grid {quoted(what)}; known here: {known}")


@request_app.command("list")
def list_requests(context: typer.Context) -> None:
    """Requests made of this peer, oldest first.

    Example: overlayctl request list
    """
    session = session_of(context)
    answer(session, session.client.raw("GET", "/requests"), list[RequestView], _requests)


@request_app.command("cancel")
def cancel_request(
    context: typer.Context,
    request: Annotated[
        str, typer.Argument(help="A request's id.", autocompletion=complete_request)
    ],
) -> None:
    """Ends a request to place a grid, or a plan that is held: whatever is held for it is let go.

    What its stewards have decided already is a grid, and `overlayctl down` takes that down.

    Example: overlayctl request cancel 4f1c0a9be1d27c355a10
    """
    session = session_of(context)
    if NAME.fullmatch(request) is None:
        raise failure(
            f"{quoted(request)} is no request's id", "`overlayctl request list` lists them"
        )
    session.client.raw("DELETE", f"/requests/{request}")
    view = follow(
        session,
        request,
        lambda _: None,
        lambda view: view.state not in UNENDED or view.stage == Stage.BUILDING,
        CANCEL_WITHIN_S,
    )
    if session.plain:
        as_told(session, request)
    if view.state is RequestState.CANCELLED:
        if not session.plain:
            print_lines(view.answer)
        return
    if view.state is RequestState.DONE or view.stage == Stage.BUILDING:
        raise failure(
            f"{view.grid} was decided before it could be cancelled",
            f"`overlayctl down {view.grid}` takes it down",
        )
    raise failure(
        f"request {request} is {view.state}, {view.stage}",
        f"`overlayctl explain {request}` tells what becomes of it",
    )


def _requests(views: list[RequestView]) -> None:
    print_table(
        ("request", "kind", "grid", "state", "stage", "answer"),
        [
            (
                view.id,
                view.kind,
                view.grid or "-",
                view.state,
                view.stage,
                view.answer[0].strip() if view.answer else "",
            )
            for view in views
        ],
        "no requests",
        ("kind", "stage"),
    )
