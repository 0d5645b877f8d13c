"""`overlayctl place` and `capacity`: the engine alone, on a file of hosts. `capacity` asks an overlay, too."""

from pathlib import Path
from random import Random
from typing import Annotated

import msgspec
import typer

from overlayd.cli.failure import FAILED, USAGE, DocumentFailure, failure, show_lines
from overlayd.cli.session import Session, session_of
from overlayd.cli.show import print_lines, print_table, unchanged
from overlayd.cli.words import size_of
from overlayd.config.documents import DocumentError
from overlayd.config.gridfile import load_grid
from overlayd.config.hostsfile import load_hosts, offers_of, with_digests
from protocol.capacity.advert import UNPROBED
from protocol.capacity.quantum import Quantum
from protocol.grid.expand import workspaces
from protocol.grid.model import GridSpec
from protocol.node.rows import PeerRow
from protocol.placement.choose import Choice, choose
from protocol.placement.counter import counter_offers
from protocol.placement.explain import Explanation, explain, words
from protocol.placement.fit import Offer, rules_of
from protocol.placement.headroom import Headroom, headroom
from protocol.placement.narrowed import narrowed
from protocol.placement.quality import degree
from protocol.placement.suspects import known_of, suspects
from protocol.terms.quantities import counted, format_cpus, format_size, parse_cpus, parse_size

File = Annotated[Path, typer.Argument(help="The grid file.", show_default=False, readable=False)]
Hosts = Annotated[
    Path,
    typer.Option(
        "--hosts", help="A file of hosts, TOML or YAML.", show_default=False, readable=False
    ),
]


class Seat(msgspec.Struct, frozen=True):
    """Where one workspace goes."""

    workspace: str
    host: str
    site: str
    cpus_milli: int
    memory_bytes: int
    image_cached: bool
    scratch_bytes: int = 0
    """Its own disks: root and scratch disk together."""


class Placement(msgspec.Struct, frozen=True):
    """What the engine answers."""

    grid: str
    placed: bool
    workspaces: tuple[Seat, ...]
    """If the grid is not placed, as many as do find a place."""
    missing: tuple[str, ...]
    """Workspaces that go nowhere. A grid may be placed without them if its clusters have a `min`."""
    preferences_met: float
    """0 to 1; 1 if none is stated."""
    why_not: Explanation | None = None
    warnings: tuple[str, ...] = ()
    """What may not be meant, or not be expected, of what is placed."""


def place(
    context: typer.Context,
    file: File,
    hosts: Hosts,
    profile: Annotated[
        str | None,
        typer.Option("--profile", "-p", help="A profile of the file.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the lots among equally good hosts.")] = 1,
) -> None:
    """Where a grid would go on the hosts of a file: the daemons' engine, without any daemon.

    Exit code 0: it is placed. 1: it is not, and why, and what would be.

    Example: overlayctl place examples/star.yaml --hosts examples/hosts.toml

    Example: overlayctl place grid.yaml --hosts hosts.toml --seed 7 --output json
    """
    session = session_of(context)
    try:
        spec = with_digests(load_grid(file, profile))
        offers = offers_of(load_hosts(hosts), spec)
    except DocumentError as error:
        raise DocumentFailure(error.problems, USAGE) from None
    answer = placement(spec, offers, seed)
    if session.plain:
        unchanged(session, msgspec.json.encode(answer))
    elif answer.placed:
        _table(answer)
    elif answer.why_not is not None:
        show_lines(words(answer.why_not))
    if not answer.placed:
        raise typer.Exit(FAILED)


def placement(spec: GridSpec, offers: tuple[Offer, ...], seed: int) -> Placement:
    """What the engine says of a grid and hosts."""
    members, rules = workspaces(spec), rules_of(spec, offers)
    choice = choose(members, offers, rules, {}, Random(seed))  # noqa: S311  lots, not secrets
    by_peer = {offer.peer: offer for offer in offers}
    where = {name: by_peer[peer] for name, peer in choice.placed.items()}
    return Placement(
        grid=spec.name,
        placed=choice.enough,
        workspaces=tuple(
            Seat(
                w.name,
                where[w.name].host,
                where[w.name].site,
                w.cpus_milli,
                w.memory_bytes,
                w.image.digest in where[w.name].images,
                w.root_bytes + w.scratch_bytes,
            )
            for w in members
            if w.name in where
        ),
        missing=tuple(unplaced.workspace.name for unplaced in choice.unplaced),
        preferences_met=round(degree(members, where, offers, rules), 4),
        why_not=None if choice.enough else _why_not(spec, offers, choice),
        warnings=_warnings(spec, where, offers) if choice.enough else (),
    )


