"""`overlayctl status`: how this host is, on one screen, and what is wrong with it."""

import typer

from overlayd.cli.client import decoded
from overlayd.cli.failure import FAILED
from overlayd.cli.session import session_of
from overlayd.cli.show import print_lines, unchanged
from overlayd.cli.words import age, moment, size_of
from protocol.grid.carrier import MORE_BYTES, Carrier
from protocol.node.status_rows import StatusRow
from protocol.terms.problem import Tried
from protocol.terms.quantities import counted, format_duration

_OVERLAY = {
    "alone": "alone: nobody is there, and no `join` is configured",
    "joining": "NOT JOINED: nobody was reached yet",
    "joined": "joined",
    "lost": "CUT OFF: nobody is reached any more",
}


def status(context: typer.Context) -> None:
    """How this host is: its certificate, whom it reached and what came back, its clock, room, grids, problems.

    Exit code 0 if all is well, 1 if something is wrong.

    Example: overlayctl status

    Example: overlayctl status --output json
    """
    session = session_of(context)
    raw = session.client.raw("GET", "/status")
    row = decoded(raw, StatusRow)
    if session.plain:
        unchanged(session, raw)
    else:
        print_lines(lines(row))
    if row.problems:
        raise typer.Exit(FAILED)


def lines(row: StatusRow) -> list[str]:
    """The screen."""
    return [
        _line("host", f"{row.name} at {row.site}, {row.address or 'listens nowhere'}"),
        _line("key", row.peer),
        _line("certificate", _certificate(row)),
        _line("overlay", _overlay(row)),
        *(_line("", _tried(tried)) for tried in row.tried),
        _line("clock", _clock(row)),
        _line("room", _room(row)),
        _line("networks", _networks(row)),
        _line("carries", _carries(row)),
        *([_line("leaves", _leaves(row))] if row.leaving else []),
        *_problems(row),
    ]


def _line(name: str, text: str) -> str:
    return f"{name:<12} {text}"


def _certificate(row: StatusRow) -> str:
    left_s = row.certificate_left_s
    until = f"until {moment(row.certificate_ends_s)}"
    left = f"{format_duration(left_s)} left" if left_s > 0 else "ENDED"
    return f"{until}, {left}, serial {row.serial}"


def _overlay(row: StatusRow) -> str:
    said = _OVERLAY.get(row.overlay, row.overlay)
    there = ", ".join(f"{row.healths[health]} {health}" for health in sorted(row.healths))
    connected = f"connected to {counted(row.connected, 'peer')}"
    return "; ".join(part for part in (said, connected, there) if part)


def _tried(tried: Tried) -> str:
    name = f"{tried.name} at " if tried.name else ""
    where = f"{name}{tried.address}"
    if tried.connected:
        return f"{where}: connected"
    if not tried.said:
        return f"{where}: nothing has come back so far"
    times = f", {counted(tried.times, 'time')} in a row" if tried.times > 1 else ""
    return f"{where}: {tried.said} ({age(tried.age_s)}{times})"


def _clock(row: StatusRow) -> str:
    if row.clock_ahead_s is None:
        return "not compared with anybody's yet"
    which = "ahead of" if row.clock_ahead_s > 0 else "behind"
    by = format_duration(abs(round(row.clock_ahead_s, 1)))
    return f"{by} {which} the median of {counted(row.clock_compared, 'neighbour')}"


def _room(row: StatusRow) -> str:
    if row.no_room_why:
        return f"none is offered: {row.no_room_why}"
    return f"{size_of(row.free)} free of {size_of(row.capacity)}"


def _networks(row: StatusRow) -> str:
    """Where the tunnels of grids' networks end."""
    if not row.underlay:
        return "it is not known yet where their tunnels end"
    ends = f"tunnels end at {row.underlay}, for packets of up to {row.mtu} bytes"
    if not row.tunnel_port:
        seals = "; it seals none, and its log says why: networks.not-sealed"
    else:
        bytes_ = row.mtu - MORE_BYTES[Carrier.SEALED]
        seals = f", {bytes_} sealed, by UDP port {row.tunnel_port}"
    if not row.wireguard_port:
        return (
            f"{ends}{seals}, not by WireGuard: {row.wireguard_why}"
            if row.wireguard_why
            else ends + seals
        )
    bytes_ = row.mtu - MORE_BYTES[Carrier.WIREGUARD]
    return f"{ends}{seals}, {bytes_} by WireGuard, UDP port {row.wireguard_port}"


def _carries(row: StatusRow) -> str:
    return f"{counted(row.workspaces, 'workspace')} of {counted(row.grids, 'grid')}"


def _leaves(row: StatusRow) -> str:
    """What a host still is to others that is to be stopped for good."""
    seats = f"is one of the stewards of {counted(row.seats, 'grid')}" if row.seats else "no steward"
    return f"for good: it takes nothing new, {seats}; `overlayctl leave --stay` takes it back"


def _problems(row: StatusRow) -> list[str]:
    if not row.problems:
        return [_line("problems", "none")]
    said: list[str] = []
    for problem in row.problems:
        said.append(_line("" if said else "problems", problem.what))
        if problem.would_work:
            said.append(_line("", f"  would work: {problem.would_work}"))
    return said
