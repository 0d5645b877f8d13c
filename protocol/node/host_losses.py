"""What grids suffer when a host dies, and when it is back: an event for each of its grids, at every peer."""

from protocol.contract.outcomes import Answer, NoticeDue
from protocol.contract.story import GridLine
from protocol.contract.told import Notices
from protocol.grid.problem import listed
from protocol.grid.record import GridState
from protocol.hosting.chronicle import Chronicle
from protocol.membership.liveness import Changed, Health
from protocol.requesting.silence import Hearing
from protocol.terms.effects import Note
from protocol.terms.ids import GridId, PeerId

LOST, BACK = "grid.host-lost", "grid.host-back"
"""Kinds of the notes."""


class HostLosses:
    """The hosts of grids that are up and are not heard, as this peer has told it."""

    def __init__(
        self, me: PeerId, notices: Notices, hearing: Hearing, chronicle: Chronicle
    ) -> None:
        """`chronicle` keeps the story of grids at this peer, which is `me`."""
        self._me, self._notices, self._hearing = me, notices, hearing
        self._chronicle = chronicle
        self._lost: dict[PeerId, dict[GridId, None]] = {}

    def heard(self, believed: list[Changed], now: float) -> Answer:
        """Peers died, left, or are back, and are taken out of the list. Answers a note for each of their grids.

        The first host of a grid that is heard keeps that in the grid's story, which makes a notice due.
        """
        notes = [note for changed in believed for note in self._believed(changed, now)]
        believed.clear()
        kept: dict[GridId, None] = {}
        for note in notes:
            grid, line = GridId(note.cause), GridLine(now, note.kind, note.detail)
            if self._tells(grid, now) and self._chronicle.keep(grid, line):
                kept[grid] = None
        return list(notes), [NoticeDue(grid) for grid in kept]

    def _believed(self, changed: Changed, now: float) -> list[Note]:
        if changed.health is Health.ALIVE:
            grids = self._lost.pop(changed.peer, {})
            return [
                note for grid in grids for note in self._note(BACK, grid, changed.peer, "is back")
            ]
        silence = self._hearing.silence(changed.peer, now)
        if silence is None:
            return []
        said, effects = silence.said(now), list[Note]()
        lost = self._lost.setdefault(changed.peer, {})
        for grid in self._notices.grids():
            if changed.peer not in self._notices.about(grid) or grid in lost:
                continue
            notes = self._note(LOST, grid, changed.peer, said)
            lost |= dict.fromkeys([grid] if notes else [])
            effects += notes
        if not lost:
            del self._lost[changed.peer]
        return effects

    def _tells(self, grid: GridId, now: float) -> bool:
        """Whether this host is the one to tell what happened to others."""
        notice = self._notices.newest(grid)
        hosts = dict.fromkeys(host for _, host in notice.placed) if notice is not None else {}
        return self._me == next((h for h in hosts if self._hearing.silence(h, now) is None), None)

    def _note(self, kind: str, grid: GridId, peer: PeerId, said: str) -> list[Note]:
        """A note, unless the grid is down or has nothing there any more."""
        notice = self._notices.newest(grid)
        if notice is None or notice.state is not GridState.UP:
            return []
        there = [name for name, host in notice.placed if host == peer]
        if not there:
            return []
        text = f"host {self._hearing.name(peer)} ({listed(there)}) {said}"
        return [Note(kind, notice.name, text, grid)]
