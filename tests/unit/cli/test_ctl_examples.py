"""Each example in a command's help is a command that is there, with options it has and enough arguments."""

import re
import shlex
from collections.abc import Iterator
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


@pytest.mark.parametrize(("command", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_an_example_can_be_typed(command: tuple[str, ...], line: str) -> None:
    words = shlex.split(line.partition("overlayctl ")[2].partition(" >")[0])
    read: Any = get_command(app)
    context = read.make_context("overlayctl", words)
    while hasattr(read, "commands"):
        name, read, words = read.resolve_command(context, [*context._protected_args, *context.args])
        context = read.make_context(name, words, parent=context)
    assert context.command_path.split()[1:] == list(command)
