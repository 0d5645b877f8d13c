"""The queue of this peer: best-effort requests that wait for room, on disk, over restarts."""

from protocol.contract.authority import Authority, Deployment
from protocol.contract.outcomes import Outcome
from protocol.requesting.queueing import TABLE, QueuedRow, Queueing, QueueNotSaved
from protocol.requesting.requests import Requests, answered
from protocol.requesting.surroundings import Surroundings
from protocol.terms.dice import Dice
from protocol.terms.effects import Effect, Persist, Row, Untidied
from protocol.terms.ids import KeyId, RequestId
from protocol.terms.limits import QUEUED_MOST
from protocol.trust.order import SignedOrder, read_order
from protocol.trust.signing import Untrusted
from protocol.wire.codec import decode, encode

Answer = tuple[list[Effect], list[Outcome]]


class Queue:
    """Queued requests, beside the others."""

    def __init__(
        self, requests: Requests, authority: Authority, surroundings: Surroundings, dice: Dice
    ) -> None:
        self._requests, self._authority, self._surroundings = requests, authority, surroundings
        self._dice = dice
        self._queued: dict[RequestId, None] = {}

    @property
    def full(self) -> bool:
        """Whether it takes no more."""
        return len(self._queued) >= QUEUED_MOST

    def add(
        self, request: RequestId, deployment: Deployment, signed: SignedOrder, now: float
    ) -> list[Effect]:
        """One more; it is tried at once."""
        queueing = Queueing(request, deployment, signed, self._surroundings, self._dice, now)
        self._requests.add(queueing)
        self._queued[request] = None
        self._line_up()
        row = Row(TABLE, request, encode(QueuedRow(signed, now)))
        return [*queueing.start(now), Persist((row,), QueueNotSaved(request))]

    def resume(self, rows: dict[str, bytes], now: float) -> list[Effect]:
        """Requests that waited when this peer last ran wait on."""
        effects: list[Effect] = []
        saved = {key: decode(rows[key], QueuedRow) for key in rows}
        for key in sorted(saved, key=lambda key: (saved[key].asked_s, key)):
            row, request = saved[key], RequestId(key)
            try:
                deployment = self._authority.deployment(row.order, now, fresh=True)
            except Untrusted as error:
                lines = (f"it waited for room, and its order is not accepted any more: {error}",)
                name = read_order(row.order).grid
                self._requests.refused(answered(request, "up", name, lines, now))
                effects.append(Persist((Row(TABLE, key, None),), Untidied()))
                continue
            queueing = Queueing(
                request, deployment, row.order, self._surroundings, self._dice, row.asked_s
            )
            self._requests.add(queueing)
            self._queued[request] = None
            queueing.resumed()
            self._line_up()
            effects += queueing.start(now)
        return effects

    def not_saved(self, event: QueueNotSaved, now: float) -> Answer:
        """A request that cannot be kept is answered no; one that is decided needs not be kept."""
        running = self._requests.running(event.request)
        if isinstance(running, Queueing) and running.record is None:
            return running.failed(event.why, now), []
        return [], []

    def room_changed(self, now: float, here: bool) -> None:
        """This host has other room than before, or tells of more: who waits may try."""
        for request in self._queued:
            running = self._requests.running(request)
            if isinstance(running, Queueing):
                running.woken(now, here)

    def tidy(self) -> list[Effect]:
        """What waits no more leaves the queue."""
        left = [
            request
            for request in self._queued
            if not isinstance(running := self._requests.running(request), Queueing)
            or not running.running
            or running.record is not None
        ]
        for request in left:
            del self._queued[request]
        if left:
            self._line_up()
        rows = tuple(Row(TABLE, request, None) for request in left)
        return [Persist(rows, Untidied())] if rows else []

    def _line_up(self) -> None:
        first: dict[KeyId, RequestId] = {}
        for request in self._queued:
            running = self._requests.running(request)
            if isinstance(running, Queueing):
                running.line_up(first.setdefault(running.deployment.owner, request) == request)
