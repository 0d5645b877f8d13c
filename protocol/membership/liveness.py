"""Who is believed alive: SWIM's suspicion and refutation, carried by signed records.

Das, Gupta, Motivala: SWIM (DSN 2002). Rules: a neighbour that falls silent is suspected, publicly. The accused
refutes by raising its incarnation. A suspicion that is not refuted becomes a death. From Lifeguard (Dadgar,
Phillips, Currey 2017): the more independent observers there are, the shorter the wait; and a peer that is late
itself doubts itself first.

What we change: only neighbours on standing connections observe. There are no random probes, since those need
any peer to reach any other. A suspicion is a directory record of its observer: signed, so nobody can be two
observers; superseded, so it can be taken back; compared, so it is not lost. It is about one incarnation, and is
heard only if the accused announced that one: nobody could refute another. An observer whose suspicions are
refuted again and again, or whose suspects are heard, or that takes them back itself, is not believed for a
while, and what it says of suspects counts no more. So liars evict nobody, and keep nobody suspected.
"""

from enum import StrEnum

import msgspec

from protocol.terms.effects import Deadline
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    CONFIRM_S,
    DISCREDITED_S,
    LONELY_S,
    OBSERVERS_MOST,
    WRONG_MOST,
    WRONG_WINDOW_S,
)


