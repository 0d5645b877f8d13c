"""Every file of a change is true: what a person is told before a grid that is up is changed, word for word."""

import textwrap
from pathlib import Path

import pytest
from changing import FOLDER, Change, changes, load_change, spec_of

from overlayd.config.documents import DocumentError, render
from protocol.grid.apply import delta
from protocol.grid.change_words import change_lines, nothing_changes, numbers, summary
from protocol.grid.expand import workspaces
from protocol.terms.limits import PAST_CHARACTERS


@pytest.mark.parametrize(
    "path", changes(), ids=lambda p: str(p.relative_to(FOLDER).with_suffix(""))
)
def test_change(path: Path) -> None:
    change = load_change(path)
    assert said(change) == change.says
    assert path.read_text() == normal(change)


def said(change: Change) -> str:
    """What is said of a change before it is made."""
    try:
        old, new = spec_of(change.before), spec_of(change.after)
    except DocumentError as error:
        return render(error.problems) + "\n"
    placed = [w.name for w in workspaces(old) if w.name not in change.without]
    found = delta(placed, old, new)
    if nothing_changes(found, old, new):
        return "unchanged\n"
    assert len(summary(found, old, new)) <= PAST_CHARACTERS
    lines = change_lines(found, old, new, change.hosts)
    return "\n".join([*lines, numbers(found), ""])


def normal(change: Change) -> str:
    """The file as it should be written."""
    parts = [f"title: {change.title!r}\n" if ":" in change.title else f"title: {change.title}\n"]
    if change.why:
        parts[0] += f"why: |\n{textwrap.indent(change.why.rstrip(), '  ')}\n"
    parts.append(f"before: |\n{textwrap.indent(change.before, '  ')}")
    if change.without:
        parts[-1] += f"without: [{', '.join(change.without)}]\n"
    parts.append(f"after: |\n{textwrap.indent(change.after, '  ')}")
    if change.hosts:
        hosts = ", ".join(f"{name}: {host}" for name, host in change.hosts.items())
        parts[-1] += f"hosts: {{{hosts}}}\n"
    parts.append(f"says: |\n{textwrap.indent(change.says, '  ')}")
    return "\n".join(parts)
