"""What must hold at every step, cheaply: on the peer that moved. What must hold once it is quiet: quiet.py."""

from typing import TYPE_CHECKING

from protocol.broadcast.messages import version_of
from protocol.grid.record import GridRecord, GridState, read_register
from protocol.negotiation.messages import HoldReply
from protocol.register.acceptor import TABLE as REGISTER
from protocol.register.acceptor import Slot
from protocol.register.messages import Ballot
from protocol.sim.violation import violation
from protocol.terms.effects import Effect, Row, Send
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.terms.refusal import QUANTITIES
from protocol.trust.record import RecordKey
from protocol.wire.codec import decode

if TYPE_CHECKING:
    from protocol.sim.peer import SimPeer
    from protocol.sim.world import World

_SAMPLE = 32
"""Directories are looked through at one step in so many."""
HOLD_ENDS_WITHIN_S = 60.0
"""After a hold's time is up, while nothing is broken: a vote of its stewards, tried a few times."""


class Invariants:
    """Watches a world."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.requests: dict[RequestId, tuple[SimPeer, int]] = {}
        """Every request, with the peer and the life of it that was asked."""
        self.decided: dict[GridId, dict[int, GridRecord]] = {}
        """Every record a majority of its stewards has accepted, by grid and epoch."""
        self._votes: dict[tuple[str, Ballot], dict[PeerId, None]] = {}
        self._values: dict[tuple[str, Ballot], bytes] = {}
        self._seen: dict[tuple[PeerId, int, RecordKey], tuple[int, int]] = {}
        self._believed: dict[tuple[PeerId, GridId, int], None] = {}
        self.refusals = 0

    def asked(self, peer: "SimPeer", request: RequestId) -> None:
        """Somebody asked a peer for something."""
        self.requests[request] = (peer, peer.life)

    def moved(self, peer: "SimPeer") -> None:
        """A peer took a step: its own invariants, its contracts, its holds, now and then its directory."""
        node = peer.node
        assert node is not None
        node.check()
        for row in node.host.carrier.rows():
            self._is_decided(peer, row.record)
        now_s, calm_s = self._world.now_s, self._world.calm_since_s
        for hold in node.host.holds.rows():
            if now_s > max(hold.until_s, calm_s) + HOLD_ENDS_WITHIN_S:
                raise violation(self._world, f"a hold of {hold.name} does not end", peer)
        if self._world.steps % _SAMPLE == 0:
            self._does_not_regress(peer)

    def effects(self, peer: "SimPeer", effects: list[Effect]) -> None:
        """Every refusal names a constraint that binds here and now."""
        for effect in effects:
            if isinstance(effect, Send) and isinstance(effect.message, HoldReply):
                for name, refusal in effect.message.refused:
                    self.refusals += 1
                    binds = refusal.asked > refusal.available
                    if refusal.constraint in QUANTITIES:
                        # What is free now says little: a lease asks for room until its end.
                        binds &= refusal.available >= 0
                    else:
                        binds = bool(refusal.detail)
                    if not binds:
                        raise violation(
                            self._world, f"{name} was refused for nothing: {refusal}", peer
                        )

    def written(self, peer: "SimPeer", row: Row) -> None:
        """A majority of acceptances is a decision; two under one ballot would be the end."""
        if row.table != REGISTER or row.value is None:
            return
        slot = decode(row.value, Slot)
        if slot.accepted is None:
            return
        vote = (row.key, slot.accepted)
        if self._values.setdefault(vote, slot.value) != slot.value:
            raise violation(self._world, f"two values under one ballot of {row.key}", peer)
        self._votes.setdefault(vote, {})[peer.id] = None
        record = read_register(slot.value).record
        if record is None:
            return
        votes = [steward for steward in record.stewards if steward in self._votes[vote]]
        if len(votes) > len(record.stewards) // 2:
            self._decide(peer, record)

    def started(self, peer: "SimPeer", grid: GridId, workspace: str) -> None:
        """A machine starts: it is the only one of its name."""
        for other in self._world.peers:
            if other is not peer and (grid, workspace) in other.machines.there:
                raise violation(self._world, f"{workspace} of {grid} runs twice", peer, other)

    # -- parts

    def _decide(self, peer: "SimPeer", record: GridRecord) -> None:
        epochs = self.decided.setdefault(record.id, {})
        if epochs.setdefault(record.epoch, record) != record:
            raise violation(self._world, f"{record.name} epoch {record.epoch} decided twice", peer)

    def _is_decided(self, peer: "SimPeer", record: GridRecord) -> None:
        mark = (peer.id, record.id, record.epoch)
        if mark in self._believed:
            return
        decided = self.decided.get(record.id, {}).get(record.epoch)
        # A host that learns that its grid's name was given again makes up the end of it by itself.
        if decided != record and record.state is GridState.UP:
            raise violation(self._world, f"{record.name} is carried but was not decided", peer)
        self._believed[mark] = None

    def _does_not_regress(self, peer: "SimPeer") -> None:
        assert peer.node is not None
        for kind in ("presence", "advert", "suspicion", "grid"):
            for held in peer.node.broadcast.directory.of_kind(kind):
                mark = (peer.id, peer.life, held.record.key)
                number = version_of(held.record).number
                if number < self._seen.get(mark, (0, 0)):
                    raise violation(self._world, f"record {held.record.key} went back", peer)
                self._seen[mark] = number
