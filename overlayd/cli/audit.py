"""`overlayctl audit`: what this host decided about people's orders, and whether its log is whole."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from overlayd.api.views import AuditEndView
from overlayd.cli.failure import USAGE, Failure, failure
from overlayd.cli.session import Output, Session, session_of
from overlayd.cli.show import answer, print_lines, unchanged, yaml_text
from overlayd.cli.words import clean, moment, safe_json
from overlayd.config.since import read_since
from protocol.node.rows import PeerRow
from protocol.policy.audit import Chain, Kind, Line, Report, read_line, verify
from protocol.terms.effects import Audit
from protocol.terms.ids import KeyId, PeerId
from protocol.trust.certificate import is_key

_SHOWN = 50
_PAGE = 5000


def audit(
    context: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="With --verify: a copy of a log, in place of this host's own."),
    ] = None,
    since: Annotated[
        str, typer.Option(metavar="WHEN", help="Only since then: 2h, monday, 2026-11-25 14:00.")
    ] = "",
    last: Annotated[
        int | None, typer.Option("-n", min=1, help="Only the last so many.", show_default=False)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="The whole log as it is on the disk: a copy of it.")
    ] = False,
    check: Annotated[bool, typer.Option("--verify", help="Say whether the log is whole.")] = False,
    end: Annotated[
        bool, typer.Option("--end", help="Say where the log ends, to keep it elsewhere.")
    ] = False,
    expect: Annotated[
        list[str] | None,
        typer.Option(metavar="N:DIGEST", help="With --verify: what --end said once."),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="HOST|KEY", help="With --verify FILE: whose log it is; this host's if left out."
        ),
    ] = "",
) -> None:
    """What this host decided about people's orders: who asked for what, and what forbade it.

    Each line hangs together with the one before, and the host signs them. --verify names every line that
    was changed, is missing, or is elsewhere than it was. Lines cut off the end, or a log begun anew, are found
    by what --end said, if that was kept elsewhere; the host keeps the last one itself. Exit code 1 if anything
    is wrong.

    Without options the last 50 decisions are shown; signatures and starts of the daemon only with -o json.

    Example: overlayctl audit --since monday

    Example: overlayctl audit -f

    Example: overlayctl audit --verify

    Example: overlayctl audit --verify h1.log --host h1 --expect 412:9f3c
    """
    session = session_of(context)
    if files and not check:
        raise failure("a file is only checked", "overlayctl audit --verify FILE", USAGE)
    if end:
        answer(session, session.client.raw("GET", "/audit/end"), AuditEndView, _show_end)
    elif check:
        _verify(session, files or [], host, [_kept(text) for text in expect or []])
    elif raw:
        for line in _every(session, 0):
            typer.echo(line)
    else:
        _show(session, since, last, follow)


def _show_end(view: AuditEndView) -> None:
    typer.echo(f"{view.n}:{view.digest}")
    if view.fault:
        raise failure(f"what was decided last is not written: {view.fault}")


# -- showing


def _show(session: Session, since: str, last: int | None, follow: bool) -> None:
    try:
        since_s = read_since(since, time.time()) if since else 0.0
    except ValueError as error:
        raise failure(f'--since: "{since}" is no time: {error}', code=USAGE) from None
    view = session.client.get("/audit/end", AuditEndView)
    most = last or (0 if since else _SHOWN)
    after = 0
    found: Iterable[tuple[bytes, Line]] = _meant(session, _every(session, after), since_s)
    for encoded, line in deque(found, maxlen=most) if most else found:
        _print(session, encoded, line)
    if view.fault:
        failure(f"what was decided last is not written: {view.fault}").show()
    if follow:
        params = {"after": str(view.n), "follow": "true"}
        for encoded, line in _meant(session, session.client.lines("/audit", params), since_s):
            _print(session, encoded, line)


def _every(session: Session, after: int) -> Iterator[bytes]:
    """All lines, page by page."""
    while True:
        page = session.client.raw("GET", "/audit", params={"after": str(after)}).splitlines()
        yield from page
        if len(page) < _PAGE:
            return
        after = read_line(page[-1]).n


def _meant(
    session: Session, lines: Iterable[bytes], since_s: float
) -> Iterator[tuple[bytes, Line]]:
    for encoded in lines:
        try:
            line = read_line(encoded)
        except ValueError:
            yield encoded, Line(1, "", 0.0, Kind.HEALED, text="this line cannot be read")
            continue
        told = session.plain or line.kind not in (Kind.HEAD, Kind.BEGUN)
        if told and line.at_s >= since_s:
            yield encoded, line


def _print(session: Session, encoded: bytes, line: Line) -> None:
    match session.output:
        case Output.JSON:
            typer.echo(safe_json(encoded.decode("utf-8", "replace")))
        case Output.YAML:
            typer.echo(f"---\n{yaml_text(encoded)}", nl=False)
        case Output.TABLE:
            typer.echo(text_of(line))


def text_of(line: Line) -> str:
    """A line of the log in words."""
    when = moment(line.at_s, to_the_second=True)
    said = f"{line.kind}: {line.text}" if line.order is None else _decision(line.order)
    return clean(f"{when} {line.n:>6} {said}")


def _decision(audit: Audit) -> str:
    what = audit.what if audit.action in ("", audit.what) else f"{audit.what} ({audit.action})"
    about = "/".join(part for part in (audit.grid, audit.workspace) if part)
    who = _who(audit) if audit.owner else "nobody known"
    if not audit.believed:
        who = f"who says to be {who}" if audit.owner else who
    via = f"{audit.via[:12]} of {audit.via_site or 'no known site'}"
    why = f": {audit.why}" if audit.why else ""
    more = f" [{audit.left_out} more of that site's left out before]" if audit.left_out else ""
    how = "allowed" if audit.allowed else "refused"
    return f"{how} {what} {about} by {who} through {via}{why}{more}"


def _who(audit: Audit) -> str:
    """`ams's 0123abcd`, or with the chain of grants `vo:star's anna 4567cdef, from 0123abcd`."""
    *above, acts = (audit.owner, *audit.line)
    member = f"{audit.member} " if audit.member else ""
    granted = f", from {' '.join(key[:12] for key in above)}" if above else ""
    return f"{audit.whose or 'nobody'}'s {member}{acts[:12]}{granted}"


# -- checking


def _verify(session: Session, files: list[Path], host: str, kept: list[Chain]) -> None:
    if not files and not host and not kept:
        raw = session.client.raw("GET", "/audit/report", within_s=None)
        report = msgspec.json.decode(raw, type=Report)
    else:
        lines = _every(session, 0) if not files else _lines_of(files)
        from overlayd.adapters.nacl_keys import NaclVerifier  # Only this needs keys.

        report = verify(lines, _key(session, host), NaclVerifier(), tuple(kept))
        raw = msgspec.json.encode(report)
    if session.plain:
        unchanged(session, raw)
    else:
        print_lines(_found(report))
    if report.faults:
        raise Failure([f"the log is not whole: {report.faults[0]}", *report.faults[1:]])


def _found(report: Report) -> list[str]:
    if not report.lines:
        return ["the log is empty"]
    whole = "" if report.faults else ", each of them as it was written"
    said = [f"{report.lines} lines, {report.first} to {report.last}{whole}"]
    said.append(f"signed by the host up to line {report.signed}" if report.signed else "not signed")
    said.append(f"its end, to keep elsewhere: {report.last}:{report.digest}")
    return said + [clean(remark) for remark in report.remarks]


def _lines_of(files: list[Path]) -> Iterator[bytes]:
    for path in files:
        try:
            with path.open("rb") as file:
                for line in file:
                    yield line.removesuffix(b"\n")
        except OSError as error:
            raise failure(f"{path}: {error.strerror or error}", code=USAGE) from None


def _kept(text: str) -> Chain:
    number, _, digest = text.partition(":")
    if not number.isdecimal() or not is_key(digest):
        said = f'--expect: "{clean(text)}" is no end of a log'
        raise failure(said, "N:DIGEST, as `overlayctl audit --end` says it", USAGE)
    return Chain(int(number), digest)


def _key(session: Session, host: str) -> KeyId:
    """The key of the host whose log it is."""
    if is_key(host):
        return KeyId(host)
    if not host:
        return KeyId(session.client.get("/audit/end", AuditEndView).key)
    rows = session.client.get("/peers", list[PeerRow])
    found = [row.peer for row in rows if host in (row.name, f"{row.site}/{row.name}")]
    if len(found) != 1:
        which = "no host" if not found else f"{len(found)} hosts"
        said = f"{which} is known as {clean(host)}"
        raise failure(said, "its key of 64 digits, or its name in `overlayctl peers`", USAGE)
    return KeyId(PeerId(found[0]))
