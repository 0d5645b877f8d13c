"""The words of the command line, and the scenario they describe."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from protocol.sim.faults import PLANS, FaultPlan
from protocol.sim.latency import EXAMPLE, Latencies, Unreadable, read
from protocol.sim.peer import MANY_PEERS
from protocol.sim.scenario import KNOBS, QUIET_WITHIN_S, Scenario, turned
from protocol.terms.limits import LEVELS_ABOVE

PEERS_MOST = 10_000
_EXAMPLES = f"""\
examples:
  scripts/sim                                        6 peers at 3 sites for a minute
  scripts/sim --peers 50 --sites 5 --seed 7          50 peers, no grids
  scripts/sim --grids 20 --faults many               people ask while everything breaks
  scripts/sim --faults some --grids 4 --seeds 200    200 worlds, seeds 1 to 200, on all cores
  scripts/sim --peers 200 --loss 0.05 --tell 20 --plot news.svg
                                                     a lossy net, 20 lines of news, and a picture
  scripts/sim --peers 300 --sites 8 --die 0.5 --tell 10
                                                     half of all hosts lose power at once
  scripts/sim --peers 40 --split 600 --seconds 900   two halves apart for ten minutes
  scripts/sim --peers 20 --faults lies --drift 200   one member lies, clocks are off by 200 ppm
  scripts/sim --latencies sites.toml                 sites as far apart as a file says
  scripts/sim --peers 10000 --sites 8 --tell 10      warm: an overlay that has converged already
  scripts/sim --seed 42 --trace /tmp/42.jsonl        one JSON line a step

