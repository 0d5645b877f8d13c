"""The thresholds of the overlay, as scenarios, each with what is measured and how large that may be.

Tests assert them at sizes that take seconds, and say what the full size is. `scripts/bench sim` measures them
at any size.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from protocol.sim.faults import LIES, FaultPlan, LinkFaults
from protocol.sim.report import quantile
from protocol.sim.run import Outcome
from protocol.sim.scenario import Scenario

WARM_ABOVE = 100
"""Up to how many peers a large run begins with everybody joining."""
WARM_AFTER = 4
"""After how many pieces of news the tree counts as warm: the first ones prune it."""
DEATH_HEALED_S = 5.0
"""How many seconds after half of all peers died every message reaches every survivor."""
EQUAL_AFTER_HEALING_S = 15.0
LOSSY = FaultPlan("lossy", links=LinkFaults(loss=0.05))


@dataclass(frozen=True)
class Figure:
    """Something measured, and what it may be at most."""

    what: str
    measured: float
    at_most: float

    @property
    def held(self) -> bool:
        """Whether it is no more than it may be."""
        return self.measured <= self.at_most


@dataclass(frozen=True)
class Threshold:
    """A scenario of any size, and the figures of its outcome."""

    name: str
    full_peers: int
    scenario: Callable[[int, int], Scenario]
    """Makes the scenario from the number of peers and the seed."""
    figures: Callable[[Outcome], list[Figure]]


def _warm_news(outcome: Outcome) -> list[Figure]:
    meter = outcome.world.meter
    warm = meter.tellings[WARM_AFTER:]
    delays = [delay for telling in warm for delay in telling.heard_s.values()]
    payloads = sum(telling.payloads for telling in warm) / max(1, len(delays))
    return [
        Figure("p99 of a broadcast, seconds", quantile(delays, 0.99), 0.5),
        Figure("payloads a peer", payloads, 1.1),
        Figure("peers missed", sum(len(meter.missed(telling)) for telling in warm), 0),
    ]


def _after_half_died(outcome: Outcome) -> list[Figure]:
    meter, world = outcome.world.meter, outcome.world
    died_s = min(death.at_s for death in meter.deaths)
    later = [t for t in meter.tellings if t.at_s >= died_s + DEATH_HEALED_S]
    gone = {death.name for death in meter.deaths}
    missed = sum(len([n for n in meter.missed(t) if n not in gone]) for t in later)
    assert later, f"nothing was told {DEATH_HEALED_S:.0f} s after {died_s - world.start_s:.0f} s"
    return [Figure(f"survivors missed by {len(later)} lines of news", missed, 0)]


def _healed(outcome: Outcome) -> list[Figure]:
    return [Figure("seconds until all records are equal", outcome.quiet_s, EQUAL_AFTER_HEALING_S)]


def _false_deaths(outcome: Outcome) -> list[Figure]:
    return [Figure("false deaths", len(outcome.world.meter.false_deaths), 0)]


def _wronged(outcome: Outcome) -> list[Figure]:
    """Figures of honest peers that were wronged. The run fails if a record is forged or one is evicted."""
    return [
        *_false_deaths(outcome),
        Figure("honest peers shunned", len(outcome.world.meter.shunned), 0),
    ]


def _large(seed: int, peers: int) -> Scenario:
    """A large run. Very many peers do not join one by one."""
    return Scenario(seed, peers, min(8, peers), 40.0, tell=20, warm=peers > WARM_ABOVE)


THRESHOLDS = (
    Threshold(
        "broadcast, warm, 8 sites 10-75 ms apart",
        10_000,
        lambda peers, seed: _large(seed, peers),
        _warm_news,
    ),
    Threshold(
        "half of all peers die at once",
        10_000,
        lambda peers, seed: replace(_large(seed, peers), die=0.5),
        _after_half_died,
    ),
    Threshold(
        "two halves apart for ten minutes",
        200,
        lambda peers, seed: Scenario(seed, peers, min(8, peers), 800.0, split_s=600.0),
        _healed,
    ),
    Threshold(
        "5 % loss everywhere for an hour",
        200,
        lambda peers, seed: Scenario(seed, peers, min(8, peers), 3600.0, plan=LOSSY),
        _false_deaths,
    ),
    Threshold(
        "one liar",
        20,
        lambda peers, seed: Scenario(seed, peers, min(4, peers), 60.0, plan=LIES, tell=5),
        _wronged,
    ),
)
