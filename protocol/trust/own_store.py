"""The id of this host's own store: a name for what it remembers.

It is made with the store and kept in it. Presences say it, and hold grants name it beside the host's key, so
that a promise can be told from one that another disk remembers. A host that finds that others remember more of
it than its disk does (restored from a backup, cloned) takes another id before it says anything else. An id that
was given up never comes back.
"""

from collections.abc import Mapping

from protocol.terms.dice import Dice
from protocol.terms.effects import Effect, Note, Persist, Row
from protocol.terms.ids import StoreId, is_store

TABLE, KEY = "self", "store"
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
        self._unsaved, self._renewed = self.id != kept, False

    def unsaved(self) -> tuple[Row, ...]:
        """What is to be on disk before anything is said; nothing if it is."""
        rows = (Row(TABLE, KEY, self.id.encode()),) if self._unsaved else ()
        self._unsaved = False
        return rows

    def renew(self, why: str) -> list[Effect]:
        """Others remember more than this store does: takes another id, on disk before anything else is said."""
        before, self.id = self.id, StoreId(f"{self._dice.getrandbits(8 * ID_BYTES):016x}")
        self._unsaved, self._renewed = True, True
        told = (
            f"{why}; store {before} is {self.id} from now on, and what it promised before is void"
        )
        return [Persist(self.unsaved()), Note("store.renewed", self._name, told)]

    def pop_renewed(self) -> bool:
        """Whether it took another id since the last call."""
        renewed, self._renewed = self._renewed, False
        return renewed
