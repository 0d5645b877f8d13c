"""How answers are put on the screen: aligned columns, or the API's structures unchanged.

The modules that draw tables and write YAML are imported where they are needed: half of a short command's time
is imports.
"""

import io
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec
import typer

from overlayd.cli.client import decoded
from overlayd.cli.session import Output, Session
from overlayd.cli.words import clean, safe_json

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

T = TypeVar("T")

_STYLES = {
    "alive": "green",
    "suspect": "yellow",
    "dead": "bold red",
    "left": "dim",
    "ready": "green",
    "reachable": "yellow",
    "running": "green",
    "up": "green",
    "done": "green",
    "saving": "yellow",
    "suspended": "yellow",
    "restoring": "yellow",
    "failed": "bold red",
    "lost": "bold red",
    "cancelled": "yellow",
    "expired": "yellow",
    "over": "yellow",
    "reserved": "yellow",
    "unconfirmed": "yellow",
    "gone": "dim",
    "down": "dim",
}

Row = Sequence[str]

_PIPE_WIDE = 100_000
_BELOW = 4
"""How far a row's sentence below it is moved in."""


def answer(session: Session, raw: bytes, kind: type[T], render: Callable[[T], None]) -> None:
    """Prints an answer in the form that was asked for."""
    if session.plain:
        unchanged(session, raw)
    else:
        render(decoded(raw, kind))


def unchanged(session: Session, raw: bytes) -> None:
    """Prints the API's structure as JSON or YAML."""
    if session.output is Output.YAML:
        typer.echo(yaml_text(raw), nl=False)
    else:
        typer.echo(safe_json(msgspec.json.format(raw, indent=2).decode()))


def yaml_text(raw: bytes) -> str:
    """JSON as YAML, in the same order."""
    import yaml

    text = raw.decode()
    harmless = safe_json(text) == text
    return yaml.safe_dump(json.loads(raw), sort_keys=False, allow_unicode=harmless)


def print_table(columns: Row, rows: Iterable[Row], empty: str, spare: Row = ()) -> None:
    """Prints columns without lines; says `empty` if there is no row. In a pipe everything is shown.

    On a terminal that is too narrow, columns of `spare` are left out, the first of them first, and named below.
    """
    from rich.console import Console

    rows = list(rows)
    if not rows:
        typer.echo(empty)
        return
    if sys.stdout.isatty():
        console = Console()
        made, left_out = table(columns, rows, console.width, spare)
        console.print(made)
        if left_out:
            said = f"left out for want of width: {', '.join(left_out)}; in a pipe all are shown"
            console.print(said, style="dim", markup=False, highlight=False)
        return
    text = io.StringIO()
    Console(file=text, width=_PIPE_WIDE, color_system=None).print(
        table(columns, rows, _PIPE_WIDE)[0]
    )
    for line in text.getvalue().splitlines():
        typer.echo(line.rstrip())


def table(
    columns: Row, rows: Iterable[Row], wide: int, spare: Row = ()
) -> tuple["Group", tuple[str, ...]]:
    """(The table itself, to be shown live; the columns that are left out of it for want of width.)"""
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table

    from overlayd.cli.columns import fitted

    fit = fitted(columns, [[clean(value) for value in row] for row in rows], wide, spare)

    def started(header: bool) -> Table:
        made = Table(box=None, pad_edge=False, header_style="bold", show_header=header)
        for column, width in zip(fit.columns, fit.widths, strict=True):
            made.add_column(column.upper(), overflow="fold", width=width)
        return made

    parts: list[Table | Padding] = [started(header=True)]
    for i, row in enumerate(fit.rows):
        last = parts[-1]
        if not isinstance(last, Table):
            parts.append(last := started(header=False))
        last.add_row(*(_cell(value) for value in row))
        if fit.below and fit.below[i]:
            parts.append(Padding(_cell(fit.below[i]), (0, 0, 0, _BELOW)))
    return Group(*parts), fit.left_out


def _cell(value: str) -> "Text":
    from rich.text import Text

    return Text(value, style=_STYLES.get(value.split(" ", maxsplit=1)[0], ""))


def print_lines(lines: Iterable[str], err: bool = False) -> None:
    """Prints the daemon's text, made harmless."""
    for line in lines:
        typer.echo(clean(line), err=err)
