"""What the conversations of these tests are about: a federation, a grid, hosts A, B, C, and their messages."""

from collections.abc import Callable
from random import Random

from deciding import decided
from msgspec import structs

from protocol.capacity.advert import HostFacts
from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum
from protocol.capacity.room import Step
from protocol.contract.authority import Authority
from protocol.contract.messages import HoldAsk, HoldReply, Quote
from protocol.contract.notices import Notice, notice_of
from protocol.grid.asked import sign_asked
from protocol.grid.decision import Decision
from protocol.grid.grant import HoldGrant, SignedGrant, sign_grant
from protocol.grid.lifecycle import Status
from protocol.grid.model import Encryption, GridSpec, LeaseTerms, Spread
from protocol.grid.record import (
    Assignment,
    GridRecord,
    GridState,
    HostRef,
    grid_id,
    vni_of,
)
from protocol.hosting.claims import Claims
from protocol.placement.fit import Offer
from protocol.placement.suspects import Known
from protocol.policy.shares import Standing
from protocol.policy.site_policy import SitePolicy
from protocol.requesting.placing import Placing
from protocol.requesting.proposal import Proposal
from protocol.requesting.shortlist import Candidate
from protocol.requesting.silence import Silence
from protocol.sim.keys import SimFederation, SimVerifier, _tag
from protocol.sim.people import Admin, grid_spec
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import GridId, KeyId, PeerId, RequestId
from protocol.terms.refusal import Refusal
from protocol.trust.order import SignedOrder

MIB = 1 << 20
NOW = 1_000_000.0
A, B, C = PeerId("a" * 64), PeerId("b" * 64), PeerId("c" * 64)
NAMES = {A: "alpha", B: "beta", C: "gamma"}
SITES = {A: "s1", B: "s2", C: "s3"}
AT_ONCE = LeaseTerms()
REQUEST = RequestId("request-1")
ROOM = Quantum(4000, 1024 * MIB, 0)

FEDERATION = SimFederation("fed", from_s=NOW - 1000, until_s=NOW + 1_000_000)
ADMIN = Admin(FEDERATION, "s1", Random(1), lambda: (A, B, C))
RIVAL = Admin(FEDERATION, "s2", Random(2), lambda: (A, B, C))
AUTHORITY = Authority(FEDERATION.key, SimVerifier())


def shop(
    count: int = 2,
    memory_mib: int = 128,
    lease: LeaseTerms = AT_ONCE,
    lease_s: int = 86400,
) -> GridSpec:
    """Workspaces web-1 to web-N, spread over hosts."""
    return grid_spec(
        "shop",
        count,
        memory_bytes=memory_mib * MIB,
        spread=Spread.HOST,
        encryption=Encryption.NONE,
        lease=lease,
        lease_s=lease_s,
    )


def known(*peers: PeerId) -> tuple[Candidate, ...]:
    """Those hosts, or all three, without adverts."""
    return tuple(Candidate(p, NAMES[p], SITES[p]) for p in peers or NAMES)


class Around:
    """The surroundings of a request at A, whose register is kept by A, B and C."""

    def __init__(
        self, candidates: Callable[[], tuple[Candidate, ...]] = known, blind_until_s: float = 0.0
    ) -> None:
        self.me = A
        self.candidates = candidates
        self.kept: list[Proposal] = []
        """Quotes, and plans that are held."""
        self.sites: list[Effect] = []
        """What is said to other sites to hear of their hosts."""
        self.blind_until_s = blind_until_s
        self.silent: dict[PeerId, Silence] = {}
        """Hosts that are not heard."""
        self.names: Known | None = None
        """All names there are; None if they are not all known."""
        self.published: list[tuple[KeyId, SitePolicy]] = []
        """Policies of sites that were heard of."""
        self.namesake: Notice | None = None
        """What hosts tell of a grid that is up with the same name."""
        self.guarding: tuple[PeerId, ...] = ()
        """Who guards the name."""

    def asked(self, attempt: GridId, host: PeerId) -> bytes:
        return sign_asked(FEDERATION.host("s1", "a"), attempt, host)

    def policies(self) -> list[tuple[KeyId, SitePolicy]]:
        return self.published

    def guards(self, key: str) -> tuple[PeerId, ...]:
        return self.guarding

    def named(self, name: str, owner: KeyId) -> Notice | None:
        return self.namesake

    def confirmed(self, grid: GridId) -> bool:
        return True

    def detail(self, sites: tuple[str, ...], now: float) -> list[Effect]:
        return self.sites

    def blind(self, now: float) -> bool:
        return now < self.blind_until_s

    def partly(self) -> bool:
        return False

    def known(self, owner_site: str, now: float) -> Known | None:
        return self.names

    def name(self, peer: PeerId) -> str:
        return NAMES[peer]

    def silence(self, peer: PeerId, now: float) -> Silence | None:
        return self.silent.get(peer)

    def keep(self, proposal: Proposal) -> list[Effect]:
        self.kept.append(proposal)
        return []


