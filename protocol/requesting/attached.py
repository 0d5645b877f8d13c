"""Which hosts and stewards may have the files that came with an order: those its grids were made with.

It is on disk before a grid is decided. So whatever dies, the peer that was given the files knows who is to have
them as soon as there is a grid, and gives them to nobody on somebody's word.
"""

from collections.abc import Callable
from math import inf

import msgspec

from protocol.contract.told import Notices
from protocol.grid.record import GridRecord, GridState
from protocol.terms.effects import Effect, Persist, Row, Untidied
from protocol.terms.ids import Digest, GridId, PeerId
from protocol.terms.limits import ATTACHED_KEPT, ATTACHED_UNHEARD_S
from protocol.wire.codec import Malformed, decode, encode

TABLE = "attached"


class Attached(msgspec.Struct, frozen=True):
    """A grid whose files this peer was given, as it is on disk."""

    grid: GridId
    named: tuple[tuple[str, Digest], ...]
    """(cluster, file) pairs."""
    readers: tuple[PeerId, ...]
    """The hosts that carry it, and its stewards."""
    made_s: float

    @classmethod
    def of(
        cls, record: GridRecord, named: tuple[tuple[str, Digest], ...], now: float
    ) -> "Attached":
        """The files of a grid that is about to be decided."""
        readers = tuple(dict.fromkeys((*record.carriers(), *record.stewards)))
        return cls(record.id, named, readers, now)


class Attaching:
    """The grids whose files this peer was given, as far as they may still be there."""

    def __init__(self, rows: dict[str, bytes]) -> None:
        self._rows: dict[GridId, Attached] = {}
        self._since_s = inf
        self._gone: list[str] = []
        for key in sorted(rows):
            try:
                row = decode(rows[key], Attached)
            except Malformed:
                self._gone.append(key)
                continue
            self._rows[row.grid] = row

    def begin(self, now: float) -> None:
        """Begins a life, in which every grid has yet to be heard of."""
        self._since_s = now

    def rows(self) -> list[Attached]:
        """Every one of them."""
        return list(self._rows.values())

    def keep(self, row: Attached) -> list[Effect]:
        """A grid with files is about to be decided. Answers the write, which comes before that."""
        self._rows[row.grid] = row
        while len(self._rows) > ATTACHED_KEPT:
            self._forget(next(iter(self._rows)))
        return [Persist((Row(TABLE, row.grid, encode(row)),)), *self.tidy()]

    def noticed(self, peer: PeerId, grid: GridId, state: GridState) -> bool:
        """Whether a host that may have a grid's files says that it is down. If it is, `over` follows."""
        row = self._rows.get(grid)
        return row is not None and state is GridState.DOWN and peer in row.readers

    def over(self, grid: GridId) -> None:
        """A grid was taken down, so it needs nothing any more."""
        if grid in self._rows:
            self._forget(grid)

    def tick(self, notices: Notices, now: float) -> None:
        """Forgets grids of which nobody tells, once all that there are must have been heard of."""
        if now < self._since_s + ATTACHED_UNHEARD_S:
            return
        for row in self.rows():
            if now > row.made_s + ATTACHED_UNHEARD_S and notices.newest(row.grid) is None:
                self._forget(row.grid)

    def ended(self, goes_on: Callable[[GridId], bool]) -> None:
        """Forgets the attempts of this life that came to nothing: their grids will never be made."""
        for row in self.rows():
            if row.made_s >= self._since_s and not goes_on(row.grid):
                self._forget(row.grid)

    def tidy(self) -> list[Effect]:
        """Takes what is forgotten off the disk."""
        rows = tuple(Row(TABLE, key, None) for key in self._gone)
        self._gone = []
        return [Persist(rows, Untidied())] if rows else []

    def _forget(self, grid: GridId) -> None:
        del self._rows[grid]
        self._gone.append(grid)
