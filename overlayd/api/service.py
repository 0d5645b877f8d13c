"""What every handler is given: the peer, a folder for uploads, and the requests that were just taken in."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from overlayd.ports.images import ImportWatch
from overlayd.ports.peer import LocalPeer
from protocol.requesting.request import RequestState, RequestView
from protocol.terms.ids import RequestId

T = TypeVar("T")

TAKEN_MAX = 256
"""How many requests are remembered here: as many as the node remembers."""

TAKEN_S = 60.0
"""For how many seconds they are: far longer than an event waits in the inbox."""


class Service:
    """What the handlers of one app share. They run on the peer's event loop, so nothing here needs a lock."""

    def __init__(self, peer: LocalPeer, uploads: Path) -> None:
        self.peer = peer
        self.uploads = uploads
        self.stopping = asyncio.Event()
        self.imports: dict[str, ImportWatch] = {}
        """Files on their way to be images, and images to be files, by what the client called it."""
        self.attached: dict[tuple[str, str], None] = {}
        """Grid and network of each request that this host is attached by."""
        self._taken: dict[RequestId, RequestView] = {}

    def take(self, request: RequestId, kind: str, grid: str) -> None:
        """Remembers a request until the node has dealt with its event."""
        self._taken[request] = RequestView(
            id=request,
            kind=kind,
            grid=grid,
            state=RequestState.RUNNING,
            stage="queued",
            started_s=self.peer.now(),
            answer=(),
            story=(),
        )
        if len(self._taken) > TAKEN_MAX:
            del self._taken[next(iter(self._taken))]

    def request(self, request: RequestId) -> RequestView | None:
        """A request as the node has it, or as it was taken in a moment ago; None if there is none."""
        view, taken = self.peer.view.request(request), self._taken.get(request)
        given_again = view is not None and view.state is RequestState.INTERRUPTED
        if view is not None and (taken is None or not given_again):
            self._taken.pop(request, None)
            return view
        if taken is not None and self.peer.now() - taken.started_s > TAKEN_S:
            del self._taken[request]
            return None
        return taken

    def requests(self) -> list[RequestView]:
        """All requests that are remembered, oldest first."""
        views = self.peer.view.requests()
        known = {view.id for view in views}
        waiting = [request for request in self._taken if request not in known]
        return views + [view for r in waiting if (view := self.request(r)) is not None]

    async def unless_stopping(self, waiting: Coroutine[object, object, T]) -> T | None:
        """What `waiting` answers, or None as soon as the API is being stopped."""
        work = asyncio.ensure_future(waiting)
        stop = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
            return work.result() if work.done() else None
        finally:
            for task in (work, stop):
                task.cancel()
            await asyncio.gather(work, stop, return_exceptions=True)


Here = NamedDependency[SkipValidation[Service]]
