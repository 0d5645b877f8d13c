"""What peers did wrong, how much they may say, and which of them are not listened to for a while.

There are three steps, each with a bound. A message beyond the allowance of its family is dropped and counted:
each (peer, family) has a token bucket, refilled with time (ALLOWANCES in terms/limits.py has each with its
reason). Every fault, of whatever kind, counts against the peer. After PATIENCE of them within a minute its
connections are closed and refused for QUARANTINE_S, twice as long each further time, up to QUARANTINE_MOST_S.

A quarantine is this peer's own. It tells nobody, since a liar could have others shut out that way. The peer's
records go on arriving through others. A quarantine ends by time, and a peer that behaves for
QUARANTINE_FORGIVEN_S begins anew.
"""

from protocol.peering.addresses import Rows
from protocol.peering.shut_out import TABLE as SHUT_OUT
from protocol.peering.shut_out import shut_outs
from protocol.terms.effects import Deadline, Effect, Note, Quarantine
from protocol.terms.ids import KeyId, PeerId
from protocol.terms.limits import (
    ALLOWANCES,
    PATIENCE,
    PATIENCE_WINDOW_S,
    PEERS_WATCHED,
    QUARANTINE_FORGIVEN_S,
    QUARANTINE_MOST_S,
    QUARANTINE_S,
    REASONS_COUNTED,
)
from protocol.terms.quantities import format_duration


class _Watched:
    """What is remembered of one peer."""

    __slots__ = ("buckets", "faults", "in_all", "since_s", "times", "until_s")

    def __init__(self) -> None:
        self.buckets: dict[str, tuple[float, float]] = {}
        """For each family, what was left in its bucket, and when that was."""
        self.since_s = 0.0
        self.faults = 0
        self.in_all = 0
        self.times = 0
        """How many quarantines it had in a row."""
        self.until_s = 0.0


class Quarantines:
    """Counters for all peers together, and a bounded memory of each peer."""

    def __init__(self, rows: Rows | None = None, now: float = 0.0) -> None:
        """`rows` is the whole store, by table: an earlier life may have shut peers out."""
        self.counts: dict[str, int] = {}
        self._peers: dict[PeerId, _Watched] = {}
        self._quarantined: dict[PeerId, float] = {}
        self._refused: dict[KeyId, int] = {}
        self.judged: PeerId | None = None
        """Whose message was judged last, which is who said it, also if it came through a relay."""
        for peer, row in shut_outs((rows or {}).get(SHUT_OUT, {}), now).items():
            if row.until_s > now:
                watched = self._watch(peer)
                watched.in_all, watched.times = 1, row.times
                watched.until_s = self._quarantined[peer] = row.until_s

    def standing(self) -> list[Effect]:
        """What follows at the start of a life from those that an earlier one shut out."""
        return [Quarantine(self.quarantined)] if self._quarantined else []

    # -- counting

    def count(self, reason: str) -> None:
        """Counts one more fault with that reason. If there are too many reasons, new ones share a counter."""
        if reason not in self.counts and len(self.counts) >= REASONS_COUNTED:
            reason = "other"
        self.counts[reason] = self.counts.get(reason, 0) + 1

    def refuse(self, owner: KeyId, reason: str) -> None:
        """Counts a record of that owner that is not kept. Who sent it may be honest."""
        self.count(reason)
        times = self._refused.pop(owner, 0)
        if len(self._refused) >= PEERS_WATCHED:
            del self._refused[next(iter(self._refused))]
        self._refused[owner] = times + 1

    def faults(self, peer: PeerId) -> int:
        """How many faults of one peer are remembered, and records of it that were not kept."""
        watched = self._peers.get(peer)
        return (watched.in_all if watched is not None else 0) + self._refused.get(KeyId(peer), 0)

    # -- judging

    def fault(self, peer: PeerId, family: str, size_bytes: int, now: float) -> str:
        """Why a message is refused: it is too large, or one too many of its family. Empty if it is neither."""
        self.judged = peer
        allowance = ALLOWANCES.get(family) or ALLOWANCES[""]
        if size_bytes > allowance.frame_bytes:
            return f"oversized-{family}"
        buckets = self._watch(peer).buckets
        left, at_s = buckets.get(family, (float(allowance.burst), now))
        left = min(float(allowance.burst), left + (now - at_s) * allowance.per_s)
        if left < 1.0:
            buckets[family] = (left, now)
            return f"flood-{family}"
        buckets[family] = (left - 1.0, now)
        return ""

    def lower(self, peer: PeerId, now: float) -> bool:
        """Counts one more fault of that peer. True if it is quarantined for it."""
        watched = self._watch(peer)
        watched.in_all += 1
        if peer in self._quarantined:
            return False
        if now >= watched.since_s + PATIENCE_WINDOW_S:
            watched.since_s, watched.faults = now, 0
        watched.faults += 1
        if watched.faults < PATIENCE:
            return False
        if now >= watched.until_s + QUARANTINE_FORGIVEN_S:
            watched.times = 0
        lasts_s = min(QUARANTINE_S * 2.0 ** min(watched.times, 30), QUARANTINE_MOST_S)
        watched.times += 1
        watched.faults = 0
        watched.until_s = self._quarantined[peer] = now + lasts_s
        return True

    # -- quarantine

    @property
    def quarantined(self) -> tuple[PeerId, ...]:
        """The peers that are refused now."""
        return tuple(self._quarantined)

    def left_s(self, peer: PeerId, now: float) -> float:
        """How many seconds a peer is still refused; 0 if it is not."""
        return max(0.0, self._quarantined.get(peer, now) - now)

    def verdict(self, peer: PeerId, name: str, why: str, now: float) -> list[Effect]:
        """What follows from a quarantine that begins: connections are closed, and people are told."""
        lasts = format_duration(self.left_s(peer, now))
        return [
            Quarantine(self.quarantined),
            Note("peer.quarantined", name, f"for {lasts}: {why}"),
        ]

    def tick(self, now: float) -> list[Effect]:
        """Ends quarantines whose time is over."""
        over = [peer for peer, until_s in self._quarantined.items() if until_s <= now]
        if not over:
            return []
        for peer in over:
            del self._quarantined[peer]
        notes = [Note("peer.readmitted", peer, "its quarantine is over") for peer in over]
        return [Quarantine(self.quarantined), *notes]

    def next_deadline(self) -> Deadline | None:
        """When the first quarantine is over."""
        if not self._quarantined:
            return None
        return Deadline(min(self._quarantined.values()), "quarantine")

    def check(self) -> None:
        """All memory is bounded. It is called after every step of a simulation, so it looks at sizes only."""
        assert len(self._peers) <= PEERS_WATCHED
        assert len(self._quarantined) <= PEERS_WATCHED
        assert len(self._refused) <= PEERS_WATCHED
        assert len(self.counts) <= REASONS_COUNTED + 1

    def _watch(self, peer: PeerId) -> _Watched:
        """The memory of that peer. If there is too much, the oldest of a peer in no quarantine is dropped."""
        watched = self._peers.get(peer)
        if watched is None:
            if len(self._peers) >= PEERS_WATCHED:
                free = (other for other in self._peers if other not in self._quarantined)
                gone = next(free, next(iter(self._peers)))
                del self._peers[gone]
                self._quarantined.pop(gone, None)
            watched = self._peers[peer] = _Watched()
        return watched
