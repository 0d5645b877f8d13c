"""One run: a federation comes up, people ask, things break, everything is mended and must be right again."""

from collections.abc import Callable

import msgspec

from protocol.sim.crowd import Crowd
from protocol.sim.faults import NONE, FaultPlan
from protocol.sim.quiet import unsettled
from protocol.sim.trace import Trace
from protocol.sim.trouble import Trouble
from protocol.sim.violation import violation
from protocol.sim.world import World

JOIN_WITHIN_S = 120.0
QUIET_WITHIN_S = 300.0
"""For splits to heal (an address is tried a minute), contracts to be audited, machines to be cleared."""


Progress = Callable[[str, float, int], None]
"""Told what is being done, virtual seconds, and steps so far."""


class Outcome(msgspec.Struct):
    """What came of a run."""

    world: World
    crowd: Crowd
    joined_s: float
    """After the last peer was started, until everyone knew everyone."""
    quiet_s: float
    """After the last fault was mended."""


def knows_all(world: World) -> bool:
    """Whether every peer that is up believes every other alive."""
    others = len(world.peers) - 1
    return all(
        p.node is not None and len(p.node.membership.sites_alive()) == others for p in world.peers
    )


def run(
    seed: int,
    peers: int,
    sites: int,
    seconds: float,
    *,
    grids: int = 0,
    plan: FaultPlan = NONE,
    trace: Trace | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """A whole run. Violation if anything that must hold does not."""
    tell = progress or _silent
    world = World(seed, peers, sites, plan=plan, trace=trace)
    world.start_all()
    started_s = world.now_s + 0.05 * (peers - 1)
    tell("joining", world.elapsed_s, world.steps)
    if not world.run_until(lambda: knows_all(world), JOIN_WITHIN_S):
        raise violation(world, "not every peer knows every other", *world.peers[:2])
    joined_s = max(0.0, world.now_s - started_s)
    crowd = Crowd(world, grids, seconds * 0.8, world.new_dice())
    trouble = Trouble(world, plan, world.new_dice())
    trouble.begin()
    end_s = world.now_s + seconds
    while world.now_s < end_s:
        world.run(min(1.0, end_s - world.now_s))
        tell("running", world.elapsed_s, world.steps)
    trouble.end()
    return Outcome(world, crowd, joined_s, settle(world))


def settle(world: World, within_s: float = QUIET_WITHIN_S) -> float:
    """Lets time pass until it is quiet; answers how long that took. Violation if it does not happen."""
    begin_s = world.now_s
    while world.now_s < begin_s + within_s:
        world.run(1.0)
        if next(unsettled(world), None) is None:
            return world.now_s - begin_s
    found = list(unsettled(world))
    if not found:
        return world.now_s - begin_s
    what, involved = found[0]
    more = "".join(f"\n  also: {text}" for text, _ in found[1:6])
    raise violation(world, f"not quiet after {within_s:.0f} s: {what}{more}", *involved)


def _silent(what: str, elapsed_s: float, steps: int) -> None:
    """Nobody watches."""