A file of latencies (TOML):
{"".join(f"  {line}" for line in EXAMPLE.splitlines(keepends=True))}
The same arguments give the same digest, on any machine. Exit status 1: something that must hold did not;
the seed, the virtual time, the shortest failing run found, and what the peers involved did last are printed.
"""


@dataclass(frozen=True)
class Arguments:
    """What the command is asked to do."""

    scenario: Scenario
    seeds: int
    jobs: int | None
    trace: str | None
    plot: str | None
    shrink: bool


def parse(arguments: Sequence[str] | None) -> Arguments:
    """What the words ask for. If they make no sense the process ends with status 2 and a line that says why."""
    parser = _parser()
    wanted = parser.parse_args(arguments)
    latencies = _latencies(parser, wanted)
    sites = len(latencies.sites) if latencies is not None else wanted.sites
    if not 1 <= sites <= wanted.peers:
        parser.error(f"{sites} sites for {wanted.peers} peers; a site has at least one peer")
    if wanted.seeds > 1 and (wanted.trace or wanted.plot):
        parser.error("--trace and --plot show one world; ask for one seed")
    plan = _plan(wanted)
    if plan.wiped and (wanted.grids or wanted.elastic):
        parser.error(
            "--wiped with --grids: a steward that loses its disk can vote twice, so nothing would hold; "
            "leave one of them out (--faults net loses disks; --wiped 0 does not)"
        )
    scenario = Scenario(
        seed=wanted.seed,
        peers=wanted.peers,
        sites=sites,
        seconds=wanted.seconds,
        grids=wanted.grids,
        changes=wanted.changes,
        elastic=wanted.elastic,
        plan=plan,
        latencies=latencies,
        latency_file=wanted.latencies or "",
        levels_above=wanted.levels_above,
        warm=wanted.peers > MANY_PEERS if wanted.warm is None else wanted.warm,
        tell=wanted.tell,
        die=wanted.die,
        split_s=wanted.split,
        stop_s=wanted.stop,
        quiet_within_s=wanted.quiet_within,
    )
    return Arguments(
        scenario, wanted.seeds, wanted.jobs, wanted.trace, wanted.plot, not wanted.no_shrink
    )


def _latencies(parser: argparse.ArgumentParser, wanted: argparse.Namespace) -> Latencies | None:
    if not wanted.latencies:
        return None
    try:
        return read(wanted.latencies)
    except Unreadable as error:
        parser.error(str(error))


def _plan(wanted: argparse.Namespace) -> FaultPlan:
    """The plan of faults: a preset, with single figures changed."""
    plan = PLANS[wanted.faults]
    for name, option in KNOBS.items():
        value = getattr(wanted, option.replace("-", "_"))
        if value is not None:
            plan = turned(plan, name, value)
    return plan


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/sim",
        description="Simulate a federation of peers in virtual time, deterministically.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--peers", type=_count, default=6, help="hosts (default 6)")
    add("--sites", type=_count, default=3, help="sites they are at (default 3)")
    add("--latencies", metavar="FILE", help="sites and how far they are from each other (TOML)")
    add("--seed", type=int, default=1, help="of all chance (default 1)")
    add("--seeds", type=_count, default=1, help="how many worlds, on all cores")
    add("--jobs", type=_count, help="processes for many seeds (default: all cores)")
    add("--seconds", type=_seconds, default=60.0, help="virtual time after all have joined (60)")
    add("--levels-above", type=_many, default=LEVELS_ABOVE, help="peers that all know all (2000)")
    add(
        "--warm",
        action=argparse.BooleanOptionalAction,
        help="begin as an overlay that has converged, without joins (default above 1000 peers)",
    )
    add("--grids", type=_many, default=0, help="how many people ask for (default 0)")
    add("--changes", type=_many, default=0, help="how many changes of them (default 0)")
    add("--elastic", type=_many, default=0, help="how many elastic grids besides (default 0)")
    add("--tell", type=_many, default=0, help="lines of news told, and timed (default 0)")
    add("--die", type=_share, default=0.0, help="share of hosts that lose power at once")
    add("--split", type=_seconds, default=0.0, help="two halves are apart for so many seconds")
    add("--stop", type=_seconds, help="mend everything after so many of the seconds: a prefix")
    add(
        "--quiet-within",
        type=_seconds,
        default=QUIET_WITHIN_S,
        help="all must be quiet so many seconds after everything is mended (300)",
    )
    add("--trace", metavar="FILE", help="write every step as a line of JSON")
    add("--plot", metavar="FILE", help="draw news, deaths, neighbours and bytes (SVG)")
    add("--no-shrink", action="store_true", help="do not look for a shorter failing run")
    faults = parser.add_argument_group(
        "faults", "A preset, and single figures that replace the preset's; times are in seconds."
    )
    add = faults.add_argument
    add("--faults", choices=list(PLANS), default="none", help="what goes wrong (default none)")
    add("--jitter", type=_positive, help="frames take up to so much longer, as a share")
    add("--loss", type=_share, help="odds that a frame is lost")
    add("--duplication", type=_share, help="odds that a frame comes twice")
    add("--reordering", type=_share, help="odds that a frame may overtake others")
    add("--crash-every", type=_seconds, help="a peer dies and starts again from its store")
    add("--silent", type=_share, help="odds that its host dies with it, so no connection is closed")
    add("--wiped", type=_share, help="odds that its store is empty then")
    add("--cut-every", type=_seconds, help="some peers cannot reach the others for a while")
    add("--one-way-every", type=_seconds, help="some reach others, and not the other way round")
    add("--full-every", type=_seconds, help="a store refuses writes for a while")
    add("--stall-every", type=_seconds, help="a process does nothing for a while")
    add("--slow", type=_share, help="share of peers that get to everything late")
    add("--late", type=_seconds, help="how late, at most; also how long a stall is")
    add("--drift", type=_positive, help="clocks are fast or slow by up to so many ppm")
    add("--jump-every", type=_seconds, help="a clock jumps")
    add("--jump", type=_seconds, help="how far, at most")
    add("--behind-nat", type=_share, help="share of peers that nobody can dial")
    add("--liars", type=_many, help="members that lie in every way there is")
    add("--fail-boot", type=_share, help="odds that a machine does not start at first")
    add("--most-faults", type=_many, help="no other fault after so many")
    return parser


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if not 1 <= number <= PEERS_MOST:
        raise argparse.ArgumentTypeError(f"{number} is not within 1 to {PEERS_MOST}")
    return number


def _many(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is below 0")
    return number


def _share(text: str) -> float:
    share = float(text)
    if not 0.0 <= share <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not a share; 0 is none, 1 is all")
    return share


def _positive(text: str) -> float:
    figure = float(text)
    if not 0.0 <= figure < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a figure from 0 on")
    return figure


_seconds = _positive