class Health(StrEnum):
    """What this peer believes of another."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"
    LEFT = "left"


class Changed(msgspec.Struct, frozen=True):
    """A belief about one peer changed."""

    peer: PeerId
    health: Health
    why: str


class _Doubt:
    """What there is to know about a peer that is not simply alive."""

    __slots__ = ("health", "observers", "since_s")

    def __init__(self, health: Health) -> None:
        self.health = health
        self.observers: tuple[PeerId, ...] = ()
        self.since_s = 0.0
        """Since when it is not heard, Unix seconds; 0 if that is not known."""


class Liveness:
    """Beliefs about every known peer but this one. Only a doubt costs more than a number."""

    def __init__(self, me: PeerId | None = None) -> None:
        """`me` is this peer, which believes itself."""
        self._me = me
        self._incarnations: dict[PeerId, int] = {}
        self._doubts: dict[PeerId, _Doubt] = {}
        self._lonely: dict[PeerId, float] = {}
        self._confirmed: dict[PeerId, float] = {}
        """Suspects of several observers, and since when they have CONFIRM_S to refute; `_lonely` has those with
        LONELY_S. Insertion order is time order, so that thousands at once cost no search."""
        self._wrong: dict[PeerId, tuple[float, int]] = {}
        """Observers whose suspicions were refuted, or taken back: since when, and how many."""
        self._discredited: dict[PeerId, float] = {}
        """Observers that were wrong too often, and until when they are not believed."""
        self.patience = 1.0
        """How many times longer than usual suspects have to refute: this peer itself may be slow."""

    def health(self, peer: PeerId) -> Health | None:
        """What this peer believes of another; None if it never heard of it."""
        doubt = self._doubts.get(peer)
        if doubt is not None:
            return doubt.health
        return Health.ALIVE if peer in self._incarnations else None

    def silent_since_s(self, peer: PeerId) -> float:
        """Since when a peer is not heard, Unix seconds; 0 if that is not known, or if it is heard."""
        doubt = self._doubts.get(peer)
        return doubt.since_s if doubt is not None else 0.0

    def incarnation(self, peer: PeerId) -> int:
        """The newest incarnation known of a peer; -1 if none."""
        return self._incarnations.get(peer, -1)

    def observers(self, peer: PeerId) -> int:
        """How many observers suspect that peer now."""
        doubt = self._doubts.get(peer)
        return len(doubt.observers) if doubt is not None else 0

    def present(
        self, peer: PeerId, incarnation: int, left: bool, now: float, *, restarted: bool = False
    ) -> list[Changed]:
        """Takes a presence record. A new incarnation is believed at once, also of the dead.

        `restarted`: it is another process, so whoever suspected the one before may have been right.
        """
        before = self._incarnations.get(peer)
        if before is None:
            self._incarnations[peer] = incarnation
            if left:
                self._doubts[peer] = _Doubt(Health.LEFT)
                return [Changed(peer, Health.LEFT, "left")]
            return [Changed(peer, Health.ALIVE, "joined")]
        if left and incarnation >= before and self.health(peer) is not Health.LEFT:
            self._incarnations[peer] = incarnation
            changed = self._become(peer, Health.LEFT, "left")
            self._doubts[peer].since_s = self._doubts[peer].since_s or now
            return changed
        if incarnation <= before:
            return []
        self._incarnations[peer] = incarnation
        doubt = self._doubts.get(peer)
        if doubt is None:
            return []
        accusers = () if restarted else doubt.observers
        changed = self._become(peer, Health.ALIVE, "back with a new incarnation")
        return changed + self._were_wrong(accusers, now)

    def suspected(
        self,
        observer: PeerId,
        accused: PeerId,
        incarnation: int,
        now: float,
        since_s: float = 0.0,
    ) -> list[Changed]:
        """An observer hears nothing from `accused`. A negative incarnation takes that back.

        An incarnation that the accused has not announced, as far as is known here, is not heard: say it again
        when it has. `since_s` is when the accused fell silent, as the observer says it. Its clock may be ahead,
        or it may lie; of several observers the latest moment counts, and none is later than `now`.
        """
        known = self._incarnations.get(accused)
        if known is None:
            return []
        doubt = self._doubts.get(accused)
        if incarnation < known:
            return self._taken_back(observer, accused, doubt, now)
        if incarnation > known or self.is_discredited(observer, now):
            return []
        if doubt is not None and doubt.health is not Health.SUSPECT:
            return []
        silent_s = min(now, since_s) if since_s > 0 else now
        if doubt is not None:
            doubt.since_s = max(doubt.since_s, silent_s)
            self._confirm(observer, accused, doubt, now)
            return []
        changed = self._become(accused, Health.SUSPECT, "silent")
        self._doubts[accused].observers = (observer,)
        self._doubts[accused].since_s = silent_s
        self._lonely[accused] = now
        return changed

    def heard(self, peer: PeerId, now: float) -> list[Changed]:
        """This peer itself hears from `peer`. That outweighs the suspicions of others."""
        doubt = self._doubts.get(peer)
        if doubt is None or doubt.health is Health.LEFT:
            return []
        accusers = doubt.observers
        changed = self._become(peer, Health.ALIVE, "heard from")
        return changed + self._were_wrong(accusers, now)

    def accused_by(self, observer: PeerId) -> list[PeerId]:
        """The peers that an observer suspects, or helped to believe dead."""
        return [peer for peer, doubt in self._doubts.items() if observer in doubt.observers]

    def forget(self, peer: PeerId) -> None:
        """Forgets a peer, as if this one had never heard of it."""
        self._incarnations.pop(peer, None)
        self._doubts.pop(peer, None)
        self._settle(peer)

    def tick(self, now: float) -> list[Changed]:
        """Turns suspicions that were not refuted in time into deaths."""
        changed: list[Changed] = []
        for suspects, within_s in self._waits():
            while suspects:
                peer, since_s = next(iter(suspects.items()))
                if now < since_s + within_s:
                    break
                why = f"silent for {self.observers(peer)} observers"
                changed += self._become(peer, Health.DEAD, why)
        return changed

    def next_deadline(self) -> Deadline | None:
        """When the first suspicion becomes a death."""
        ends = [
            next(iter(suspects.values())) + within_s
            for suspects, within_s in self._waits()
            if suspects
        ]
        return Deadline(min(ends), "suspicion") if ends else None

    def any_gone(self) -> bool:
        """Whether any peer is believed dead or gone."""
        return len(self._doubts) > len(self._lonely) + len(self._confirmed)

    def check(self) -> None:
        """Asserts that each suspect is waited for once, the earliest first."""
        if not (self._doubts or self._lonely or self._confirmed):
            return
        suspects = [peer for peer, doubt in self._doubts.items() if doubt.health is Health.SUSPECT]
        assert len(suspects) == len(self._lonely) + len(self._confirmed)
        assert all(peer in self._lonely or peer in self._confirmed for peer in suspects)
        for waiting, _ in self._waits():
            assert list(waiting.values()) == sorted(waiting.values())

    def gone(self) -> list[PeerId]:
        """Peers believed dead or gone."""
        return [p for p, doubt in self._doubts.items() if doubt.health is not Health.SUSPECT]

    def _confirm(self, observer: PeerId, accused: PeerId, doubt: _Doubt, now: float) -> None:
        """A suspect of one observer has LONELY_S. From the second on it has CONFIRM_S, if that is sooner."""
        if observer in doubt.observers or len(doubt.observers) >= OBSERVERS_MOST:
            return
        doubt.observers = (*doubt.observers, observer)
        since_s = self._lonely.get(accused)
        if (
            since_s is not None
            and now + CONFIRM_S * self.patience < since_s + LONELY_S * self.patience
        ):
            del self._lonely[accused]
            self._confirmed[accused] = now

    def _taken_back(
        self, observer: PeerId, accused: PeerId, doubt: _Doubt | None, now: float
    ) -> list[Changed]:
        """The observer hears its suspect again, so it was wrong; not of one believed dead, silent for long.

        Else one that says it and takes it back in turns would be believed each time: a refutation seldom comes
        between.
        """
        was_wrong = (
            doubt is not None and doubt.health is Health.SUSPECT and observer in doubt.observers
        )
        changed = self._withdrawn(observer, accused, doubt, now)
        return changed + self._were_wrong((observer,), now) if was_wrong else changed

    def _withdrawn(
        self, observer: PeerId, accused: PeerId, doubt: _Doubt | None, now: float
    ) -> list[Changed]:
        if doubt is None or observer not in doubt.observers:
            return []
        doubt.observers = tuple(other for other in doubt.observers if other != observer)
        if not doubt.observers and doubt.health is not Health.LEFT:
            # Also for a peer believed dead: it may never have heard of the suspicion, and so not refuted it.
            return self._become(accused, Health.ALIVE, "suspicion taken back")
        if (
            doubt.health is Health.SUSPECT
            and len(doubt.observers) == 1
            and self._confirmed.pop(accused, None) is not None
        ):
            self._lonely[accused] = now
        return []

    def _become(self, peer: PeerId, health: Health, why: str) -> list[Changed]:
        self._settle(peer)
        if health is Health.ALIVE:
            del self._doubts[peer]
        elif (doubt := self._doubts.get(peer)) is not None:
            doubt.health = health
        else:
            self._doubts[peer] = _Doubt(health)
        return [Changed(peer, health, why)]

    def _settle(self, peer: PeerId) -> None:
        """The peer is no longer a suspect."""
        self._lonely.pop(peer, None)
        self._confirmed.pop(peer, None)

    def _waits(self) -> tuple[tuple[dict[PeerId, float], float], ...]:
        """Both groups of suspects, and how long each suspect in them has."""
        return (
            (self._confirmed, CONFIRM_S * self.patience),
            (self._lonely, LONELY_S * self.patience),
        )

    # -- observers

    def was_wrong(self, observer: PeerId, now: float) -> bool:
        """A suspicion of that observer turned out false. True if it is believed no more from now on."""
        if observer == self._me:
            return False
        since_s, count = self._wrong.pop(observer, (now, 0))
        if now > since_s + WRONG_WINDOW_S:
            since_s, count = now, 0
        self._wrong[observer] = (since_s, count + 1)
        if len(self._wrong) > len(self._incarnations):
            del self._wrong[next(iter(self._wrong))]
        if count + 1 < WRONG_MOST:
            return False
        new = not self.is_discredited(observer, now)
        self._discredited.pop(observer, None)
        self._discredited[observer] = now + DISCREDITED_S
        if len(self._discredited) > len(self._incarnations):
            del self._discredited[next(iter(self._discredited))]
        return new

    def is_discredited(self, observer: PeerId, now: float) -> bool:
        """Whether that observer was wrong so often that it is not believed now."""
        return now < self._discredited.get(observer, 0.0)

    def _were_wrong(self, observers: tuple[PeerId, ...], now: float) -> list[Changed]:
        """They suspected a peer that lives. If one is believed no more, its other suspects are none of it."""
        changed: list[Changed] = []
        for observer in observers:
            if not self.was_wrong(observer, now):
                continue
            for accused in self.accused_by(observer):
                doubt = self._doubts.get(accused)
                if doubt is not None and doubt.health is Health.SUSPECT:
                    changed += self._withdrawn(observer, accused, doubt, now)
        return changed
