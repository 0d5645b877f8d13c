"""`overlayctl usage`: what leases of this site reserved and used, added up as somebody wants it."""

import csv
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from overlayd.api.views import UsageRow, UsageView
from overlayd.cli.failure import USAGE, Failure, failure
from overlayd.cli.session import Output, Session, session_of
from overlayd.cli.show import print_table, unchanged
from overlayd.cli.words import clean, moment
from overlayd.config.since import read_since
from protocol.policy.receipts import (
    HOUR_S,
    Receipt,
    SignedReceipt,
    Total,
    check_receipt,
)
from protocol.terms.quantities import format_size
from protocol.trust.signing import Untrusted

_MIB_IN_GIB = 1024


class By(StrEnum):
    """What is added up."""

    VO = "vo"
    MEMBER = "member"
    GRID = "grid"
    SITE = "site"


class Sum(msgspec.Struct, frozen=True):
    """What the leases of one of them had."""

    of: str
    total: Total


def usage(
    context: typer.Context,
    by: Annotated[By, typer.Option(help="What to add up.")] = By.VO,
    since: Annotated[
        str, typer.Option(metavar="WHEN", help="Only since then: 2h, monday, 2026-11-25 14:00.")
    ] = "",
    receipts: Annotated[
        bool,
        typer.Option("--receipts", help="This host's signed receipts, one JSON object a line."),
    ] = False,
    verify: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Check receipts that --receipts wrote.", show_default=False
        ),
    ] = None,
) -> None:
    """What leases of this site's hosts reserved and used: reserved is the quantum times the time, used what the
    hypervisors counted. Each host is asked; one that does not answer is named.

    Once a minute is counted, and once an hour each host signs a receipt for each lease, which it keeps for
    about a hundred days. What is in no receipt yet is in the sums, too. A VO is shown as vo:NAME, a site's own
    work by the site's name.

    Example: overlayctl usage --since monday

    Example: overlayctl usage --by member --since 2026-11-01 -o csv

    Example: overlayctl usage --receipts
    """
    session = session_of(context)
    if verify is not None:
        _verify(verify)
        return
    params = {"since": str(_since(since))}
    if receipts:
        for line in session.client.raw("GET", "/usage/receipts", params=params).splitlines():
            typer.echo(line)
        return
    view = session.client.get("/usage", UsageView, params)
    _show(session, by, _sums(view.rows, by))
    for host, why in view.missing:
        failure(f"not all of {host} is in it: {why}").show(session.output)


def _since(text: str) -> float:
    try:
        return max(0.0, read_since(text, time.time())) if text else 0.0
    except ValueError as error:
        raise failure(f'--since: "{clean(text)}" is no time: {error}', code=USAGE) from None


def _sums(rows: Iterable[UsageRow], by: By) -> list[Sum]:
    sums: dict[str, Total] = {}
    for row in rows:
        of = _OF[by](row)
        sums[of] = sums.get(of, Total()) + row.total
    return [Sum(of, sums[of]) for of in sorted(sums)]


def _member(row: UsageRow) -> str:
    """A VO's member, by name or by key; an owner that acts itself by its own name."""
    payer = row.payer
    if not payer.line:
        return payer.whose
    return f"{payer.whose}/{payer.member or payer.line[-1][:12]}"


_OF: dict[By, Callable[[UsageRow], str]] = {
    By.VO: lambda row: row.payer.whose,
    By.MEMBER: _member,
    By.GRID: lambda row: f"{row.payer.whose}/{row.name} {row.grid}",
    By.SITE: lambda row: row.site,
}


def _show(session: Session, by: By, sums: Sequence[Sum]) -> None:
    if session.output is Output.CSV:
        _write_csv(by, sums)
    elif session.plain:
        unchanged(session, msgspec.json.encode(sums))
    else:
        print_table(
            (
                by,
                "cpu hours",
                "cpu used",
                "GiB hours",
                "GiB used",
                "disk GiB hours",
                "disk",
                "network",
                "since",
            ),
            [_row(each) for each in sums],
            "nothing was counted",
            ("disk", "network", "disk GiB hours"),
        )


def _row(each: Sum) -> tuple[str, ...]:
    reserved, used = each.total.reserved, each.total.used
    return (
        clean(each.of),
        _hours(reserved.cpu_milli_s, 1000),
        _hours(used.cpu_ms, 1000),
        _hours(reserved.memory_mib_s, _MIB_IN_GIB),
        _hours(used.memory_mib_s, _MIB_IN_GIB),
        _hours(reserved.disk_mib_s, _MIB_IN_GIB),
        format_size(used.read_bytes + used.written_bytes),
        format_size(used.received_bytes + used.sent_bytes),
        moment(each.total.from_s),
    )


def _write_csv(by: By, sums: Sequence[Sum]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(
        (
            by,
            "cpu_hours_reserved",
            "cpu_hours_used",
            "memory_gib_hours_reserved",
            "memory_gib_hours_used",
            "disk_gib_hours_reserved",
            "disk_read_bytes",
            "disk_written_bytes",
            "network_received_bytes",
            "network_sent_bytes",
            "from_unix_s",
            "until_unix_s",
        )
    )
    for each in sums:
        reserved, used = each.total.reserved, each.total.used
        writer.writerow(
            (
                clean(each.of),
                _hours(reserved.cpu_milli_s, 1000),
                _hours(used.cpu_ms, 1000),
                _hours(reserved.memory_mib_s, _MIB_IN_GIB),
                _hours(used.memory_mib_s, _MIB_IN_GIB),
                _hours(reserved.disk_mib_s, _MIB_IN_GIB),
                used.read_bytes,
                used.written_bytes,
                used.received_bytes,
                used.sent_bytes,
                each.total.from_s,
                each.total.until_s,
            )
        )


def _hours(amount_s: int, scale: int) -> str:
    return f"{amount_s / scale / HOUR_S:.3f}"


# -- checking


def _verify(path: Path) -> None:
    """Names every receipt that its host did not sign, and every one that is there twice."""
    from overlayd.adapters.nacl_keys import NaclVerifier  # Only this needs keys.

    verifier, faults = NaclVerifier(), list[str]()
    known: dict[tuple[str, str, int], int] = {}
    for number, line in enumerate(_lines_of(path), 1):
        try:
            receipt = check_receipt(msgspec.json.decode(line, type=SignedReceipt), verifier)
        except (msgspec.DecodeError, UnicodeDecodeError, Untrusted) as error:
            faults.append(f"line {number} is no receipt: {error}")
            continue
        key = (receipt.host, receipt.grid, receipt.from_s)
        if key in known and receipt.from_s < receipt.until_s:
            faults.append(
                f"line {number} is about the same as line {known[key]}: {_about(receipt)}"
            )
        known[key] = number
    typer.echo(f"{len(known)} receipts are signed by the hosts that they name")
    if faults:
        raise Failure(
            [f"{len(faults)} lines are wrong: {clean(faults[0])}", *map(clean, faults[1:])]
        )


def _about(receipt: Receipt) -> str:
    return f"{receipt.name} on {receipt.host_name}, {moment(receipt.from_s)}"


def _lines_of(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except OSError as error:
        raise failure(f"{path}: {error.strerror or error}", code=USAGE) from None
