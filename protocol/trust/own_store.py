"""The id of this host's own store: a name for what it remembers.

It is made with the store and kept in it. Presences say it, and hold grants name it beside the host's key, so
that a promise can be told from one that another disk remembers. A host that finds that others remember more of
it than its disk does (restored from a backup, cloned) takes another id before it says anything else. An id that
was given up never comes back.

What a store was meant to forget, once it is over, is never shown to it as new: it keeps a mark of how late that
may have been.
"""

import math
from collections.abc import Mapping

from protocol.terms.dice import Dice
from protocol.terms.effects import Effect, Note, Persist, Row
from protocol.terms.ids import StoreId, is_store

TABLE, KEY, FORGOTTEN = "self", "store", "forgotten"
ID_BYTES = 8


class OwnStore:
    """The store of one peer."""

    def __init__(self, name: str, rows: Mapping[str, bytes], made: str, dice: Dice) -> None:
        """`rows` are those of TABLE. A store without an id (new, or of a build before) is called `made`.

        `name` is the host's, for people.
        """
        self._name, self._dice = name, dice
        kept = rows.get(KEY, b"").decode("ascii", "replace")
        self.id = StoreId(kept if is_store(kept) else made)
        # Each life writes it once: what a store begins with that is new, or was lost, nobody wrote yet.
        self._unsaved, self._renewed = True, False
        self.forgotten_s = _mark(rows.get(FORGOTTEN, b""), self.id)
        """What later stewards keep of an order that ended by then, Unix seconds, it may have forgotten."""

    def unsaved(self) -> tuple[Row, ...]:
        """What is to be on disk before anything is said in this life; nothing if it is."""
        rows = (Row(TABLE, KEY, self.id.encode()),) if self._unsaved else ()
        self._unsaved = False
        return rows

    def renew(self, why: str) -> list[Effect]:
        """Others remember more than this store does: takes another id, on disk before anything else is said."""
        before, self.id = self.id, StoreId(f"{self._dice.getrandbits(8 * ID_BYTES):016x}")
        self._unsaved, self._renewed, self.forgotten_s = True, True, 0.0
        told = (
            f"{why}; store {before} is {self.id} from now on, and what it promised before is void"
        )
        return [Persist(self.unsaved()), Note("store.renewed", self._name, told)]

    def forgot(self, until_s: float) -> tuple[Row, ...]:
        """It forgets something of an order that ended then, Unix seconds. What is to be on disk with that."""
        if until_s <= self.forgotten_s:
            return ()
        self.forgotten_s = until_s
        return (Row(TABLE, FORGOTTEN, f"{self.id} {until_s!r}".encode()),)

    def pop_renewed(self) -> bool:
        """Whether it took another id since the last call."""
        renewed, self._renewed = self._renewed, False
        return renewed


def _mark(row: bytes, store: StoreId) -> float:
    """The mark that this store made. One of another store is void; if it cannot be read, it may be any."""
    of, _, until = row.decode("ascii", "replace").partition(" ")
    if not row or (is_store(of) and of != store):
        return 0.0
    try:
        until_s = float(until) if of == store else math.nan
    except ValueError:
        return math.inf
    return math.inf if math.isnan(until_s) else until_s
