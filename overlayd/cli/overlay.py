"""`overlayctl peers`, `sites`, `events`: who is there and what happens."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from overlayd.adapters.revocation_files import read_revocation_file
from overlayd.api.views import RevocationView, Telling
from overlayd.cli.failure import failure
from overlayd.cli.session import Output, session_of
from overlayd.cli.show import answer, print_table, yaml_text
from overlayd.cli.words import age, clean, moment, safe_json, shapes, size_of
from overlayd.ports.keys import KeyFileError
from overlayd.ports.peer import EventLine
from protocol.node.rows import PeerRow, SiteRow
from protocol.terms.limits import CERTIFICATE_WARN_S
from protocol.terms.quantities import format_duration


def peers(
    context: typer.Context,
    wide: Annotated[
        bool, typer.Option("--wide", help="Also how guests are confined there, and WireGuard.")
    ] = False,
) -> None:
    """Every known peer: health, how others reach it, how old its news is, how guests run there, what fits now.

    REACH is `public` if others can dial it, `nat` if nobody can and it dials out, `relayed` if some can
    and some cannot; `by NAME` if what this peer says to it goes through NAME now, sealed. DISTANCE is a
    round trip, estimated from network coordinates.

    `leaving` is a host that is to be stopped for good (`overlayctl leave`).

    `out` is a host that, as a steward, signed what no honest one signs; `overlayctl events` says what.

    With --wide, GUESTS ARE CONFINED BY says what of `user` (one of its own for each workspace), `seccomp`,
    `namespaces` and `mac` (AppArmor or SELinux) a guest's process was seen to have there; `root` if it is root.
    WIREGUARD says whether it can carry networks by that, or why not: where all hosts of a network can, it does.

    Example: overlayctl peers

    Example: overlayctl peers --wide

    Example: overlayctl peers --output json
    """
    session = session_of(context)

    def table(rows: list[PeerRow]) -> None:
        _peers(rows, wide)

    answer(session, session.client.raw("GET", "/peers"), list[PeerRow], table)


_SPARE = (
    "distance",
    "reach",
    "runs guests by",
    "workspaces",
    "fits",
    "labels, devices",
    "free",
)
"""Columns that a narrow terminal does without, the first of them first."""


def _peers(rows: list[PeerRow], wide: bool = False) -> None:
    special = any(row.labels or row.capacity.devices for row in rows)
    columns = (
        "name",
        "site",
        "health",
        "reach",
        "distance",
        "age",
        "runs guests by",
        "free",
        "fits",
        "workspaces",
        *(("guests are confined by", "wireguard") if wide else ()),
    )
    print_table(
        (*columns, "labels, devices") if special else columns,
        [
            (
                row.name,
                row.site,
                _health(row),
                f"{row.reach} by {row.through}" if row.through else row.reach,
                f"{row.distance_s * 1000:.0f} ms" if row.distance_s >= 0 else "-",
                age(row.age_s, row.health),
                f"{row.driver}/{row.accelerator}" if row.driver else "-",
                size_of(row.free) if row.driver else "-",
                shapes(row.shapes) if row.driver else "-",
                str(row.workspaces),
                *([clean(row.confined) or "-", _wireguard(row)] if wide else []),
                *([_special(row)] if special else []),
            )
            for row in rows
        ],
        "no peers",
        _SPARE,
    )


def _wireguard(row: PeerRow) -> str:
    if row.wireguard is None:
        return "-"
    return "yes" if row.wireguard else f"no: {clean(row.wireguard_why)}".removesuffix(": ")


def _health(row: PeerRow) -> str:
    words = ["this one" if row.health == "self" else row.health]
    if row.leaving:
        words.append("leaving")
    if row.lied:
        words.append("proven to lie as a steward")
    if row.quarantine_s:
        words.append(f"refused {format_duration(row.quarantine_s)}")
    if row.clock_ahead_s:
        which = "ahead" if row.clock_ahead_s > 0 else "behind"
        words.append(f"clock {format_duration(abs(round(row.clock_ahead_s)))} {which}")
    left_s = row.certificate_s
    if left_s is not None and left_s < CERTIFICATE_WARN_S:
        ends = f"ends in {format_duration(left_s)}" if left_s > 0 else "ended"
        words.append(f"certificate {ends}")
    return ", ".join(words)


def _special(row: PeerRow) -> str:
    """The host's labels, and how many of each device are free."""
    devices = [
        f"{name} {row.free.devices_of(name)} of {count}" for name, count in row.capacity.devices
    ]
    return ", ".join((*row.labels, *devices)) or "-"


def sites(context: typer.Context) -> None:
    """Every site, its live hosts together; the age is that of the oldest news counted.

    Example: overlayctl sites
    """
    session = session_of(context)
    answer(session, session.client.raw("GET", "/sites"), list[SiteRow], _sites)


def _sites(rows: list[SiteRow]) -> None:
    print_table(
        ("site", "hosts", "alive", "free", "of", "workspaces", "age"),
        [
            (
                row.site,
                str(row.hosts),
                str(row.alive),
                size_of(row.free),
                size_of(row.capacity),
                str(row.workspaces),
                age(row.age_s),
            )
            for row in rows
        ],
        "no sites",
        ("of", "workspaces", "hosts"),
    )


def tell(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="One line of text.")],
) -> None:
    """Tells the people of every host a line; `overlayctl events` shows it there.

    Example: overlayctl tell "uc is down for maintenance from 18:00"
    """
    session_of(context).client.post("/news", Telling(text), Telling)


def events(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    since: Annotated[int, typer.Option(min=0, help="Only lines after this number (`seq`).")] = 0,
) -> None:
    """What happened at this peer, oldest first; the last few hundred lines are kept.

    The last column ties together what one request or grid caused, on every host.

    Example: overlayctl events --follow

    Example: overlayctl events --since 120 --output json
    """
    session = session_of(context)
    params = {"since": str(since), "follow": str(follow).lower()}
    for line in session.client.lines("/events", params):
        match session.output:
            case Output.JSON:
                typer.echo(safe_json(line.decode()))
            case Output.YAML:
                typer.echo(f"---\n{yaml_text(line)}", nl=False)
            case Output.TABLE:
                typer.echo(_event(msgspec.json.decode(line, type=EventLine)))


def _event(event: EventLine) -> str:
    cause = f"  [{event.cause}]" if event.cause else ""
    said = f"{event.kind:<18} {event.subject}  {event.detail}".rstrip()
    return clean(f"{moment(event.at_s, to_the_second=True)} {event.host:<8} {said}{cause}")


def revoke(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="As `site`, `federation` or `grant revoke` wrote it.")
    ],
) -> None:
    """Publishes a revocation: every peer that hears of it closes the connections of the revoked for good.

    If it is of a grant, or of a member of a virtual organisation (VO), they take no new order of that member.
    Any peer can be told, by anybody; it is signed by the site, the federation or the VO, and kept on every
    host's disk.

    Example: overlayctl revoke h1-0123abcd.revocation
    """
    session = session_of(context)
    try:
        signed = read_revocation_file(file)
    except KeyFileError as error:
        raise failure(str(error)) from None
    view = session.client.post("/revocations", signed, RevocationView)
    again = "; this peer knew" if view.known else ""
    typer.echo(clean(f"published: {view.what}, serial {view.serial}, is revoked{again}"))
