"""What ends a command: lines for a person and an exit code."""

import sys
from collections.abc import Sequence

from overlayd.cli.words import clean

FAILED, USAGE, INTERRUPTED = 1, 2, 130


class Failure(Exception):
    """The command ends here. The first line says what was asked and what stopped it."""

    def __init__(self, lines: Sequence[str], code: int = FAILED) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)
        self.code = code

    def show(self) -> None:
        """Prints it on standard error."""
        show_lines(self.lines)


class DocumentFailure(Failure):
    """A file with problems, rendered already (places and carets are part of the text)."""

    def show(self) -> None:
        """Prints it as it is: the problems start with their places, and editors read those."""
        for line in self.lines:
            print(line, file=sys.stderr)


def failure(problem: str, would_work: str = "", code: int = FAILED) -> Failure:
    """One problem, and what would work."""
    return Failure([problem, *([f"  would work: {would_work}"] if would_work else [])], code)


def show_lines(lines: Sequence[str]) -> None:
    """An explanation on standard error, its first line as the error."""
    from rich.console import Console  # Only a command that fails waits for this import.
    from rich.text import Text

    console = Console(file=sys.stderr, soft_wrap=True, highlight=False)
    first, *rest = [clean(line) for line in lines] or ["failed, without saying why"]
    console.print(Text.assemble(("error: ", "bold red"), first))
    for line in rest:
        console.print(Text(line))
