"""What ends a command: lines for a person and an exit code."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from overlayd.cli.words import clean

if TYPE_CHECKING:
    from overlayd.config.documents import Problem

FAILED, USAGE, INTERRUPTED = 1, 2, 130

TABLE = "table"
"""The form of answers that is for people."""

_WORKS = "would work: "
_SILENT = "failed, without saying why"


class Failure(Exception):
    """The command ends here. The first line says what was asked and what stopped it."""

    def __init__(self, lines: Sequence[str], code: int = FAILED) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)
        self.code = code

    def show(self, form: str = TABLE) -> None:
        """Prints it on standard error, in the form in which answers are wanted."""
        if form == TABLE:
            self.show_text()
        else:
            show_data(self.lines, form)

    def show_text(self) -> None:
        """Prints it for a person."""
        show_lines(self.lines)


class NoRoom(Failure):
    """There is no room for what was asked now."""


class DocumentFailure(Failure):
    """A file with problems."""

    def __init__(self, problems: "Sequence[Problem]", code: int = FAILED) -> None:
        super().__init__([problem.render() for problem in problems], code)
        self._problems = tuple(problems)

    def show_text(self) -> None:
        """Prints it as it is: the problems start with their places, and editors read those."""
        for problem in self._problems:
            print(problem.render(caret=sys.stderr.isatty()), file=sys.stderr)


def failure(problem: str, would_work: str = "", code: int = FAILED) -> Failure:
    """One problem, and what would work."""
    return Failure([problem, *([f"  would work: {would_work}"] if would_work else [])], code)


def show_data(lines: Sequence[str], form: str) -> None:
    """The same for a program, as one object: JSON in one line, or YAML."""
    first, *rest = [line.strip() for line in lines] or [_SILENT]
    works = [line.removeprefix(_WORKS) for line in rest if line.startswith(_WORKS)]
    told: dict[str, str | list[str]] = {"problem": first, "would_work": "; ".join(works)}
    if details := [line for line in rest if not line.startswith(_WORKS)]:
        told["details"] = details
    if form == "yaml":
        import yaml

        print(yaml.safe_dump(told, sort_keys=False), end="", file=sys.stderr)
    else:
        print(json.dumps(told), file=sys.stderr)


def show_lines(lines: Sequence[str]) -> None:
    """An explanation on standard error, its first line as the error."""
    from rich.console import Console  # Only a command that fails waits for this import.
    from rich.text import Text

    console = Console(file=sys.stderr, soft_wrap=True, highlight=False)
    first, *rest = [clean(line) for line in lines] or [_SILENT]
    console.print(Text.assemble(("error: ", "bold red"), first))
    for line in rest:
        console.print(Text(line))
