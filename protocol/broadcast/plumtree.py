"""Plumtree: a broadcast tree that grows out of the neighbours, with announcements to repair it.

Leitao, Pereira, Rodrigues: Epidemic Broadcast Trees (SRDS 2007). Rules: push news to eager neighbours, and
announce it to lazy ones. A peer that receives what it has already prunes the sender to lazy. A peer that
misses what was announced grafts the announcer to eager after a while.

What we change: news is a directory record. So the directory's versions say what is old and what is missing,
and a graft is answered with the newest record under the key. There is no message cache, and nothing to bound
but the awaited announcements. What one step of the peer has for one neighbour goes in one frame, and what
comes within PUSH_APART_S after it goes in the next, so a storm of news (half of all peers die) takes few
frames. What a neighbour turns out to have meanwhile is not pushed. Of two peers that are lazy to each other
only the first announces. How long each gathers is drawn by lot, so that mostly there is a first. We leave out
the hop-count optimisation of the tree.

When there are too many peers for everybody to have everything, news of one site goes only to neighbours
that keep it. The same tree serves for that.
"""

from collections.abc import Callable, Sequence

from protocol.broadcast.messages import Announce, Graft, Prune, Version
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Send, earliest
from protocol.terms.ids import PeerId
from protocol.terms.limits import ANNOUNCE_AFTER_S, ANNOUNCED, GRAFT_AFTER_S, PUSH_APART_S
from protocol.trust.record import RecordKey, SignedRecord


