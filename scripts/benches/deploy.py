"""From `up` to all held, all committed, all running, at six peers; against a plain loop of virsh create.

The peer is what one would do by hand on one host: the same domains (same kernel, initrd, seed, quantum),
one `virsh create` after the other in one virsh session. It decides nothing, promises nothing and knows one
host; what is compared is what the agreement of six hosts costs, and what placing side by side gains.
Grids here have no network, since the loop would have none.
"""

import argparse
import contextlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from federation.launch import Caps, Federation, wait_for
from federation.stage import IMAGE, TOP
from rich.console import Console
from rich.table import Table

from netns.lab.lab import Lab
from overlayd.adapters.images import DirectoryImages
from overlayd.adapters.libvirt.driver import DomainType, Driver
from overlayd.adapters.libvirt.embed import prepare_root
from overlayd.adapters.libvirt.xml import domain_xml
from overlayd.adapters.seeds import NoCloudSeeds
from overlayd.ports.compute import KernelBoot, Machine
from overlayd.ports.seeds import Seed
from protocol.terms.quantities import counted

GRID = """\
grid: {name}
lease: {{for: 1h}}
clusters:
  box: {{count: {count}, image: guest, cpus: 0.1, memory: 64M}}
placement: {{spread: host}}
"""
HOSTS = 6
SITES = ("uc", "fnal", "bnl")


class Timing:
    """One deployment, in seconds from `up`."""

    def __init__(self, held_s: float, committed_s: float, running_s: float) -> None:
        self.held_s, self.committed_s, self.running_s = held_s, committed_s, running_s


@contextmanager
def federation_of(uri: str, folder: Path) -> Iterator[Federation]:
    """Six daemons: in the lab with real guests, on loopback with libvirt's test driver."""
    caps = Caps(cpus="2", memory="2G", disk="2G")
    federation = Federation(folder, uri=uri, caps=caps)
    lab = Lab.from_file(TOP / "examples" / "three-sites.toml", name="bench")
    real = uri.startswith("qemu")
    try:
        if real:
            lab.up()
            federation.enrol_lab(lab)
        else:
            for index in range(HOSTS):
                federation.enrol(f"h{index}", SITES[index % 3], f"127.0.0.1:{17400 + index}")
        federation.start_all()
        wait_for(lambda: _converged(federation), 30, "every peer lists every peer")
        for name in federation.hosts:
            done = federation.ctl(name, "image", "add", str(IMAGE))
            if done.returncode:
                raise RuntimeError(done.stderr)
        yield federation
    finally:
        federation.stop_all()
        if real:
            lab.down(force=True)


def _converged(federation: Federation) -> bool:
    for host in federation.hosts.values():
        rows: Any = host.get("peers")
        if len([row for row in rows if row["age_s"] >= 0]) < HOSTS:
            return False
    return True


def deploy_once(federation: Federation, count: int, number: int) -> Timing:
    """Up and down of one grid, asked of one peer after the other. Times are the asked daemon's own."""
    name = f"bench-{count}-{number}"
    names = list(federation.hosts)
    asked = names[number % len(names)]
    file = federation.folder / f"{name}.yaml"
    file.write_text(GRID.format(name=name, count=count))
    done = federation.ctl(asked, "up", str(file))
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    requests: Any = federation.hosts[asked].get("requests")
    request = next(r for r in reversed(requests) if r["grid"] == name and r["kind"] == "up")
    story = {line["text"].split(";")[0].split(":")[0]: line["at_s"] for line in request["story"]}
    began_s = request["started_s"]
    down = federation.ctl(asked, "down", name)
    if down.returncode:
        raise RuntimeError(down.stdout + down.stderr)
    return Timing(
        story["all held"] - began_s,
        story["committed"] - began_s,
        request["story"][-1]["at_s"] - began_s,
    )


