"""What goes wrong in a world, and how often."""

import msgspec


class LinkFaults(msgspec.Struct, frozen=True):
    """What happens to frames, and how uneven latency is. Odds are for each frame.

    The real transport does not lose, double or reorder frames of one connection. A peer that bears that bears
    reconnections too.
    """

    jitter: float = 0.1
    """How much longer a frame takes at most, as a share of the latency."""
    loss: float = 0.0
    doubling: float = 0.0
    reordering: float = 0.0


class FaultPlan(msgspec.Struct, frozen=True):
    """How often the world breaks something. `..._every_s` is the mean of seconds between two; 0 is never."""

    name: str
    links: LinkFaults = LinkFaults()
    crash_every_s: float = 0.0
    """A peer dies, often between two effects, and starts again from its store."""
    silent: float = 0.0
    """The odds that a death takes the host's network with it, so that no connection is closed."""
    wiped: float = 0.0
    """The odds that a peer that died comes back with an empty store: the same keys, no memory."""
    cut_every_s: float = 0.0
    """Some peers cannot reach the others for a while."""
    one_way_every_s: float = 0.0
    """What some peers send does not reach some others for a while, but the other way it does."""
    full_every_s: float = 0.0
    """A store refuses writes for a while."""
    stall_every_s: float = 0.0
    """A process does nothing for a while, and then everything that waited for it."""
    slow: float = 0.0
    """The share of peers that get to everything late."""
    late_s: float = 0.0
    """How late slow peers and stalls are, at most."""
    drift_ppm: float = 0.0
    """By how many millionths each clock is fast or slow at most; each is also wrong by up to a second."""
    jump_every_s: float = 0.0
    """A clock jumps: ahead while the peer runs, either way at its next start."""
    jump_s: float = 5.0
    """How far a clock jumps at most."""
    behind_nat: float = 0.0
    """The share of peers that dial and are never dialled."""
    liars: int = 0
    """How many members lie in every way there is (liar.py)."""
    fail_boot: float = 0.0
    """The odds that a machine does not start at the first try."""
    most: int = 1 << 30
    """How many faults there are at most, of those that happen at moments."""


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
NET = FaultPlan(
    "net",
    links=LinkFaults(jitter=1.0, loss=0.05, doubling=0.02, reordering=0.05),
    crash_every_s=10.0,
    silent=0.3,
    wiped=0.3,
    cut_every_s=20.0,
    one_way_every_s=15.0,
    full_every_s=20.0,
    stall_every_s=15.0,
    slow=0.1,
    late_s=2.0,
    drift_ppm=200.0,
    jump_every_s=20.0,
)
"""All that can happen to an overlay, at once. It is for worlds without grids: it wipes registers, too."""
LIES = FaultPlan("lies", liars=1)
PLANS = {plan.name: plan for plan in (NONE, SOME, MANY, NET, LIES)}
