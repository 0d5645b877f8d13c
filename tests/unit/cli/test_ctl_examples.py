"""Each example in a command's help, and in the README, is one with options and arguments that it takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from overlayd.cli.main import app


def examples(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """(the command, as it is typed; a line of its help) for each example."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "commands"):
            yield from examples(command, (*path, name))
            continue
        for line in re.findall(r"Example: (.*)", command.help):
            yield (*path, name), line


EXAMPLES = list(examples(get_command(app)))


README = Path(__file__).resolve().parents[3] / "README.md"
_CONTROL = re.compile(r"^    (overlayctl .*)$", re.MULTILINE)
TYPED = [
    words.strip()
    for line in _CONTROL.findall(README.read_text())
    for words in re.split(r"; | && ", re.split(r" {2,}#| # ", line)[0])
]


def typed(line: str) -> list[str]:
    """The command that is asked for, as all of its words. Fails if it cannot be read."""
    words = shlex.split(line.partition("overlayctl ")[2].partition(" >")[0])
    read: Any = get_command(app)
    context = read.make_context("overlayctl", words)
    while hasattr(read, "commands"):
        name, read, words = read.resolve_command(context, [*context._protected_args, *context.args])
        context = read.make_context(name, words, parent=context)
    asked: list[str] = context.command_path.split()[1:]
    return asked


@pytest.mark.parametrize(("command", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_an_example_can_be_typed(command: tuple[str, ...], line: str) -> None:
    assert typed(line) == list(command)


@pytest.mark.parametrize("line", TYPED)
def test_what_the_readme_shows_can_be_typed(line: str) -> None:
    assert typed(line)
