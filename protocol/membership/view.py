"""The active view: a few neighbours that watch each other, after HyParView.

Leitao, Pereira, Rodrigues: HyParView (DSN 2007). Rules: neighbours are symmetric and stand on open
connections; a lost one is replaced by asking others, urgently if none is left; a full view makes
room for an urgent request by disconnecting somebody at random. Each candidate is tried once a round,
because the paper's "refused, try the next" has no bound.

What we leave, for tens of peers: below FULL_MESH_BELOW everybody is everybody's neighbour, and the
directory, which knows every peer's address, stands for the passive view; so there are no forwarded
joins and no shuffles. At most ACTIVE_REMOTE neighbours are at other sites.
"""

from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    ACTIVE_REMOTE,
    ACTIVE_VIEW,
    FULL_MESH_BELOW,
    REDIAL_EVERY_S,
)


class View:
    """Who this peer's neighbours are, and whom it has asked."""

    def __init__(self, site: str, dice: Dice) -> None:
        self._site, self._dice = site, dice
        self._active: dict[PeerId, str] = {}
        self._asked: dict[PeerId, None] = {}
        self._awaited: dict[PeerId, float] = {}
        """Asked and not answered, until when that counts as a neighbour to be."""
        self._next_round_s = 0.0

    @property
    def neighbours(self) -> list[PeerId]:
        """The active view."""
        return list(self._active)

    def is_neighbour(self, peer: PeerId) -> bool:
        """Whether that peer is in the active view."""
        return peer in self._active

    def asks_for(self, alive: dict[PeerId, str], now: float) -> list[PeerId]:
        """Whom to ask to be a neighbour now. `alive` maps peers to their sites."""
        if now < self._next_round_s:
            return []
        self._next_round_s = now + REDIAL_EVERY_S * self._dice.uniform(0.8, 1.2)
        self._awaited = {p: s for p, s in self._awaited.items() if s > now and p in alive}
        candidates = [p for p in alive if p not in self._active and p not in self._awaited]
        if self._meshed(alive):
            asks = candidates
        else:
            self._asked = {peer: None for peer in self._asked if peer in alive}
            near = self._fresh([p for p in candidates if alive[p] == self._site])
            far = self._fresh([p for p in candidates if alive[p] != self._site])
            coming = [alive[peer] != self._site for peer in self._awaited]
            wanted_far = min(ACTIVE_REMOTE - self._remote() - sum(coming), len(far))
            room = ACTIVE_VIEW - len(self._active) - len(coming) - max(0, wanted_far)
            asks = self._some(far, wanted_far) + self._some(near, min(room, len(near)))
            self._asked.update(dict.fromkeys(asks))
        self._awaited.update(dict.fromkeys(asks, now + REDIAL_EVERY_S))
        return asks

    def answered(self, peer: PeerId) -> None:
        """Whom we asked has answered."""
        self._awaited.pop(peer, None)

    def _fresh(self, pool: list[PeerId]) -> list[PeerId]:
        """Who was not tried yet; when all were, another round begins."""
        fresh = [peer for peer in pool if peer not in self._asked]
        if fresh:
            return fresh
        for peer in pool:
            del self._asked[peer]
        return pool

    def _some(self, pool: list[PeerId], wanted: int) -> list[PeerId]:
        return self._dice.sample(pool, wanted) if wanted > 0 else []

    def wants(self, peer: PeerId, site: str, urgent: bool, alive: dict[PeerId, str]) -> bool:
        """Whether to agree to that peer's request."""
        if peer in self._active or urgent or self._meshed(alive):
            return True
        if site != self._site and self._remote() >= ACTIVE_REMOTE:
            return False
        return len(self._active) < ACTIVE_VIEW

    def add(self, peer: PeerId, site: str, alive: dict[PeerId, str]) -> list[PeerId]:
        """Takes a neighbour; answers whom it had to let go."""
        self._awaited.pop(peer, None)
        self._active[peer] = site
        if self._meshed(alive) or len(self._active) <= ACTIVE_VIEW + 1:
            return []
        remote = [p for p, s in self._active.items() if s != self._site and p != peer]
        near = [p for p, s in self._active.items() if s == self._site and p != peer]
        pool = remote if len(remote) >= ACTIVE_REMOTE or not near else near
        evicted = self._dice.choice(pool)
        del self._active[evicted]
        return [evicted]

    def remove(self, peer: PeerId) -> bool:
        """No longer a neighbour; False if it was none."""
        return self._active.pop(peer, None) is not None

    def hurry(self) -> None:
        """Look for neighbours at the next tick."""
        self._next_round_s = 0.0

    def next_deadline(self, alive: dict[PeerId, str]) -> Deadline | None:
        """When to look for neighbours again; None when there are enough."""
        wanted = len(alive) if self._meshed(alive) else min(ACTIVE_VIEW, len(alive))
        if len(self._active) >= wanted:
            return None
        return Deadline(self._next_round_s, "neighbours")

    def check(self) -> None:
        """The view is bounded (one above its size while room is made)."""
        bound = max(ACTIVE_VIEW + 1, FULL_MESH_BELOW - 1)
        assert len(self._active) <= bound, len(self._active)

    def _meshed(self, alive: dict[PeerId, str]) -> bool:
        return len(alive) + 1 < FULL_MESH_BELOW

    def _remote(self) -> int:
        return sum(site != self._site for site in self._active.values())
