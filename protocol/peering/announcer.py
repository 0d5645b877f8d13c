"""What this peer says of itself: that it is there, where, in which incarnation, and that it leaves.

The incarnation is on disk before it is said. It rises at every start, to refute a suspicion, with a new
certificate, and when others remember a greater one (the store was lost). Nobody else can drive it up.
"""

from collections.abc import Callable, Mapping

from protocol.broadcast.broadcast import Broadcast
from protocol.broadcast.messages import Gossip
from protocol.grid.tunnel import TunnelEnd
from protocol.membership.doubles import Double
from protocol.membership.messages import Goodbye, Hello, Presence, greeting
from protocol.membership.presence import KIND as PRESENCE
from protocol.peering.leaving import is_leaving, row
from protocol.peering.near_peers import Whereabouts
from protocol.peering.twin import Twin
from protocol.peering.welcome import printable
from protocol.terms.effects import Deadline, Effect, Note, Persist, Row, Send
from protocol.terms.ids import KeyId, PeerId, short_hash
from protocol.terms.limits import (
    PRESENCE_EVERY_S,
    PRESENCE_TTL_S,
    REACH_AT_MOST_EVERY_S,
    REFUTE_EVERY_S,
    REFUTE_LIARS_EVERY_S,
    SUSPICION_TTL_S,
)
from protocol.terms.ranges import NUMBER_MOST
from protocol.trust.identity import Identity
from protocol.trust.own_store import KEY as STORE
from protocol.trust.own_store import OwnStore
from protocol.trust.record import Record, SignedRecord
from protocol.wire.codec import Malformed, decode, encode

TABLE = "self"
_INCARNATION = "incarnation"
_NEVER = float("inf")

DOUBLE_HELP = (
    "a cloned machine needs a key of its own (`overlayctl host enrol`), a daemon that was started twice is to "
    "be stopped once, a stolen key is to be revoked (`overlayctl site revoke`)"
)
"""What helps where two processes use one key."""


def next_incarnation(rows: dict[str, dict[str, bytes]]) -> int:
    """The incarnation of the life that begins now. `rows` is the whole store, by table."""
    return int.from_bytes(rows.get(TABLE, {}).get(_INCARNATION, b""), "big") + 1


def begun_anew(now: float, store: str) -> dict[str, dict[str, bytes]]:
    """What a store of that id has to begin with if it is new, or was lost: an incarnation above all that others
    remember.

    Incarnations are counted, and start by start they come nowhere near the seconds of a clock. So a host that
    lost its store is heard at once, and no ballot of its earlier life is used a second time.
    """
    return {TABLE: {_INCARNATION: int(now).to_bytes(8, "big"), STORE: store.encode()}}


