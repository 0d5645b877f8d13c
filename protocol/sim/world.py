"""The world: virtual time, an event heap, peers at sites, and one seeded source of all chance.

Everything follows from the seed: the heap is ordered by (time, sequence number), each node and each part
of the world has a generator of its own, and nothing iterates a set.
"""

from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random

from protocol.capacity.advert import HostFacts, ImageLabel
from protocol.capacity.quantum import Quantum
from protocol.grid.model import GridSpec
from protocol.membership.messages import Contact
from protocol.node.events import Event, OrderGiven, PlanAsked
from protocol.node.identity import Identity
from protocol.sim.faults import NONE, FaultPlan
from protocol.sim.invariants import Invariants
from protocol.sim.keys import SimFederation, SimSealer, SimVerifier
from protocol.sim.peer import SimPeer
from protocol.sim.people import IMAGE, Admin
from protocol.sim.trace import Trace
from protocol.sim.wires import Wires
from protocol.terms.effects import Effect, Row, Send
from protocol.terms.ids import Digest, PeerId, RequestId
from protocol.trust.order import SignedOrder
from protocol.trust.signing import Verifier

START_S = 1_750_000_000.0
CAPACITY = Quantum(8000, 8 << 30, 64 << 30)
LOCAL_S = 0.0005
NEAR_S, FAR_S = 0.010, 0.075
"""One way between sites, seconds (overlay.md)."""


class World:
    """A federation of `peers` hosts at `sites` sites."""

    def __init__(
        self,
        seed: int,
        peers: int,
        sites: int,
        *,
        plan: FaultPlan = NONE,
        capacity: Quantum = CAPACITY,
        encrypts: bool = True,
        trace: Trace | None = None,
    ) -> None:
        self.seed, self.faults = seed, plan
        self.start_s = self.now_s = START_S
        self.calm_since_s = START_S
        """Since when nothing is broken, as far as anybody told the world."""
        self._seeds = Random(seed)
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._sequence = 0
        self.steps = 0
        self.faults_done: Counter[str] = Counter()
        self.trace = trace or Trace()
        self.federation = SimFederation(
            "federation", from_s=START_S - 86400, until_s=START_S + 400 * 86400
        )
        self.verifier: Verifier = SimVerifier()
        self.wires = Wires(self, self.new_dice(), plan.links)
        names = [f"s{i + 1}" for i in range(sites)]
        self.admins = {site: Admin(self.federation, site, self.new_dice()) for site in names}
        self._latency_s = self._latencies(names)
        self.peers = [
            self._peer(names[i % sites], f"h{i + 1}", capacity, encrypts) for i in range(peers)
        ]
        self.by_id: dict[PeerId, SimPeer] = {peer.id: peer for peer in self.peers}
        self.invariants = Invariants(self)
        self._requests = 0
        first = self.peers[0]
        for peer in self.peers[1:]:
            peer.joins = (Contact(first.id, first.site, first.identity.address),)

    # -- time

    def at(self, at_s: float, action: Callable[[], object]) -> None:
        """Something happens then."""
        self._sequence += 1
        heappush(self._heap, (max(at_s, self.now_s), self._sequence, action))

    def after(self, delay_s: float, action: Callable[[], object]) -> None:
        """Something happens after a while."""
        self.at(self.now_s + delay_s, action)

    def run(self, seconds: float) -> None:
        """Lets virtual time pass."""
        self.run_until(lambda: False, seconds)

    def run_until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Lets virtual time pass until a condition holds (asked after each instant); False if it did
        not within that many seconds."""
        end_s = self.now_s + within_s
        while self._heap and self._heap[0][0] <= end_s:
            if self._heap[0][0] > self.now_s and condition():
                return True
            self.now_s, _, action = heappop(self._heap)
            action()
        if condition():
            return True
        self.now_s = end_s
        return False

    @property
    def elapsed_s(self) -> float:
        """Virtual seconds since the beginning."""
        return self.now_s - self.start_s

    # -- people

    def give(self, peer: SimPeer, order: SignedOrder) -> RequestId:
        """Somebody gives an order to a peer."""
        self._requests += 1
        request = RequestId(f"request-{self._requests}")
        self.invariants.asked(peer, request)
        peer.feed(OrderGiven(request, order))
        return request

    def plan(self, peer: SimPeer, spec: GridSpec) -> RequestId:
        """Somebody asks where a grid would go."""
        self._requests += 1
        request = RequestId(f"request-{self._requests}")
        self.invariants.asked(peer, request)
        peer.feed(PlanAsked(request, spec))
        return request

    # -- what peers tell the world

    def moved(self, peer: SimPeer) -> None:
        """After every step of a peer."""
        self.steps += 1
        self.invariants.moved(peer)

    def traced(self, peer: SimPeer, event: Event, effects: list[Effect]) -> None:
        """Every step, for the trace."""
        self.trace.step(self.elapsed_s, peer.name, event, effects)
        self.invariants.effects(peer, effects)

    def sent(self, peer: SimPeer, send: Send) -> None:
        """Every message to another peer."""
        self.trace.message(send)

    def written(self, peer: SimPeer, row: Row) -> None:
        """Every row that went to a peer's store."""
        self.invariants.written(peer, row)

    # -- parts

    def latency_s(self, a: str, b: str) -> float:
        """One way between two sites."""
        return LOCAL_S if a == b else self._latency_s[(a, b) if a < b else (b, a)]

    def start_all(self, apart_s: float = 0.05) -> None:
        """Every peer starts, one after another."""
        for i, peer in enumerate(self.peers):
            self.after(i * apart_s, peer.start)

    def new_dice(self) -> Random:
        """A generator of its own for some part of the world."""
        return Random(self._seeds.getrandbits(64))

    def name_of(self, peer: PeerId) -> str:
        """A peer's name, for people."""
        known = self.by_id.get(peer)
        return known.name if known is not None else peer[:12]

    def _latencies(self, names: list[str]) -> dict[tuple[str, str], float]:
        dice = self.new_dice()
        return {(a, b): dice.uniform(NEAR_S, FAR_S) for a in names for b in names if a < b}

    def _peer(self, site: str, name: str, capacity: Quantum, encrypts: bool) -> SimPeer:
        identity = Identity(
            signer=self.federation.host(site, name),
            verifier=self.verifier,
            sealer=SimSealer(self.federation.host(site, name).key),
            chain=self.federation.host_chain(site, name),
            federation=self.federation.key,
            name=name,
            site=site,
            address=f"10.0.0.{len(name)}:7000",
        )
        facts = HostFacts(
            capacity=capacity,
            architecture="x86_64",
            driver="simulated",
            accelerator="none",
            accelerator_why="simulated",
            underlay=f"{name}.{site}",
            encrypts=encrypts,
        )
        images = (ImageLabel(IMAGE.name, Digest(IMAGE.digest), 16 << 20),)
        return SimPeer(self, identity, facts, images, self.new_dice(), self.faults.fail_boot)
