"""Many ask for the same hosts at once: how often a gang is placed, how long that takes, what crashes cost.

The load is *closed*: whenever a gang ends others are asked for, so that what runs and what is asked for
together stay at the load. So this measures contention, not whether there is room: at 80 % a fifth is free all
the time, but requests are behind each other's holds.
"""

import statistics
from collections.abc import Callable
from random import Random

import msgspec

from protocol.grid.record import GridRecord
from protocol.sim.experiments.gang import GangRequest
from protocol.sim.experiments.market import Market

SUCCESS_S = 30.0
"""A gang that is not placed after so many seconds has failed."""
_LOOK_S = 0.5
_FILL_S = 3.0
"""In how many seconds hosts are filled where gangs come at a rate."""
_WARM_S, _SETTLE_S = 0.05, 5.0
"""How far apart the gangs that fill the hosts are asked for, and how long they then have, in seconds."""
_DRAIN_S = 40.0
"""How many seconds after the last is asked for every request ends, and every orphaned hold is voted down."""


class Load(msgspec.Struct, frozen=True):
    """What is asked of the hosts."""

    hosts: int = 64
    slots: int = 16
    load: float = 0.8
    """The share of all slots that runs or is asked for."""
    least: int = 4
    most: int = 16
    """The most workspaces of a gang. Its size is drawn evenly."""
    life_s: float = 30.0
    """How long a gang runs on average (exponential)."""
    apart_s: tuple[float, float] = (0.005, 0.040)
    """The least and the most seconds one way, drawn for each pair of hosts."""
    seconds: float = 120.0
    """How many seconds are measured, after the hosts have filled."""
    crashes: float = 0.0
    best_fit: bool = False
    per_s: float = 0.0
    """How many gangs are asked for in a second at most; 0 for as many as the load wants."""
    large: int = 0
    """The size of a gang that is queued beside those that are not; 0 if none is."""
    large_every_s: float = 10.0
    claims: bool = True
    """Whether hosts keep room for requests that wait."""


class Contended(msgspec.Struct):
    """What came of a run."""

    asked: list[GangRequest]
    """The gangs that were asked for in the measured time, without the large ones."""
    large: list[GangRequest]
    """The large gangs that were asked for early enough to be placed while others still came."""
    ended_s: float
    """When nobody came any more, in world time."""
    used: float
    """The share of slots that were leased or held, on average."""
    orphaned: float
    """The share of slots that were held for requesters that had crashed, on average."""
    leaked: int
    """How many slots were still held when everything was over."""
    messages: int

    @property
    def survivors(self) -> list[GangRequest]:
        """The requests whose requester did not crash."""
        return [one for one in self.asked if not one.crashed]

    @property
    def success(self) -> float:
        """The share of them that was committed in time."""
        placed = self.took_s()
        return sum(t <= SUCCESS_S for t in placed) / max(1, len(self.survivors))

    @property
    def at_once(self) -> float:
        """The share of them that was committed without a refused hold."""
        return sum(one.at_once for one in self.survivors) / max(1, len(self.survivors))

    @property
    def had_turn(self) -> float:
        """The share of the large ones that was committed while others still came."""
        return sum(0 < a.committed_s <= self.ended_s for a in self.large) / max(1, len(self.large))

    def took_s(self) -> list[float]:
        """How many seconds each one took that was committed."""
        return [a.committed_s - a.asked_s for a in self.survivors if a.committed_s]

    def part_s(self, percent: int) -> float:
        """A percentile of those seconds."""
        took = self.took_s()
        if len(took) < 2:
            return took[0] if took else float("nan")
        return statistics.quantiles(took, n=100, method="inclusive")[percent - 1]


Progress = Callable[[float, int], None]
"""Is told virtual seconds, and how many were asked for so far."""