class Announcer:
    """Publishes this peer's presence."""

    def __init__(
        self,
        identity: Identity,
        broadcast: Broadcast,
        whereabouts: Callable[[], Whereabouts],
        now: float,
        store: OwnStore,
        rows: Mapping[str, Mapping[str, bytes]],
    ) -> None:
        """`whereabouts` answers how this peer is reached; it is asked whenever a presence is made.

        `rows` is the whole store, by table.
        """
        self.leaving = is_leaving(rows)
        self._store = store
        self._identity, self._broadcast, self._whereabouts = identity, broadcast, whereabouts
        self._said: Whereabouts | None = None
        self._tunnel: TunnelEnd | None = None
        name = short_hash(identity.peer, str(broadcast.incarnation), repr(now), digits=16)
        self.twin = Twin(name)
        self._newer_s, self._newer_than = _NEVER, 0
        """When to be newer than a twin, or than what is suspected, and than which incarnation."""
        self._refuted_s = -_NEVER
        self._look_s = _NEVER
        self._again_s = now + PRESENCE_EVERY_S

    def begin(self, now: float) -> list[Effect]:
        """Begins a life: publishes the first presence."""
        return self._raise(self._broadcast.incarnation, now)

    def renew(self, identity: Identity, now: float) -> list[Effect]:
        """This peer has another certificate. Answers the write and the presence.

        A new incarnation begins too, so that a peer that believes the old certificate ended believes this one
        at once.
        """
        self._identity = identity
        return self.newer(now)

    def newer(self, now: float) -> list[Effect]:
        """This peer is not what it was: says so in a new incarnation. Answers the write."""
        return self._raise(self._broadcast.incarnation + 1, now)

    def leaves(self, leaving: bool, now: float) -> list[Effect]:
        """Whether this host is to be stopped for good, as its person says. Answers the write."""
        if leaving is self.leaving:
            return []
        self.leaving = leaving
        return [Persist((row(leaving),)), *self.newer(now)]

    def refute(self, incarnation: int, now: float, *, of_liar: bool = False) -> list[Effect]:
        """Somebody suspects this peer in that incarnation. It answers with a new one, at once or soon.

        Each answer goes to everybody, so there are only so many, and fewer to who is wrong all the time.
        """
        # Only this peer can claim a greater one, in a presence that it signed.
        if incarnation != self._broadcast.incarnation:
            return []
        answers_s = self._refuted_s + (REFUTE_LIARS_EVERY_S if of_liar else REFUTE_EVERY_S)
        if now < answers_s:
            self._newer_s = min(self._newer_s, answers_s)
            self._newer_than = max(self._newer_than, incarnation)
            return []
        self._refuted_s = now
        alive = Note("peer.refuted", self._identity.name, "I am alive")
        return [*self._raise(incarnation + 1, now), alive]

    def stray(self, record: Record, now: float) -> list[Effect]:
        """A record of an earlier life of this peer. If it is a presence this life becomes newer, else it is
        taken back.
        """
        if record.kind != PRESENCE and self.twin.lives(now):
            return []  # A twin's, which would take this one's back in return.
        if record.kind != PRESENCE:
            kind, name, scope = record.kind, record.name, record.scope
            self._broadcast.publish(kind, name, b"", SUSPICION_TTL_S, now, scope)
            return []
        if not self._broadcast.incarnation <= record.incarnation < NUMBER_MOST:
            return []  # Beyond the last number nobody is newer: only who has this key as well says that one.
        if self.is_own(record):
            return self._raise(record.incarnation + 1, now)
        found = [*self._store.renew("others remember more of this host than its disk does")]
        found += self._twinned(record, now)
        answers_s = self.twin.answers_s(now)
        if answers_s > now:
            self._newer_s = min(self._newer_s, answers_s)
            self._newer_than = max(self._newer_than, record.incarnation)
            return found
        return [*found, *self._raise(record.incarnation + 1, now)]

    def is_own(self, record: Record) -> bool:
        """Whether it is a presence of this very life, no later than what it said: nothing is lost."""
        if record.incarnation > self._broadcast.incarnation:
            return False
        try:
            return decode(record.body, Presence).process == self.twin.process
        except Malformed:
            return False

    def tick(self, now: float) -> list[Effect]:
        """Publishes the presence again when that is due. It lives for a day and is said again four times.

        Answers the write: it is newer each time.
        """
        if now >= self._newer_s:
            newer = max(self._newer_than, self._broadcast.incarnation) + 1
            self._newer_s, self._newer_than = _NEVER, 0
            self._refuted_s = now
            return self._raise(newer, now)
        if now >= self._look_s:
            self._look_s = _NEVER
            if self._said is not None and _differ(self._said, self._whereabouts()):
                self._publish(now)
        if now >= self._again_s:
            # So a backup of this disk that is older is found by its numbers, though no restart came between.
            return self.newer(now)
        return []

    def tunnel_at(self, end: TunnelEnd | None, now: float) -> list[Effect]:
        """This host takes its networks' traffic there. What it said last stands while it does not know.

        Answers the write of a new incarnation: who repeats what it said of another end before is not believed.
        """
        before, self._tunnel = self._tunnel, end or self._tunnel
        if self._said is None or self._tunnel == before:
            return []
        if before is not None:
            return self._raise(self._broadcast.incarnation + 1, now)
        self._publish(now)
        return []

    def look_again(self, now: float) -> None:
        """How this peer is reached, or through which relays, may have changed."""
        self._look_s = min(self._look_s, now + REACH_AT_MOST_EVERY_S)

    def next_deadline(self) -> Deadline:
        """When to tick."""
        return Deadline(min(self._again_s, self._look_s, self._newer_s), "presence")

    def hello(self, now: float, yours: SignedRecord | None = None) -> Hello:
        """The first word on a connection, with what the other end is to be reminded of."""
        return greeting(self._held(now), self._identity.speaks, yours)

    def leave(self, neighbours: list[PeerId], now: float) -> list[Effect]:
        """Sends the last presence to every neighbour: there is no time to announce it and be asked for it."""
        self._publish(now, left=True)
        last = Gossip((self._held(now),))
        return [Send(peer, word) for peer in neighbours for word in (last, Goodbye())]

    def _held(self, now: float) -> SignedRecord:
        key = KeyId(self._identity.peer)
        held = self._broadcast.directory.get(key, PRESENCE)
        if held is None:
            self._publish(now)
            held = self._broadcast.directory.get(key, PRESENCE)
        assert held is not None
        return held.signed

    def _twinned(self, record: Record, now: float) -> list[Effect]:
        """A presence of this peer's key that is as new as its own. Tells if it is another process's, living."""
        try:
            presence = decode(record.body, Presence)
        except Malformed:
            return []
        if not self.twin.seen(presence.process, presence.address, record.incarnation, now):
            return []
        said, helps = twin_in_words(self._identity, self.twin)
        return [Note("peer.doubled", self._identity.name, f"{said}; {helps}")]

    def _raise(self, incarnation: int, now: float) -> list[Effect]:
        self.twin.answered(now)
        self._broadcast.incarnation = incarnation
        row = Row(TABLE, _INCARNATION, incarnation.to_bytes(8, "big"))
        self._publish(now)
        return [Persist((row, *self._store.unsaved()))]

    def _publish(self, now: float, left: bool = False) -> None:
        self._again_s = now + PRESENCE_EVERY_S
        identity = self._identity
        self._said = self._whereabouts()
        process, store = self.twin.process, self._store.id
        said = (*self._said, process, self._tunnel, store, self.leaving)
        presence = Presence(identity.chain, identity.address, left, *said)
        body = encode(presence)
        self._broadcast.publish(PRESENCE, "", body, PRESENCE_TTL_S, now, identity.site)


def twin_in_words(identity: Identity, twin: Twin) -> tuple[str, str]:
    """That another process uses this peer's key, and what would help."""
    here, there = place_of(identity.address), place_of(twin.address)
    where = f"both at {here}" if here == there else f"this one at {here}, another at {there}"
    return f"two processes use this host's key: {where}", DOUBLE_HELP


def double_in_words(name: str, double: Double) -> str:
    """That two processes use another peer's key."""
    one, other = place_of(double.one), place_of(double.other)
    where = f"both at {one}" if one == other else f"one at {one}, one at {other}"
    return f"two processes use the key of {name}: {where}"


def place_of(address: str) -> str:
    """An address as it is shown."""
    return printable(address, 64) or "an address it does not tell"


def _differ(said: Whereabouts, now_is: Whereabouts) -> bool:
    return said[0] is not now_is[0] or sorted(said[1]) != sorted(now_is[1])
