"""The world: virtual time, an event heap, peers at sites, and one seeded source of all chance.

Everything follows from the seed: the heap is ordered by (time, sequence number), each node and each part of the
world has a generator of its own, and nothing iterates over a set.
"""

from collections import Counter
from collections.abc import Callable
from heapq import heappop
from random import Random

from protocol.capacity.advert import HostFacts, ImageLabel
from protocol.capacity.quantum import Quantum
from protocol.grid.model import GridSpec
from protocol.grid.stewards import draw_stewards, stores_of
from protocol.membership.messages import Contact
from protocol.node.events import Event
from protocol.requesting.events import OrderGiven, PlanAsked
from protocol.sim.doors import share_decoded
from protocol.sim.faults import NONE, FaultPlan
from protocol.sim.invariants import Invariants
from protocol.sim.keys import SimExchange, SimFederation, SimSealer, SimVerifier, Witnessed
from protocol.sim.latency import Latencies, drawn
from protocol.sim.meter import Meter
from protocol.sim.peer import MANY_PEERS, SimPeer
from protocol.sim.people import IMAGE, Admin
from protocol.sim.timeline import Timeline
from protocol.sim.trace import Trace
from protocol.sim.trouble import Trouble
from protocol.sim.wires import Wires
from protocol.terms.effects import Effect, Note, Row, Send
from protocol.terms.ids import Digest, GridId, KeyId, PeerId, RequestId, StoreId
from protocol.terms.limits import LEVELS_ABOVE
from protocol.trust.identity import Identity
from protocol.trust.order import SignedOrder
from protocol.trust.signing import Signer, Verifier

START_S = 1_750_000_000.0
_KNOWS = 0.75
"""How often an admin names no liar as a steward. Those may undo what they decide, so they are of sites that
the owner trusts."""
CAPACITY = Quantum(8000, 8 << 30, 64 << 30)


