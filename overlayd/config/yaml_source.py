"""YAML text to a Source.

PyYAML scans and composes. Everything else is ours, because we want positions and do not want YAML 1.1. Plain
scalars follow YAML 1.2's core schema, so `no`, `on`, `6:30` and dates are text, and `010` is ten. There are no
tags and no merge keys, keys are text, and duplicate keys are errors. Aliases work, but what they expand to
counts against VALUES_MAX, so a bomb of them is an error and not a gigabyte.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from overlayd.config.documents import (
    DEPTH_MAX,
    VALUES_MAX,
    DocumentError,
    Key,
    KeyPath,
    Mark,
    Problem,
    Source,
    Spot,
)

_INT = re.compile(r"[-+]?[0-9]{1,300}")
_BASED = re.compile(r"0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}")
_FLOAT = re.compile(
    r"[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]{1,4})?|[0-9]+[eE][-+]?[0-9]{1,4})"
)
_TEXT_TAG = "tag:yaml.org,2002:str"
_PLAIN_TAGS = (_TEXT_TAG, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


class _Loader(yaml.SafeLoader):
    """It only composes, and takes every plain scalar for text. `_plain` decides afterwards."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  PyYAML's own way to say so


def parse_yaml(text: str, file: str) -> Source:
    """The document with positions. Raises DocumentError if it is no YAML, too deep or too large."""
    reader = _Reader(file, text)
    try:
        reader.measure()
        root = yaml.compose(text, _Loader)
        value = None if root is None else reader.build(root, (), (), None)
    except yaml.MarkedYAMLError as error:
        mark = _mark(error.problem_mark or error.context_mark)
        said = ", ".join(filter(None, (error.context, error.problem)))
        raise DocumentError([reader.bare.problem_at(mark, f"not YAML: {said}")]) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        mark = Mark(before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1)
        said = f"not YAML: the character U+{int(error.character):04X} is not allowed"
        raise DocumentError([reader.bare.problem_at(mark, said)]) from None
    return Source(file, text, value, reader.spots, reader.problems)


def _mark(mark: Any) -> Mark:
    """Our mark, from PyYAML's, which counts from 0 and may be missing."""
    return Mark(mark.line + 1, mark.column + 1) if mark else Mark()


class _Reader:
    """One pass over one document."""

    def __init__(self, file: str, text: str) -> None:
        self.text = text
        self.bare = Source(file, text, None, {})
        self.spots: dict[KeyPath, Spot] = {}
        self.problems: list[Problem] = []
        self._values = 0

    def measure(self) -> None:
        """Checks depth and size from events as they come, because the composer behind it recurses."""
        depth = values = 0
        for event in yaml.parse(self.text, _Loader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            values += isinstance(event, yaml.NodeEvent)
            if depth > DEPTH_MAX:
                self._stop(event, f"nested deeper than {DEPTH_MAX} levels")
            if values > VALUES_MAX:
                self._stop(event, f"more than {VALUES_MAX} values")

    def _stop(self, event: yaml.Event | yaml.Node, message: str) -> None:
        raise DocumentError([self.bare.problem_at(_mark(event.start_mark), message)])

    def build(
        self, node: yaml.Node, path: KeyPath, above: tuple[yaml.Node, ...], key: Mark | None
    ) -> object:
        """The plain value of a node. Its position, and those below, are noted."""
        mark = _mark(node.start_mark)
        self.spots[path] = Spot(key or mark, mark, path)
        self._values += 1
        if self._values > VALUES_MAX:
            self._stop(node, f"more than {VALUES_MAX} values once aliases are expanded")
        if node in above or len(above) > DEPTH_MAX:
            self._say(mark, path, "an alias inside of what it stands for, or nested too deep")
            return None
        if node.tag not in _PLAIN_TAGS:
            self._say(mark, path, f"found the tag {node.tag[:60]!r}; tags are not used here")
            return None
        if isinstance(node, yaml.ScalarNode):
            return _plain(node.value) if node.style is None else node.value
        if isinstance(node, yaml.SequenceNode):
            return [
                self.build(item, (*path, index), (*above, node), None)
                for index, item in enumerate(node.value)
            ]
        return {
            name: self.build(value, (*path, name), (*above, node), at)
            for name, at, value in self._entries(node, path)
        }

    def _entries(self, node: yaml.Node, path: KeyPath) -> Iterator[tuple[str, Mark, yaml.Node]]:
        first: dict[Key, Mark] = {}
        for key, value in node.value:
            mark = _mark(key.start_mark)
            if not isinstance(key, yaml.ScalarNode) or key.tag != _TEXT_TAG:
                self._say(mark, (*path, "?"), "found a key that is not plain text")
            elif key.value == "<<" and key.style is None:
                self._say(mark, (*path, "<<"), "found a merge key (<<); write it out")
            elif key.value in first:
                said = f"a second time; it is on line {first[key.value].line} already"
                self._say(mark, (*path, key.value), said)
            else:
                first[key.value] = mark
                yield key.value, mark, value

    def _say(self, mark: Mark, path: KeyPath, message: str) -> None:
        self.problems.append(self.bare.problem_at(mark, message, path))


def _plain(text: str) -> object:
    """A plain scalar by YAML 1.2's core schema, without infinities."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text[0] in "tT"
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
