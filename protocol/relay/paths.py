"""Paths to peers this one cannot dial: sealed end to end, through relays that need no trust.

To the rest of the peer a path is a connection: it comes up, carries frames in order and at most once, and goes
down. It belongs to its two ends, not to a relay: a relay that dies, drops, delays or alters is exchanged under
it. The handshake has three messages (Opening, Accepting, the first Word). After it each end has read a token
that the other chose just now, so nothing recorded earlier can open a path or be heard on one. Within a path
numbers rise: a number not above the last is a replay or late, and is dropped. This is as in WireGuard
(Donenfeld 2017): authenticated identities, a counter for each session, roaming. Unlike there, keys are not
renewed within a path; the README says what follows.

Each end chooses the relay for its own direction, by what the other end acknowledges. If nothing new comes in
ACKNOWLEDGED_WITHIN_S, or too many are missing, the next relay is taken.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from protocol.relay.choice import Way
from protocol.relay.messages import (
    TOKEN_BYTES,
    Accepting,
    Ended,
    Letter,
    Opening,
    Relayed,
    Word,
)
from protocol.relay.outcomes import Came, Outcome, PathDown, PathUp, Spoilt
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    ACKNOWLEDGED_WITHIN_S,
    BEAT_EVERY_S,
    BETTER_EVERY_S,
    HALF_PATHS,
    MISSED_MOST,
    OPEN_TRY_S,
    OPEN_WITHIN_S,
    PATH_DEAD_S,
    PATHS,
    RELAYED_TTL_MS,
    RETIRED_S,
    SHUNNED_S,
)
from protocol.terms.site_limits import HALF_PATHS_OF_SITE, PATHS_OF_SITE
from protocol.trust.sealing import Sealer
from protocol.wire.codec import Malformed, decode, encode
from protocol.wire.limits import MAX_FRAME_BYTES

FRAME_MOST_BYTES = MAX_FRAME_BYTES - 1024
"""The largest frame that still fits into a frame when it is sealed and addressed."""

_LATE_S = 1.0
_NEVER = float("inf")

Answer = tuple[list[Effect], list[Outcome]]


class _Path:
    """One path, as this end knows it. `theirs` is empty until it is open."""

    def __init__(self, mine: bytes, theirs: bytes, way: Way | None, now: float) -> None:
        self.mine, self.theirs, self.way = mine, theirs, way
        self.since_s = self.asked_s = self.heard_s = self.sent_s = now
        self.better_s = now + BETTER_EVERY_S
        self.shunned: dict[PeerId, float] = {}
        self.number = self.heard = self.missed = 0
        self.missed_there = 0
        """What the other end had missed when the present relay was taken and everything on its way had come."""
        self.turned_s = now
        self.watched: tuple[int, float] | None = None
        """A number of ours that is not acknowledged, and when it was sent; None if there is none."""
        self.retired_s = _NEVER
        self.theirs_first = False
        """Whether the other end opened it."""

    @property
    def open(self) -> bool:
        return bool(self.theirs)


class Paths:
    """Every path this peer is an end of."""

    def __init__(
        self,
        me: PeerId,
        sealer: Sealer,
        dice: Dice,
        ways: Callable[[PeerId], list[Way]],
        site: Callable[[PeerId], str] = str,
    ) -> None:
        """`site` is of a peer, as far as it is known: what others begin is bounded by it."""
        self.me, self._sealer, self._dice, self._ways = me, sealer, dice, ways
        self._site = site
        self._paths: dict[PeerId, _Path] = {}
        self._half: dict[PeerId, _Path] = {}
        """Paths that this peer accepted, but whose other end has not shown that it read that."""
        self._ticked_s = 0.0
        self.counts: Counter[str] = Counter()

    # -- what there is

    @property
    def any(self) -> bool:
        """Whether there is any path, open or about to be."""
        return bool(self._paths or self._half)

    def carries(self, peer: PeerId) -> bool:
        """Whether an open path leads to that peer."""
        path = self._paths.get(peer)
        return path is not None and path.open and path.retired_s == _NEVER

    def peers(self) -> list[PeerId]:
        """The peers that are reached through relays."""
        return [peer for peer in self._paths if self.carries(peer)]

    def through(self, peer: PeerId) -> PeerId | None:
        """The relay in our direction to that peer; None if there is none."""
        path = self._paths.get(peer)
        return path.way.relay if path is not None and path.way is not None else None

    # -- what this peer wants

    def seek(self, peer: PeerId, now: float) -> list[Effect]:
        """Begins a path, if there is none yet and there is a relay it could go through."""
        path = self._paths.get(peer)
        if (path is not None and path.retired_s == _NEVER) or not self._ways(peer):
            return []
        if len(self._paths) >= PATHS:
            self.counts["paths-full"] += 1
            return []
        path = self._paths[peer] = _Path(self._token(), b"", None, now)
        return self._ask(peer, path, now)

    def send(self, peer: PeerId, frame: bytes, now: float) -> list[Effect]:
        """Sends one frame. It is lost and counted if it is too long or no relay is left."""
        path = self._paths.get(peer)
        if path is None or not path.open or len(frame) > FRAME_MOST_BYTES:
            self.counts["not-sent"] += 1
            return []
        return self._word(peer, path, frame, now)

    def close(self, peer: PeerId) -> list[Effect]:
        """Ends the path, and tells the other end."""
        self._half.pop(peer, None)
        path = self._paths.pop(peer, None)
        if path is None or not path.open or path.way is None:
            return []
        return self._mail(peer, path.way, Ended(path.theirs, path.mine))

    def retire(self, peer: PeerId, now: float) -> None:
        """A direct connection has taken over. What is still on its way by the path is heard."""
        self._half.pop(peer, None)
        path = self._paths.get(peer)
        if path is None:
            return
        if path.open:
            path.retired_s = min(path.retired_s, now + RETIRED_S)
        else:
            del self._paths[peer]

    # -- what relays do

    def lost(self, relay: PeerId, now: float) -> Answer:
        """The connection to a relay is gone."""
        effects: list[Effect] = []
        outcomes: list[Outcome] = []
        for peer, path in list(self._paths.items()):
            if path.way is None or path.way.relay != relay:
                continue
            path.way = None
            if not path.open:
                effects += self._ask(peer, path, now)
            elif not self._turn(peer, path, now):
                del self._paths[peer]
                outcomes.append(PathDown(peer, "its relay is gone, and there is no other"))
            else:
                effects += self._word(peer, path, b"", now)
        return effects, outcomes

    def refused(self, relay: PeerId, peer: PeerId, now: float) -> list[Effect]:
        """A relay says that it can pass nothing on to that peer."""
        path = self._paths.get(peer)
        if path is None or path.way is None or path.way.relay != relay:
            return []
        path.shunned[relay] = now + SHUNNED_S
        if all(_shunned_s(path, way.relay, now) > now for way in self._ways(peer)):
            # No relay gets through, mostly since the peer is dead. Asked at once, all would say so endlessly.
            return []
        if not path.open:
            return self._ask(peer, path, now)
        self._turn(peer, path, now)
        return self._word(peer, path, b"", now)

    def arrived(self, relay: PeerId, message: Relayed, now: float) -> Answer:
        """A box for this peer."""
        origin = message.origin
        plain = self._sealer.open(origin, message.box) if origin != self.me else None
        if plain is None:
            self.counts["not-sealed"] += 1
            return [], []
        try:
            # A union is no type[T] to mypy; decode gives one of it.
            letter: Letter = decode(plain, Letter)  # type: ignore[arg-type]
        except Malformed as error:
            return [], [Spoilt(origin, error.reason)]
        # Back the way it came, which may have been two relays long.
        back = Way(relay, 2)
        match letter:
            case Opening(mine=theirs):
                return self._opening(origin, theirs, back, now), []
            case Accepting(yours=mine, mine=theirs):
                return self._accepted(origin, mine, theirs, back, now)
            case Word():
                return self._heard(origin, letter, back, now)
            case Ended(yours=mine, mine=theirs):
                return [], self._ended(origin, mine, theirs)

    # -- time

    def tick(self, now: float) -> Answer:
        """Asks again, says that paths work, exchanges relays, or gives up."""
        if self._ticked_s and now > self._ticked_s + BEAT_EVERY_S + _LATE_S:
            self._doubt_myself(now)
        self._ticked_s = now if self._paths else 0.0
        effects: list[Effect] = []
        outcomes: list[Outcome] = []
        for peer, path in list(self._paths.items()):
            if now >= path.retired_s or (not path.open and now >= path.since_s + OPEN_WITHIN_S):
                del self._paths[peer]
            elif not path.open:
                if now >= path.asked_s + OPEN_TRY_S:
                    self._shun(path, now)
                    effects += self._ask(peer, path, now)
            elif now >= path.heard_s + PATH_DEAD_S and path.retired_s == _NEVER:
                del self._paths[peer]
                outcomes.append(PathDown(peer, "silent through every relay tried"))
            else:
                effects += self._keep(peer, path, now)
        return effects, outcomes

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        if not self._paths:
            return None
        at_s = min(_due_s(path) for path in self._paths.values())
        return Deadline(at_s, "path") if at_s < _NEVER else None

    def check(self) -> None:
        """Asserts the bounds, and that no path leads to this peer itself."""
        assert len(self._paths) <= PATHS
        assert len(self._half) <= HALF_PATHS
        if not (self._paths or self._half):
            return
        assert all(n <= HALF_PATHS_OF_SITE for n in self._by_site(self._half).values())
        opened = [peer for peer, path in self._paths.items() if path.theirs_first]
        assert all(n <= PATHS_OF_SITE for n in self._by_site(opened).values())
        assert self.me not in self._paths

    # -- the handshake

    def _ask(self, peer: PeerId, path: _Path, now: float) -> list[Effect]:
        path.asked_s = now
        self._turn(peer, path, now)
        return self._mail(peer, path.way, Opening(path.mine)) if path.way is not None else []

    def _opening(self, peer: PeerId, theirs: bytes, back: Way, now: float) -> list[Effect]:
        path = self._paths.get(peer)
        if path is not None and not path.open:
            if self.me < peer:
                return []  # Both ask at once: the Opening of the lesser goes on.
            del self._paths[peer]
        half = self._half.get(peer)
        if half is None or half.theirs != theirs:
            half = self._half[peer] = _Path(self._token(), theirs, back, now)
            self._make_way(peer)
        return self._mail(peer, back, Accepting(theirs, half.mine))

    def _accepted(self, peer: PeerId, mine: bytes, theirs: bytes, back: Way, now: float) -> Answer:
        path = self._paths.get(peer)
        if path is None or path.open or path.mine != mine:
            self.counts["stale"] += 1
            return [], []
        path.theirs, path.heard_s = theirs, now
        if path.way is None or path.way.relay != back.relay:
            path.way = back
        # At once, so that the other end knows, too, before anything else is to be said.
        return self._word(peer, path, b"", now), [PathUp(peer)]

    def _heard(self, peer: PeerId, word: Word, back: Way, now: float) -> Answer:
        outcomes: list[Outcome] = []
        path = self._paths.get(peer)
        if path is None or (path.mine, path.theirs) != (word.yours, word.mine):
            half = self._half.get(peer)
            if half is None or (half.mine, half.theirs) != (word.yours, word.mine):
                self.counts["stale"] += 1
                return self._mail(peer, back, Ended(word.mine, word.yours)), []
            del self._half[peer]
            if path is None and self._is_full(peer):
                self.counts["paths-full"] += 1
                return self._mail(peer, back, Ended(word.mine, word.yours)), []
            if self.carries(peer):
                outcomes.append(PathDown(peer, "it began anew"))
            path = self._paths[peer] = half
            path.theirs_first = True
            path.way, path.sent_s = back, now
            outcomes.append(PathUp(peer))
        if word.number <= path.heard:
            self.counts["replayed"] += 1
            return [], outcomes
        path.missed += word.number - path.heard - 1
        path.heard, path.heard_s = word.number, now
        effects = self._acknowledged(peer, path, word, now)
        if word.frame:
            outcomes.append(Came(peer, word.frame))
        return effects, outcomes

    def _ended(self, peer: PeerId, mine: bytes, theirs: bytes) -> list[Outcome]:
        path = self._paths.get(peer)
        if path is None or not path.open or (path.mine, path.theirs) != (mine, theirs):
            return []
        up = self.carries(peer)
        del self._paths[peer]
        return [PathDown(peer, "it ended the path")] if up else []

    def _make_way(self, peer: PeerId) -> None:
        """Forgets a half path if there are too many: the oldest of the peer's site, or of the one with most."""
        by_site = self._by_site(self._half)
        site = self._site(peer)
        if by_site[site] <= HALF_PATHS_OF_SITE:
            if len(self._half) <= HALF_PATHS:
                return
            site = max(by_site, key=lambda one: (by_site[one], one))
        del self._half[next(other for other in self._half if self._site(other) == site)]
        self.counts["half-paths-full"] += 1

    def _is_full(self, peer: PeerId) -> bool:
        """Whether there is no place for another path that this peer opened."""
        opened = (other for other, path in self._paths.items() if path.theirs_first)
        return len(self._paths) >= PATHS or self._by_site(opened)[self._site(peer)] >= PATHS_OF_SITE

    def _by_site(self, peers: Iterable[PeerId]) -> Counter[str]:
        return Counter(map(self._site, peers))

    # -- upkeep

    def _acknowledged(self, peer: PeerId, path: _Path, word: Word, now: float) -> list[Effect]:
        if path.watched is not None and word.heard >= path.watched[0]:
            path.watched = None
        if now < path.turned_s + ACKNOWLEDGED_WITHIN_S:
            path.missed_there = word.missed
        if word.missed < path.missed_there + MISSED_MOST:
            return []
        self._shun(path, now)
        self._turn(peer, path, now)
        return []

    def _keep(self, peer: PeerId, path: _Path, now: float) -> list[Effect]:
        if path.retired_s < _NEVER:
            return []
        if path.watched is not None and now >= path.watched[1] + ACKNOWLEDGED_WITHIN_S:
            path.watched = None
            self._shun(path, now)
            self._turn(peer, path, now)
            return self._word(peer, path, b"", now)
        if now < path.sent_s + BEAT_EVERY_S:
            return []
        if now >= path.better_s:
            path.better_s = now + BETTER_EVERY_S
            self._turn(peer, path, now)
        return self._word(peer, path, b"", now)

    def _turn(self, peer: PeerId, path: _Path, now: float) -> bool:
        """Takes the best relay there is, or the present one if that is as good; False if there is none."""
        ways = self._ways(peer)
        if not ways:
            path.way = None
            return False
        # When all have failed, the one that failed longest ago comes first.
        best = min(ways, key=lambda w: _shunned_s(path, w.relay, now))
        good = [w for w in ways if _shunned_s(path, w.relay, now) <= now] or [best]
        present = next((w for w in good if path.way and w.relay == path.way.relay), None)
        if present is not None and present.hops <= good[0].hops:
            path.way = present
            return True
        path.way, path.turned_s = good[0], now
        return True

    def _shun(self, path: _Path, now: float) -> None:
        if path.way is not None:
            path.shunned[path.way.relay] = now + SHUNNED_S
            self.counts["relays-changed"] += 1

    def _doubt_myself(self, now: float) -> None:
        """This peer was late itself, so everybody gets a fresh start (as Lifeguard has it)."""
        for path in self._paths.values():
            path.heard_s, path.watched = now, None

    def _word(self, peer: PeerId, path: _Path, frame: bytes, now: float) -> list[Effect]:
        path.sent_s = now
        if path.way is None and not self._turn(peer, path, now):
            self.counts["no-relay"] += 1
            return []
        path.number += 1
        if path.watched is None:
            path.watched = (path.number, now)
        word = Word(path.theirs, path.mine, path.number, path.heard, path.missed, frame)
        return self._mail(peer, path.way, word)

    def _mail(self, peer: PeerId, way: Way | None, letter: Letter) -> list[Effect]:
        box = self._sealer.seal(peer, encode(letter))
        if box is None or way is None:
            return []
        return [Send(way.relay, Relayed(peer, self.me, way.hops, RELAYED_TTL_MS, box))]

    def _token(self) -> bytes:
        return self._dice.getrandbits(8 * TOKEN_BYTES).to_bytes(TOKEN_BYTES, "big")


def _shunned_s(path: _Path, relay: PeerId, now: float) -> float:
    return max(now, path.shunned.get(relay, now))


def _due_s(path: _Path) -> float:
    if path.retired_s < _NEVER:
        return path.retired_s
    if not path.open:
        return min(path.asked_s + OPEN_TRY_S, path.since_s + OPEN_WITHIN_S)
    watched_s = path.watched[1] + ACKNOWLEDGED_WITHIN_S if path.watched is not None else _NEVER
    return min(path.sent_s + BEAT_EVERY_S, watched_s, path.heard_s + PATH_DEAD_S)
