"""Fair share: whether owners that all want everything get their shares, and one that was away what it is due.

Each host has what really decides: its ledger, the usage that it counts from that, and its claims. The rest is
left out, so that a week of 50 hosts takes seconds. Each owner always has so many best-effort jobs waiting, of
one place each, at peers that it draws. A job claims on some hosts, others each time it tries. When a place gets
free, the host says which of the claims there have room. If there is none, whoever tries first has it: the
requests let others go first as `requesting/queueing.py` has it, by what the peers know where they wait.

One owner may be *away* for a while: it asks for nothing then. Hosts with a *wrong view* believe that the first
owner used what nobody ever had.
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from random import Random

import msgspec

from protocol.capacity.advert import HostFacts
from protocol.capacity.ledger import Yields
from protocol.capacity.quantum import Quantum
from protocol.capacity.timetable import ALWAYS
from protocol.contract.authority import Authority
from protocol.contract.messages import RoomClaim, RoomKept
from protocol.grid.model import ClusterSpec, GridSpec, LeaseTerms
from protocol.hosting.claims import Claims
from protocol.hosting.sharing import Sharing
from protocol.hosting.surroundings import Alone
from protocol.placement.fit import Offer
from protocol.policy.shares import HOUR_S
from protocol.policy.site_policy import SitePolicy, VoTerms
from protocol.requesting.queueing import behind_s
from protocol.sim.keys import SimFederation, SimVerifier
from protocol.sim.people import IMAGE, Admin
from protocol.terms.effects import Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import QUEUE_S
from protocol.trust.order import Action, SignedOrder, order_key
from protocol.wire.codec import encode

START_S = 1_750_000_000.0
SITE = "s1"
_PLACE, _NAME = Quantum(1000, 1 << 28), "n-1"
_CLAIMED = 2
"""On how many hosts a job of one place claims (requesting/claiming.py)."""
_APART_S = 12.0
"""Longer than a claim lasts without a renewal: how far apart the first places are taken."""
_WRONG = Quantum(10**9, 1 << 50)
"""What a host with a wrong view believes the first owner to have had for an hour."""


class Demand(msgspec.Struct, frozen=True):
    """What decides a run."""

    seed: int = 1
    hosts: int = 50
    places: int = 2
    """Of each host."""
    hours: int = 168
    shares: tuple[tuple[str, int], ...] = (("atlas", 60), ("cms", 30), ("star", 10))
    waiting: int = 50
    """How many jobs of each owner wait."""
    job_s: float = 7200.0
    """How long a job lasts on average; it is drawn evenly between half and one and a half of that."""
    away: str = ""
    """The owner that asks for nothing from the hour `away_from` on, until `away_until`."""
    away_from: int = 48
    away_until: int = 72
    wrong: int = 0
    """How many hosts have a wrong view."""


class Job(msgspec.Struct, frozen=True):
    """A job that waits: its order, and the host of the peer at which it does."""

    name: str
    owner: str
    order: SignedOrder
    at: int
    lasts_s: float


class Shared(msgspec.Struct, frozen=True):
    """What came of a run."""

    seconds: tuple[dict[str, list[float]], ...]
    """Of each host: what each owner had in each hour, in seconds of places."""

    def parts(
        self, hosts: slice = slice(None), first: int = 0, last: int | None = None
    ) -> dict[str, float]:
        """Which part each owner had of all that was used there between two hours."""
        sums: dict[str, float] = {}
        for host in self.seconds[hosts]:
            for owner, hours in host.items():
                sums[owner] = sums.get(owner, 0.0) + sum(hours[first:last])
        return {owner: one / sum(sums.values()) for owner, one in sums.items()}


class Site(Alone):
    """The surroundings of a host whose site has a policy."""

    def __init__(self, policy: SitePolicy) -> None:
        self._said = policy

    def policy(self) -> SitePolicy | None:
        """The same all the time."""
        return self._said


class Party:
    """One host."""

    def __init__(
        self, federation: SimFederation, number: int, places: int, policy: SitePolicy
    ) -> None:
        name = f"h{number + 1}"
        self.id = PeerId(federation.host(SITE, name).key)
        room = Quantum(places * _PLACE.cpus_milli, places * _PLACE.memory_bytes, 1 << 40)
        self.sharing = Sharing(room, Site(policy), {}, START_S)
        facts = HostFacts(room, "x86_64", "simulated", "none", "", name, True)
        offer = Offer(self.id, name, SITE, facts, room)
        self.claims = Claims(
            Authority(federation.key, SimVerifier()),
            self.sharing.ledger,
            lambda: offer,
            lambda peer: SITE,
            self.sharing.standing,
        )


class Week:
    """Hosts, owners, and a clock."""

    def __init__(self, demand: Demand) -> None:
        self._demand, self._dice = demand, Random(f"sharing {demand.seed}")
        until_s = START_S + 400 * 86400
        federation = SimFederation("sharing", from_s=START_S - 1, until_s=until_s)
        self._owners = {
            name: Admin(federation, name, Random(self._dice.getrandbits(64)), self._stewards)
            for name, _ in demand.shares
        }
        keys = {name: admin.signer.key for name, admin in self._owners.items()}
        vos = tuple(VoTerms(name, keys[name], share) for name, share in demand.shares)
        policy = SitePolicy(SITE, 1, START_S, (), vos=vos)
        places = demand.places
        self._parties = [Party(federation, n, places, policy) for n in range(demand.hosts)]
        first_s = int(START_S)
        for party in self._parties[: demand.wrong]:
            first = keys[demand.shares[0][0]]
            party.sharing.count(first, _WRONG, first_s, first_s + HOUR_S)
        self._heap: list[tuple[float, int, int, str]] = []
        """When which host's place gets free, and of which job."""
        self._numbers = iter(range(1 << 62))
        self._waiting: dict[str, list[Job]] = {name: [] for name in self._owners}
        self._seconds: list[dict[str, list[float]]] = [
            {name: [0.0] * demand.hours for name in self._owners} for _ in self._parties
        ]
        self._now_s = START_S

    def run(self) -> Shared:
        """All of it."""
        demand = self._demand
        for place in range(demand.places * demand.hosts):
            at_s = START_S + _APART_S * (1 + place // demand.hosts)
            self._at(at_s, place % demand.hosts, "")
        while self._heap and self._heap[0][0] < START_S + demand.hours * HOUR_S:
            self._now_s, _, host, ended = heappop(self._heap)
            self._want()
            self._free(host, ended)
        return Shared(tuple(self._seconds))

    def _stewards(self) -> tuple[PeerId, ...]:
        return tuple(party.id for party in self._parties[:1])

    # -- people

    def _want(self) -> None:
        """Whoever is there asks for more, so that as many of its jobs wait as it wants."""
        demand, hour = self._demand, (self._now_s - START_S) / HOUR_S
        for owner, waiting in self._waiting.items():
            if owner == demand.away and demand.away_from <= hour < demand.away_until:
                waiting.clear()
                continue
            waiting.extend(self._job(owner) for _ in range(demand.waiting - len(waiting)))

    def _job(self, owner: str) -> Job:
        name = f"job{next(self._numbers)}"
        cpus, memory = _PLACE.cpus_milli, _PLACE.memory_bytes
        cluster = ClusterSpec(name="n", count=1, image=IMAGE, cpus_milli=cpus, memory_bytes=memory)
        lasts_s = self._demand.job_s * self._dice.uniform(0.5, 1.5)
        lease = LeaseTerms(best_effort=True)
        body = encode(GridSpec(name=name, clusters=(cluster,), lease_s=int(lasts_s), lease=lease))
        admin = self._owners[owner]
        order = admin.order(Action.UP, name, self._now_s, body=body, valid_s=QUEUE_S)
        return Job(name, owner, order, self._dice.randrange(len(self._parties)), lasts_s)

    # -- hosts

    def _free(self, host: int, ended: str) -> None:
        """A place gets free there, and somebody has it."""
        party, now_s = self._parties[host], self._now_s
        party.sharing.advance(now_s)
        party.sharing.ledger.strike((ended, _NAME))
        party.claims.tick(now_s)
        claimed = list(self._claimants())
        for job in claimed:
            party.claims.ask(self._parties[job.at].id, RoomClaim(job.order, (_NAME,)), now_s)
        party.claims.check()
        told = [e.message for e in party.claims.tell(now_s) if isinstance(e, Send)]
        room = [m.order for m in told if isinstance(m, RoomKept) and m.workspaces]
        winners = [job for job in claimed if self._part(job) in room]
        if winners:
            self._begin(host, winners[0], now_s)
        elif first := min(self._tries(), default=None):
            self._begin(host, self._waiting[first[1]][first[2]], now_s + first[0])
        else:
            self._at(now_s + HOUR_S, host, "")

    def _claimants(self) -> Iterator[Job]:
        """The oldest job of each owner, of those that claim there."""
        odds = _CLAIMED / len(self._parties)
        for waiting in self._waiting.values():
            job = next((job for job in waiting if self._dice.random() < odds), None)
            if job is not None:
                yield job

    def _tries(self) -> Iterator[tuple[float, str, int]]:
        """After how many seconds each job tries, and which it is."""
        for owner, waiting in self._waiting.items():
            key = self._owners[owner].signer.key
            for index, job in enumerate(waiting):
                sharing = self._parties[job.at].sharing
                sharing.advance(self._now_s)
                behind = behind_s(sharing.priority(key))
                yield behind + self._dice.uniform(0.0, 1.0), owner, index

    def _begin(self, host: int, job: Job, at_s: float) -> None:
        party, key = self._parties[host], self._owners[job.owner].signer.key
        self._waiting[job.owner].remove(job)
        party.claims.end(self._part(job))
        yields = Yields((job.name, _NAME), at_s, 0)
        party.sharing.ledger.enter((job.name, _NAME), _PLACE, ALWAYS, yields, key)
        party.sharing.ledger.check()
        until_s = at_s + job.lasts_s
        self._at(until_s, host, job.name)
        hours, from_s = self._seconds[host][job.owner], at_s - START_S
        for hour in range(int(from_s // HOUR_S), self._demand.hours):
            hours[hour] += max(
                0.0, min(until_s - START_S, (hour + 1) * HOUR_S) - max(from_s, hour * HOUR_S)
            )
            if until_s - START_S <= (hour + 1) * HOUR_S:
                break

    def _part(self, job: Job) -> str:
        return order_key(job.order)

    def _at(self, at_s: float, host: int, ended: str) -> None:
        heappush(self._heap, (at_s, next(self._numbers), host, ended))


def share(demand: Demand) -> Shared:
    """One run, from the beginning."""
    return Week(demand).run()
