"""Negotiation alone, for many requesters at once: the machines of requesting/ and hosting/ without an overlay.

A whole simulated peer (peer.py) costs too much for hundreds of gangs a second on a thousand hosts. Here each
party has the real parts of a negotiation: `Host` (holds, ledger, leases), `Registers` (both halves of
CASPaxos) and `Placing`. Membership and the directory are left out. Everybody knows everybody, and a message
takes the time that its two ends are apart and is never lost. Adverts are not sent. Each host's is taken once
a second, at a moment of its own, and known to everybody from half a second later on, so that it is one second
old on average.

A crash is the requester's: its requests are gone, and its host and its registers are there again at once.
tests/simulation/test_sim_deaths.py has hosts die, after each effect.
"""

from collections import deque
from collections.abc import Callable, Sequence
from hashlib import blake2b
from heapq import heappop
from random import Random
from typing import assert_never

import msgspec

from protocol.capacity.advert import HostFacts, ImageLabel
from protocol.capacity.quantum import Quantum
from protocol.contract.authority import Authority
from protocol.contract.messages import (
    Decided,
    DecidedAck,
    HoldAsk,
    HoldReply,
    NegotiationMessage,
    Quote,
    QuoteAsk,
    RoomClaim,
    RoomKept,
    ToHost,
)
from protocol.contract.outcomes import (
    ChangeGrid,
    CommitGrid,
    ConfirmGrid,
    HostPurpose,
    Outcome,
    Propose,
)
from protocol.grid.decision import Certificate
from protocol.grid.lifecycle import Phase
from protocol.grid.model import ClusterSpec, GridSpec, LeaseTerms
from protocol.grid.record import GridRecord, GridState, Register
from protocol.hosting.events import Cleared, Progressed
from protocol.hosting.host import Host
from protocol.hosting.surroundings import Alone
from protocol.node.messages import RegisterMessage
from protocol.node.registers import Outcome as Settlement
from protocol.node.registers import Registers
from protocol.node.replacing import AllSeen
from protocol.register.asking import Unsettled
from protocol.requesting.placing import Placing
from protocol.requesting.policies import Plain
from protocol.requesting.queueing import Queueing
from protocol.requesting.shortlist import Candidate, told_by
from protocol.requesting.silence import AllHeard
from protocol.requesting.surroundings import Kept, Nameless
from protocol.sim.doors import share_decoded
from protocol.sim.experiments.gang import BestFit, GangRequest
from protocol.sim.keys import SimFederation, SimSealer, SimVerifier, certified
from protocol.sim.people import IMAGE, Admin
from protocol.sim.timeline import Timeline
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Send, earliest
from protocol.terms.ids import Digest, PeerId, RequestId
from protocol.terms.limits import STEWARDS
from protocol.trust.identity import Identity
from protocol.trust.order import Action
from protocol.trust.own_store import OwnStore

START_S = 1_750_000_000.0
SITE = "s1"
_SLOT_BYTES = 1 << 28
_CHECK_EVERY = 997
"""How many steps lie between two checks of a host's invariants; a prime, so that all hosts get their turn."""
_ADVERT_EVERY_S, _ADVERT_ON_WAY_S = 1.0, 0.5
_WATCHED_S = 3.0
"""For how many seconds a requester goes on telling hosts of what was decided."""


class MarketSurroundings(AllHeard, Nameless):
    """The surroundings of each request of one peer, where everybody knows everybody."""

    def __init__(self, me: str, market: "Market") -> None:
        self.me, self._market = me, market

    def candidates(self) -> tuple[Candidate, ...]:
        """All hosts."""
        return self._market.candidates()

    def detail(self, sites: tuple[str, ...], now: float) -> list[Effect]:
        """No effects: all hosts are known."""
        return []

    def blind(self, now: float) -> bool:
        """Never."""
        return False

    def partly(self) -> bool:
        """Never."""
        return False

    def keep(self, kept: Kept) -> list[Effect]:
        """No effects: nobody asks for quotes, and no grid has files."""
        return []


