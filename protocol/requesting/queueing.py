"""Best effort: a grid that finds no room waits for it, at the peer it was asked of, over restarts.

Each peer keeps its own queue on disk; there is no common one to agree on. Waiting requests try again when
hosts tell of so much room that it may be enough, when enough is kept for them (claiming.py), and now and
then; each by its own dice, so that they do not all come at once. What they are answered each time is kept, so
that "why is it queued" and "what would let it run" have an answer.
"""

from math import inf

import msgspec

from protocol.contract.notices import Notice
from protocol.grid.record import GridRecord, GridState, order_part
from protocol.requesting.placing import Answer, Placing
from protocol.requesting.request import RequestState
from protocol.requesting.shortlist import possible
from protocol.requesting.surroundings import Stage
from protocol.terms.effects import Deadline, Effect, earliest
from protocol.terms.ids import RequestId
from protocol.terms.limits import QUEUE_AGAIN_S, QUEUE_EVERY_S, REQUEST_S
from protocol.terms.quantities import counted, format_moment
from protocol.trust.order import SignedOrder, read_order

TABLE = "queue"


class QueuedRow(msgspec.Struct, frozen=True):
    """What is on disk of a request that may have to wait."""

    order: SignedOrder
    asked_s: float


class QueueNotSaved(msgspec.Struct, frozen=True):
    """The store refused to keep a request: it is answered no, since it could not wait for long."""

    request: RequestId
    why: str = "this host's store has no room to keep it"


class Queueing(Placing):
    """One `up` of a best-effort lease."""

    _first = True
    """Whether it is the oldest of its owner that waits at this peer: hosts would heed no other's claim."""
    _look_s = inf
    """When to look whether room that hosts told of may be enough."""
    _anyway = False
    """Whether to try then without looking."""

    def start(self, now: float) -> list[Effect]:
        """Begins an attempt."""
        self._give_up_s = now + REQUEST_S
        self._look_s, self._anyway = inf, False
        assert self.order is not None
        order = read_order(self.order)
        if now >= order.issued_at_s + order.valid_s:
            return self._fail([f"{self.grid} found no room while its order was valid"], now)
        return super().start(now)

    def tell(self, now: float, text: str) -> None:
        """Its story does not repeat itself while it waits."""
        if self.state is not RequestState.QUEUED:
            super().tell(now, text)

    def woken(self, now: float, here: bool = False) -> None:
        """Some host tells of more room than before; or this one has other room, and tells itself nothing."""
        if self._step is Stage.QUEUED:
            self._anyway |= here
            if self._look_s == inf:
                soon_s = max(now, self._tried_s + QUEUE_AGAIN_S)
                self._look_s = soon_s + self._dice.uniform(0.0, 1.0)

    def line_up(self, first: bool) -> None:
        """Whether it is now the oldest of its owner here. Then it may claim, so it tries."""
        if first and not self._first:
            self._look_s, self._anyway = self._tried_s + QUEUE_AGAIN_S, True
        self._first = first

    def tick(self, now: float) -> Answer:
        """Tries again, if that may help."""
        if self._step is Stage.QUEUED and now >= self._look_s:
            if self._anyway or self._possible():
                return self.start(now), []
            self._look_s = inf
        if self._step is Stage.QUEUED and now >= self._deadline_s:
            return self.start(now), []
        return super().tick(now)

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        look = self._step is Stage.QUEUED and self._look_s < inf
        return earliest(super().next_deadline(), Deadline(self._look_s, "look") if look else None)

    def _possible(self) -> bool:
        """Whether what hosts tell everybody, and what they keep for this one, may be enough."""
        if self._surroundings.partly():
            return True
        offers = [c.told or self._attempt.offer(c.peer) for c in self._surroundings.candidates()]
        told = [offer for offer in offers if offer is not None]
        deployment = self.deployment
        return len(told) < len(offers) or possible(
            deployment.spec, deployment.workspaces, told, self._claiming.room()
        )

    def noticed(self, notice: Notice, now: float) -> None:
        """A host tells of a grid: perhaps of the one this order made, just before a restart."""
        idle = self._step in (Stage.QUEUED, Stage.QUOTING)
        mine = order_part(notice.grid) == order_part(self.grid_id)
        if self.record is None and idle and mine and notice.state is GridState.UP:
            self._finish(RequestState.DONE, [f"{self.grid} is made, id {notice.grid}"], now)
            return
        super().noticed(notice, now)

    def cancel(self, now: float) -> list[Effect]:
        """Waits no more."""
        if self._step is Stage.QUEUED:
            effects = self._claiming.end(self.order)
            self._finish(RequestState.CANCELLED, ["cancelled; it waits no more"], now)
            return effects
        return super().cancel(now)

    def failed(self, why: str, now: float) -> list[Effect]:
        """It cannot wait here."""
        return self._fail([f"cannot queue {self.grid}: {why}"], now)

    def resumed(self) -> None:
        """It waited already before this peer was started."""
        self.state = RequestState.QUEUED
        self.stage = Stage.QUEUED

    def _claim(self, now: float) -> list[Effect]:
        return super()._claim(now) if self._first else []

    def _unplaced(self, lines: list[str], now: float) -> list[Effect]:
        assert self.order is not None
        order = read_order(self.order)
        until = format_moment(order.issued_at_s + order.valid_s)
        effects = self._attempt.release()
        claims = self._claim(now)
        self.tell(now, "queued: " + "; ".join(line.strip() for line in lines))
        self.state = RequestState.QUEUED
        keeps: tuple[str, ...] = ()
        if claims:
            hosts = counted(len(self._claiming.hosts), "host")
            keeps = (
                f"  {hosts} asked to keep room for it as it gets free, before younger requests",
            )
        queued = f"{self.grid} is queued until there is room, or until {until}"
        self.answer = (queued, *lines, *keeps)
        # Who may claim once it has waited a little does so then.
        soon = self._first and now < self._claiming.from_s
        again_s = self._claiming.from_s - now if soon else QUEUE_EVERY_S
        self._enter(Stage.QUEUED, now + again_s * self._dice.uniform(1.0, 1.2))
        return effects + claims

    def _decided(self, record: GridRecord, now: float) -> list[Effect]:
        self.state, self.answer = RequestState.RUNNING, ()
        return super()._decided(record, now)
