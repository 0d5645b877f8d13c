"""Broadcast: publishes this peer's records, takes in others', and keeps directories equal.

Broadcast only makes things faster; the comparison of directories at intervals makes them right.
"""

from collections.abc import Callable
from typing import assert_never

import msgspec

from protocol.broadcast.directory import Directory, bucket_of
from protocol.broadcast.messages import (
    Announce,
    BroadcastMessage,
    Compare,
    Differ,
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
from protocol.terms.ids import PeerId
from protocol.terms.limits import COMPARE_BUCKETS, COMPARE_EVERY_S, RECORDS_PER_FRAME
from protocol.trust.record import Record, SignedRecord, check_record, read_record, sign_record
from protocol.trust.signing import Signer, Untrusted, Verifier
from protocol.wire.limits import MAX_FRAME_BYTES

_VERSIONS_PER_FRAME = 2048
_FRAME_ROOM_BYTES = MAX_FRAME_BYTES // 2
_SIGNATURE_BYTES = 128


class Learnt(msgspec.Struct, frozen=True):
    """News: a checked record that was not known, or newer than what was."""

    record: Record


class Broken(msgspec.Struct, frozen=True):
    """A peer sent a record that nobody honest sends on."""

    peer: PeerId
    why: str


class Stray(msgspec.Struct, frozen=True):
    """Others still hold a record of an earlier life of this peer that this life has not said."""

    record: Record


class Ended(msgspec.Struct, frozen=True):
    """A record outlived its time: nobody says this any more."""

    record: Record


Told = Learnt | Broken | Stray | Ended


class Broadcast:
    """One peer's part of the tree and its copy of the directory."""

    def __init__(
        self,
        signer: Signer,
        verifier: Verifier,
        dice: Dice,
        incarnation: int,
        admits: Callable[[Record], bool],
    ) -> None:
        """`admits` says whether a checked record's owner is a member (and the record believable)."""
        self._signer, self._verifier, self._dice, self._admits = signer, verifier, dice, admits
        self.incarnation = incarnation
        self._sequence = 0
        self.directory = Directory()
        self.tree = Plumtree()
        self._compare_s: float | None = None

    # -- publishing

    def publish(self, kind: str, name: str, body: bytes, ttl_s: float, now: float) -> list[Effect]:
        """Signs a record of ours and sends it out; it replaces the one under the same key."""
        self._sequence += 1
        record = Record(
            owner=self._signer.key,
            kind=kind,
            name=name,
            incarnation=self.incarnation,
            sequence=self._sequence,
            body=body,
            ttl_s=ttl_s,
        )
        signed = sign_record(record, self._signer)
        self.directory.put(record, signed, now)
        return self.tree.push(signed, version_of(record), None, now)

    # -- neighbours

    def neighbour_up(self, peer: PeerId, now: float) -> list[Effect]:
        """A new or returned neighbour: compare at once, so that what was missed comes."""
        self.tree.neighbour_up(peer)
        if self._compare_s is None:
            self._compare_s = now + COMPARE_EVERY_S
        return [Send(peer, Compare(self.directory.digest()))]

    def neighbour_down(self, peer: PeerId) -> None:
        """Forgets it."""
        self.tree.neighbour_down(peer)

    # -- messages

    def handle(
        self, sender: PeerId, message: BroadcastMessage, now: float
    ) -> tuple[list[Effect], list[Told]]:
        """What follows from a neighbour's message."""
        match message:
            case Gossip(record=signed):
                return self.take(sender, signed, now)
            case Announce(versions=versions):
                missing = [v for v in versions if not self.directory.has(v)]
                self.tree.announced(sender, missing, now)
                return [], []
            case Graft(versions=versions):
                self.tree.grafted(sender)
                return self._send(sender, list(versions)), []
            case Prune():
                self.tree.pruned(sender)
                return [], []
            case Compare(buckets=buckets):
                return self._compare(sender, buckets), []
            case Differ():
                return self._differ(sender, message), []
            case Want(versions=versions):
                return self._send(sender, list(versions)), []
            case Records(records=records):
                return self._records(sender, records, now)
            case _:
                assert_never(message)

    def tick(self, now: float) -> tuple[list[Effect], list[Told]]:
        """Grafts overdue news, ends old records, compares with one neighbour."""
        effects = self.tree.tick(now)
        told: list[Told] = [Ended(record) for record in self.directory.sweep(now)]
        if self._compare_s is not None and now >= self._compare_s:
            neighbours = self.tree.neighbours
            self._compare_s = now + COMPARE_EVERY_S * self._dice.uniform(0.9, 1.1)
            if neighbours:
                peer = self._dice.choice(neighbours)
                effects.append(Send(peer, Compare(self.directory.digest())))
        return effects, told

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        compare = None if self._compare_s is None else Deadline(self._compare_s, "compare")
        return earliest(self.tree.next_deadline(), self.directory.next_deadline(), compare)

    def check(self) -> None:
        """Invariants of tree and directory."""
        self.tree.check()
        self.directory.check()

    # -- parts

    def take(
        self, sender: PeerId, signed: SignedRecord, now: float
    ) -> tuple[list[Effect], list[Told]]:
        """A record somebody pushed: checked, kept and sent on if it is news."""
        try:
            record = read_record(signed)
            version = version_of(record)
            if self.directory.has(version):
                return self.tree.stale(sender), []
            check_record(signed, self._verifier)
        except Untrusted as error:
            return [], [Broken(sender, str(error))]
        if record.owner == self._signer.key:
            return [], self._own(record)
        if not self._take(record, signed, now):
            return [], []
        self.tree.fresh(sender)
        return self.tree.push(signed, version, sender, now), [Learnt(record)]

    def _records(
        self, sender: PeerId, records: tuple[SignedRecord, ...], now: float
    ) -> tuple[list[Effect], list[Told]]:
        effects: list[Effect] = []
        told: list[Told] = []
        for signed in records[:RECORDS_PER_FRAME]:
            try:
                record = read_record(signed)
                if self.directory.has(version_of(record)):
                    continue
                check_record(signed, self._verifier)
            except Untrusted as error:
                told.append(Broken(sender, str(error)))
                continue
            if record.owner == self._signer.key:
                told += self._own(record)
            elif self._take(record, signed, now):
                told.append(Learnt(record))
                effects += self.tree.push(signed, version_of(record), sender, now)
        return effects, told

    def _take(self, record: Record, signed: SignedRecord, now: float) -> bool:
        return self._admits(record) and self.directory.put(record, signed, now)

    def _own(self, record: Record) -> list[Told]:
        """Something this peer signed and does not have: said by an earlier life of it."""
        if record.incarnation == self.incarnation:
            self._sequence = max(self._sequence, record.sequence)
        return [Stray(record)]

    def _compare(self, sender: PeerId, buckets: tuple[int, ...]) -> list[Effect]:
        mine = self.directory.digest()
        if len(buckets) != COMPARE_BUCKETS or buckets == mine:
            return []
        differing = [i for i in range(COMPARE_BUCKETS) if buckets[i] != mine[i]]
        versions = self.directory.versions_in(differing)[:_VERSIONS_PER_FRAME]
        return [Send(sender, Differ(tuple(differing), tuple(versions)))]

    def _differ(self, sender: PeerId, message: Differ) -> list[Effect]:
        theirs = {version.key: version for version in message.versions}
        buckets = [b for b in message.buckets if 0 <= b < COMPARE_BUCKETS]
        want = [v for v in message.versions if not self.directory.has(v)]
        mine = self.directory.versions_in(buckets)
        offer = [
            v
            for v in mine
            if bucket_of(v.key) in buckets
            and (v.key not in theirs or theirs[v.key].number < v.number)
        ]
        effects = self._send(sender, offer)
        if want:
            # Presence first: other records are believed only of peers already known.
            want.sort(key=lambda version: version.kind != "presence")
            effects.append(Send(sender, Want(tuple(want[:_VERSIONS_PER_FRAME]))))
        return effects

    def _send(self, peer: PeerId, versions: list[Version]) -> list[Effect]:
        """The newest record under each key, presence first, in frames."""
        held = [self.directory.get(*version.key) for version in versions]
        found = [h for h in held if h is not None]
        found.sort(key=lambda h: h.record.kind != "presence")
        frames: list[list[SignedRecord]] = [[]]
        room_bytes = _FRAME_ROOM_BYTES
        for signed in (h.signed for h in found):
            room_bytes -= len(signed.payload) + _SIGNATURE_BYTES
            if room_bytes < 0 or len(frames[-1]) >= RECORDS_PER_FRAME:
                frames.append([])
                room_bytes = _FRAME_ROOM_BYTES - len(signed.payload) - _SIGNATURE_BYTES
            frames[-1].append(signed)
        return [Send(peer, Records(tuple(frame))) for frame in frames if frame]
