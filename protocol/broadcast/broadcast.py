"""Broadcast: publishes this peer's records, takes in others', and keeps directories equal.

The tree only makes things faster; comparisons of directories at intervals make them right. A comparison goes
in steps, each only if the one before found a difference: a root for each scope, the buckets of a scope, the
versions in buckets that differ, and then what the other lacks, both ways.

Scopes. While there are few peers, every peer keeps every record. Above LEVELS_ABOVE (`narrow`) a peer keeps
the records for everybody and those of its own site; it forwards and compares nothing else. If a record goes
to a site whose peers do not know its owner, the owner's presence goes before it.
"""

from typing import Protocol, assert_never

import msgspec

from protocol.broadcast.budgets import fault
from protocol.broadcast.directory import Directory
from protocol.broadcast.messages import (
    Announce,
    BroadcastMessage,
    Compare,
    DetailAsk,
    Differ,
    Digest,
    Gossip,
    Graft,
    Prune,
    Records,
    Version,
    Want,
    version_of,
)
from protocol.broadcast.plumtree import Plumtree
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Send, earliest
from protocol.terms.ids import KeyId, PeerId
from protocol.terms.kinds import KINDS
from protocol.terms.limits import (
    COMPARE_BUCKETS,
    COMPARE_EVERY_S,
    COMPARE_SOON_S,
    DETAIL_HEARD_S,
    RECORDS_PER_FRAME,
    SCOPES,
)
from protocol.trust.record import DOMAIN, Record, SignedRecord, read_record, sign_record
from protocol.trust.signing import Signer, Untrusted, Verifier, require_signature
from protocol.wire.limits import MAX_FRAME_BYTES

_VERSIONS_PER_FRAME = 2048
_FRAME_ROOM_BYTES = MAX_FRAME_BYTES // 2
_SIGNATURE_BYTES = 128
PRESENCE, ADVERT = "presence", "advert"


class Learnt(msgspec.Struct, frozen=True):
    """News: a checked record that was not known, or is newer than the one that was."""

    record: Record


class Broken(msgspec.Struct, frozen=True):
    """A peer sent a record that no honest peer sends on."""

    peer: PeerId
    why: str


class Refused(msgspec.Struct, frozen=True):
    """A record is not kept, since nobody may make others keep it. Its sender may be honest, and newer."""

    owner: KeyId
    why: str
    """A word to count."""


class Stray(msgspec.Struct, frozen=True):
    """Others still hold a record that an earlier life of this peer said, and this life has not."""

    record: Record


class Expired(msgspec.Struct, frozen=True):
    """A record outlived its time: nobody says it any more."""

    record: Record
    evicted: bool = False
    """It went before its time, since its owner or its site has more than its budget."""


class DetailAsked(msgspec.Struct, frozen=True):
    """A peer of another site wants to know the hosts of this one's site."""

    peer: PeerId


Outcome = Learnt | Broken | Refused | Stray | Expired | DetailAsked


class Members(Protocol):
    """What the node knows of the owners of records."""

    def admits(self, record: Record, now: float) -> bool:
        """Whether a checked record's owner is a member, and the record believable."""

    def met(self, presence: Record, signed: SignedRecord, now: float) -> None:
        """Takes note of a presence that is not kept here. Its owner is known for a while, if it is a member."""

    def site(self, peer: KeyId | PeerId) -> str:
        """The site of a known peer; empty if it is not known."""

    def stands(self, record: Record, now: float) -> bool:
        """Whether what an earlier life of this peer said proves itself, so that it holds as it was said."""

    def elsewhere(self, owner: KeyId) -> SignedRecord | None:
        """The presence of a known owner that is not kept here, to go before its records."""