def _why_not(spec: GridSpec, offers: tuple[Offer, ...], choice: Choice) -> Explanation:
    would_work = counter_offers(spec, offers, choice)
    return explain(spec, choice, would_work, suspects(spec, known_of(offers), refused=True))


def _warnings(
    spec: GridSpec, where: dict[str, Offer], offers: tuple[Offer, ...]
) -> tuple[str, ...]:
    less = narrowed(spec, rules_of(spec, offers), where, offers)
    return (*([less] if less else []), *suspects(spec, known_of(offers)))


def _table(answer: Placement) -> None:
    print_table(
        ("workspace", "host", "site", "cpus", "memory", "disk", "image"),
        [
            (
                seat.workspace,
                seat.host,
                seat.site,
                format_cpus(seat.cpus_milli),
                format_size(seat.memory_bytes),
                format_size(seat.scratch_bytes) if seat.scratch_bytes else "-",
                "cached" if seat.image_cached else "to copy",
            )
            for seat in answer.workspaces
        ],
        "nothing to place",
        ("disk", "image", "site"),
    )
    hosts = counted(len(dict.fromkeys(s.host for s in answer.workspaces)), "host")
    sites = counted(len(dict.fromkeys(s.site for s in answer.workspaces)), "site")
    lines = [f"{counted(len(answer.workspaces), 'workspace')} on {hosts} at {sites}"]
    if answer.missing:
        lines.append(f"without {', '.join(answer.missing)}, for which there is no room")
    print_lines([*lines, *(f"note: {line}" for line in answer.warnings)])


def capacity(
    context: typer.Context,
    shape: Annotated[
        str, typer.Option("--shape", help="CPUS/MEMORY or CPUS/MEMORY/DISK: 4cpu/8G, 4cpu/8G/20G.")
    ],
    hosts: Annotated[
        Path | None,
        typer.Option("--hosts", help="A file of hosts; the live ones if left out.", readable=False),
    ] = None,
) -> None:
    """How many more workspaces of a shape fit, and which dimension stops the next.

    Example: overlayctl capacity --shape 4cpu/8G

    Example: overlayctl capacity --shape 4cpu/8G/20G --hosts examples/hosts.toml
    """
    session = session_of(context)
    asked = parse_shape(shape)
    answer = headroom(asked, _live(session) if hosts is None else _written(hosts))
    if session.plain:
        unchanged(session, msgspec.json.encode(answer))
    else:
        _headroom(shape, answer)


def parse_shape(text: str) -> Quantum:
    """The quantum of `4cpu/8G` or `4cpu/8G/20G`. Raises Failure with what is accepted."""
    parts = text.split("/")
    try:
        if not 2 <= len(parts) <= 3:
            raise ValueError
        cpus = parse_cpus(parts[0].removesuffix("cpus").removesuffix("cpu"))
        disk_bytes = parse_size(parts[2]) if parts[2:] else 0
        made = Quantum(cpus, parse_size(parts[1]), disk_bytes)
    except ValueError:
        made = Quantum()
    if made == Quantum():
        raise failure(f"{text!r} is no shape", "--shape 4cpu/8G or 4cpu/8G/20G", USAGE)
    return made


def _written(file: Path) -> tuple[Offer, ...]:
    try:
        return offers_of(load_hosts(file), GridSpec("none", ()))
    except DocumentError as error:
        raise DocumentFailure(error.problems, USAGE) from None


def _live(session: Session) -> tuple[Offer, ...]:
    """What the hosts believed alive told last."""
    rows = session.client.get("/peers", list[PeerRow])
    return tuple(
        Offer(row.peer, row.name, row.site, UNPROBED, row.free)
        for row in rows
        if row.health in ("self", "alive") and row.age_s >= 0
    )


def _headroom(shape: str, answer: Headroom) -> None:
    print_table(
        ("host", "site", "fits", "then lacks", "left over"),
        [
            (room.host, room.site, str(room.fits), room.stops.what, size_of(room.left))
            for room in answer.hosts
        ],
        "no hosts",
        ("site", "left over"),
    )
    lines = [f"{answer.fits} more of {shape} fit on {counted(len(answer.hosts), 'host')}"]
    lines += [
        f"  {counted(r.hosts, 'host')} then lacks {r.nearest.what}"
        if r.hosts == 1
        else f"  {counted(r.hosts, 'host')} then lack {r.nearest.what}"
        for r in answer.stops
    ]
    lines.append(f"  left over: {size_of(answer.left)}")
    print_lines(lines)