class Party:
    """One peer: a host, a steward, and a requester."""

    def __init__(self, market: "Market", number: int, slots: int, dice: Dice) -> None:
        federation, name = market.federation, f"h{number}"
        signer = federation.host(SITE, name)
        identity = Identity(
            signer, market.verifier, SimSealer(signer.key), federation.host_chain(SITE, name),
            federation.key, name, SITE, f"{name}:1",
        )  # fmt: skip
        capacity = Quantum(1000 * slots, _SLOT_BYTES * slots, 1 << 40)
        facts = HostFacts(capacity, "x86_64", "simulated", "none", "", name, True)
        image = ImageLabel(IMAGE.name, Digest(IMAGE.digest), 1 << 20)
        authority = Authority(federation.key, market.verifier)
        self._market, self._dice, self._authority = market, dice, authority
        self.id, self.name, self.signer = identity.peer, name, signer
        self.host = Host(identity, facts, (image,), authority, dice, {}, START_S, Alone())
        shown, store = self.host.leases.certificate, OwnStore(name, {}, "0" * 16, dice)
        seen = AllSeen()
        self.registers = Registers(identity, 1, dice, {}, authority, seen, shown, START_S, store)
        self.placing: dict[RequestId, Placing] = {}
        self._asked: dict[RequestId, GangRequest] = {}
        self._world, self._wake_s = MarketSurroundings(f"{self.id}/1", market), float("inf")

    # -- what everybody knows of it

    @property
    def promised(self) -> int:
        """How many slots are held or leased."""
        return len(self.host.ledger)

    def roomier(self) -> None:
        """Some host has other room than before."""
        for placing in self.placing.values():
            placing.woken(self._market.now_s)
        self._look()

    def candidate(self) -> Candidate:
        """The host, with its advert."""
        told = told_by(self.id, self.name, SITE, self.host.advert(self._market.now_s))
        return Candidate(self.id, self.name, SITE, told)

    # -- people

    def up(self, asked: GangRequest, spec: GridSpec) -> None:
        """Somebody gives an order here."""
        now = self._market.now_s
        order = self._market.admin.up(spec, now)
        deployment = self._authority.deployment(order, now, fresh=True)
        request = RequestId(asked.name)
        queueing = Queueing(order, self._dice) if spec.lease.best_effort else None
        policy = Plain(holds=True, queueing=queueing)
        placing = Placing(request, deployment, order, self._world, self._dice, now, policy)
        if placing.queues:
            self._market.waiting[request] = self
        self.placing[request], self._asked[request] = placing, asked
        self._carry_out(placing.start(now), [])

    def crash(self, request: RequestId) -> GangRequest:
        """The requester of that request is gone, with all that it knew. Answers what was asked for."""
        asked = self._asked.pop(request)
        asked.crashed = True
        del self.placing[request]
        return asked

    def _forget(self, request: RequestId) -> None:
        self.placing.pop(request, None)
        self._asked.pop(request, None)
        self._market.waiting.pop(request, None)

    # -- what happens

    def arrived(self, sender: PeerId, message: NegotiationMessage | RegisterMessage) -> None:
        """A message came."""
        now = self._market.now_s
        if isinstance(message, RegisterMessage):
            self._settle(*self.registers.handle(sender, message, now))
        elif isinstance(message, QuoteAsk):
            self._carry_out(*self.host.message(sender, message, now))
            return  # A quote changes nothing, and most of what is said is quotes.
        elif isinstance(message, ToHost):
            self._carry_out(*self.host.message(sender, message, now))
        elif isinstance(message, Quote):
            placing = self.placing.get(message.request)
            if placing is not None:
                self._carry_out(*placing.quote(sender, message, now))
        elif isinstance(message, HoldReply):
            for placing in list(self.placing.values()):
                self._carry_out(*placing.hold_reply(sender, message, now))
        elif isinstance(message, RoomKept):
            for placing in self.placing.values():
                placing.kept(sender, message, now)
        elif isinstance(message, DecidedAck):
            for placing in self.placing.values():
                placing.acknowledged(sender, message, now)
        self._look()

    def ended(self, record: GridRecord, certificate: Certificate) -> None:
        """A grid was taken down, and its machines are gone."""
        now = self._market.now_s
        self._carry_out(*self.host.message(self.id, Decided(certificate), now))
        for name in record.on(self.id):
            event = Progressed(record.id, name, Phase.GONE, "", 1)
            self._carry_out(*self.host.handle(event, now))
        self._carry_out(*self.host.handle(Cleared(record.id), now))
        self.host.leases.forget(record.id)
        self._look()

    def _settle(self, effects: list[Effect], settled: list[Settlement]) -> None:
        self._carry_out(effects, [])
        now = self._market.now_s
        for outcome in settled:
            purpose = outcome.purpose
            match purpose:
                case _ if isinstance(purpose, HostPurpose):
                    if isinstance(outcome, Unsettled):
                        self._carry_out(*self.host.unsettled(purpose, now))
                    else:
                        self._carry_out(*self.host.settled(purpose, outcome.decision, now))
                case CommitGrid(grid=grid):
                    for placing in list(self.placing.values()):
                        if placing.grid_id == grid and not isinstance(outcome, Unsettled):
                            self._carry_out(*placing.settled(outcome.decision, now))
                case ChangeGrid() | ConfirmGrid():
                    raise AssertionError("nobody changes a grid here")
                case _:
                    assert_never(purpose)

    def _fire(self, at_s: float) -> None:
        if at_s != self._wake_s:
            return
        self._wake_s = float("inf")
        now = self._market.now_s
        self._settle(*self.registers.tick(now))
        self._carry_out(*self.host.tick(now))
        for placing in list(self.placing.values()):
            self._carry_out(*placing.tick(now))
        self._look()

    def _look(self) -> None:
        """Lets requests go that have their answers, and sets the next deadline."""
        for request, placing in list(self.placing.items()):
            asked, market = self._asked[request], self._market
            if placing.record is not None and not asked.committed_s:
                asked.committed_s, asked.story = market.now_s, placing.view().story
                market.committed(asked, placing.record)
                market.after(_WATCHED_S, self._forget, request)
            elif placing.record is None and not placing.running:
                asked.answer = placing.answer
                self._forget(request)
                market.refused(asked)
        due: Deadline | None = earliest(
            self.registers.next_deadline(),
            self.host.next_deadline(),
            *(placing.next_deadline() for placing in self.placing.values()),
        )
        if due is not None and due.at_s < self._wake_s:
            self._wake_s = max(due.at_s, self._market.now_s)
            self._market.at(self._wake_s, self._fire, self._wake_s)

    def _carry_out(self, effects: list[Effect], outcomes: Sequence[Outcome]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self._market.send(self, effect.peer, effect.message)
        for outcome in outcomes:
            if isinstance(outcome, Propose):
                self._settle(*self.registers.propose(outcome, self._market.now_s))


class Market(Timeline):
    """Parties `apart_s` from each other (one way, drawn for each pair), and a clock."""

    def __init__(
        self,
        seed: int,
        hosts: int,
        slots: int,
        apart_s: tuple[float, float],
        over: Callable[[GangRequest, GridRecord | None], None],
        *,
        best_fit: bool = False,
        crashes: float = 0.0,
        claims: bool = True,
    ) -> None:
        """`over` is told of each request's end, with its record or without one.

        `crashes` is the share of requests whose requester dies when its first holds are asked for. Without
        `claims` no host hears of requests that wait.
        """
        share_decoded()
        super().__init__(START_S)
        self.slots = slots
        self._dice, self._apart_s, self._crashes = Random(seed), apart_s, crashes
        self._claims = claims
        self.waiting: dict[RequestId, Party] = {}
        """Best-effort requests that are not over, and the party of each."""
        self._salt = seed.to_bytes(8, "big")
        self.steps = self.messages = 0
        self.federation = SimFederation("market", from_s=START_S - 1, until_s=START_S + 86400 * 400)
        self.verifier = SimVerifier()
        self.admin = Admin(self.federation, SITE, self._new_dice(), self.stewards)
        drawn: Callable[[], Dice] = (
            (lambda: BestFit(self._new_dice())) if best_fit else self._new_dice
        )
        self.parties = [Party(self, number, slots, drawn()) for number in range(1, hosts + 1)]
        self._by_id = {party.id: party for party in self.parties}
        self._told = {party.id: party.candidate() for party in self.parties}
        for party in self.parties:
            self.after(self._dice.uniform(0.0, _ADVERT_EVERY_S), self._advertise, party)
        self.after(_ADVERT_EVERY_S, self._wake)
        self._said: dict[PeerId, Candidate] = {}
        """What each host advertised last."""
        self._over = over
        self.records: dict[str, GridRecord] = {}
        """The grids that are up, by name."""
        self._hit: deque[RequestId] = deque(maxlen=4096)

    # -- time

    def run(self, seconds: float) -> None:
        """Lets virtual time pass. Raises AssertionError if a host promised more than it has."""
        heap, end_s = self._heap, self.now_s + seconds
        while heap and heap[0][0] <= end_s:
            self.now_s, _, action, arguments = heappop(heap)
            action(*arguments)
            self.steps += 1
            if self.steps % _CHECK_EVERY == 0:
                self.parties[self.steps // _CHECK_EVERY % len(self.parties)].host.check()
        self.now_s = end_s

    # -- people

    def ask(self, party: Party, name: str, size: int, waits: bool = False) -> GangRequest:
        """Asks a party for a gang of `size` workspaces of one slot each, which is queued if it `waits`."""
        cluster = ClusterSpec(
            name="n", count=size, minimum=size, image=IMAGE, cpus_milli=1000, memory_bytes=_SLOT_BYTES
        )  # fmt: skip
        asked = GangRequest(name, size, self.now_s)
        lease = LeaseTerms(best_effort=waits)
        party.up(asked, GridSpec(name=name, clusters=(cluster,), lease_s=86400, lease=lease))
        return asked

    def down(self, name: str) -> None:
        """Takes a grid down. Its hosts are rid of it at once."""
        record = self.records.pop(name)
        order = self.admin.order(Action.DOWN, record.id, self.now_s)
        ended = msgspec.structs.replace(
            record, epoch=record.epoch + 1, state=GridState.DOWN, changes=(order,)
        )
        signers = [self._by_id[peer].signer for peer in record.stewards]
        certificate = certified(Register(ended), signers)
        for peer in record.carriers():
            self._by_id[peer].ended(ended, certificate)

    # -- what parties tell

    def committed(self, asked: GangRequest, record: GridRecord) -> None:
        """A request has made a grid."""
        self.records[asked.name] = record
        self._over(asked, record)

    def refused(self, asked: GangRequest) -> None:
        """A request has made none, and the person knows why."""
        self._over(asked, None)

    def send(self, sender: Party, to: PeerId, message: object) -> None:
        """Sends a message. The requester may die right after it asked for holds."""
        self.messages += 1
        party = self._by_id[to]
        if isinstance(message, RoomClaim) and not self._claims:
            return
        self.after(self._delay_s(sender.id, to), party.arrived, sender.id, message)
        if isinstance(message, HoldAsk) and self._crashes:
            self._may_crash(sender, message)

    def _may_crash(self, sender: Party, message: HoldAsk) -> None:
        for request, placing in sender.placing.items():
            if placing.grid_id == message.grid and request not in self._hit:
                self._hit.append(request)
                if self._dice.random() < self._crashes:
                    self.after(0.0, self._crash, sender, request)

    def _crash(self, party: Party, request: RequestId) -> None:
        self._over(party.crash(request), None)

    # -- what parties know

    def candidates(self) -> tuple[Candidate, ...]:
        """All hosts, as their adverts have them."""
        return tuple(self._told.values())

    def stewards(self) -> tuple[PeerId, ...]:
        """Three neighbours on a ring."""
        first, count = self._dice.getrandbits(32), len(self.parties)
        many = STEWARDS if count >= STEWARDS else 1
        return tuple(self.parties[(first + i) % count].id for i in range(many))

    # -- figures

    def used(self) -> int:
        """How many slots are held or leased."""
        return sum(party.promised for party in self.parties)

    def held(self) -> int:
        """How many slots are held."""
        return sum(len(row.workspaces) for p in self.parties for row in p.host.holds.rows())

    def check(self) -> None:
        """Checks every invariant of every host."""
        for party in self.parties:
            party.host.check()

    # -- parts

    def _advertise(self, party: Party) -> None:
        self.after(_ADVERT_EVERY_S, self._advertise, party)
        told = party.candidate()
        if told != self._said.get(party.id):
            self._said[party.id] = told
            self.after(_ADVERT_ON_WAY_S, self._told.__setitem__, told.peer, told)

    def _wake(self) -> None:
        """Tells requests that wait that hosts have other room: of many hosts some have, in every second."""
        self.after(_ADVERT_EVERY_S, self._wake)
        for party in list(self.waiting.values()):
            party.roomier()

    def _delay_s(self, a: PeerId, b: PeerId) -> float:
        if a == b:
            return 0.0
        least, most = self._apart_s
        pair = f"{min(a, b)}{max(a, b)}".encode()
        share = int.from_bytes(blake2b(pair, key=self._salt, digest_size=4).digest(), "big") / 2**32
        return least + share * (most - least)

    def _new_dice(self) -> Random:
        return Random(self._dice.getrandbits(64))
