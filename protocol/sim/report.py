"""A run in words and numbers."""

from collections import Counter
from collections.abc import Sequence

from protocol.requesting.request import RequestState, RequestView
from protocol.sim.graph import degrees
from protocol.sim.quiet import newest_records
from protocol.sim.run import Outcome
from protocol.sim.world import World
from protocol.terms.coordinate import distance_s, known

_KINDS = 14
_STRIDES = (1, 2, 3, 5, 8)
"""The other peers with which a peer is compared, by how far on in the list they are."""


def quantile(figures: Sequence[float], share: float) -> float:
    """The smallest figure that `share` of them do not exceed; 0 if there are none."""
    ordered = sorted(figures)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def spread(figures: Sequence[float]) -> str:
    """The median, the 99th percentile and the worst, in seconds, for people."""
    return (
        f"p50 {quantile(figures, 0.5):.3f} s, p99 {quantile(figures, 0.99):.3f} s, "
        f"worst {max(figures, default=0.0):.3f} s"
    )


def report(outcome: Outcome, took_s: float) -> list[str]:
    """The report, as lines for people. `took_s` is how long the run took in real time."""
    world, scenario = outcome.world, outcome.scenario
    everyone = "everyone knew everyone" if world.whole_directories else "all were connected"
    lines = [
        f"{len(world.peers)} peers at {len(world.admins)} sites, seed {world.seed}, "
        f"faults {world.faults.name}",
        "",
        f"  joined       {everyone} {outcome.joined_s:.2f} s after the last start",
        f"  ran          {scenario.seconds:g} s, quiet {outcome.quiet_s:.0f} s after the last fault "
        "was mended",
        f"  took         {took_s:.2f} s for {world.elapsed_s:.0f} s of virtual time, "
        f"{world.steps} steps",
    ]
    lines += _grids(outcome) + _requests(outcome)
    lines += _news(outcome) + _deaths(outcome) + _degrees(outcome)
    lines += _distances(outcome)
    lines += _messages(outcome)
    if world.faults_done:
        done = ", ".join(f"{what} {n}" for what, n in sorted(world.faults_done.items()))
        lines.append(f"  faults       {done}")
        lines.append(
            f"               frames lost {world.wires.lost}, doubled {world.wires.doubled}"
        )
    lines += ["", f"digest {world.trace.digest}"]
    return lines


def _news(outcome: Outcome) -> list[str]:
    meter = outcome.world.meter
    tellings = meter.tellings
    if not tellings:
        return []
    delays = [delay for telling in tellings for delay in telling.heard_s.values()]
    missed = [len(meter.missed(telling)) for telling in tellings]
    payloads = sum(telling.payloads for telling in tellings) / max(1, len(delays))
    lines = [
        f"  news         {len(tellings)} told, {missed.count(0)} reached everybody that lived on; "
        f"{spread(delays)}",
        f"               {payloads:.2f} payloads for each peer reached",
    ]
    if any(missed):
        lines.append(f"               missed by {sum(missed)} of {sum(missed) + len(delays)}")
    return lines


def _deaths(outcome: Outcome) -> list[str]:
    meter = outcome.world.meter
    known = [death for death in meter.deaths if death.known_s]
    lines = []
    if meter.deaths:
        delays = [delay for death in known for delay in death.known_s]
        first = [min(death.known_s) for death in known]
        lines = [
            f"  deaths       {len(meter.deaths)}, {len(known)} noticed before the peer was back",
            f"               first to know: {spread(first)}",
            f"               all that came to know: {spread(delays)}",
        ]
    wrong = len(meter.false_deaths)
    if (
        wrong
        or meter.excused_deaths
        or outcome.world.faults_done
        or outcome.scenario.seconds >= 300
    ):
        lines.append(
            f"  wrongly dead {wrong}; with reason (cut off, stalled or late just before) "
            f"{meter.excused_deaths}"
        )
        for each in meter.false_deaths[:3]:
            lines.append(f"               {each.of} by {each.by} at {each.at_s:.1f} s")
    if meter.shunned:
        lines.append(f"  shunned      {len(meter.shunned)} times an honest peer by an honest one")
    return lines


