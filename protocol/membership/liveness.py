"""Who is believed alive: SWIM's suspicion and refutation, carried by signed records.

Das, Gupta, Motivala: SWIM (DSN 2002). Rules: a neighbour that falls silent is suspected, publicly; the
accused refutes by raising its incarnation; a suspicion that is not refuted becomes a death. From
Lifeguard (Dadgar, Phillips, Currey 2017): the more independent observers, the shorter the wait; and a
peer that is itself late doubts itself first.

What we change: only neighbours on standing connections observe (no random probes, which need any
peer to reach any other), and a suspicion is a directory record of its observer: signed, so nobody can
be two observers; superseded, so it can be taken back; compared, so it is not lost.
"""

from enum import StrEnum

import msgspec

from protocol.terms.effects import Deadline
from protocol.terms.ids import PeerId
from protocol.terms.limits import CONFIRM_S, LONELY_S


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


class _Belief:
    def __init__(self, incarnation: int, now: float) -> None:
        self.health = Health.ALIVE
        self.incarnation = incarnation
        self.since_s = now
        self.observers: dict[PeerId, float] = {}


class Liveness:
    """Beliefs about every known peer but this one."""

    def __init__(self) -> None:
        self._beliefs: dict[PeerId, _Belief] = {}
        self._suspects: dict[PeerId, _Belief] = {}
        self._alive: list[PeerId] | None = None

    def health(self, peer: PeerId) -> Health | None:
        """None if the peer was never heard of."""
        belief = self._beliefs.get(peer)
        return belief.health if belief is not None else None

    def incarnation(self, peer: PeerId) -> int:
        """The newest incarnation known of a peer; -1 if none."""
        belief = self._beliefs.get(peer)
        return belief.incarnation if belief is not None else -1

    def since_s(self, peer: PeerId) -> float:
        """When the belief last changed."""
        return self._beliefs[peer].since_s

    def present(self, peer: PeerId, incarnation: int, left: bool, now: float) -> list[Changed]:
        """A presence record: a new incarnation is believed at once, also from the dead."""
        belief = self._beliefs.get(peer)
        if belief is None:
            belief = self._beliefs[peer] = _Belief(incarnation, now)
            belief.health = Health.LEFT if left else Health.ALIVE
            self._alive = None
            return [Changed(peer, belief.health, "joined" if not left else "left")]
        if left and incarnation >= belief.incarnation and belief.health is not Health.LEFT:
            belief.incarnation = incarnation
            return self._become(peer, belief, Health.LEFT, "left", now)
        if incarnation <= belief.incarnation:
            return []
        belief.incarnation = incarnation
        belief.observers.clear()
        if belief.health is Health.ALIVE:
            return []
        return self._become(peer, belief, Health.ALIVE, "back with a new incarnation", now)

    def suspected(
        self, observer: PeerId, accused: PeerId, incarnation: int, now: float
    ) -> list[Changed]:
        """An observer hears nothing from `accused`; a negative incarnation takes it back."""
        belief = self._beliefs.get(accused)
        if belief is None:
            return []
        if incarnation < belief.incarnation:
            return self._withdrawn(observer, accused, belief, now)
        if belief.health not in (Health.ALIVE, Health.SUSPECT):
            return []
        belief.observers.setdefault(observer, now)
        if belief.health is Health.SUSPECT:
            return []
        return self._become(accused, belief, Health.SUSPECT, "silent", now)

    def heard(self, peer: PeerId, now: float) -> list[Changed]:
        """This peer itself hears from `peer`: our own eyes outweigh others' suspicion."""
        belief = self._beliefs.get(peer)
        if belief is None or belief.health not in (Health.SUSPECT, Health.DEAD):
            return []
        belief.observers.clear()
        return self._become(peer, belief, Health.ALIVE, "heard from", now)

    def tick(self, now: float) -> list[Changed]:
        """Suspicions that were not refuted in time become deaths."""
        changed: list[Changed] = []
        for peer, belief in list(self._suspects.items()):
            if now >= _ends(belief):
                why = f"silent for {len(belief.observers)} observers"
                changed += self._become(peer, belief, Health.DEAD, why, now)
        return changed

    def next_deadline(self) -> Deadline | None:
        """When the first suspicion becomes a death."""
        ends = [_ends(belief) for belief in self._suspects.values()]
        return Deadline(min(ends), "suspicion") if ends else None

    def alive(self) -> list[PeerId]:
        """Peers believed alive or only suspected, in the order they were first heard of."""
        if self._alive is None:
            usable = (Health.ALIVE, Health.SUSPECT)
            self._alive = [peer for peer, b in self._beliefs.items() if b.health in usable]
        return self._alive

    def gone(self) -> list[PeerId]:
        """Peers believed dead or gone."""
        usable = (Health.ALIVE, Health.SUSPECT)
        return [peer for peer, belief in self._beliefs.items() if belief.health not in usable]

    def _withdrawn(
        self, observer: PeerId, accused: PeerId, belief: _Belief, now: float
    ) -> list[Changed]:
        belief.observers.pop(observer, None)
        if belief.health is not Health.SUSPECT or belief.observers:
            return []
        return self._become(accused, belief, Health.ALIVE, "suspicion taken back", now)

    def _become(
        self, peer: PeerId, belief: _Belief, health: Health, why: str, now: float
    ) -> list[Changed]:
        belief.health, belief.since_s = health, now
        self._alive = None
        if health is Health.SUSPECT:
            self._suspects[peer] = belief
        else:
            self._suspects.pop(peer, None)
        return [Changed(peer, health, why)]


def _ends(belief: _Belief) -> float:
    """Two observers: a moment to refute after the second spoke. One: longer."""
    heard = sorted(belief.observers.values())
    if len(heard) >= 2:
        return min(heard[1] + CONFIRM_S, heard[0] + LONELY_S)
    return belief.since_s + LONELY_S