class Broadcast:
    """One peer's part of the tree and its copy of the directory."""

    def __init__(
        self, signer: Signer, verifier: Verifier, dice: Dice, incarnation: int, members: Members
    ) -> None:
        self._signer, self._verifier, self._dice, self._members = signer, verifier, dice, members
        self.incarnation = incarnation
        self._sequence = 0
        self._only = ""
        """The site whose records are kept beside everybody's; empty if all are kept."""
        self._detail: dict[str, float] = {}
        """Other sites whose detail was asked for, and until when this peer listens to it (Unix seconds)."""
        self.directory = Directory()
        self.tree = Plumtree(dice)
        self._compare_s: float | None = None

    # -- publishing

    def publish(
        self, kind: str, name: str, body: bytes, ttl_s: float, now: float, scope: str = ""
    ) -> None:
        """Signs a record of ours and sends it out. It replaces the one under the same key.

        `scope` is the site whose hosts are to have it, when not everybody has everything.
        """
        self._sequence += 1
        record = Record(
            owner=self._signer.key,
            kind=kind,
            name=name,
            incarnation=self.incarnation,
            sequence=self._sequence,
            body=body,
            ttl_s=min(ttl_s, KINDS[kind].life_s),
            scope=scope,
        )
        signed = sign_record(record, self._signer)
        if self.keeps(scope):
            self.directory.put(record, signed, now, self._members.site(record.owner), own=True)
        self._push(record, signed, None, now)

    def keeps(self, scope: str) -> bool:
        """Whether records of that scope are kept here."""
        return not self._only or scope in ("", self._only)

    @property
    def narrowed(self) -> bool:
        """Whether this peer keeps no other sites' records."""
        return bool(self._only)

    def narrow(self, site: str) -> None:
        """Keeps only that site's records and everybody's from now on; for an empty `site`, all again."""
        self._only = site
        if site:
            self.directory.narrow(site)

    def ask_detail(self, peer: PeerId, site: str, now: float) -> list[Effect]:
        """Asks a peer of another site for that site's detail. What comes soon after is news, but not kept."""
        self._detail[site] = now + DETAIL_HEARD_S
        return [Send(peer, DetailAsk())]

    def detail(self, peer: PeerId, owners: list[PeerId]) -> list[Effect]:
        """Sends `peer` the presences and adverts of `owners`, as it asked for them."""
        found: list[SignedRecord] = []
        for owner in owners:
            records = [self.directory.get(KeyId(owner), kind) for kind in (PRESENCE, ADVERT)]
            if None not in records:
                found += [held.signed for held in records if held is not None]
        return [Send(peer, Records(frame)) for frame in _frames(found)]

    def flush(self, now: float) -> list[Effect]:
        """What this step pushes: a frame or a few for each neighbour that had none a moment ago."""
        if not self.tree.pushes:
            return []
        return [
            Send(peer, Gossip(frame))
            for peer, records in self.tree.pop_pushes(now).items()
            for frame in _frames(self._introduced(peer, records))
        ]

    # -- neighbours

    def neighbour_up(self, peer: PeerId, now: float) -> list[Effect]:
        """Compares at once with a new or returned neighbour, so that what was missed comes."""
        self.tree.neighbour_up(peer)
        return self.compare_with(peer, now)

    def neighbour_down(self, peer: PeerId) -> None:
        """Forgets a neighbour."""
        self.tree.neighbour_down(peer)

    def compare_with(self, peer: PeerId, now: float) -> list[Effect]:
        """Begins a comparison. The next comes soon, in case this one is cut off."""
        soon_s = now + COMPARE_SOON_S
        self._compare_s = soon_s if self._compare_s is None else min(self._compare_s, soon_s)
        return [Send(peer, self._compare())]

    # -- messages

    def handle(
        self, sender: PeerId, message: BroadcastMessage, now: float
    ) -> tuple[list[Effect], list[Outcome]]:
        """What follows from a neighbour's message."""
        match message:
            case Gossip(records=records):
                return self._gossip(sender, records, now)
            case Announce(versions=versions):
                missing = [v for v in versions if v.kind in KINDS and not self.directory.has(v)]
                self.tree.known_by(sender, versions)
                self.tree.announced(sender, missing, now)
                return [], []
            case Graft(versions=versions):
                self.tree.grafted(sender)
                return self._send(sender, list(versions)), []
            case Prune():
                self.tree.pruned(sender)
                return [], []
            case Compare():
                return self._compared(sender, message), []
            case Digest(scope=scope, buckets=buckets):
                return self._digest(sender, scope, buckets), []
            case Differ():
                return self._differ(sender, message, now), []
            case Want(versions=versions):
                return self._send(sender, list(versions)), []
            case Records(records=records):
                return self._records(sender, records, now)
            case DetailAsk():
                return [], [DetailAsked(sender)]
            case _:
                assert_never(message)

    def tick(self, now: float) -> tuple[list[Effect], list[Outcome]]:
        """Grafts overdue news, ends old records, and compares with one neighbour."""
        effects = self.tree.tick(now)
        told: list[Outcome] = [Expired(record) for record in self.directory.sweep(now)]
        told += self._evicted()
        if self._compare_s is not None and now >= self._compare_s:
            neighbours = self.tree.neighbours
            self._compare_s = now + COMPARE_EVERY_S * self._dice.uniform(0.8, 1.2)
            if neighbours:
                effects.append(Send(self._dice.choice(neighbours), self._compare()))
        return effects, told

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        compare = None if self._compare_s is None else Deadline(self._compare_s, "compare")
        return earliest(self.tree.next_deadline(), self.directory.next_deadline(), compare)

    def check(self) -> None:
        """Asserts the invariants of tree and directory."""
        self.tree.check()
        self.directory.check()

    # -- records that come

    def take(
        self, sender: PeerId, signed: SignedRecord, now: float
    ) -> tuple[list[Effect], list[Outcome]]:
        """Takes a record that somebody pushed: it is checked, kept and sent on if it is news."""
        try:
            record = read_record(signed)
            version = version_of(record)
            if self.directory.has(version):
                self.tree.known_by(sender, (version,))
                return self.tree.stale(sender), []
            if why := fault(record, len(signed.payload)):
                return [], [Refused(record.owner, why)]
            self._require_genuine(record, signed)
        except Untrusted as error:
            return [], [Broken(sender, str(error))]
        told = self._taken(sender, record, signed, now)
        if any(isinstance(item, Learnt) for item in told):
            self.tree.fresh(sender)
        return [], told

    def _gossip(
        self, sender: PeerId, records: tuple[SignedRecord, ...], now: float
    ) -> tuple[list[Effect], list[Outcome]]:
        effects: list[Effect] = []
        told: list[Outcome] = []
        for signed in records:
            more, news = self.take(sender, signed, now)
            effects += more
            told += news
        if any(isinstance(item, Learnt) for item in told):
            # The sender was first with something, whatever else it said.
            return [], told
        return effects, told

    def _records(
        self, sender: PeerId, records: tuple[SignedRecord, ...], now: float
    ) -> tuple[list[Effect], list[Outcome]]:
        told: list[Outcome] = []
        for signed in records:
            try:
                record = read_record(signed)
                if self.directory.has(version_of(record)):
                    continue
                if why := fault(record, len(signed.payload)):
                    told.append(Refused(record.owner, why))
                    continue
                self._require_genuine(record, signed)
            except Untrusted as error:
                told.append(Broken(sender, str(error)))
                continue
            told += self._taken(sender, record, signed, now)
        return [], told

    def _taken(
        self, sender: PeerId, record: Record, signed: SignedRecord, now: float
    ) -> list[Outcome]:
        if record.owner == self._signer.key:
            return self._own(record, signed, now)
        if not self.keeps(record.scope):
            if record.kind == PRESENCE:
                self._members.met(record, signed, now)
            elif now < self._detail.get(record.scope, 0.0) and self._members.admits(record, now):
                return [Learnt(record)]
            return []
        if not self._members.admits(record, now):
            return []
        # A presence was admitted only if its scope is its owner's site.
        site = record.scope if record.kind == PRESENCE else self._members.site(record.owner)
        if not self.directory.put(record, signed, now, site):
            return [*self._evicted(), Refused(record.owner, "beyond-budget")]
        self._push(record, signed, sender, now)
        return [*self._evicted(), Learnt(record)]

    def _evicted(self) -> list[Outcome]:
        gone = self.directory.pop_evicted()
        refused: list[Outcome] = [Refused(record.owner, "beyond-budget") for record in gone]
        return refused + [Expired(record, evicted=True) for record in gone]

    def _require_genuine(self, record: Record, signed: SignedRecord) -> None:
        """Raises Untrusted unless its owner signed it. Only news is worth the check."""
        require_signature(self._verifier, record.owner, DOMAIN, signed.payload, signed.signature)

    def _own(self, record: Record, signed: SignedRecord, now: float) -> list[Outcome]:
        """A record that this peer signed but does not have: said by an earlier life, or for another site."""
        if self._members.stands(record, now):
            site = self._members.site(record.owner)
            kept = self.directory.put(record, signed, now, site, own=True)
            return [*self._evicted(), *([Learnt(record)] if kept else [])]
        mine = record.incarnation == self.incarnation and record.sequence <= self._sequence
        if mine and not self.keeps(record.scope):
            return []
        if record.incarnation == self.incarnation:
            self._sequence = max(self._sequence, record.sequence)
        return [Stray(record)]

    # -- records that go

    def _push(
        self, record: Record, signed: SignedRecord, source: PeerId | None, now: float
    ) -> None:
        keeps = None
        if self._only and record.scope:
            scope = record.scope

            def keeps(peer: PeerId) -> bool:
                return self._members.site(peer) == scope

        self.tree.push(signed, version_of(record), source, now, keeps)

    def _introduced(self, peer: PeerId, records: list[SignedRecord]) -> list[SignedRecord]:
        """The records, behind presences of owners that the receiver may not know."""
        if not self._only:
            return records
        there = self._members.site(peer)
        said: dict[KeyId, None] = {}
        out: list[SignedRecord] = []
        for signed in records:
            record = read_record(signed)
            owner = record.owner
            if owner not in said and record.kind != PRESENCE and self._members.site(owner) != there:
                said[owner] = None
                held = self.directory.get(owner, PRESENCE)
                presence = held.signed if held is not None else self._members.elsewhere(owner)
                if presence is not None:
                    out.append(presence)
            out.append(signed)
        return out

    # -- comparisons

    def _compare(self) -> Compare:
        return Compare(self.directory.roots()[:SCOPES], not self._only)

    def _compared(self, sender: PeerId, theirs: Compare) -> list[Effect]:
        """Answers with the buckets of every scope that both keep and whose roots differ."""
        scopes = {root.scope: root.mark for root in theirs.roots}
        if theirs.everything:
            for root in self.directory.roots():
                scopes.setdefault(root.scope, 0)
        else:
            scopes.setdefault("", 0)
            scopes.setdefault(self._members.site(sender), 0)
        return [
            Send(sender, Digest(scope, self.directory.buckets(scope)))
            for scope, mark in list(scopes.items())[:SCOPES]
            if self.keeps(scope) and self.directory.root(scope) != mark
        ]

    def _digest(self, sender: PeerId, scope: str, buckets: tuple[int, ...]) -> list[Effect]:
        mine = self.directory.buckets(scope)
        if not self.keeps(scope) or buckets == mine:
            return []
        differing = [i for i in range(COMPARE_BUCKETS) if buckets[i] != mine[i]]
        versions = self.directory.versions_in(scope, differing)[:_VERSIONS_PER_FRAME]
        return [Send(sender, Differ(scope, tuple(differing), tuple(versions)))]

    def _differ(self, sender: PeerId, message: Differ, now: float) -> list[Effect]:
        if not self.keeps(message.scope):
            return []
        theirs = {version.key: version for version in message.versions}
        buckets = [b for b in message.buckets if 0 <= b < COMPARE_BUCKETS]
        want = [v for v in message.versions if v.kind in KINDS and not self.directory.has(v)]
        mine = self.directory.versions_in(message.scope, buckets)
        offer = [v for v in mine if v.key not in theirs or theirs[v.key].number < v.number]
        effects = self._send(sender, offer)
        if want:
            # Presences first: other records are believed only of peers that are known.
            want.sort(key=lambda version: version.kind != PRESENCE)
            effects.append(Send(sender, Want(tuple(want[:_VERSIONS_PER_FRAME]))))
        if effects and self._compare_s is not None:
            self._compare_s = min(self._compare_s, now + COMPARE_SOON_S)
        return effects

    def _send(self, peer: PeerId, versions: list[Version]) -> list[Effect]:
        """Sends the newest record under each key, presences first, in frames."""
        held = [self.directory.get(*version.key) for version in versions]
        found = [h for h in held if h is not None]
        found.sort(key=lambda h: h.record.kind != PRESENCE)
        records = self._introduced(peer, [h.signed for h in found])
        return [Send(peer, Records(frame)) for frame in _frames(records)]


def _frames(records: list[SignedRecord]) -> list[tuple[SignedRecord, ...]]:
    """The records in the same order, each frame within its limits."""
    frames: list[list[SignedRecord]] = [[]]
    room_bytes = _FRAME_ROOM_BYTES
    for signed in records:
        room_bytes -= len(signed.payload) + _SIGNATURE_BYTES
        if room_bytes < 0 or len(frames[-1]) >= RECORDS_PER_FRAME:
            frames.append([])
            room_bytes = _FRAME_ROOM_BYTES - len(signed.payload) - _SIGNATURE_BYTES
        frames[-1].append(signed)
    return [tuple(frame) for frame in frames if frame]