class Throng:
    """The people who keep the load up."""

    def __init__(self, seed: int, load: Load) -> None:
        self.load, self._dice = load, Random(f"crowd {seed}")
        self.market = Market(
            seed, load.hosts, load.slots, load.apart_s, self._over, best_fit=load.best_fit,
            crashes=load.crashes, claims=load.claims,
        )  # fmt: skip
        self.all: list[GangRequest] = []
        self.large: list[GangRequest] = []
        self.wanted = 0
        """How many slots run or are asked for."""
        self.going = True

    def fill(self) -> None:
        """Asks for more while the load allows it."""
        slots = self.load.load * self.load.hosts * self.load.slots
        while self.going:
            size = self._dice.randint(self.load.least, self.load.most)
            if self.wanted + size > slots:
                return
            self._ask(size)
            if self.load.per_s:
                return

    def ask_one(self) -> None:
        """Asks for one gang, whatever the load."""
        self._ask(self._dice.randint(self.load.least, self.load.most))

    def ask_large(self) -> None:
        """Asks for a large gang that is queued until there is room."""
        name, party = f"large{len(self.large) + 1}", self._dice.choice(self.market.parties)
        self.large.append(self.market.ask(party, name, self.load.large, waits=True))
        self.wanted += self.load.large

    def arrival(self, within_s: float) -> float:
        """After how many seconds, within that time, somebody comes."""
        return self._dice.uniform(0.0, within_s)

    def _ask(self, size: int) -> None:
        self.wanted += size
        name = f"g{len(self.all) + 1}"
        self.all.append(self.market.ask(self._dice.choice(self.market.parties), name, size))

    def _over(self, asked: GangRequest, record: GridRecord | None) -> None:
        if record is None:
            self.wanted -= asked.size
        else:
            self.market.after(self._dice.expovariate(1 / self.load.life_s), self._ends, asked)
        if record is None and not self.load.per_s:
            self.market.after(self._dice.uniform(0.0, 1.0), self.fill)

    def _ends(self, asked: GangRequest) -> None:
        self.market.down(asked.name)
        self.wanted -= asked.size
        if not self.load.per_s:
            self.fill()

    def orphaned(self) -> int:
        """How many slots are held for requests whose requester has crashed."""
        gone = {one.name: None for one in self.all[-4096:] if one.crashed}
        return sum(
            len(row.workspaces)
            for party in self.market.parties
            for row in party.host.holds.rows()
            if row.name in gone
        )


def contend(seed: int, load: Load, progress: Progress | None = None) -> Contended:
    """One run. Raises AssertionError if a host promised more than it has."""
    crowd = Throng(seed, load)
    market = crowd.market
    _warm(crowd)
    first = len(crowd.all)
    used: list[int] = []
    orphaned: list[int] = []
    end_s = market.now_s + load.seconds
    large_s = market.now_s + _SETTLE_S
    while market.now_s < end_s:
        if load.large and market.now_s >= large_s:
            large_s += load.large_every_s
            crowd.ask_large()
        if load.per_s:
            _arrive(crowd, _LOOK_S)
        market.run(_LOOK_S)
        used.append(market.used())
        orphaned.append(crowd.orphaned())
        if progress is not None:
            progress(load.seconds - (end_s - market.now_s), len(crowd.all) - first)
    crowd.going = False
    measured = crowd.all[first:]
    market.run(_DRAIN_S + SUCCESS_S)
    market.check()
    slots = load.hosts * load.slots
    return Contended(
        measured,
        [one for one in crowd.large if one.asked_s <= end_s - load.large_every_s],
        end_s,
        statistics.fmean(used) / slots,
        statistics.fmean(orphaned) / slots,
        market.held(),
        market.messages,
    )


def _warm(crowd: Throng) -> None:
    """Fills the hosts, not all at one moment."""
    load = crowd.load
    slots = load.load * load.hosts * load.slots
    if load.per_s:
        many = round(min(1.0, load.load) * load.hosts * load.slots * 2 / (load.least + load.most))
        for _ in range(many):
            crowd.ask_one()
            crowd.market.run(_FILL_S / many)
        return
    while crowd.wanted + load.most <= slots:
        crowd.ask_one()
        crowd.market.run(_WARM_S)
    crowd.fill()
    crowd.market.run(_SETTLE_S)


def _arrive(crowd: Throng, seconds: float) -> None:
    for _ in range(round(crowd.load.per_s * seconds)):
        crowd.market.after(crowd.arrival(seconds), crowd.fill)