class World(Timeline):
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
        suspends: bool = True,
        trace: Trace | None = None,
        latencies: Latencies | None = None,
        levels_above: int = LEVELS_ABOVE,
        probed: bool = True,
    ) -> None:
        """`latencies` are drawn for `sites` sites if none are given.

        `probed` says that hosts know what they have. If not, they make no adverts, as if no hypervisor had
        answered yet.
        """
        share_decoded()
        self.probed = probed
        self.levels_above = levels_above
        self.seed, self.size, self.faults = seed, peers, plan
        super().__init__(START_S)
        self.calm_since_s = START_S
        """Since when nothing is broken, as far as the world was told, in world time."""
        self._seeds = Random(seed)
        self.steps = 0
        self.faults_done: Counter[str] = Counter()
        self.happened: list[tuple[float, str]] = []
        """Every fault that came at a moment: when, in virtual seconds, and what it was."""
        self.trace = trace or Trace(peers=peers)
        self.federation = SimFederation(
            "federation", from_s=START_S - 86400, until_s=START_S + 400 * 86400
        )
        self.verifier: Verifier = SimVerifier()
        self.genuine: dict[tuple[KeyId, bytes], None] | None = {} if plan.liars else None
        """All that hosts ever signed, by signer; None if nobody lies."""
        self.wires = Wires(self, self.new_dice(), plan.links)
        latencies = latencies or drawn(sites, self.new_dice())
        names, self._one_way_s = latencies.sites, latencies.one_way_s
        self.admins = {
            site: Admin(self.federation, site, self.new_dice(), self._stewards(site), self._stores)
            for site in names
        }
        self.peers = [
            self._peer(names[i % len(names)], i + 1, capacity, encrypts, suspends)
            for i in range(peers)
        ]
        for peer in self.peers:
            self.wires.attach(peer)
        self.by_id: dict[PeerId, SimPeer] = {peer.id: peer for peer in self.peers}
        self.invariants = Invariants(self, self.peers, self.genuine)
        self.meter = Meter(self, self.peers, self.wires)
        self._requests = 0
        first = self.peers[0]
        for peer in self.peers[1:]:
            peer.joins = (Contact(first.id, first.site, first.identity.address),)
        self.trouble = Trouble(self, self.peers, self.wires, plan, self.new_dice(), self.federation)

    def _stewards(self, site: str) -> Callable[[], tuple[PeerId, ...]]:
        """Whom that site's admin makes stewards: drawn from the peers that are there, mostly of honest ones."""
        dice = self.new_dice()

        def draw() -> tuple[PeerId, ...]:
            knows = bool(self.faults.liars) and dice.random() < _KNOWS
            there = [peer for peer in self.peers if peer.up and not (knows and peer.lies)]
            return draw_stewards([(peer.id, peer.site) for peer in there], site, dice)

        return draw

    def _stores(self, stewards: tuple[PeerId, ...]) -> tuple[StoreId, ...]:
        """Which store of each of them has its seat: the one that it has now."""
        nodes = ((peer.id, peer.node) for peer in self.peers)
        return stores_of(stewards, {i: n.overlay.past.store.id for i, n in nodes if n is not None})

    # -- time

    def run_until(
        self, condition: Callable[[], bool], within_s: float, every_s: float = 0.0
    ) -> bool:
        """Lets virtual time pass until a condition holds. False if it did not within `within_s` seconds.

        It is asked after each instant, or at most once in `every_s`.
        """
        end_s = self.now_s + within_s
        heap, asked_s = self._heap, float("-inf")
        while heap and heap[0][0] <= end_s:
            next_s = heap[0][0]
            if next_s > self.now_s and self.now_s >= asked_s + every_s:
                asked_s = self.now_s
                if condition():
                    return True
            self.now_s, _, action, arguments = heappop(heap)
            action(*arguments)
        if condition():
            return True
        self.now_s = end_s
        return False

    # -- people

    def give(self, peer: SimPeer, order: SignedOrder, quote: str = "") -> RequestId:
        """Somebody gives an order to a peer. With a `quote` it is an `up` of exactly that."""
        self._requests += 1
        request = RequestId(f"request-{self._requests}")
        self.invariants.asked(peer, request)
        self.invariants.ordered(peer, order)
        peer.feed(OrderGiven(request, order, quote))
        return request

    def plan(self, peer: SimPeer, spec: GridSpec, keep: bool = False) -> RequestId:
        """Somebody asks where a grid would go. With `keep` the answer is a quote that is kept."""
        self._requests += 1
        request = RequestId(f"request-{self._requests}")
        self.invariants.asked(peer, request)
        peer.feed(PlanAsked(request, spec, keep=keep))
        return request

    # -- the watcher of its peers

    def began(self, peer: SimPeer) -> None:
        """The peer's process starts."""
        self.meter.began(peer)

    def died(self, peer: SimPeer) -> None:
        """The peer's process is gone, or frozen."""
        self.meter.died(peer)

    def thawed(self, peer: SimPeer) -> None:
        """The peer was frozen and goes on."""
        self.meter.thawed(peer)

    def stepped(self, peer: SimPeer, event: Event, effects: list[Effect]) -> None:
        """The peer handled an event."""
        self.trace.step(self.elapsed_s, peer, event, effects)

    def moved(self, peer: SimPeer) -> None:
        """All that followed from an event of the peer is done."""
        self.steps += 1
        self.invariants.moved(peer)

    def said(self, peer: SimPeer, send: Send) -> None:
        """The peer sends a message, perhaps to itself."""
        self.invariants.said(peer, send)
        self.trouble.said(peer, send)
        if send.peer != peer.id:
            self.trace.message(peer, send)
            self.meter.sent(send)

    def written(self, peer: SimPeer, row: Row) -> None:
        """A row went to the peer's store."""
        self.invariants.written(peer, row)

    def noted(self, peer: SimPeer, note: Note) -> None:
        """The peer tells its people something."""
        self.meter.noted(peer, note)
        self.invariants.noted(peer, note)

    def booted(self, peer: SimPeer, grid: GridId, workspace: str) -> None:
        """A machine of the peer's host starts."""
        self.invariants.booted(peer, grid, workspace)

    # -- parts

    def latency_s(self, a: str, b: str) -> float:
        """How long a frame takes from one site to another, in seconds."""
        return self._one_way_s[a, b]

    def start_all(self, apart_s: float = 0.05) -> None:
        """Starts every peer, one after another."""
        for i, peer in enumerate(self.peers):
            self.after(i * apart_s, peer.start)

    @property
    def whole_directories(self) -> bool:
        """Whether everybody is to know everybody. Among many peers each knows only enough."""
        return self.size <= min(MANY_PEERS, self.levels_above)

    def new_dice(self) -> Random:
        """A generator that one part of the world has for itself; it follows from the seed."""
        return Random(self._seeds.getrandbits(64))

    def name_of(self, peer: PeerId) -> str:
        """A peer's name, for people."""
        known = self.by_id.get(peer)
        return known.name if known is not None else peer[:12]

    def _peer(
        self, site: str, number: int, capacity: Quantum, encrypts: bool, suspends: bool
    ) -> SimPeer:
        name = f"h{number}"
        signer: Signer = self.federation.host(site, name)
        if self.genuine is not None:
            signer = Witnessed(self.federation.host(site, name), self.genuine)
        identity = Identity(
            signer=signer,
            verifier=self.verifier,
            sealer=SimSealer(self.federation.host(site, name).key),
            chain=self.federation.host_chain(site, name),
            federation=self.federation.key,
            name=name,
            site=site,
            address=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}:7000",
            exchange=SimExchange(f"{self.seed} {name}"),
        )
        facts = HostFacts(
            capacity=capacity,
            architecture="x86_64",
            driver="simulated",
            accelerator="none",
            accelerator_why="simulated",
            underlay=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
            encrypts=encrypts,
            suspends=suspends,
            tunnel_port=7700,
        )
        images = (ImageLabel(IMAGE.name, Digest(IMAGE.digest), 16 << 20),)
        return SimPeer(
            self,
            self,
            self.wires,
            number,
            identity,
            facts if self.probed else None,
            images,
            self.new_dice(),
            self.faults.fail_boot,
        )
