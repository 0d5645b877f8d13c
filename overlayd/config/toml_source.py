"""TOML text to a Source: tomllib decides what it means, and a small walk over the text says where.

The walk runs only on text that tomllib has accepted, so it need not check anything. It knows just enough of
the grammar to find keys and values: strings, comments, arrays, inline tables, headers.
"""

import re
import tomllib
from bisect import bisect_right

from overlayd.config.documents import (
    DEPTH_MAX,
    VALUES_MAX,
    DocumentError,
    KeyPath,
    Mark,
    Problem,
    Source,
    Spot,
)

_PLACE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)")
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\]|\\.)*"|\'[^\']*\'', re.DOTALL
)
_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE = re.compile(r"[^,\]}#\n]*")


_TOO_DEEP = f"nested deeper than {DEPTH_MAX} levels"
_DOTS_MAX = 500
"""Dots in one line. A key of n dotted parts costs tomllib n squared, in time and memory."""


def parse_toml(text: str, file: str) -> Source:
    """The document with positions. Raises DocumentError if it is no TOML; tomllib stops at the first error."""
    text = text.replace("\r\n", "\n")
    bare = Source(file, text, None, {})
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _DOTS_MAX:
            message = f"more than {_DOTS_MAX} dots in one line; nothing here needs them"
            raise DocumentError([bare.problem_at(Mark(number, 1), message)])
    try:
        value = tomllib.loads(text)
        locator = _Locator(text)
        locator.document()
    except tomllib.TOMLDecodeError as error:
        raise DocumentError([_malformed(bare, str(error))]) from None
    except RecursionError:
        raise DocumentError([Problem(file, 0, 0, (), _TOO_DEEP)]) from None
    if locator.count > VALUES_MAX:
        raise DocumentError([Problem(file, 0, 0, (), f"more than {VALUES_MAX} values")])
    return Source(file, text, value, locator.spots)


def _malformed(bare: Source, said: str) -> Problem:
    lines = bare.text.split("\n")
    mark = Mark(len(lines), len(lines[-1]) + 1)
    if (place := _PLACE.search(said)) and place[1]:
        mark = Mark(int(place[1]), int(place[2]))
    message = _PLACE.sub("", said)
    return bare.problem_at(mark, f"not TOML: {message[:1].lower()}{message[1:]}")


class _Locator:
    """Walks valid TOML and notes where every key and value is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.count = 0
        self.spots: dict[KeyPath, Spot] = {}
        self._tables: dict[KeyPath, int] = {}
        """How many elements each array of tables has so far."""
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]

    def document(self) -> None:
        """Walks the whole document, from the start."""
        here: KeyPath = ()
        self._skip()
        while self.at < len(self.text):
            here = self._header() if self._peek() == "[" else self._pair(here)
            self._skip()

    def _header(self) -> KeyPath:
        """`[a.b]` or `[[a.b]]`: the path of the table that follows."""
        mark = self._mark()
        array = self.text.startswith("[[", self.at)
        self.at += 2 if array else 1
        path = self._resolved(self._key())
        self._skip()
        self.at += 2 if array else 1
        if array:
            index = self._tables.get(path, 0)
            self._tables[path] = index + 1
            self._note(path, mark, mark)
            path = (*path, index)
        self._note(path, mark, mark)
        return path

    def _resolved(self, keys: list[str]) -> KeyPath:
        """A header's path, through the last element of every array of tables above it."""
        path: KeyPath = ()
        for position, key in enumerate(keys):
            path = (*path, key)
            if position < len(keys) - 1 and path in self._tables:
                path = (*path, self._tables[path] - 1)
        return path

    def _pair(self, table: KeyPath) -> KeyPath:
        """Walks `a.b = value` inside a table. Answers the path of that table, unchanged."""
        mark = self._mark()
        keys = self._key()
        self._skip()
        self.at += 1
        self._skip()
        for depth in range(1, len(keys)):
            self._note((*table, *keys[:depth]), mark, mark)
        self._value((*table, *keys), mark)
        return table

    def _key(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._skip()
            if quoted := _STRING.match(self.text, self.at):
                keys += tomllib.loads(f"{quoted[0]} = 0")
                self.at = quoted.end()
            elif plain := _KEY.match(self.text, self.at):
                keys.append(plain[0])
                self.at = plain.end()
            self._skip()
            if self._peek() != ".":
                return keys
            self.at += 1

    def _value(self, path: KeyPath, key: Mark | None) -> None:
        mark = self._mark()
        self._note(path, key or mark, mark)
        if self._peek() in "[{":
            self._collection(path, self._peek() == "[")
        elif quoted := _STRING.match(self.text, self.at):
            self.at = quoted.end()
        else:
            bare = _BARE.match(self.text, self.at)
            self.at = bare.end() if bare else len(self.text)

    def _collection(self, path: KeyPath, is_list: bool) -> None:
        self.at += 1
        index = 0
        self._skip()
        while self._peek() not in "]}":
            if is_list:
                self._value((*path, index), None)
            else:
                self._pair(path)
            index += 1
            self._skip()
            self.at += self._peek() == ","
            self._skip()
        self.at += 1

    def _note(self, path: KeyPath, key: Mark, value: Mark) -> None:
        if len(path) > DEPTH_MAX:
            raise RecursionError
        self.count += 1
        self.spots.setdefault(path, Spot(key, value, path))

    def _skip(self) -> None:
        if space := _SPACE.match(self.text, self.at):
            self.at = space.end()

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _mark(self) -> Mark:
        line = bisect_right(self._lines, self.at)
        return Mark(line, self.at - self._lines[line - 1] + 1)
