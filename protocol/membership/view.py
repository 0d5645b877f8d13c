"""The active view: a few neighbours that watch each other, after HyParView.

Leitao, Pereira, Rodrigues: HyParView (DSN 2007). Rules: neighbours are symmetric and stand on open
connections. A lost one is replaced from the passive view, urgently if next to none is left. A full view makes
room for an urgent request by disconnecting a random neighbour, which becomes a passive contact. Each candidate
is tried once a round, because the paper's "refused, try the next" has no bound.

What we add: below FULL_MESH_BELOW everybody is everybody's neighbour. Above, at most ACTIVE_REMOTE neighbours
are at other sites, so that little crosses sites. A newcomer waits a moment for the neighbours its walks find
it (walks.py) before it asks by itself. A peer that has some neighbours and is refused more asks ever more
seldom.
"""

from protocol.membership.messages import Contact
from protocol.membership.passive import Passive
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    ACTIVE_REMOTE,
    ACTIVE_VIEW,
    ASK_MOST_S,
    FULL_MESH_BELOW,
    NEEDY_BELOW,
    REDIAL_EVERY_S,
    SETTLE_S,
)


class View:
    """This peer's neighbours, and the peers it has asked. `alive` maps live peers to their sites."""

    def __init__(self, me: PeerId, site: str, dice: Dice) -> None:
        self._site, self._dice = site, dice
        self.passive = Passive(me, site, dice)
        self._active: dict[PeerId, str] = {}
        self._remote = 0
        self._asked: dict[PeerId, None] = {}
        self._awaited: dict[PeerId, float] = {}
        """Peers that were asked and have not answered, and until when each counts as a neighbour to be."""
        self._next_round_s = 0.0
        self._vain = 0
        """Rounds of asking since a peer last agreed."""
        self._settled_s = 0.0

    @property
    def neighbours(self) -> list[PeerId]:
        """The active view."""
        return list(self._active)

    def __len__(self) -> int:
        return len(self._active)

    def is_neighbour(self, peer: PeerId) -> bool:
        """Whether that peer is in the active view."""
        return peer in self._active

    def asks_for(self, alive: dict[PeerId, str], now: float) -> list[PeerId]:
        """The peers to ask to be neighbours now."""
        if now < max(self._next_round_s, self._settled_s) or not self._short(alive):
            return []
        self._next_round_s = now + self._pause_s(alive) * self._dice.uniform(0.8, 1.2)
        self._vain += 1
        self._awaited = {p: s for p, s in self._awaited.items() if s > now}
        if self._meshed(alive):
            asks = [p for p in alive if p not in self._active and p not in self._awaited]
        else:
            asks = self._from_passive()
            self._asked.update(dict.fromkeys(asks))
        self._awaited.update(dict.fromkeys(asks, now + REDIAL_EVERY_S))
        return asks

    def is_urgent(self, peer: PeerId) -> bool:
        """Whether that peer is asked to make room if need be: this one has next to no neighbours, or has none
        at other sites while that peer is at one."""
        if len(self._active) < NEEDY_BELOW:
            return True
        contact = self.passive.get(peer)
        return contact is not None and contact.site != self._site and not self._remote

    def answered(self, peer: PeerId) -> None:
        """A peer that we asked has answered."""
        self._awaited.pop(peer, None)

    def wants(self, peer: PeerId, site: str, urgent: bool, alive: dict[PeerId, str]) -> bool:
        """Whether to agree to that peer's request."""
        if peer in self._active or urgent or self._meshed(alive):
            return True
        if site != self._site and self._remote >= ACTIVE_REMOTE:
            return False
        return len(self._active) < ACTIVE_VIEW

    def add(self, contact: Contact, alive: dict[PeerId, str]) -> list[PeerId]:
        """Takes a neighbour. Answers those it had to let go for it."""
        peer, site = contact.peer, contact.site
        self._awaited.pop(peer, None)
        self.passive.discard(peer)
        self._vain = 0
        if peer not in self._active:
            self._remote += site != self._site
            self._active[peer] = site
        crowded = len(self._active) > ACTIVE_VIEW + 1 or self._remote > ACTIVE_REMOTE + 1
        if self._meshed(alive) or not crowded:
            return []
        remote = [p for p, s in self._active.items() if s != self._site and p != peer]
        near = [p for p, s in self._active.items() if s == self._site and p != peer]
        pool = remote if len(remote) >= ACTIVE_REMOTE or not near else near
        evicted = self._dice.choice(pool)
        self.remove(evicted)
        return [evicted]

    def remove(self, peer: PeerId) -> bool:
        """Removes a neighbour; False if the peer was none."""
        site = self._active.pop(peer, None)
        if site is None:
            return False
        self._remote -= site != self._site
        return True

    def lost(self, peer: PeerId) -> None:
        """That peer is gone or cannot be reached, so it is not to be asked."""
        self._asked.pop(peer, None)
        self._awaited.pop(peer, None)
        self.passive.discard(peer)

    def hurry(self) -> None:
        """Looks for neighbours at the next tick."""
        self._next_round_s, self._vain = 0.0, 0

    def settle(self, now: float) -> None:
        """This peer has just joined, and others are asked on its behalf."""
        self._settled_s = now + SETTLE_S

    def next_deadline(self, alive: dict[PeerId, str]) -> Deadline | None:
        """When to look for neighbours again; None if there are enough, or nobody to ask."""
        if not self._short(alive):
            return None
        return Deadline(max(self._next_round_s, self._settled_s), "neighbours")

    def check(self) -> None:
        """Asserts that no peer is in both views, and the bound (one above the size while room is made)."""
        bound = max(ACTIVE_VIEW + 1, FULL_MESH_BELOW - 1)
        assert len(self._active) <= bound, len(self._active)
        here = list(self._active.values()).count(self._site)
        assert self._remote == len(self._active) - here
        assert self.passive.has_none_of(self._active)
        self.passive.check()

    def _pause_s(self, alive: dict[PeerId, str]) -> float:
        """How long to wait before asking again. Where all are full the last to come finds nobody, and need not
        ask them all every two seconds."""
        if len(self._active) < NEEDY_BELOW or self._meshed(alive):
            return REDIAL_EVERY_S
        return min(REDIAL_EVERY_S * 2.0 ** min(self._vain, 10), ASK_MOST_S)

    def _short(self, alive: dict[PeerId, str]) -> bool:
        """Whether neighbours are missing and there is a peer to ask."""
        if self._meshed(alive):
            return len(self._active) < len(alive)
        if not len(self.passive):
            return False
        return len(self._active) < ACTIVE_VIEW or self._secluded()

    def _secluded(self) -> bool:
        """Whether no peer at another site watches this one, though there would be one."""
        return not self._remote and self.passive.has_far

    def _from_passive(self) -> list[PeerId]:
        """Near contacts, and far ones up to their share. Each comes once until all were asked."""
        contacts = [c for c in self.passive.contacts() if c.peer not in self._awaited]
        near = self._fresh([c.peer for c in contacts if c.site == self._site])
        far = self._fresh([c.peer for c in contacts if c.site != self._site])
        # The site of an awaited peer was known when it was asked. It counts against the whole view.
        room = ACTIVE_VIEW - len(self._active) - len(self._awaited)
        wanted_far = max(0, min(ACTIVE_REMOTE - self._remote, len(far), room))
        if self._secluded() and far and not self._awaited:
            wanted_far = max(1, wanted_far)
        wanted_near = max(0, min(room - wanted_far, len(near)))
        return self._some(far, wanted_far) + self._some(near, wanted_near)

    def _fresh(self, pool: list[PeerId]) -> list[PeerId]:
        """The peers that were not tried yet. When all were, another round begins."""
        fresh = [peer for peer in pool if peer not in self._asked]
        if fresh:
            return fresh
        for peer in pool:
            del self._asked[peer]
        return pool

    def _some(self, pool: list[PeerId], wanted: int) -> list[PeerId]:
        return self._dice.sample(pool, wanted) if wanted > 0 else []

    def _meshed(self, alive: dict[PeerId, str]) -> bool:
        return len(alive) + 1 < FULL_MESH_BELOW
