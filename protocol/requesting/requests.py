"""The requests that people made of this peer: found by id, told what concerns them, bounded in number."""

from typing import assert_never

import msgspec

from protocol.contract.notices import Notice
from protocol.contract.outcomes import Answer, Outcome
from protocol.requesting.acting import Acting
from protocol.requesting.applying import Applying
from protocol.requesting.changing import Changing
from protocol.requesting.earlier import Earlier
from protocol.requesting.extending import Extending
from protocol.requesting.finding import Finding
from protocol.requesting.growing import Growing
from protocol.requesting.placing import Placing
from protocol.requesting.request import RequestState, RequestView
from protocol.terms.effects import Deadline, Effect, Note, earliest
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.terms.limits import REQUESTS_KEPT

AnyRequest = Placing | Changing | Acting | Extending | Applying | Growing | Finding


class Requests:
    """Running and remembered requests."""

    def __init__(self) -> None:
        self._all: dict[RequestId, AnyRequest | RequestView] = {}
        self._running: dict[RequestId, AnyRequest] = {}
        """Those that have no last answer yet. Only they are told anything."""
        self._begun: list[RequestId] = []
        """Those that are not on disk yet."""
        self.earlier = Earlier()

    def add(self, request: AnyRequest) -> None:
        """Takes in a request. If that is too many, the oldest that has its answer is forgotten."""
        self._all[request.id] = self._running[request.id] = request
        if not isinstance(request, Growing):
            self._begun.append(request.id)
            self.earlier.again(request.id)
        self._bound()

    def refused(self, view: RequestView) -> None:
        """Remembers a request that was refused at once."""
        self._running.pop(view.id, None)
        self._all[view.id] = view
        self._begun.append(view.id)
        self.earlier.again(view.id)
        self._bound()

    def revise(self, request: RequestId, state: RequestState, lines: tuple[str, ...]) -> None:
        """Something became of a request that had its answer: it has another."""
        old = self._all.get(request)
        if isinstance(old, RequestView):
            changed = msgspec.structs.replace(
                old, state=state, stage=state, answer=lines, until_s=0.0
            )
            self._all[request] = changed

    def __contains__(self, request: RequestId) -> bool:
        return request in self._all

    def running(self, request: str) -> AnyRequest | None:
        """The running request with that id; None if there is none."""
        return self._running.get(RequestId(request))

    def unended(self) -> list[RequestId]:
        """The running requests."""
        return list(self._running)

    def about(self, grid: GridId) -> list[AnyRequest]:
        """The running requests about one grid."""
        return [r for r in self._running.values() if r.grid_id == grid]

    def placing(self, order: str | None = None) -> list[Placing]:
        """The running requests that place a grid; those of one order, if one is named."""
        return [
            r
            for r in self._running.values()
            if isinstance(r, Placing) and order in (None, r.deployment.order)
        ]

    def placing_of(self, grid: GridId) -> Placing | None:
        """The running request whose attempt, or whose grid, has that id; None if there is none."""
        return next((r for r in self.about(grid) if isinstance(r, Placing)), None)

    def changed(self) -> list[GridId]:
        """The grids to which running requests apply an order."""
        return [r.grid_id for r in self._running.values() if isinstance(r, Applying)]

    def growing(self) -> int:
        """How many grids are being made larger because room came."""
        return sum(isinstance(r, Growing) for r in self._running.values())

    def holding(self, grid: GridId) -> Placing | Applying | Growing | None:
        """The running request for which hosts hold under that id; None if there is none."""
        applying = (r for r in self._running.values() if isinstance(r, Applying | Growing))
        return next((r for r in applying if r.attempt == grid), None) or self.placing_of(grid)

    def finding(self) -> list[Finding]:
        """The running requests that wait to know which grid they are about."""
        return [r for r in self._running.values() if isinstance(r, Finding)]

    def queued(self, request: RequestId) -> Placing | None:
        """The running request with that id, if it is one that waits when there is no room; else None."""
        found = self._running.get(request)
        return found if isinstance(found, Placing) and found.queues else None

    def noticed(self, peer: PeerId, notice: Notice, now: float) -> None:
        """A host tells of a grid. Requests say themselves whether that concerns them.

        One that waits listens for the grids of all attempts of its order.
        """
        for request in self._running.values():
            match request:
                case Placing() | Changing() | Acting() | Applying():
                    request.noticed(peer, notice, now)
                case Extending() | Finding() | Growing():
                    pass
                case _:
                    assert_never(request)

    def tick(self, now: float) -> Answer:
        """Lets requests go on whose time has come."""
        effects: list[Effect] = []
        outcomes: list[Outcome] = []
        for request in self._running.values():
            match request:
                case Placing() | Extending() | Applying() | Growing():
                    more, due = request.tick(now)
                    effects += more
                    outcomes += due
                case Changing():
                    effects += request.tick(now)
                case Acting():
                    request.tick(now)
                case Finding():
                    pass
                case _:
                    assert_never(request)
        return effects, outcomes

    def view(self, request: RequestId) -> RequestView | None:
        """Any remembered request; None if there is none with that id."""
        found = self._all.get(request) or self.earlier.view(request)
        return found if found is None or isinstance(found, RequestView) else found.view()

    def views(self) -> list[RequestView]:
        """All remembered requests, oldest first."""
        told = [r for r in self._all.values() if not (isinstance(r, Growing) and r.quiet)]
        now = [r if isinstance(r, RequestView) else r.view() for r in told]
        return self.earlier.views() + now

    def settle(self) -> list[RequestView]:
        """The requests that got their answers since the last call. They run no more."""
        ended = [r for r in self._running.values() if not r.running]
        for quiet in [r for r in ended if isinstance(r, Growing) and r.quiet]:
            # Nobody asked for it, and nothing came of it.
            ended.remove(quiet)
            del self._running[quiet.id], self._all[quiet.id]
        views = [request.view() for request in ended]
        for view in views:
            if view.kind == Growing.kind:
                self._forget_grown(view.grid)
            self._all[view.id] = view
            del self._running[view.id]
        return views

    def _forget_grown(self, grid: str) -> None:
        """Nobody asked for what room did, so only the last of it is remembered; people's requests stay."""
        views = [v for v in self._all.values() if isinstance(v, RequestView)]
        for old in views:
            if (old.kind, old.grid) == (Growing.kind, grid):
                del self._all[old.id]

    def notes(self) -> list[Effect]:
        """Notes for the answers that were not told yet, and what is to be on disk of requests."""
        ended = self.settle()
        begun, self._begun = self._begun, []
        fresh = {view.id: view for r in begun if (view := self.view(r)) is not None}
        write = self.earlier.write(list((fresh | {view.id: view for view in ended}).values()))
        notes: list[Effect] = [
            Note(
                f"request.{view.state}",
                view.grid,
                "; ".join(line.strip() for line in view.answer),
                view.id,
            )
            for view in ended
        ]
        return notes + write

    def next_deadline(self) -> Deadline | None:
        """When the first request must go on; None if none must."""
        if not self._running:
            return None
        return earliest(*(r.next_deadline() for r in self._running.values()))

    def _bound(self) -> None:
        if len(self._all) > REQUESTS_KEPT:
            views = [r for r in self._all.values() if isinstance(r, RequestView)]
            for old in [view for view in views if view.state is not RequestState.HELD][:1]:
                del self._all[old.id]


def answered(
    request: RequestId, kind: str, grid: str, lines: tuple[str, ...], now: float
) -> RequestView:
    """A request that is refused as soon as it is made."""
    return RequestView(
        id=request,
        kind=kind,
        grid=grid,
        state=RequestState.FAILED,
        stage=RequestState.FAILED,
        started_s=now,
        answer=lines,
        story=(),
    )