class Plumtree:
    """Which neighbours get pushes, which get announcements, and which announced news is awaited."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._eager: dict[PeerId, None] = {}
        self._lazy: dict[PeerId, None] = {}
        self._awaited: dict[RecordKey, tuple[Version, PeerId, float]] = {}
        self._to_push: dict[PeerId, dict[RecordKey, tuple[Version, SignedRecord]]] = {}
        self._again_s: dict[PeerId, float] = {}
        """When the next frame of news may go to an eager neighbour."""
        self._push_s: float | None = None
        """When the first frame goes that waits for that; None if none waits."""
        self._to_announce: dict[PeerId, dict[RecordKey, Version]] = {}
        self._announce_s: float | None = None

    @property
    def neighbours(self) -> list[PeerId]:
        """Eager first, then lazy."""
        return [*self._eager, *self._lazy]

    def neighbour_up(self, peer: PeerId) -> None:
        """New neighbours start eager."""
        if peer not in self._lazy:
            self._eager[peer] = None

    def neighbour_down(self, peer: PeerId) -> None:
        """Forgets it."""
        self._eager.pop(peer, None)
        self._lazy.pop(peer, None)
        self._to_push.pop(peer, None)
        self._again_s.pop(peer, None)
        self._to_announce.pop(peer, None)

    def push(
        self,
        signed: SignedRecord,
        version: Version,
        source: PeerId | None,
        now: float,
        keeps: Callable[[PeerId], bool] | None = None,
    ) -> None:
        """Passes news on to every neighbour but the one it came from, if `keeps` says so (None: to all).

        Eager neighbours get it with this step's frames or the next, lazy ones hear of it in a moment.
        """
        key = version.key
        # The first to announce it has it. Others may have it, too, and are told in vain.
        _, announcer, _ = self._awaited.pop(key, (version, source, now))
        for peer in self._eager:
            if peer != source and (keeps is None or keeps(peer)):
                self._to_push.setdefault(peer, {})[key] = (version, signed)
                self._push_s = _sooner(self._push_s, self._again_s.get(peer, now), now)
        for peer in self._lazy:
            if peer not in (source, announcer) and (keeps is None or keeps(peer)):
                self._to_announce.setdefault(peer, {})[key] = version
                self._announce_s = self._announce_s or now + self._dice.uniform(*ANNOUNCE_AFTER_S)

    @property
    def pushes(self) -> bool:
        """Whether anything is to be pushed, now or in a moment."""
        return bool(self._to_push) or self._push_s is not None

    def pop_pushes(self, now: float) -> dict[PeerId, list[SignedRecord]]:
        """What is to be pushed now, by neighbour: everything since the last frame of news to it."""
        pushes: dict[PeerId, list[SignedRecord]] = {}
        self._push_s = None
        for peer in list(self._to_push):
            again_s = self._again_s.get(peer, now)
            if again_s > now:
                self._push_s = _sooner(self._push_s, again_s, now)
            elif news := self._to_push.pop(peer):
                pushes[peer] = [signed for _, signed in news.values()]
                self._again_s[peer] = now + PUSH_APART_S
        return pushes

    def fresh(self, sender: PeerId) -> None:
        """The sender was first with some news: it is on our branch."""
        if sender in self._lazy:
            del self._lazy[sender]
            self._eager[sender] = None

    def stale(self, sender: PeerId) -> list[Effect]:
        """The sender pushed what we had: it is told to announce instead."""
        if sender not in self._eager:
            return []
        self._to_lazy(sender)
        return [Send(sender, Prune())]

    def pruned(self, sender: PeerId) -> None:
        """The sender had already what we pushed to it."""
        if sender in self._eager:
            self._to_lazy(sender)

    def grafted(self, sender: PeerId) -> None:
        """The sender wants pushes."""
        if sender in self._lazy:
            del self._lazy[sender]
            self._eager[sender] = None

    def known_by(self, sender: PeerId, versions: Sequence[Version]) -> None:
        """The sender has these versions, so they are neither pushed nor announced to it."""
        pushes, waits = self._to_push.get(sender, {}), self._to_announce.get(sender, {})
        for version in versions:
            key, number = version.key, version.number
            if key in pushes and pushes[key][0].number <= number:
                del pushes[key]
            if key in waits and waits[key].number <= number:
                del waits[key]

    def announced(self, sender: PeerId, missing: list[Version], now: float) -> None:
        """Waits for news that is on its way, and remembers which peer to ask if it does not come."""
        for version in missing:
            waiting = self._awaited.get(version.key)
            if waiting is not None and waiting[0].number >= version.number:
                continue
            if self._awaited.pop(version.key, None) or len(self._awaited) < ANNOUNCED:
                self._awaited[version.key] = (version, sender, now + GRAFT_AFTER_S)

    def tick(self, now: float) -> list[Effect]:
        """Announces what is new, and grafts what did not come."""
        effects: list[Effect] = []
        if self._announce_s is not None and now >= self._announce_s:
            for peer, news in self._to_announce.items():
                if news:
                    effects.append(Send(peer, Announce(tuple(news.values()))))
            self._to_announce, self._announce_s = {}, None
        per_peer: dict[PeerId, list[Version]] = {}
        while self._awaited:
            key, (version, peer, at_s) = next(iter(self._awaited.items()))
            if at_s > now:  # Insertion order is time order.
                break
            del self._awaited[key]
            per_peer.setdefault(peer, []).append(version)
            self.grafted(peer)
        grafts = [Send(peer, Graft(tuple(versions))) for peer, versions in per_peer.items()]
        return [*effects, *grafts]

    def next_deadline(self) -> Deadline | None:
        """When the first awaited news is overdue, or some news is to be pushed or announced."""
        announce = None if self._announce_s is None else Deadline(self._announce_s, "announce")
        push = None if self._push_s is None else Deadline(self._push_s, "push")
        for _, _, at_s in self._awaited.values():
            return earliest(Deadline(at_s, "graft"), announce, push)
        return earliest(announce, push)

    def check(self) -> None:
        """Asserts that no neighbour is both eager and lazy."""
        assert not [peer for peer in self._eager if peer in self._lazy]

    def _to_lazy(self, peer: PeerId) -> None:
        del self._eager[peer]
        self._lazy[peer] = None


def _sooner(first_s: float | None, again_s: float, now: float) -> float | None:
    """The sooner of two times. The second counts only if it is still to come."""
    if again_s <= now:
        return first_s
    return again_s if first_s is None else min(first_s, again_s)
