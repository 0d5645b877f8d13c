"""Files of machines that are not here any more: seeds and consoles. They are nobody's data, so they go."""

from pathlib import Path

from overlayd.ports.compute import Compute
from overlayd.ports.seeds import Seeds
from overlayd.realise.paths import machine_of_console
from overlayd.telemetry.logs import logger


async def clear_files(compute: Compute, seeds: Seeds, consoles: Path, machines: set[str]) -> None:
    """Removes what belongs to none of the machines: those that are wanted, and those that are there.

    Whom one of the others ran as is free then.

    What is no file of a console stays: a container has its root in that folder, too.
    """
    for machine in await seeds.observe():
        if machine not in machines:
            logger().warning("stray.seed", machine=machine)
            await compute.forget(machine)
            await seeds.remove(machine)
    for path in sorted(consoles.glob("*")):  # noqa: ASYNC240, a short folder, read once at the start
        if machine_of_console(path.name) not in (None, *machines):
            logger().warning("stray.console", file=path.name)
            path.unlink(missing_ok=True)
