"""Allotments, simulated: hosts of one site that share ceilings, through histories in which everything breaks.

Holds, releases, allotments that move, crashes, restored backups, cuts, messages that are lost or come a minute
late, hosts that are removed and enrolled again, policies with other ceilings. At every step all that is held is
within the lines, and no line grows beyond its ceiling; in the end any host finds what is free. It ends at the
first seed where that is not so. See protocol/sim/experiments/allotting.py.
"""

import argparse
import sys
import time
from collections import Counter
from multiprocessing import Pool, cpu_count

from protocol.sim.experiments.allotting import Allotted, Allotting, allot
from protocol.sim.violation import Violation


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="bench allotments", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2000, help="how many histories (2000)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (1)")
    options = parser.parse_args()
    began_s, runs = time.monotonic(), list[Allotted]()
    seeds = range(options.first, options.first + options.seeds)
    with Pool(cpu_count()) as pool:
        try:
            for run in pool.imap_unordered(_one, seeds, chunksize=4):
                runs.append(run)
                print(f"\r{len(runs)} of {options.seeds}", end="", file=sys.stderr)
        except Violation as broken:
            sys.exit(f"\nbroken: {broken}")
    faults = sum((Counter(dict(run.faults)) for run in runs), Counter[str]())
    held, refused = sum(run.held for run in runs), sum(run.refused for run in runs)
    steps, moved = sum(run.decided for run in runs), sum(run.moved for run in runs)
    print(f"\n{len(runs)} histories held, in {time.monotonic() - began_s:.0f} s")
    print(
        f"{held} holds, {refused} refused; {steps} steps decided, {moved} times given back for another"
    )
    print("faults: " + ", ".join(f"{what} {count}" for what, count in sorted(faults.items())))


def _one(seed: int) -> Allotted:
    return allot(Allotting(seed))


if __name__ == "__main__":
    main()
