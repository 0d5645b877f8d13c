"""This host's part of the story of each grid it carries, on disk.

It hears every note of the node, and keeps those about grids here (contract/story.py says which). A new line
makes a notice due, and goes out and to disk with it: never more often than notices go anyway.
"""

from collections.abc import Callable, Iterable

import msgspec

from protocol.contract.story import GridLine, GridStory, line_of, longer
from protocol.terms.effects import Effect, Note, Persist, Row, Untidied
from protocol.terms.ids import GridId
from protocol.terms.limits import STORY_TOLD
from protocol.wire.codec import Malformed, decode, encode

TABLE = "story"


class Kept(msgspec.Struct, frozen=True):
    """What is on disk of one grid's story."""

    lines: GridStory


class Chronicle:
    """The lines of one host, by grid."""

    def __init__(self, rows: dict[str, bytes], carried: Callable[[GridId], bool]) -> None:
        """`carried` answers whether this host carries part of a grid. What is on disk of others is removed."""
        self._carried = carried
        known = {GridId(key): rows[key] for key in sorted(rows)}
        found = {grid: _read(value) for grid, value in known.items() if carried(grid)}
        self._stories: dict[GridId, GridStory] = {g: lines for g, lines in found.items() if lines}
        self._unsaved: dict[GridId, None] = dict.fromkeys(
            grid for grid in known if grid not in self._stories
        )

    def story(self, grid: GridId) -> GridStory:
        """All that is kept of a grid's story here."""
        return self._stories.get(grid, ())

    def newest(self, grid: GridId) -> GridStory:
        """As much of it as goes into a notice."""
        return self.story(grid)[-STORY_TOLD:]

    def hear(self, effects: Iterable[Effect], now: float) -> list[GridId]:
        """Keeps what is worth a line of what goes out to the world. Answers the grids that have a new one."""
        news: dict[GridId, None] = {}
        for effect in effects:
            if not isinstance(effect, Note) or not self._carried(GridId(effect.cause)):
                continue
            line = line_of(effect, now)
            if line is not None and self.keep(GridId(effect.cause), line):
                news[GridId(effect.cause)] = None
        return list(news)

    def keep(self, grid: GridId, line: GridLine) -> bool:
        """Keeps a line. False if it says nothing new."""
        before = self.story(grid)
        after = longer(before, line)
        if after is before:
            return False
        self._stories[grid] = after
        self._unsaved[grid] = None
        return True

    def forget(self, grid: GridId) -> None:
        """Nothing of that grid is here any more, and that was told."""
        if self._stories.pop(grid, None) is not None:
            self._unsaved[grid] = None

    def save(self) -> list[Effect]:
        """The write of what is not on disk yet. If it fails, a restart has forgotten it."""
        if not self._unsaved:
            return []
        unsaved, self._unsaved = self._unsaved, {}
        return [Persist(tuple(self._row(grid) for grid in unsaved), Untidied())]

    def _row(self, grid: GridId) -> Row:
        story = self._stories.get(grid)
        return Row(TABLE, grid, encode(Kept(story)) if story is not None else None)


def _read(value: bytes) -> GridStory:
    """A story as it was kept. It is no loss if it cannot be read: the grid goes on without it."""
    try:
        return decode(value, Kept).lines
    except Malformed:
        return ()
