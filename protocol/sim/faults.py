"""What goes wrong in a world, and how often."""

import msgspec


class LinkFaults(msgspec.Struct, frozen=True):
    """Odds of a frame, and how uneven latency is. The real transport neither doubles nor reorders frames
    of one connection; a peer that bears it bears reconnections too."""

    jitter: float = 0.1
    loss: float = 0.0
    doubling: float = 0.0
    reordering: float = 0.0


class FaultPlan(msgspec.Struct, frozen=True):
    """How often the world breaks something, in mean seconds between two of a kind; 0 is never."""

    name: str
    links: LinkFaults = LinkFaults()
    crash_every_s: float = 0.0
    """A peer dies, often between two effects, and starts again from its store."""
    cut_every_s: float = 0.0
    """Some peers cannot reach the others for a while."""
    full_every_s: float = 0.0
    """A store refuses writes for a while."""
    fail_boot: float = 0.0
    """Odds that a machine does not start at the first try."""


NONE = FaultPlan("none")
SOME = FaultPlan(
    "some",
    links=LinkFaults(jitter=0.5, loss=0.005, doubling=0.005, reordering=0.01),
    crash_every_s=15.0,
    cut_every_s=40.0,
    full_every_s=30.0,
    fail_boot=0.05,
)
MANY = FaultPlan(
    "many",
    links=LinkFaults(jitter=1.0, loss=0.02, doubling=0.02, reordering=0.05),
    crash_every_s=5.0,
    cut_every_s=15.0,
    full_every_s=10.0,
    fail_boot=0.2,
)
PLANS = {plan.name: plan for plan in (NONE, SOME, MANY)}
