"""A run in words and numbers."""

from collections import Counter
from typing import TYPE_CHECKING

from protocol.negotiation.request import RequestState, RequestView
from protocol.sim.quiet import newest_records

if TYPE_CHECKING:
    from protocol.sim.run import Outcome

_KINDS = 14


def report(outcome: "Outcome", seconds: float, took_s: float) -> list[str]:
    """Lines for a person."""
    world = outcome.world
    sites = len(world.admins)
    lines = [
        f"{len(world.peers)} peers at {sites} sites, seed {world.seed}, faults {world.faults.name}",
        "",
        f"  joined       everyone knew everyone {outcome.joined_s:.2f} s after the last start",
        f"  ran          {seconds:.0f} s, quiet {outcome.quiet_s:.0f} s after the last fault was mended",
        f"  took         {took_s:.2f} s for {world.elapsed_s:.0f} s of virtual time, {world.steps} steps",
    ]
    lines += _grids(outcome)
    lines += _requests(outcome)
    lines += _messages(outcome)
    if world.faults_done:
        done = ", ".join(f"{what} {n}" for what, n in sorted(world.faults_done.items()))
        lines.append(
            f"  faults       {done}; frames lost {world.wires.lost}, doubled {world.wires.doubled}"
        )
    lines += ["", f"digest {world.trace.digest}"]
    return lines


def _grids(outcome: "Outcome") -> list[str]:
    records = newest_records(outcome.world)
    if not records:
        return []
    states = Counter(str(record.state) for record in records)
    counts = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
    return [
        f"  grids        {len(records)} made: {counts}; refusals that bound {_refusals(outcome)}"
    ]


def _refusals(outcome: "Outcome") -> int:
    return outcome.world.invariants.refusals


def views(outcome: "Outcome") -> list[RequestView | None]:
    """What came of every request; None if the peer that was asked died on it."""
    found = []
    for request, (peer, life) in outcome.world.invariants.requests.items():
        alive = peer.node is not None and peer.life == life
        found.append(
            peer.node.desk.requests.view(request) if alive and peer.node is not None else None
        )
    return found


def _requests(outcome: "Outcome") -> list[str]:
    known = [view for view in views(outcome) if view is not None]
    if not known:
        return []
    died = len(outcome.world.invariants.requests) - len(known)
    states = Counter(f"{view.kind} {view.state}" for view in known)
    lines = ["  requests     " + ", ".join(f"{what} {n}" for what, n in sorted(states.items()))]
    if died:
        lines.append(f"               {died} died with the peer that was asked")
    commits = sorted(
        line.at_s - view.started_s
        for view in known
        for line in view.story
        if line.text.startswith("committed")
    )
    ups = sorted(
        view.story[-1].at_s - view.started_s
        for view in known
        if view.kind == "up" and view.state is RequestState.DONE
    )
    for what, times in (("to commit", commits), ("to be up", ups)):
        if times:
            p50, p99 = times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)]
            lines.append(f"  {what:<12} p50 {p50:.3f} s, p99 {p99:.3f} s, {len(times)} times")
    return lines


def _messages(outcome: "Outcome") -> list[str]:
    trace, world = outcome.world.trace, outcome.world
    total = sum(trace.messages.values())
    size = sum(trace.bytes_of(kind) for kind in trace.messages)
    rate = size / max(1.0, world.elapsed_s) / len(world.peers)
    lines = [f"  messages     {total}, about {size / 1e6:.1f} MB, {rate:.0f} B/s sent by each peer"]
    for kind, count in trace.messages.most_common(_KINDS):
        lines.append(f"    {kind:<18} {count:>9}  {trace.bytes_of(kind) / 1e3:>10.0f} kB")
    return lines
