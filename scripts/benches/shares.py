"""Fair share, simulated: three owners with shares of 60, 30 and 10 that all want everything, for a week.

    all         nobody is ever away
    NAME away   that owner asks for nothing on the third day
    wrong       some hosts believe that the first owner used what nobody ever had; the rest is shown

What decides on each host is real: its ledger, the usage it counts, its claims; and how long requests in queues
let others go first (protocol/sim/experiments/sharing.py). No time here is this machine's.
"""

import argparse
import time

from msgspec import structs
from rich.console import Console
from rich.table import Table

from protocol.sim.experiments.sharing import Demand, share


def main() -> None:
    """The program."""
    options = _options()
    plain = Demand(seed=options.seed, hosts=options.hosts, hours=options.hours)
    runs = {"all": plain}
    runs |= {f"{name} away": structs.replace(plain, away=name) for name, _ in plain.shares}
    runs |= {"wrong": structs.replace(plain, wrong=options.wrong)}
    table = Table(title=f"{plain.hosts} hosts, {plain.hours} h, seed {plain.seed}")
    for column in ("run", *(f"{name} {due} %" for name, due in plain.shares), "s of a core"):
        table.add_column(column, justify="right")
    for name, demand in runs.items():
        began_s = time.process_time()
        parts = share(demand).parts(slice(demand.wrong, None))
        took = f"{time.process_time() - began_s:.0f}"
        table.add_row(name, *(f"{100 * part:.1f}" for part in parts.values()), took)
    Console().print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench shares", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("--hosts", type=int, default=50, help="hosts of two places each (50)")
    add("--hours", type=int, default=168, help="virtual hours (168)")
    add("--wrong", type=int, default=5, help="hosts with a wrong view, in one of the runs (5)")
    add("--seed", type=int, default=1, help="of all chance (1)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
