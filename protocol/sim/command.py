"""The command line: arguments, progress while it runs, the report, and the exit status."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import TextIO

from protocol.sim.faults import PLANS
from protocol.sim.report import report
from protocol.sim.run import run
from protocol.sim.trace import Trace
from protocol.sim.violation import Violation

_EXAMPLES = """\
examples:
  python -m protocol.sim                                     6 peers at 3 sites for a minute
  python -m protocol.sim --peers 50 --sites 5 --seed 7       50 peers, no grids
  python -m protocol.sim --grids 20 --faults many            people ask while everything breaks
  python -m protocol.sim --faults some --grids 4 --seeds 200 200 worlds, seeds 1 to 200
  python -m protocol.sim --seed 42 --trace /tmp/42.jsonl     one JSON line a step

The same arguments give the same digest, on any machine. Exit status 1: something that must hold did not;
the seed, the virtual time and what the peers involved did last are printed.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs; 0 if everything held, 1 if not, 2 for arguments that make no sense."""
    parser = _parser()
    wanted = parser.parse_args(arguments)
    if not 1 <= wanted.sites <= wanted.peers:
        parser.error(f"{wanted.sites} sites for {wanted.peers} peers; a site has at least one peer")
    if wanted.trace and wanted.seeds > 1:
        parser.error("--trace writes one world; ask for one seed")
    for seed in range(wanted.seed, wanted.seed + wanted.seeds):
        began_s = perf_counter()
        try:
            with _opened(wanted.trace) as file:
                outcome = run(
                    seed,
                    wanted.peers,
                    wanted.sites,
                    wanted.seconds,
                    grids=wanted.grids,
                    plan=PLANS[wanted.faults],
                    trace=Trace(file),
                    progress=_progress if wanted.seeds == 1 else None,
                )
        except Violation as broken:
            print(f"{_CLEAR}broken: {broken}", file=sys.stderr)
            return 1
        took_s = perf_counter() - began_s
        if wanted.seeds == 1:
            print("\n".join(report(outcome, wanted.seconds, took_s)))
        else:
            done = seed - wanted.seed + 1
            digest = outcome.world.trace.digest[:16]
            print(f"seed {seed}: held, {took_s:.2f} s, digest {digest} ({done}/{wanted.seeds})")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m protocol.sim",
        description="Simulate a federation of peers in virtual time, deterministically.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--peers", type=_count, default=6, help="hosts (default 6)")
    parser.add_argument("--sites", type=_count, default=3, help="sites they are at (default 3)")
    parser.add_argument("--seed", type=int, default=1, help="of all chance (default 1)")
    parser.add_argument("--seeds", type=_count, default=1, help="how many, one after another")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="virtual time after all have joined (60)"
    )
    parser.add_argument("--grids", type=int, default=0, help="how many people ask for (default 0)")
    parser.add_argument("--faults", choices=list(PLANS), default="none", help="what goes wrong")
    parser.add_argument("--trace", metavar="FILE", help="write every step as a line of JSON")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 10_000:
        raise argparse.ArgumentTypeError(f"{number} is not within 1 to 10000")
    return number


@contextmanager
def _opened(path: str | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    with open(path, "w", encoding="utf-8") as file:
        yield file


_CLEAR = "\r\033[K" if sys.stderr.isatty() else ""


def _progress(what: str, elapsed_s: float, steps: int) -> None:
    """One line that overwrites itself; nothing when nobody watches."""
    if sys.stderr.isatty():
        line = f"{_CLEAR}{what}: {elapsed_s:.0f} s of virtual time, {steps} steps"
        print(line, end="", file=sys.stderr, flush=True)
