"""One whole host that tests talk to: what is around it, and what it keeps on disk."""

from random import Random

import msgspec
from deciding import decided
from negotiating import (
    ADMIN,
    AUTHORITY,
    FEDERATION,
    MIB,
    NOW,
    SITES,
    B,
    record_of,
    shop,
)

from protocol.capacity.advert import HostFacts, ImageLabel
from protocol.capacity.allotments import Parts
from protocol.capacity.quantum import Quantum
from protocol.contract.messages import (
    Decided,
    HoldAsk,
    HoldReply,
    Quote,
    QuoteAsk,
)
from protocol.contract.outcomes import (
    Outcome,
)
from protocol.contract.told import Notices
from protocol.grid.lease import LeaseTime
from protocol.grid.model import GridSpec
from protocol.grid.record import (
    GridRecord,
    grid_id,
    vni_of,
)
from protocol.grid.tunnel import ToldEnd
from protocol.hosting.host import Host
from protocol.hosting.surroundings import HostSurroundings
from protocol.membership.clocks import SURE, ClockView
from protocol.policy.demand import NOTHING, Demand
from protocol.policy.site_policy import SitePolicy
from protocol.sim.keys import SimSealer, SimVerifier
from protocol.terms.coordinate import NOWHERE, Coordinate
from protocol.terms.effects import Effect, Note, Persist, Send
from protocol.terms.ids import Digest, KeyId, PeerId, RequestId
from protocol.terms.limits import HOLD_S
from protocol.trust.identity import Identity
from protocol.trust.order import SignedOrder

ROOM = Quantum(4000, 1024 * MIB, 4096 * MIB)
REQUEST = RequestId("request")
FACTS = HostFacts(
    ROOM, "x86_64", "qemu:///embed", "kvm", "it was tried", "192.0.2.1", True, ("ssd",)
)
IMAGE = ImageLabel("tiny", Digest("f" * 64), 1)
EACH = Quantum(500, 128 * MIB, 0)
ORDER = ADMIN.up(shop(1), NOW)
GRID = grid_id(ORDER)
TIME = LeaseTime(0.0, 1000.0, 1000.0)
LATER = LeaseTime(NOW + 3600, 1000.0, 1000.0)


class Around:
    """Surroundings that a test changes."""

    def __init__(self) -> None:
        self.behind_nat, self.fault, self.place = False, "", NOWHERE
        self.bar, self.leaves = "", False
        self.view = SURE
        self.ends: dict[PeerId, ToldEnd] = {}
        self.key = FEDERATION.site("s1").key
        self.said: SitePolicy | None = None
        self.others: dict[KeyId, Demand] = {}
        self.least = 0
        self.many = 1
        self.lacks: Parts = ()

    def hidden(self) -> bool:
        return self.behind_nat

    def clock_fault(self) -> str:
        return self.fault

    def barred(self) -> str:
        return self.bar

    def site_key(self) -> KeyId:
        return self.key

    def policy(self) -> SitePolicy | None:
        return self.said

    def elsewhere(self, key: KeyId) -> Demand:
        return self.others.get(key, NOTHING)

    def beside(self) -> Quantum:
        return Quantum()

    def least_policy(self) -> int:
        return self.least

    def hosts(self) -> int:
        return self.many

    def lacking(self) -> Parts:
        return self.lacks

    def leaving(self) -> bool:
        return self.leaves

    def clock(self) -> ClockView:
        return self.view

    def here(self) -> Coordinate:
        return self.place

    def name(self, peer: PeerId) -> str:
        return peer[:12]

    def site(self, peer: PeerId) -> str:
        return SITES.get(peer, "")

    def tunnel(self, peer: PeerId) -> ToldEnd | None:
        return self.ends.get(peer)


class One:
    """One host, its store, and what it said and asked for last."""

    def __init__(self, facts: HostFacts | None = FACTS) -> None:
        signer = FEDERATION.host("s1", "alpha")
        self.identity = Identity(
            signer, SimVerifier(), SimSealer(signer.key), FEDERATION.host_chain("s1", "alpha"),
            FEDERATION.key, "alpha", "s1", "alpha:1",
        )  # fmt: skip
        self.me, self.around, self.facts = self.identity.peer, Around(), facts
        self.rows: dict[str, dict[str, bytes]] = {}
        self.notices = Notices()
        self.start()

    def start(self, now: float = NOW, around: HostSurroundings | None = None) -> None:
        """Begins a life, with what is on disk; in other surroundings if they are given."""
        rows = {table: dict(rows) for table, rows in self.rows.items()}
        self.host = Host(
            self.identity,
            self.facts,
            (IMAGE,),
            AUTHORITY,
            Random(1),
            rows,
            now,
            around or self.around,
            notices=self.notices,
        )

    def keep(self, answer: tuple[list[Effect], list[Outcome]]) -> list[Effect]:
        """Writes what is to be written, and checks every invariant."""
        effects, self.outcomes = answer
        for effect in effects:
            for row in effect.rows if isinstance(effect, Persist) else ():
                table = self.rows.setdefault(row.table, {})
                table.pop(row.key, None)
                if row.value is not None:
                    table[row.key] = row.value
        self.host.check()
        return effects

    def hears(self, message: msgspec.Struct, now: float = NOW) -> list[Effect]:
        return self.keep(self.host.message(B, message, now))  # type: ignore[arg-type]

    def quote(self, time: LeaseTime = TIME, now: float = NOW, **more: object) -> Quote:
        asks = {"site": "s1", **more}
        ask = QuoteAsk(REQUEST, time=time, **asks)  # type: ignore[arg-type]
        (effect,) = self.hears(ask, now)
        assert isinstance(effect, Send)
        assert isinstance(effect.message, Quote)
        assert (effect.peer, effect.cause, self.outcomes) == (B, REQUEST, [])
        return effect.message

    def holds(self, order: SignedOrder = ORDER, now: float = NOW) -> HoldReply:
        """Asked to hold its first workspace."""
        grid = grid_id(order)
        vnis = (("lan", vni_of(grid, "lan")),)
        ask = HoldAsk(grid, order, ("web-1",), vnis, HOLD_S)
        (reply,) = [e.message for e in self.hears(ask, now) if isinstance(e, Send)]
        assert isinstance(reply, HoldReply)
        return reply

    def leases(self) -> GridRecord:
        """It holds, and the grid is decided."""
        assert self.holds().held == ("web-1",)
        record = self.record()
        self.hears(Decided(decided(record).certificate))
        return record

    def record(self, order: SignedOrder = ORDER) -> GridRecord:
        return record_of(order, {"web-1": self.me})


def notes(effects: list[Effect]) -> list[tuple[str, str]]:
    return [(e.kind, e.detail) for e in effects if isinstance(e, Note)]


def named(name: str, spec: GridSpec | None = None) -> GridSpec:
    return msgspec.structs.replace(spec or shop(1), name=name)