def _degrees(outcome: Outcome) -> list[str]:
    found = degrees(outcome.world)
    if not found:
        return []
    all_of = [degree for degree, _ in found]
    remote = sum(far for _, far in found) / len(found)
    return [
        f"  neighbours   {min(all_of)} to {max(all_of)}, {sum(all_of) / len(found):.1f} on average, "
        f"{remote:.1f} of them at other sites"
    ]


def distance_errors(world: World) -> list[float]:
    """How far round trips estimated from coordinates are from the true ones, as shares of those.

    Each is between a peer and another at another site, since within a site there is only a millisecond. It
    does not matter how sure they are of their coordinates.
    """
    up = [peer for peer in world.peers if peer.node is not None]
    errors = []
    for i, a in enumerate(up):
        for step in _STRIDES:
            b = up[(i + step) % len(up)]
            assert a.node is not None
            assert b.node is not None
            here, there = a.node.membership.vivaldi.here, b.node.membership.vivaldi.here
            if a.site != b.site:
                true_s = world.latency_s(a.site, b.site) + world.latency_s(b.site, a.site)
                errors.append(abs(distance_s(here, there) - true_s) / true_s)
    return errors


def _distances(outcome: Outcome) -> list[str]:
    errors = distance_errors(outcome.world)
    if not errors:
        return []
    sure = sum(
        peer.node is not None and known(peer.node.membership.vivaldi.here)
        for peer in outcome.world.peers
    )
    return [
        f"  distances    estimates are off by {100 * quantile(errors, 0.5):.0f} % (median), "
        f"{100 * quantile(errors, 0.9):.0f} % (p90), of {len(errors)} pairs; {sure} peers are sure of theirs"
    ]


def _grids(outcome: Outcome) -> list[str]:
    records = newest_records(outcome.world)
    if not records:
        return []
    states = Counter(str(record.state) for record in records)
    counts = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
    refusals = outcome.world.invariants.refusals
    return [f"  grids        {len(records)} made: {counts}; refusals that bound {refusals}"]


def views(outcome: Outcome) -> list[RequestView | None]:
    """What came of every request; None where the peer that was asked died before it answered."""
    found = []
    for request, (peer, life) in outcome.world.invariants.requests.items():
        alive = peer.node is not None and peer.life == life
        found.append(
            peer.node.requester.requests.view(request) if alive and peer.node is not None else None
        )
    return found


def _requests(outcome: Outcome) -> list[str]:
    known = [view for view in views(outcome) if view is not None]
    if not known:
        return []
    died = len(outcome.world.invariants.requests) - len(known)
    states = Counter(f"{view.kind} {view.state}" for view in known)
    lines = ["  requests     " + ", ".join(f"{what} {n}" for what, n in sorted(states.items()))]
    if died:
        lines.append(f"               {died} died with the peer that was asked")
    commits = [
        line.at_s - view.started_s
        for view in known
        for line in view.story
        if line.text.startswith("committed")
    ]
    ups = [
        view.story[-1].at_s - view.started_s
        for view in known
        if view.kind == "up" and view.state is RequestState.DONE
    ]
    for what, times in (("to commit", commits), ("to be up", ups)):
        if times:
            lines.append(f"  {what:<12} {spread(times)}, {len(times)} times")
    return lines


def _messages(outcome: Outcome) -> list[str]:
    trace, world = outcome.world.trace, outcome.world
    peer_seconds = max(1.0, world.elapsed_s) * len(world.peers)
    total = sum(trace.messages.values())
    size = sum(trace.bytes_of(kind) for kind in trace.kinds)
    lines = [
        f"  messages     {total}, about {size / 1e6:.1f} MB, {size / peer_seconds:.0f} B/s sent by "
        "each peer",
        f"    {'':<18} {'messages':>9}  {'kB':>10}  {'B/s a peer':>10}  {'busiest peer':>12}",
    ]
    for kind in trace.kinds[:_KINDS]:
        busiest = max(peer.sent.get(kind, 0) for peer in world.peers)
        lines.append(
            f"    {kind.__name__:<18} {trace.messages[kind.__name__]:>9}"
            f"  {trace.bytes_of(kind) / 1e3:>10.0f}"
            f"  {trace.bytes_of(kind) / peer_seconds:>10.1f}"
            f"  {trace.bytes_of(kind, busiest) / max(1.0, world.elapsed_s):>12.1f}"
        )
    return lines
