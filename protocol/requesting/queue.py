"""The queue of this peer: best-effort requests that wait for room. They are on disk and survive restarts.

When room is told of, requests of owners that had less of their share try before the others: each lets others go
first for up to 20 s, the longer the less its owner's priority is (policy/shares.py), as far as this peer knows.
"""

from collections.abc import Callable

from protocol.contract.authority import Authority, Deployment
from protocol.contract.outcomes import Answer
from protocol.requesting.placing import Placing
from protocol.requesting.policies import Plain
from protocol.requesting.queueing import TABLE, QueuedRow, Queueing, QueueNotSaved, behind_s
from protocol.requesting.requests import Requests, answered
from protocol.requesting.surroundings import Surroundings
from protocol.terms.dice import Dice
from protocol.terms.effects import Effect, Persist, Row, Untidied
from protocol.terms.ids import KeyId, RequestId
from protocol.terms.limits import QUEUED_MOST
from protocol.trust.order import SignedOrder, read_order
from protocol.trust.signing import Untrusted
from protocol.wire.codec import decode, encode


class Queue:
    """The queued ones among this peer's requests."""

    def __init__(
        self,
        requests: Requests,
        authority: Authority,
        surroundings: Surroundings,
        dice: Dice,
        priority: Callable[[KeyId], float] = lambda owner: 1.0,
    ) -> None:
        """`priority` is of an owner, from 0 to 1."""
        self._priority = priority
        self._requests, self._authority, self._surroundings = requests, authority, surroundings
        self._dice = dice
        self._queued: dict[RequestId, None] = {}

    @property
    def full(self) -> bool:
        """Whether the queue takes no more requests."""
        return len(self._queued) >= QUEUED_MOST

    def add(
        self, request: RequestId, deployment: Deployment, signed: SignedOrder, now: float
    ) -> list[Effect]:
        """Takes in one more request, which tries at once."""
        placing = self._take(request, deployment, signed, now)
        row = Row(TABLE, request, encode(QueuedRow(signed, now)))
        return [*placing.start(now), Persist((row,), QueueNotSaved(request))]

    def resume(self, rows: dict[str, bytes], now: float) -> list[Effect]:
        """Takes in again the requests that waited when this peer last ran. `rows` are those on disk."""
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
            effects += self._take(request, deployment, row.order, row.asked_s).resume(now)
        return effects

    def _take(
        self, request: RequestId, deployment: Deployment, order: SignedOrder, asked_s: float
    ) -> Placing:
        queueing = Queueing(order, self._dice, lambda: behind_s(self._priority(deployment.owner)))
        policy = Plain(holds=True, queueing=queueing)
        surroundings, dice = self._surroundings, self._dice
        placing = Placing(request, deployment, order, surroundings, dice, asked_s, policy)
        self._requests.add(placing)
        self._queued[request] = None
        self._line_up()
        return placing

    def not_saved(self, event: QueueNotSaved, now: float) -> Answer:
        """Answers no to a request that cannot be kept. One that is decided need not be kept."""
        waits = self._requests.queued(event.request)
        if waits is not None and waits.record is None:
            return waits.unsaved(event.why, now), []
        return [], []

    def room_changed(self, now: float, here: bool) -> bool:
        """Requests that wait may try: some host tells of more room, or this one has other room (`here`). True
        if there are any."""
        for request in self._queued:
            if (waits := self._requests.queued(request)) is not None:
                waits.woken(now, here)
        return bool(self._queued)

    def tidy(self) -> list[Effect]:
        """Takes requests that wait no more off the disk."""
        left = [
            request
            for request in self._queued
            if (waits := self._requests.queued(request)) is None
            or not waits.running
            or waits.record is not None
        ]
        for request in left:
            del self._queued[request]
        if left:
            self._line_up()
        rows = tuple(Row(TABLE, request, None) for request in left)
        return [Persist(rows, Untidied())] if rows else []

    def _line_up(self) -> None:
        """The first of each owner is the one that was signed first, as hosts rank orders (hosting/claims.py).

        Those of one moment are ranked by their orders. By their coming here one would claim room that hosts
        give to another.
        """
        found = (self._requests.queued(request) for request in self._queued)
        waiting = [waits for waits in found if waits is not None]
        first: dict[KeyId, RequestId] = {}
        for waits in sorted(waiting, key=lambda waits: _rank(waits.deployment)):
            waits.line_up(first.setdefault(waits.deployment.owner, waits.id) == waits.id)


def _rank(deployment: Deployment) -> tuple[float, str]:
    return deployment.issued_at_s, deployment.order
