"""Requests on disk: what became of an order is told also after a restart of this peer.

An order is written down when it is given, and again with its answer and the end of its story. One that was
under way when a life ended is told as interrupted: what was decided of it stands, and to give it again is safe.
Plans and quotes ask nothing of anybody, so they are not kept.
"""

import msgspec

from protocol.requesting.request import RequestState, RequestView, StoryLine
from protocol.terms.effects import Effect, Persist, Row, Untidied
from protocol.terms.ids import RequestId
from protocol.terms.limits import REQUESTS_ON_DISK, STORY_CHARACTERS, STORY_ON_DISK
from protocol.wire.codec import Malformed, decode, encode

TABLE = "request"
_NOT_KEPT = ("plan", "quote", "hold", "grow")


class Kept(msgspec.Struct, frozen=True):
    """What is on disk of a request."""

    id: RequestId
    kind: str
    grid: str
    state: RequestState
    started_s: float
    answer: tuple[str, ...] = ()
    story: tuple[StoryLine, ...] = ()


class Earlier:
    """The requests of earlier lives, and those of this one as they are on disk."""

    def __init__(self) -> None:
        self._views: dict[RequestId, RequestView] = {}
        self._on_disk: dict[RequestId, None] = {}
        """Oldest first."""
        self._unread: list[RequestId] = []

    def resume(self, rows: dict[str, bytes]) -> None:
        """Takes in what earlier lives wrote. What cannot be read is removed with the next write."""
        kept: list[Kept] = []
        for key, value in rows.items():
            try:
                kept.append(decode(value, Kept))
            except Malformed:
                self._unread.append(RequestId(key))
        for one in sorted(kept, key=lambda kept: (kept.started_s, kept.id)):
            self._views[one.id] = _view(one)
            self._on_disk[one.id] = None

    def view(self, request: RequestId) -> RequestView | None:
        """A request of an earlier life; None if there is none, or if this life has it again."""
        return self._views.get(request)

    def views(self) -> list[RequestView]:
        """All of them, oldest first."""
        return list(self._views.values())

    def again(self, request: RequestId) -> None:
        """This life has that request now."""
        self._views.pop(request, None)

    def write(self, views: list[RequestView]) -> list[Effect]:
        """The write of how far these requests are. What is too much on disk is removed, the oldest first."""
        rows = []
        for view in views:
            if view.kind in _NOT_KEPT:
                continue
            self._on_disk.pop(view.id, None)
            self._on_disk[view.id] = None
            rows.append(Row(TABLE, view.id, encode(_kept(view))))
        if rows:
            rows += [Row(TABLE, key, None) for key in self._unread if key not in self._on_disk]
            self._unread = []
        while len(self._on_disk) > REQUESTS_ON_DISK:
            oldest = next(iter(self._on_disk))
            del self._on_disk[oldest]
            self._views.pop(oldest, None)
            rows.append(Row(TABLE, oldest, None))
        return [Persist(tuple(rows), Untidied())] if rows else []


def _kept(view: RequestView) -> Kept:
    story = tuple(
        StoryLine(line.at_s, line.text[:STORY_CHARACTERS]) for line in view.story[-STORY_ON_DISK:]
    )
    answer = tuple(line[: 2 * STORY_CHARACTERS] for line in view.answer[:STORY_ON_DISK])
    return Kept(view.id, view.kind, view.grid, view.state, view.started_s, answer, story)


def _view(kept: Kept) -> RequestView:
    state, answer = kept.state, kept.answer
    if state in (RequestState.RUNNING, RequestState.QUEUED):
        state = RequestState.INTERRUPTED
        answer = (
            f"this peer's daemon was started again before {kept.kind} {kept.grid} had its answer",
            f"  would work: the same again, which is safe; `overlayctl show {kept.grid}` tells what there is",
        )
    return RequestView(
        id=kept.id,
        kind=kept.kind,
        grid=kept.grid,
        state=state,
        stage=state,
        started_s=kept.started_s,
        answer=answer,
        story=kept.story,
    )
