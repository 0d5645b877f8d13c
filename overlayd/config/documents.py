"""A document as text: problems in it, positions in it, and how both are shown.

Every document goes the same way. Text becomes a `Source`: plain values, and where each was written
(yaml_source.py, toml_source.py). A Source becomes a typed struct, with all problems (typed.py). Then comes
the meaning (gridfile.py, daemonfile.py). Problems are collected, and DocumentError is raised once, at the end.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from protocol.grid.problem import quoted

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")

Key = str | int
KeyPath = tuple[Key, ...]

SIZE_MAX_BYTES = 256 * 1024
"""A grid of 1024 differently written workspaces is about 200 KiB."""

DEPTH_MAX = 32
"""How deep a document may nest. Our documents need six, and the parsers recurse."""

VALUES_MAX = 20_000
"""Values of one document. An alias counts as often as it is used."""


class Mark(msgspec.Struct, frozen=True):
    """A place in a text. Line and column count from 1; line 0 means the document as a whole."""

    line: int = 0
    column: int = 0


class Spot(msgspec.Struct, frozen=True):
    """Where a value was written: its key, the value itself, and the path it was written at."""

    key: Mark
    value: Mark
    path: KeyPath


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong in one place of one document."""

    file: str
    line: int
    """From 1; 0 if it concerns the file as a whole."""
    column: int
    path: KeyPath
    message: str
    text: str = ""
    """The line of the document, for the caret."""

    @property
    def where(self) -> str:
        """`clusters.worker.networks[1]`; empty at the top."""
        return "".join(map(_step, self.path)).removeprefix(".")

    def render(self, caret: bool = False) -> str:
        """`star.yaml:14:13: clusters.worker.memory: found ...`. `caret` adds the line and a caret below it."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        said = ": ".join(filter(None, (place, self.where, self.message)))
        if not caret or not self.line:
            return said
        start = max(0, self.column - 60)
        shown = self.text[start : start + 100].replace("\t", " ")
        return f"{said}\n    {shown}\n    {' ' * (self.column - 1 - start)}^"


def _step(key: Key) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    return f".{key}" if _PLAIN_KEY.fullmatch(key) else f".{quoted(key)}"


class DocumentError(Exception):
    """A document cannot be used. It has every problem of the document. Nothing was done."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(render(self.problems))


def render(problems: Iterable[Problem], caret: bool = False) -> str:
    """One problem a line (three with `caret`, for a terminal), in the document's order."""
    return "\n".join(problem.render(caret) for problem in problems)


class Source:
    """A parsed document: plain values, and for every key path where it was written.

    `problems` are those of the notation (a key twice) after which the rest can still be read.
    """

    def __init__(
        self,
        file: str,
        text: str,
        value: object,
        spots: dict[KeyPath, Spot],
        problems: Iterable[Problem] = (),
    ) -> None:
        self.file = file
        self.text = text
        self.value = value
        self.spots = spots
        self.problems = tuple(problems)
        self._lines = text.split("\n")

    def problem(self, path: KeyPath, message: str, at_key: bool = False) -> Problem:
        """A problem at a path. If the path was not written (a missing key), it is at the nearest thing above.

        A missing key is shown at the key it is missing from.
        """
        written = path
        while written and written not in self.spots:
            written = written[:-1]
        spot = self.spots.get(written)
        if spot is None:
            return Problem(self.file, 1, 1, path, message, self._line(1))
        mark = spot.key if at_key or written != path else spot.value
        full = (*spot.path, *path[len(written) :])
        return Problem(self.file, mark.line, mark.column, full, message, self._line(mark.line))

    def problem_at(self, mark: Mark, message: str, path: KeyPath = ()) -> Problem:
        """A problem at a place in the text."""
        return Problem(self.file, mark.line, mark.column, path, message, self._line(mark.line))

    def with_value(self, value: object, spots: dict[KeyPath, Spot]) -> "Source":
        """The same text, read differently: a profile is merged in."""
        return Source(self.file, self.text, value, spots, self.problems)

    def _line(self, line: int) -> str:
        return self._lines[line - 1].rstrip("\r") if 0 < line <= len(self._lines) else ""


Parse = Callable[[str, str], Source]
"""(text, file name) to a Source. Raises DocumentError if the text is not of that language."""


def load(path: str | Path, parse: Parse) -> Source:
    """Reads and parses a file. Raises DocumentError if it is missing, too large, no text, or malformed."""
    return parse(_text(Path(path)), str(path))


def _text(path: Path) -> str:
    file = str(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(SIZE_MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DocumentError([Problem(file, 0, 0, (), f"cannot be read: {reason}")]) from None
    if len(content) > SIZE_MAX_BYTES:
        message = f"larger than {SIZE_MAX_BYTES // 1024} KiB, the most a document may have"
        raise DocumentError([Problem(file, 0, 0, (), message)])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - (content.rfind(b"\n", 0, error.start) + 1) + 1
        message = f"found the byte 0x{content[error.start]:02x}; documents are UTF-8 text"
        raise DocumentError([Problem(file, line, column, (), message)]) from None


def combined(first: Iterable[Problem], more: Iterable[Problem]) -> list[Problem]:
    """Both, in the document's order, without what `more` says of places that are broken already."""
    result = list(first)
    broken = [problem.path for problem in result]
    for problem in more:
        if problem not in result and not any(problem.path[: len(path)] == path for path in broken):
            result.append(problem)
    return sorted(result, key=lambda problem: (problem.line, problem.column))