class Loop:
    """The same domains made by virsh, one after the other, on one host."""

    def __init__(self, uri: str, folder: Path) -> None:
        self._uri, self._folder = uri, folder
        folder.mkdir(parents=True, exist_ok=True)
        self._type = DomainType.TEST if uri.startswith("test") else DomainType.QEMU
        if self._type is DomainType.QEMU:
            root = folder / "root"
            prepare_root(root, folder / "cache")
            self._uri = f"qemu:///embed?root={root}"

    async def domains(self, count: int) -> list[tuple[str, Path]]:
        """The names and XML files of `count` domains like the grid's."""
        images = DirectoryImages(self._folder / "images")
        image = await images.files((await images.add(IMAGE)).digest)
        seeds = NoCloudSeeds(self._folder / "seeds")
        made = []
        for index in range(count):
            name = f"loop-{index}"
            seed = await seeds.ensure(name, Seed(instance_id=name, hostname=f"box-{index}"))
            machine = Machine(
                name=name, uuid=f"00000000-0000-4000-8000-{index:012x}", title=name, grid="loop",
                epoch=1, boot=1, vcpus=1, cpu_milli=100, memory_bytes=64 << 20,
                boots=KernelBoot(image.kernel, image.initrd, image.cmdline), seed=seed,
                console_log=str(self._folder / f"{name}.log"),
                console_socket=str(self._folder / f"{name}.sock"),
            )  # fmt: skip
            file = self._folder / f"{name}.xml"
            file.write_text(domain_xml(machine, Driver(type=self._type)))
            made.append((name, file))
        return made

    def run(self, domains: list[tuple[str, Path]]) -> float:
        """Makes them all. Answers the seconds that took; to destroy them in the same session is not timed."""
        marks = self._folder / "marks"
        marks.unlink(missing_ok=True)
        lines = ["cd /"]
        lines += [f"create {file}" for _, file in domains]
        lines += ["list --name"]
        began_s = time.monotonic()
        with subprocess.Popen(
            ["/usr/bin/virsh", "-c", self._uri],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as virsh:  # fmt: skip
            assert virsh.stdin is not None
            assert virsh.stdout is not None
            virsh.stdin.write("\n".join(lines) + "\n")
            virsh.stdin.flush()
            try:
                created, said = 0, []
                while created < len(domains):
                    line = virsh.stdout.readline()
                    if not line:
                        raise RuntimeError("virsh ended: " + "".join(said[-5:]))
                    said.append(line)
                    created += "created" in line
                took_s = time.monotonic() - began_s
            finally:
                # Also when ended early: these guests would outlive virsh, and slow the machine for ever.
                with contextlib.suppress(BrokenPipeError):
                    ends = [f"destroy {name}" for name, _ in domains]
                    virsh.stdin.write("\n".join([*ends, "quit"]) + "\n")
                    virsh.stdin.flush()
                virsh.stdout.read()
        return took_s


def spread(values: list[float]) -> str:
    """The text `median (least-most)`, in seconds."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


async def measure(uri: str, counts: list[int], runs: int, table: Table, console: Console) -> None:
    """Adds the rows of one driver: ours and the loop's, in turn, in the same run."""
    with tempfile.TemporaryDirectory(prefix="ovb-") as name:
        folder = Path(name)
        loop = Loop(uri, folder / "loop")
        with federation_of(uri, folder / "f") as federation:
            for count in counts:
                domains = await loop.domains(count)
                ours: list[Timing] = []
                theirs: list[float] = []
                for number in range(runs):
                    console.print(
                        f"{uri} {counted(count, 'workspace')}, run {number + 1} of {runs}"
                    )
                    ours.append(deploy_once(federation, count, number))
                    theirs.append(loop.run(domains))
                ratio = statistics.median(t.running_s for t in ours) / statistics.median(theirs)
                table.add_row(
                    uri,
                    str(count),
                    spread([t.held_s for t in ours]),
                    spread([t.committed_s for t in ours]),
                    spread([t.running_s for t in ours]),
                    spread(theirs),
                    f"{ratio:.2f}",
                )


def main() -> None:
    """The program."""
    import asyncio

    parser = argparse.ArgumentParser(prog="scripts/bench deploy", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="deployments of each size (5)")
    parser.add_argument("--only", choices=["qemu", "test"], help="one driver only")
    options = parser.parse_args()
    console = Console(stderr=True)
    table = Table(title="seconds from `up`, six peers, median (least-most)")
    for column in (
        "driver", "workspaces", "all held", "all committed", "all running", "virsh loop, one host", "ratio",
    ):  # fmt: skip
        table.add_column(column, justify="left" if column == "driver" else "right")
    # When it is ended early, it takes down what it made, and prints what it has measured so far.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if options.only != "test":
            asyncio.run(measure("qemu:///embed", [1, 4, 16], options.runs, table, console))
        if options.only != "qemu":
            asyncio.run(measure("test:///default", [1, 4, 16, 64], options.runs, table, console))
    finally:
        Console(width=140).print(table)


if __name__ == "__main__":
    main()
