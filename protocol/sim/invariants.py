"""What must hold at every step, checked cheaply on the peer that moved. quiet.py has what holds at the end."""

from collections.abc import Mapping, Sequence

from protocol.broadcast.messages import version_of
from protocol.contract.messages import HoldReply
from protocol.grid.decision import Ballot, majority
from protocol.grid.record import (
    GridRecord,
    GridState,
    Register,
    order_part,
    read_register,
    register_key,
    spec_of,
)
from protocol.register.slot import TABLE as REGISTER
from protocol.register.slot import Slot
from protocol.sim.budgets import exceeded
from protocol.sim.environment import Environment
from protocol.sim.meter import Meter
from protocol.sim.peer import SimPeer
from protocol.sim.untouched import Untouched
from protocol.sim.violation import violation
from protocol.terms.effects import Note, Row, Send
from protocol.terms.ids import GridId, KeyId, PeerId, RequestId
from protocol.terms.refusal import QUANTITIES
from protocol.trust.order import Action, SignedOrder, order_id, read_order
from protocol.trust.record import RecordKey
from protocol.wire.codec import decode

_SAMPLE = 32
"""Directories are looked through at one step in this many."""
_CHECKED_EACH, _FEW = 12, 60
"""Up to how many peers every step is checked. With twice as many every second step is, and so on. A check costs
as much as there are records, and a large world takes enough steps to be checked often all the same. Above
`_FEW` peers checks are another four times rarer."""
_CLOCKS_S = 40.0
"""How far clocks may be apart where a carrier says that a grid's time is over."""
HOLD_ENDS_WITHIN_S = 60.0
"""Within how many seconds a hold ends after its time is up, while nothing is broken: its stewards vote, which
is tried a few times."""