def placing(
    order: SignedOrder | None, spec: GridSpec | None = None, around: Around | None = None
) -> Placing:
    """A request at A that knows A, B and C, all of them stewards."""
    if order is not None:
        deployment = AUTHORITY.deployment(order, NOW, fresh=True)
    else:
        deployment = AUTHORITY.draft(spec or shop(), "s1")
    return Placing(REQUEST, deployment, order, around or Around(), Random(3), NOW)


def facts(peer: PeerId) -> HostFacts:
    """What was probed of a host."""
    return HostFacts(ROOM, "x86_64", "qemu:///embed", "kvm", "", NAMES[peer], True)


def quote(peer: PeerId, free: Quantum = ROOM, later: tuple[Step, ...] = ()) -> Quote:
    """A host's quote."""
    return Quote(
        request=REQUEST,
        host=NAMES[peer],
        site=SITES[peer],
        facts=facts(peer),
        free=free,
        images=(),
        later=later or (Step(0.0, free),),
    )


def offer(peer: PeerId, free: Quantum = ROOM) -> Offer:
    """The same, as an offer."""
    return Offer(peer, NAMES[peer], SITES[peer], facts(peer), free)


def claims(ledger: Ledger, standing: Callable[[KeyId], Standing] = lambda owner: (0, 0)) -> Claims:
    """The claims on host A: none yet."""
    return Claims(AUTHORITY, ledger, lambda: offer(A), standing=standing)


def record_of(
    order: SignedOrder,
    placed: dict[str, PeerId],
    grid: GridId | None = None,
    epoch: int = 1,
    state: GridState = GridState.UP,
    changes: tuple[SignedOrder, ...] = (),
    start_s: float = 0.0,
) -> GridRecord:
    """The record that places `placed`."""
    deployment = AUTHORITY.deployment(order, NOW, fresh=False)
    made = grid or grid_id(order)
    vnis = tuple((n.name, vni_of(made, n.name)) for n in deployment.spec.networks)
    return GridRecord(
        id=made,
        name=deployment.name,
        owner=deployment.owner,
        owner_site=deployment.owner_site,
        epoch=epoch,
        state=state,
        order=order,
        stewards=deployment.stewards,
        hosts=tuple(
            HostRef(p, NAMES.get(p, "other"), SITES.get(p, "s1"))
            for p in dict.fromkeys(placed.values())
        ),
        assignments=tuple(Assignment(name, peer) for name, peer in placed.items()),
        vnis=vnis,
        changes=changes,
        start_s=start_s,
        grants=grants_of(made, placed, vnis, start_s),
    )


def grants_of(
    grid: GridId,
    placed: dict[str, PeerId],
    vnis: tuple[tuple[str, int], ...],
    start_s: float = 0.0,
) -> tuple[SignedGrant, ...]:
    """What the hosts of `placed` grant."""
    ids = tuple(vni for _, vni in vnis)
    return tuple(
        sign_grant(
            HoldGrant(grid, tuple(n for n, at in placed.items() if at == host), ids, start_s),
            HostKey(host),
        )
        for host in dict.fromkeys(placed.values())
    )


class HostKey:
    """The key of a host whose name is all that a test needs."""

    def __init__(self, peer: PeerId) -> None:
        self.key = KeyId(peer)

    def sign(self, domain: str, payload: bytes) -> bytes:
        return _tag(self.key, domain, payload)


def notice(record: GridRecord, mine: tuple[Status, ...]) -> Notice:
    """What a host tells of a grid, where its workspaces are so."""
    plain = notice_of(record, shop(2))
    return structs.replace(plain, mine=mine, made_s=NOW, lease_s=60)


def committed(record: GridRecord) -> Decision:
    """The commit of that record, decided."""
    return decided(record)


def asks(effects: list[Effect]) -> dict[PeerId, HoldAsk]:
    """The holds that are asked for, by host."""
    found = {}
    for effect in effects:
        if isinstance(effect, Send) and isinstance(effect.message, HoldAsk):
            found[effect.peer] = effect.message
    return found


def granted(host: PeerId, ask: HoldAsk) -> HoldReply:
    """The reply of a host that grants everything."""
    vnis = tuple(vni for _, vni in ask.vnis)
    grant = sign_grant(HoldGrant(ask.grid, ask.workspaces, vnis, ask.start_s), HostKey(host))
    return HoldReply(ask.grid, ask.workspaces, (), grant)


def refused(ask: HoldAsk, refusal: Refusal) -> HoldReply:
    """The reply that refuses everything."""
    return HoldReply(ask.grid, (), tuple((name, refusal) for name in ask.workspaces))


def said(effects: list[Effect]) -> list[tuple[str, str]]:
    """The receiver and the kind of each message, in order."""
    return [(NAMES[e.peer], type(e.message).__name__) for e in effects if isinstance(e, Send)]
