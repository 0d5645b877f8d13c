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
from overlayd.cli.words import clean

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

T = TypeVar("T")

_STYLES = {
    "alive": "green",
    "suspect": "yellow",
    "dead": "bold red",
    "left": "dim",
    "reachable": "green",
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
    "gone": "dim",
    "down": "dim",
}

Row = Sequence[str]


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
        typer.echo(msgspec.json.format(raw, indent=2).decode())


def yaml_text(raw: bytes) -> str:
    """JSON as YAML, in the same order."""
    import yaml

    return yaml.safe_dump(json.loads(raw), sort_keys=False, allow_unicode=True)


def print_table(columns: Row, rows: Iterable[Row], empty: str) -> None:
    """Prints columns without lines. In a pipe nothing is cut or wrapped. Says `empty` if there is no row."""
    from rich.console import Console

    rows = list(rows)
    if not rows:
        typer.echo(empty)
        return
    if sys.stdout.isatty():
        Console().print(table(columns, rows))
        return
    text = io.StringIO()
    Console(file=text, width=100_000, color_system=None).print(table(columns, rows))
    for line in text.getvalue().splitlines():
        typer.echo(line.rstrip())


def table(columns: Row, rows: Iterable[Row]) -> "Table":
    """The table itself, to be shown live."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column.upper(), overflow="fold")
    for row in rows:
        made.add_row(*(_cell(value) for value in row))
    return made


def _cell(value: str) -> "Text":
    from rich.text import Text

    shown = clean(value)
    return Text(shown, style=_STYLES.get(shown.split(" ")[0], ""))


def print_lines(lines: Iterable[str]) -> None:
    """Prints the daemon's text, made harmless."""
    for line in lines:
        typer.echo(clean(line))