class Invariants:
    """Watches a world, and raises a Violation when something that must hold does not."""

    def __init__(
        self,
        world: Environment,
        peers: Sequence[SimPeer],
        genuine: Mapping[tuple[KeyId, bytes], None] | None,
    ) -> None:
        """`genuine` has all that hosts ever signed, by signer; None if nobody lies."""
        self._world, self._peers, self._genuine = world, peers, genuine
        self.requests: dict[RequestId, tuple[SimPeer, int]] = {}
        """Every request, with the peer that was asked and the life it was in."""
        self.decided: dict[GridId, dict[int, GridRecord]] = {}
        """Every record that a majority of its stewards has accepted, by grid and epoch."""
        self.untouched = Untouched()
        self._votes: dict[tuple[str, Ballot], dict[PeerId, None]] = {}
        self._values: dict[tuple[str, Ballot], bytes] = {}
        self._seen: dict[tuple[PeerId, int, RecordKey], tuple[int, int]] = {}
        self._believed: dict[tuple[PeerId, GridId, int], None] = {}
        self._given: dict[str, None] = {}
        """The ids of all orders that people gave."""
        self._made: dict[str, bool] = {}
        """By register: whether the people who ordered it named honest stewards only."""
        self._through_liars: dict[str, None] = {}
        """The registers of orders that a liar was given."""
        self.closed: dict[tuple[str, int], tuple[Ballot, Register]] = {}
        """What each set of stewards decided last that named its heirs, by register and term."""
        self.refusals = 0
        few = world.size <= _FEW
        self.stride = max(1, world.size // _CHECKED_EACH) * (1 if few else 4)
        """One step in this many is checked."""

    def asked(self, peer: SimPeer, request: RequestId) -> None:
        """Somebody asked a peer for something."""
        self.requests[request] = (peer, peer.life)

    def ordered(self, peer: SimPeer, signed: SignedOrder) -> None:
        """Somebody gave an order to a peer."""
        self._given[order_id(signed)] = None
        self.untouched.ordered(signed)
        stewards = read_order(signed).stewards
        lying = [peer for peer in self._peers if peer.lies and peer.id in stewards]
        self._made[register_key(signed)] = not lying
        if peer.lies:
            self._through_liars[register_key(signed)] = None

    def is_honest(self, grid: GridId) -> bool:
        """Whether nobody but its owner can do anything about a grid: it was ordered, and no steward lies."""
        return self._genuine is None or self._made.get(order_part(grid), False)

    def is_whole(self, grid: GridId) -> bool:
        """Whether all its hosts have to carry it: a liar that was asked for it may have let go of what it shows
        the stewards the grant of."""
        return order_part(grid) not in self._through_liars

    def moved(self, peer: SimPeer) -> None:
        """A peer took a step. Checks its invariants, its contracts, its holds, now and then its directory."""
        if self._world.steps % self.stride:
            return
        node = peer.node
        assert node is not None
        node.check()
        for row in node.host.leases.rows():
            self._is_decided(peer, row.record)
        now_s, world = peer.now_s, self._world
        calm_s = now_s - (world.now_s - world.calm_since_s)
        for hold in node.host.holds.rows():
            if self.is_honest(hold.grid) and now_s > max(hold.until_s, calm_s) + HOLD_ENDS_WITHIN_S:
                raise violation(world, f"a hold of {hold.name} does not end", peer)
        if world.steps % (_SAMPLE * self.stride) == 0:
            self._does_not_regress(peer)

    def said(self, peer: SimPeer, send: Send) -> None:
        """Checks that every refusal names a constraint that binds here and now."""
        if not isinstance(send.message, HoldReply):
            return
        for name, refusal in send.message.refused:
            self.refusals += 1
            binds = refusal.asked > refusal.available
            if refusal.constraint in QUANTITIES:
                # What is free now says little: a lease asks for room until its end.
                binds &= refusal.available >= 0
            else:
                binds = bool(refusal.detail)
            if not binds:
                raise violation(self._world, f"{name} was refused for nothing: {refusal}", peer)

    def written(self, peer: SimPeer, row: Row) -> None:
        """Checks that no two values are decided under one ballot. A majority of acceptances is a decision."""
        if row.table != REGISTER or row.value is None or not self.is_honest(GridId(row.key)):
            return
        slot = decode(row.value, Slot)
        if slot.accepted is None:
            return
        vote = (row.key, slot.accepted)
        if self._values.setdefault(vote, slot.value) != slot.value:
            raise violation(self._world, f"two values under one ballot of {row.key}", peer)
        self._votes.setdefault(vote, {})[peer.id] = None
        register = read_register(slot.value)
        votes = [steward for steward in register.keepers if steward in self._votes[vote]]
        if len(votes) < majority(register.keepers):
            return
        self._close(peer, row.key, slot.accepted, register)
        if register.record is not None:
            self._decide(peer, register.record)

    def noted(self, peer: SimPeer, note: Note) -> None:
        """A peer that shuts another out forgets all that it said. What is heard of it later may be older: only
        the newest of it was a lie."""
        if note.kind == "peer.expelled":
            owners = [KeyId(other.id) for other in self._peers if other.name == note.subject]
            mine = [mark for mark in self._seen if mark[0] == peer.id and mark[2][0] in owners]
            for mark in mine:
                del self._seen[mark]

    def booted(self, peer: SimPeer, grid: GridId, workspace: str) -> None:
        """Checks that a machine that starts is the only one of its name, and was to be started."""
        for other in self._peers if self.is_honest(grid) else ():
            there = other is not peer and (grid, workspace) in other.machines.there
            if there and not any(self._leaves(p, grid, workspace) for p in (other, peer)):
                raise violation(self._world, f"{workspace} of {grid} runs twice", peer, other)
        if self.is_honest(grid) and (wrong := self.untouched.booted(grid, workspace)):
            raise violation(self._world, wrong, peer)

    def nobody_is_wronged(self, meter: Meter) -> None:
        """Checks, with a liar in the world, that no honest peer was wronged.

        None was hung up on or believed dead, and every record of one is as it was signed, wherever it is. None
        keeps more than it may.
        """
        world = self._world
        for peer in self._peers:
            if peer.up:
                self._does_not_regress(peer)
            if not peer.lies:
                for what in exceeded(peer):
                    raise violation(world, f"{peer.name} keeps more than it may: {what}", peer)
        for accusation, what in [(a, "believed dead") for a in meter.false_deaths] + [
            (a, "hung up on for its faults") for a in meter.shunned
        ]:
            text = f"{accusation.of}, which is honest, was {what} by {accusation.by}"
            raise violation(world, f"{text} at {accusation.at_s:.3f} s")

    # -- parts

    def _leaves(self, peer: SimPeer, grid: GridId, workspace: str) -> bool:
        """Whether a workspace was taken out there, and came back elsewhere before that host heard of it."""
        epochs = self.decided.get(grid, {})
        if not epochs:
            return False
        last = epochs[max(epochs)]
        were = any(workspace in record.on(peer.id) for record in epochs.values())
        return were and workspace not in last.on(peer.id)

    def _close(self, peer: SimPeer, key: str, ballot: Ballot, register: Register) -> None:
        """Checks that a set of stewards that has named its heirs decides nothing else any more."""
        term = (key, register.term)
        if register.closed is not None and term not in self.closed:
            self.closed[term] = (ballot, register)
        at, last = self.closed.get(term, (ballot, register))
        if ballot > at and register != last:
            raise violation(self._world, f"term {register.term} of {key} went on", peer)
        if register.closed is not None and register.closed != last.closed:
            raise violation(self._world, f"term {register.term} of {key} ended twice", peer)

    def _decide(self, peer: SimPeer, record: GridRecord) -> None:
        epochs = self.decided.setdefault(record.id, {})
        if record.epoch not in epochs:
            wrong = self.untouched.decided(epochs.get(record.epoch - 1), record)
            if wrong:
                raise violation(self._world, wrong, peer)
        if epochs.setdefault(record.epoch, record) != record:
            raise violation(self._world, f"{record.name} epoch {record.epoch} decided twice", peer)
        if self._genuine is not None:
            self._is_ordered(peer, record)

    def _is_ordered(self, peer: SimPeer, record: GridRecord) -> None:
        """Checks that whatever was decided of a grid its people ordered, or its time is over."""
        for signed in record.changes:
            if order_id(signed) not in self._given:
                what = f"nobody ordered {read_order(signed).action} of {record.name}"
                raise violation(self._world, what, peer)
        ordered = [read_order(signed).action for signed in record.changes]
        if record.state is GridState.UP or Action.DOWN in ordered:
            return
        order = read_order(record.order)
        begun_s = max(record.start_s, order.issued_at_s)
        ends_s = begun_s + spec_of(order).lease_s + record.extra_s
        if self._world.now_s < ends_s - _CLOCKS_S:
            raise violation(self._world, f"{record.name} was ended before its time", peer)

    def _is_decided(self, peer: SimPeer, record: GridRecord) -> None:
        if not self.is_honest(record.id):
            return
        mark = (peer.id, record.id, record.epoch)
        if mark in self._believed:
            return
        decided = self.decided.get(record.id, {}).get(record.epoch)
        if decided != record:
            raise violation(self._world, f"{record.name} is carried but was not decided", peer)
        self._believed[mark] = None

    def _does_not_regress(self, peer: SimPeer) -> None:
        """Checks that no record of a directory goes back, and, if anybody lies, that its owner signed it."""
        assert peer.node is not None
        if peer.number % self.stride:
            return
        genuine = self._genuine
        for kind in ("presence", "advert", "suspicion", "grid"):
            for held in peer.node.broadcast.directory.of_kind(kind):
                record = held.record
                mark = (peer.id, peer.life, record.key)
                number = version_of(record).number
                if number < self._seen.get(mark, (0, 0)):
                    raise violation(self._world, f"record {record.key} went back", peer)
                self._seen[mark] = number
                if genuine is not None and (record.owner, held.signed.payload) not in genuine:
                    raise violation(self._world, f"record {record.key} is forged", peer)
