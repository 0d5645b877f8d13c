"""`scripts/bench sim`: the thresholds of the overlay, simulated, beside what was measured.

One row a figure, with the cost of the run: steps, seconds of processor time, memory. Nothing is asserted.
"""

import argparse
import resource
import sys
from time import process_time

from protocol.sim.experiments.reach import THRESHOLDS
from protocol.sim.run import play
from protocol.sim.violation import Violation


def main() -> int:
    """Prints the table. The status is 0 whatever it says, since it only measures."""
    parser = argparse.ArgumentParser(prog="scripts/bench sim", description=__doc__)
    parser.add_argument("--peers", type=int, help="of every run (default: each threshold's own)")
    parser.add_argument("--seed", type=int, default=1, help="of all chance (default 1)")
    parser.add_argument("--only", default="", help="thresholds whose name has this in it")
    wanted = parser.parse_args()
    chosen = [threshold for threshold in THRESHOLDS if wanted.only in threshold.name]
    if not chosen:
        names = ", ".join(threshold.name for threshold in THRESHOLDS)
        parser.error(f"no threshold has {wanted.only!r} in its name; there are: {names}")
    for threshold in chosen:
        peers = wanted.peers or threshold.full_peers
        scenario = threshold.scenario(peers, wanted.seed)
        print(f"{threshold.name}: {peers} peers (full size {threshold.full_peers})", flush=True)
        print(f"  {scenario.command()}", flush=True)
        began_s = process_time()
        try:
            outcome = play(scenario, progress=_progress)
        except Violation as broken:
            print(f"  broken: {str(broken).splitlines()[0]}")
            continue
        for figure in threshold.figures(outcome):
            verdict = "held" if figure.held else "NOT held"
            print(
                f"  {figure.what:<48} {figure.measured:>10.3f}   at most {figure.at_most:g}: {verdict}"
            )
        print(
            f"  {'cost':<48} {outcome.world.steps} steps, {process_time() - began_s:.0f} s of processor "
            f"time, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB",
            flush=True,
        )
    return 0


def _progress(what: str, elapsed_s: float, steps: int) -> None:
    if sys.stderr.isatty():
        text = f"\r\033[K{what}: {elapsed_s:.0f} s of virtual time, {steps} steps\r"
        print(text, end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
