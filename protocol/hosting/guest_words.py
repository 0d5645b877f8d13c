"""What guests say of themselves: that they are ready, by which keys they are known, or what is wrong.

It is on disk with the lease, so that a daemon that starts again knows it. It is a word about one start: the
next start says its own.
"""

from collections.abc import Iterable

import msgspec

from protocol.contract.outcomes import Answer
from protocol.grid.lifecycle import Status, Wanted, Word
from protocol.hosting.events import GuestSaid
from protocol.hosting.lease import Lease
from protocol.hosting.leases import Leases
from protocol.terms.effects import Effect, Note, Persist, Realise, Untidied
from protocol.terms.ids import GridId

READY = "workspace.ready"
PROBLEM = "workspace.problem"


class GuestWords:
    """The words of the guests of one host."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases

    def said(self, event: GuestSaid) -> Answer:
        """A guest said something. A word about a start that is not wanted (any more) is passed over."""
        row = self._leases.row(event.grid)
        wanted = _wanted(row, event.workspace) if row is not None else None
        if row is None or wanted is None or wanted.boot != event.boot:
            return [], []
        old = word_of(row, wanted)
        new = None if event.taken_back else _word(event, old)
        if new == old:
            return [], []
        save = self._leases.put(msgspec.structs.replace(row, words=_with(row, event, new)))
        notes = _notes(f"{row.record.name}/{event.workspace}", row, old, new)
        # A full disk takes a word until the next start of the daemon, and ends nothing.
        kept = Persist(save.rows, Untidied())
        return [Realise(event.grid, event.grid), *notes, kept], []

    def with_keys(self, grid: GridId, status: Status) -> Status:
        """A workspace's status, with the keys by which its guest is known."""
        row = self._leases.row(grid)
        words = row.words if row is not None else ()
        keys = next((w.host_keys for w in words if _is_of(w, status.workspace, status.boot)), ())
        return msgspec.structs.replace(status, host_keys=keys) if keys else status


def word_of(row: Lease, wanted: Wanted) -> Word | None:
    """What the guest said in the start that is wanted of it; None if it has said nothing."""
    return next((w for w in row.words if _is_of(w, wanted.workspace, wanted.boot)), None)


def _is_of(word: Word, workspace: str, boot: int) -> bool:
    return (word.workspace, word.boot) == (workspace, boot)


def _wanted(row: Lease, workspace: str) -> Wanted | None:
    return next((w for w in row.wanted if w.workspace == workspace), None)


def _word(event: GuestSaid, old: Word | None) -> Word:
    """The newest word. Who says that it is ready and names no keys is known by those that it named before."""
    keys = event.host_keys or (old.host_keys if old is not None else ())
    return Word(event.workspace, event.boot, keys, event.problem)


def _with(row: Lease, event: GuestSaid, new: Word | None) -> tuple[Word, ...]:
    """The words that are kept: of the starts that are wanted, and of each the newest."""
    starts = {(w.workspace, w.boot) for w in row.wanted}
    others: Iterable[Word] = (
        w for w in row.words if w.workspace != event.workspace and (w.workspace, w.boot) in starts
    )
    return (*others, *([new] if new is not None else []))


def _notes(subject: str, row: Lease, old: Word | None, new: Word | None) -> list[Effect]:
    if new is None:
        return []
    if new.problem:
        return [Note(PROBLEM, subject, new.problem, row.record.id)]
    if old is not None and not old.problem:
        return []  # only its keys are new
    return [Note(READY, subject, "", row.record.id)]
