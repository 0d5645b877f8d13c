"""One run: a federation comes up, people ask, things break, everything is mended and must be right again."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import msgspec

from protocol.sim.changes import Changes
from protocol.sim.crowd import Crowd
from protocol.sim.elastics import Elastics
from protocol.sim.faults import NONE, FaultPlan
from protocol.sim.graph import connected
from protocol.sim.peer import MANY_PEERS
from protocol.sim.quiet import unsettled
from protocol.sim.scenario import QUIET_WITHIN_S, Scenario
from protocol.sim.trace import Trace
from protocol.sim.violation import violation
from protocol.sim.warm import begin_warm
from protocol.sim.world import World
from protocol.terms.limits import ACTIVE_VIEW, READY_HEARD_S, READY_LATE_S

JOIN_WITHIN_S = 120.0
_APART_S, _ALL_WITHIN_S = 0.05, 10.0
"""How far apart peers start, in seconds, and the time within which all of them do, so perhaps closer."""
_LOOK_S = 0.25
"""How often everybody is looked at, in seconds, where that is dear."""
_PATIENCE_S = READY_LATE_S + READY_HEARD_S + 60.0
"""How long somebody may wait, in seconds, for what a liar was to make: as long as for any host that goes on
saying that it is nearly there."""

_LIARS_LOOKS_S = 60.0
"""Before the time is over it must be quiet once in so many seconds but for that. A liar goes on telling things,
so at one moment or another there is always one that some have heard and others not yet."""

Progress = Callable[[str, float, int], None]
"""Is told what is being done, virtual seconds, and steps so far."""


class Outcome(msgspec.Struct):
    """What came of a run."""

    world: World
    crowd: Crowd
    scenario: Scenario
    joined_s: float
    """How long after the last start everyone knew everyone; of very many peers, until all were connected."""
    quiet_s: float
    """How long after the last fault was mended it was quiet."""


def knows_all(world: World) -> bool:
    """Whether every peer that is up believes that every other is alive."""
    others = len(world.peers) - 1
    return all(
        p.node is not None and len(p.node.membership.sites_alive()) == others for p in world.peers
    )


def is_joined(world: World) -> bool:
    """Whether everyone knows everyone. Of many peers, whether all are connected and have full views."""
    if world.whole_directories:
        return knows_all(world)
    return connected(world, at_least=ACTIVE_VIEW - 1)


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
    """A whole run. Raises Violation if anything that must hold does not."""
    scenario = Scenario(seed, peers, sites, seconds, grids=grids, plan=plan)
    return play(scenario, trace, progress)


def play(
    scenario: Scenario, trace: Trace | None = None, progress: Progress | None = None
) -> Outcome:
    """A whole run of a scenario. Raises Violation if anything that must hold does not."""
    with _uncollected() if scenario.peers > MANY_PEERS else nullcontext():
        return _play(scenario, trace, progress or _silent)


def _play(scenario: Scenario, trace: Trace | None, tell: Progress) -> Outcome:
    world = World(
        scenario.seed,
        scenario.peers,
        scenario.sites,
        plan=scenario.plan,
        trace=trace,
        latencies=scenario.latencies,
        levels_above=scenario.levels_above,
        probed=bool(scenario.grids or scenario.elastic) or scenario.peers <= MANY_PEERS,
    )
    joined_s = _join(world, scenario, tell)
    crowd = Crowd(world, scenario.grids, scenario.seconds * 0.8, world.new_dice())
    changing = None
    if scenario.changes:
        changing = Changes(world, scenario.changes, scenario.seconds, world.new_dice())
    elastics = None
    if scenario.elastic:
        elastics = Elastics(world, scenario.elastic, scenario.seconds, world.new_dice())
    _schedule(world, scenario)
    world.trouble.begin()
    _pass(world, scenario.length_s, "running", tell)
    crowd.end()
    if changing is not None:
        changing.end()
    if elastics is not None:
        elastics.end()
    world.trouble.end()
    quiet_s = settle(world, scenario.quiet_within_s, tell)
    if scenario.plan.liars:
        world.invariants.nobody_is_wronged(world.meter)
    return Outcome(world, crowd, scenario, joined_s, quiet_s)


def settle(world: World, within_s: float = QUIET_WITHIN_S, tell: Progress | None = None) -> float:
    """Lets time pass until it is quiet. Answers how long that took. Raises Violation if it does not happen."""
    begin_s, until_s = world.now_s, world.now_s + within_s
    while world.now_s < until_s:
        world.run(1.0)
        (tell or _silent)("settling", world.elapsed_s, world.steps)
        if next(unsettled(world), None) is None:
            return world.now_s - begin_s
        ends = world.now_s >= begin_s + within_s - _LIARS_LOOKS_S
        if ends and next(unsettled(world, but_for_liars=True), None) is None:
            until_s = begin_s + max(within_s, _PATIENCE_S)
    found = list(unsettled(world))
    if not found:
        return world.now_s - begin_s
    what, involved = found[0]
    more = "".join(f"\n  also: {text}" for text, _ in found[1:6])
    raise violation(world, f"not quiet after {within_s:.0f} s: {what}{more}", *involved)


def _join(world: World, scenario: Scenario, tell: Progress) -> float:
    """Starts everybody. Answers how long after the last start all were joined."""
    if scenario.warm:
        begin_warm(world, world.new_dice())
        return 0.0
    apart_s = min(_APART_S, _ALL_WITHIN_S / scenario.peers)
    world.start_all(apart_s)
    started_s = world.now_s + apart_s * (scenario.peers - 1)
    every_s = 0.0 if world.whole_directories else _LOOK_S
    end_s = world.now_s + JOIN_WITHIN_S
    while not world.run_until(lambda: is_joined(world), 1.0, every_s):
        tell("joining", world.elapsed_s, world.steps)
        if world.now_s >= end_s:
            raise violation(world, "not every peer knows every other", *world.peers[:2])
    return max(0.0, world.now_s - started_s)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keeps Python from looking through the world's objects again and again.

    Peers are made of millions of objects that live as long as the world. What a step leaves is freed without
    that.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _schedule(world: World, scenario: Scenario) -> None:
    """Puts into the timeline what is asked of the world besides random faults."""
    dice = world.new_dice()
    for i in range(scenario.tell):
        world.after(scenario.seconds * (i + 0.5) / scenario.tell, _tell, world, dice.random())
    if scenario.die:
        chosen = dice.sample(world.peers[1:], int(scenario.die * (world.size - 1)))
        for peer in chosen:
            world.after(scenario.seconds * 0.25, peer.go)
    if scenario.split_s:
        ids = [peer.id for peer in dice.sample(world.peers, world.size)]
        half = len(ids) // 2
        world.after(scenario.seconds * 0.25, world.wires.cut, ids[:half], ids[half:])
        world.after(scenario.seconds * 0.25 + scenario.split_s, world.wires.heal)


def _tell(world: World, chance: float) -> None:
    if world.trouble.over:
        return
    up = [peer for peer in world.peers if peer.up and not peer.lies]
    if up:
        world.meter.tell(up[int(chance * len(up))])


def _pass(world: World, seconds: float, what: str, tell: Progress) -> None:
    end_s = world.now_s + seconds
    while world.now_s < end_s:
        world.run(min(1.0, end_s - world.now_s))
        tell(what, world.elapsed_s, world.steps)


def _silent(what: str, elapsed_s: float, steps: int) -> None:
    """A Progress for when nobody watches."""
