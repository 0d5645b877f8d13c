"""The command line: progress while it runs, the report, and the exit status. arguments.py has its words."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import TextIO

from protocol.sim.arguments import Arguments, parse
from protocol.sim.many import Result, cores, play_many
from protocol.sim.plot import NoPlot, draw
from protocol.sim.report import quantile, report
from protocol.sim.run import play
from protocol.sim.scenario import Scenario
from protocol.sim.shrink import shrink
from protocol.sim.trace import Trace
from protocol.sim.violation import Violation


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs. Answers 0 if everything held, 1 if not, 2 for senseless arguments or a picture that cannot be."""
    wanted = parse(arguments)
    try:
        return _many(wanted) if wanted.seeds > 1 else _one(wanted)
    except NoPlot as error:
        print(f"{_CLEAR}{error}", file=sys.stderr)
        return 2


def _one(wanted: Arguments) -> int:
    scenario = wanted.scenario
    began_s = perf_counter()
    try:
        with _opened(wanted.trace) as file:
            outcome = play(scenario, Trace(file, scenario.peers), _progress)
    except Violation as broken:
        return _broken(scenario, broken, wanted)
    print(_CLEAR, end="", file=sys.stderr)
    print("\n".join(report(outcome, perf_counter() - began_s)))
    if wanted.plot:
        draw(outcome, wanted.plot)
    return 0


def _many(wanted: Arguments) -> int:
    jobs = wanted.jobs or cores()
    scenarios = [wanted.scenario.at_seed(wanted.scenario.seed + i) for i in range(wanted.seeds)]
    began_s = perf_counter()
    results: list[Result] = []
    for result in play_many(scenarios, jobs):
        if result.broken:
            return _play_again(result.scenario, wanted)
        results.append(result)
        seed, took_s = result.scenario.seed, result.took_s
        line = f"seed {seed}: held, {took_s:.2f} s, digest {result.digest[:16]}"
        print(f"{_CLEAR}{line} ({len(results)}/{wanted.seeds})", flush=True)
    print("\n".join(_summary(results, perf_counter() - began_s, jobs)))
    return 0


def _summary(results: list[Result], took_s: float, jobs: int) -> list[str]:
    faults = sum((Counter(result.faults) for result in results), Counter[str]())
    times = [result.took_s for result in results]
    steps = sum(result.steps for result in results)
    wrong = [result.scenario.seed for result in results if result.false_deaths]
    done = ", ".join(f"{what} {n}" for what, n in sorted(faults.items())) or "none"
    return [
        "",
        f"{len(results)} seeds held, in {took_s:.1f} s on {jobs} cores; a seed took "
        f"{quantile(times, 0.5):.2f} s (median), {max(times):.2f} s at most; {steps} steps",
        f"faults: {done}",
        f"wrongly believed dead: {f'in seeds {wrong[:20]}' if wrong else 'nobody'}",
    ]


def _play_again(scenario: Scenario, wanted: Arguments) -> int:
    """Plays a seed that failed in another process again. It fails here too."""
    print(f"{_CLEAR}seed {scenario.seed}: broken; playing it again", file=sys.stderr)
    try:
        play(scenario)
    except Violation as broken:
        return _broken(scenario, broken, wanted)
    print(
        f"{_CLEAR}seed {scenario.seed} held the second time: a bug of the simulator",
        file=sys.stderr,
    )
    return 1


def _broken(scenario: Scenario, broken: Violation, wanted: Arguments) -> int:
    if wanted.shrink:
        print(f"{_CLEAR}broken: {str(broken).splitlines()[0]}", file=sys.stderr)
        scenario, broken = shrink(scenario, broken, _say)
    print(f"{_CLEAR}broken: {broken}", file=sys.stderr)
    shortest = "the shortest failing run that was found" if wanted.shrink else "again"
    print(f"\n{shortest}, {scenario.length_s:g} s with {broken.faults} faults:", file=sys.stderr)
    print(f"  {scenario.command()}", file=sys.stderr)
    return 1


@contextmanager
def _opened(path: str | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    with open(path, "w", encoding="utf-8") as file:
        yield file


_CLEAR = "\r\033[K" if sys.stderr.isatty() else ""


def _say(what: str) -> None:
    """Writes one line over the last one, or nothing when nobody watches."""
    if sys.stderr.isatty():
        print(f"{_CLEAR}{what}", end="", file=sys.stderr, flush=True)


def _progress(what: str, elapsed_s: float, steps: int) -> None:
    _say(f"{what}: {elapsed_s:.0f} s of virtual time, {steps} steps")
