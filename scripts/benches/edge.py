"""An edge service beside a neighbour that takes all it can: `examples/edge`, as its README has it.

The tutorial is followed until the world first asks the proxy as fast as it answers. Then the proxy is asked in
turn while VO `star` is paused and while it computes, writes and sends. Each ratio is of two spans next to each
other, so that what else this machine does matters less; and for as long as it is measured, the guests' control
group outweighs all of that, and so does who asks: a client that waits for a cpu asks less.
"""

import argparse
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

from federation.launch import cpu_s
from federation.stage import IMAGE
from federation.tutorial import Shell, Step, Untrue, copied
from rich.console import Console
from rich.table import Table

from benches.quanta import outweighing
from netns.kernel import namespaces

SQUID = IMAGE.with_name("squid.img")
NAMESPACES = ("uc", "world")
PROXY, NEIGHBOUR = "proxy/proxy-1", "half/greedy-1"
SETTLES_S = 2.0
BEFORE_OTHERS = "{ echo -20 >/proc/self/autogroup; } 2>/dev/null; nice -n -20"
"""Gives a command the most weight, where the kernel weighs whole sessions and where it does not."""
_ANSWERS = re.compile(r"^([\d.]+) answers a second; (\d+) of (\d+) from the cache$")


class Spans:
    """What was measured while the neighbour was paused, or was not."""

    def __init__(self) -> None:
        self.answers: list[float] = []
        """A second."""
        self.cpus: dict[str, list[float]] = {PROXY: [], NEIGHBOUR: []}
        """What each guest had of this machine's, QEMU's own work included."""

    def row(self) -> tuple[str, ...]:
        """Of the table."""
        many = f"{statistics.median(self.answers):.1f} ({min(self.answers):.1f} to {max(self.answers):.1f})"
        return (many, *(f"{statistics.median(cpus):.2f}" for cpus in self.cpus.values()))


class Bench:
    """The tutorial's shell, and its guests."""

    def __init__(self, shell: Shell, folder: Path, asks: str, seconds: float, at_once: int) -> None:
        self._shell = shell
        asks = shlex.quote(f"{BEFORE_OTHERS} {asks} --for {seconds:g} --at-once {at_once}")
        self._asks = f"setsid --wait bash -c {asks}"
        self.pids = _pids(folder)

    def measured(self, spans: Spans, word: str) -> None:
        """Has the neighbour paused or resumed, and asks for a while. Raises Untrue."""
        self._run(f"overlayctl --as star {word} half")
        time.sleep(SETTLES_S)
        before, began_s = {name: cpu_s(self.pids[name]) for name in spans.cpus}, time.monotonic()
        found = _ANSWERS.match(said := self._run(self._asks))
        took_s = time.monotonic() - began_s
        if found is None or found[2] != found[3]:
            raise Untrue(f"not every answer is from the cache: {said}")
        spans.answers.append(float(found[1]))
        for name, cpus in spans.cpus.items():
            cpus.append((cpu_s(self.pids[name]) - before[name]) / took_s)

    def _run(self, command: str) -> str:
        said, code = self._shell.run(command)
        if code:
            raise Untrue(f"$ {command}\n{said}")
        return said


def _pids(folder: Path) -> dict[str, int]:
    """Each running guest's process, by its grid and its own name."""
    found = {}
    for path in (folder / "state" / "uc-1" / "libvirt" / "run" / "qemu").glob("*.xml"):
        title = ET.parse(path).findtext("domain/title", "")  # noqa: S314, libvirt's own
        found[title] = int(path.with_suffix(".pid").read_text())
    return found


def parts(todo: list[Step]) -> tuple[list[Step], str, list[Step]]:
    """What comes before the proxy is asked as fast as it answers, how it is asked, and what comes after."""
    asks = next(n for n, step in enumerate(todo) if "ask.py" in step.command)
    resumed = next(n for n, step in enumerate(todo) if " resume " in step.command)
    return todo[:asks], todo[asks].command, todo[resumed + 1 :]


def cleared() -> None:
    """Nothing is left of a run that was killed."""
    for name in NAMESPACES:
        if namespaces.is_mounted(name):
            namespaces.delete(name)


def measure(rounds: int, seconds: float, at_once: int, console: Console) -> None:
    """Follows the tutorial, measures in the midst of it, and prints the table. Raises Untrue."""
    alone, beside = Spans(), Spans()
    folder = Path(tempfile.mkdtemp(prefix="ove-", dir="/tmp"))  # short: sockets live in it
    folder.chmod(0o711)
    cleared()
    try:
        with copied("edge", folder) as (shell, todo):
            for image in (IMAGE, SQUID):
                shutil.copy(image, folder / "edge")
            before, asks, after = parts(todo)
            for step in before:
                console.print(f"[dim]$ {step.command}[/dim]", soft_wrap=True)
                shell.follow(step)
            bench = Bench(shell, folder / "edge", asks, seconds, at_once)
            with outweighing(bench.pids[PROXY]):
                for number in range(rounds + 1):
                    spans = (alone, beside) if number else (Spans(), Spans())  # the first warms up
                    bench.measured(spans[0], "pause")
                    bench.measured(spans[1], "resume")
            for step in after:
                shell.follow(step)
    finally:
        cleared()
        shutil.rmtree(folder)
    table = Table("star", "answers a second", "cpus of the proxy", "cpus of star")
    table.add_row("paused", *alone.row())
    table.add_row("takes all it can", *beside.row())
    console.print(table)
    ratios = [b / a for a, b in zip(alone.answers, beside.answers, strict=True)]
    console.print(
        f"beside, of alone: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f});"
        f" medians of {rounds} spans of {seconds:g} s each, in turn; {at_once} connections; emulated guests"
    )


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="scripts/bench edge")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--at-once", type=int, default=16, help="connections of who asks; 16")
    options = parser.parse_args()
    try:
        measure(options.rounds, options.seconds, options.at_once, Console())
    except (Untrue, subprocess.CalledProcessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
