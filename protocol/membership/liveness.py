"""Who is believed alive: SWIM's suspicion and refutation, carried by signed records.

Das, Gupta, Motivala: SWIM (DSN 2002). Rules: a neighbour that falls silent is suspected, publicly; the
accused refutes by raising its incarnation; a suspicion that is not refuted becomes a death. From
Lifeguard (Dadgar, Phillips, Currey 2017): the more independent observers, the shorter the wait; and a
peer that is itself late doubts itself first.

What we change: only neighbours on standing connections observe (no random probes, which need any
peer to reach any other), and a suspicion is a directory record of its observer: signed, so nobody can
be two observers; superseded, so it can be taken back; compared, so it is not lost. An observer whose
suspicions are refuted again and again is believed no more for a while, so that one liar evicts nobody.
"""

from enum import StrEnum

import msgspec

from protocol.terms.effects import Deadline
from protocol.terms.ids import PeerId
from protocol.terms.limits import CONFIRM_S, LONELY_S, WRONG_MOST, WRONG_WINDOW_S


class Health(StrEnum):
    """What this peer believes of another."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"
    LEFT = "left"


class Changed(msgspec.Struct, frozen=True):
    """A belief changed."""

    peer: PeerId
    health: Health
    why: str


class _Doubt:
    """About a peer that is not simply alive."""

    __slots__ = ("health", "observers", "since_s")

    def __init__(self, health: Health, now: float) -> None:
        self.health = health
        self.since_s = now
        self.observers: dict[PeerId, float] = {}


class Liveness:
    """Beliefs about every known peer but this one. Only doubts cost more than a number each."""

    def __init__(self) -> None:
        self._incarnations: dict[PeerId, int] = {}
        self._doubts: dict[PeerId, _Doubt] = {}
        self._suspects: dict[PeerId, _Doubt] = {}
        self._wrong: dict[PeerId, tuple[float, int]] = {}
        """Observers whose suspicions were refuted: since when, how many."""
        self.patience = 1.0
        """How much longer than usual suspects have to refute: this peer may be what is slow."""

    def settled_like(self, other: "Liveness") -> None:
        """Believes alive whom another peer has heard of."""
        self._incarnations = other._incarnations.copy()

    def health(self, peer: PeerId) -> Health | None:
        """None if the peer was never heard of."""
        doubt = self._doubts.get(peer)
        if doubt is not None:
            return doubt.health
        return Health.ALIVE if peer in self._incarnations else None

    def incarnation(self, peer: PeerId) -> int:
        """The newest incarnation known of a peer; -1 if none."""
        return self._incarnations.get(peer, -1)

    def observers(self, peer: PeerId) -> int:
        """How many suspect that peer now."""
        doubt = self._doubts.get(peer)
        return len(doubt.observers) if doubt is not None else 0

    def present(self, peer: PeerId, incarnation: int, left: bool, now: float) -> list[Changed]:
        """A presence record: a new incarnation is believed at once, also from the dead."""
        before = self._incarnations.get(peer)
        if before is None:
            self._incarnations[peer] = incarnation
            if left:
                self._doubts[peer] = _Doubt(Health.LEFT, now)
                return [Changed(peer, Health.LEFT, "left")]
            return [Changed(peer, Health.ALIVE, "joined")]
        if left and incarnation >= before and self.health(peer) is not Health.LEFT:
            self._incarnations[peer] = incarnation
            return self._become(peer, Health.LEFT, "left", now)
        if incarnation <= before:
            return []
        self._incarnations[peer] = incarnation
        doubt = self._doubts.get(peer)
        if doubt is None:
            return []
        for observer in doubt.observers:
            self._was_wrong(observer, now)
        return self._become(peer, Health.ALIVE, "back with a new incarnation", now)

    def suspected(
        self, observer: PeerId, accused: PeerId, incarnation: int, now: float
    ) -> list[Changed]:
        """An observer hears nothing from `accused`; a negative incarnation takes it back."""
        known = self._incarnations.get(accused)
        if known is None:
            return []
        doubt = self._doubts.get(accused)
        if incarnation < known:
            return self._withdrawn(observer, accused, doubt, now)
        if doubt is not None and doubt.health is not Health.SUSPECT:
            return []
        if self._discredited(observer, now):
            return []
        if doubt is not None:
            doubt.observers.setdefault(observer, now)
            return []
        changed = self._become(accused, Health.SUSPECT, "silent", now)
        self._doubts[accused].observers[observer] = now
        return changed

    def heard(self, peer: PeerId, now: float) -> list[Changed]:
        """This peer itself hears from `peer`: our own eyes outweigh others' suspicion."""
        doubt = self._doubts.get(peer)
        if doubt is None or doubt.health is Health.LEFT:
            return []
        return self._become(peer, Health.ALIVE, "heard from", now)

    def forget(self, peer: PeerId) -> None:
        """As if it had never been heard of."""
        self._incarnations.pop(peer, None)
        self._doubts.pop(peer, None)
        self._suspects.pop(peer, None)

    def tick(self, now: float) -> list[Changed]:
        """Suspicions that were not refuted in time become deaths."""
        changed: list[Changed] = []
        for peer, doubt in list(self._suspects.items()):
            if now >= self._ends(doubt):
                why = f"silent for {len(doubt.observers)} observers"
                changed += self._become(peer, Health.DEAD, why, now)
        return changed

    def next_deadline(self) -> Deadline | None:
        """When the first suspicion becomes a death."""
        if not self._suspects:
            return None
        return Deadline(min(self._ends(doubt) for doubt in self._suspects.values()), "suspicion")

    def any_gone(self) -> bool:
        """Whether anybody is believed dead or gone."""
        return len(self._doubts) > len(self._suspects)

    def gone(self) -> list[PeerId]:
        """Peers believed dead or gone."""
        return [p for p, doubt in self._doubts.items() if doubt.health is not Health.SUSPECT]

    def _withdrawn(
        self, observer: PeerId, accused: PeerId, doubt: _Doubt | None, now: float
    ) -> list[Changed]:
        if doubt is None:
            return []
        doubt.observers.pop(observer, None)
        if doubt.health is not Health.SUSPECT or doubt.observers:
            return []
        return self._become(accused, Health.ALIVE, "suspicion taken back", now)

    def _become(self, peer: PeerId, health: Health, why: str, now: float) -> list[Changed]:
        self._suspects.pop(peer, None)
        if health is Health.ALIVE:
            del self._doubts[peer]
        elif (doubt := self._doubts.get(peer)) is not None:
            doubt.health, doubt.since_s = health, now
        else:
            doubt = self._doubts[peer] = _Doubt(health, now)
            if health is Health.SUSPECT:
                self._suspects[peer] = doubt
        return [Changed(peer, health, why)]

    def _ends(self, doubt: _Doubt) -> float:
        """Two observers: a moment to refute after the second spoke. One: longer."""
        heard = sorted(doubt.observers.values())
        lonely_s = (heard[0] if heard else doubt.since_s) + LONELY_S * self.patience
        if len(heard) >= 2:
            return min(heard[1] + CONFIRM_S * self.patience, lonely_s)
        return lonely_s

    def _was_wrong(self, observer: PeerId, now: float) -> None:
        since_s, count = self._wrong.pop(observer, (now, 0))
        if now > since_s + WRONG_WINDOW_S:
            since_s, count = now, 0
        self._wrong[observer] = (since_s, count + 1)
        if len(self._wrong) > len(self._incarnations):
            del self._wrong[next(iter(self._wrong))]

    def _discredited(self, observer: PeerId, now: float) -> bool:
        since_s, count = self._wrong.get(observer, (now, 0))
        return count >= WRONG_MOST and now <= since_s + WRONG_WINDOW_S
