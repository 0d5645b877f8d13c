"""What happened to a grid, in a few lines: each host keeps those of its part, and all of them make its story.

The source are the notes that name the grid as their cause. What a host does all the time is no line: a story
has what people are to know, and would miss if they looked a day later.
"""

from collections.abc import Iterable

import msgspec

from protocol.terms.effects import Note
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    STORY_AGAIN_S,
    STORY_CHARACTERS,
    STORY_KEPT,
    STORY_TOLD,
)
from protocol.terms.ranges import Moment

PHASE = "workspace.phase"
_PHASES_TOLD = ("failed", "expired", "suspended", "paused", "no-room", "stalled", "off")
_NOT_TOLD = (
    *("grid.decided", "grid.cleared", "grid.host-lost", "grid.host-back"),
    *("workspace.stopping", "workspace.stopped", "workspace.ready"),
)
"""Kinds that are no lines by themselves. A host that is lost is told by one of the others, not by all."""


class GridLine(msgspec.Struct, frozen=True, array_like=True):
    """One thing that happened to a grid at a host."""

    at_s: Moment
    """Unix seconds, by that host's clock."""
    kind: str
    """The kind of its note: `lease.warning`, `grid.yields`."""
    text: str


GridStory = tuple[GridLine, ...]
"""Oldest first."""


def line_of(note: Note, now: float) -> GridLine | None:
    """The line that a note about a grid is worth; None if it is worth none."""
    if note.kind in _NOT_TOLD:
        return None
    if note.kind == PHASE and not note.detail.startswith(_PHASES_TOLD):
        return None
    _, _, workspace = note.subject.partition("/")
    text = ": ".join(part for part in (workspace, note.detail) if part)
    return GridLine(now, note.kind, text[:STORY_CHARACTERS])


def longer(story: GridStory, line: GridLine) -> GridStory:
    """The story with one line more; the same story if that says nothing new.

    What repeats itself is told again only after a while, and then in place of the line before. So is a
    workspace's phase that follows another one at once, as when a start fails again and again.
    """
    for old in story:
        if (old.kind, old.text) == (line.kind, line.text):
            if line.at_s < old.at_s + STORY_AGAIN_S:
                return story
            return (*(one for one in story if one is not old), line)
    if story and _supersedes(line, story[-1]):
        story = story[:-1]
    return (*story, line)[-STORY_KEPT:]


def _supersedes(line: GridLine, last: GridLine) -> bool:
    same = line.kind == last.kind == PHASE and _who(line) == _who(last)
    return same and line.at_s < last.at_s + STORY_AGAIN_S


def _who(line: GridLine) -> str:
    return line.text.partition(":")[0]


class ToldLine(msgspec.Struct, frozen=True):
    """A line of a grid's story, and which host tells it."""

    at_s: float
    host: PeerId
    kind: str
    text: str


def joined(stories: Iterable[tuple[PeerId, GridStory]], most: int = STORY_TOLD) -> list[ToldLine]:
    """The stories of a grid's hosts as one, oldest first. What several tell at the same time is told once.

    They may come from strangers, so of each no more than the newest `most` lines are read, and no more of a
    line than a line has.
    """
    lines = [
        ToldLine(line.at_s, host, line.kind[:STORY_CHARACTERS], line.text[:STORY_CHARACTERS])
        for host, story in stories
        for line in story[-most:]
    ]
    told: dict[tuple[str, str], float] = {}
    story = []
    for line in sorted(lines, key=lambda line: line.at_s):
        before_s = told.get((line.kind, line.text))
        if before_s is None or line.at_s >= before_s + STORY_AGAIN_S:
            told[line.kind, line.text] = line.at_s
            story.append(line)
    return story
