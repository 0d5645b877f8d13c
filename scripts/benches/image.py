"""What a brought image costs: taking it in, beside `qemu-img convert`, and a first boot until ready.

One host in a lab, on its own. An import hashes and looks at what it converts, in a cage; `qemu-img convert` of
the same file to raw only writes it. A first boot is of a guest with 512 MiB and one cpu, from `up` to *ready*;
beside it the same image in a qemu of one's own, from its start to cloud-init's last line on the console.
"""

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from federation.launch import Caps, Federation
from federation.stage import TOP
from rich.console import Console
from rich.table import Table

from netns.lab.lab import Lab
from netns.lab.topology import Host as LabHost
from netns.lab.topology import Site, Topology
from overlayd.adapters.seeds import NoCloudSeeds
from overlayd.ports.seeds import Seed

IMAGE = TOP / ".cache" / "images" / "debian.qcow2"
ADDRESS = "198.51.100.1"
LAB = Topology("image", (Site("s", "198.51.100.0/28", (LabHost("i1", ADDRESS),)),))
GRID = """\
grid: first
lease: {{for: 1h}}
networks:
  lan: {{cidr: 10.42.0.0/24, encryption: none}}
clusters:
  box: {{image: {image}, cpus: 1, memory: 512M, networks: [lan]}}
"""


class Bench:
    """One daemon, and the folder for what is measured beside it."""

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder, self.image = folder, image
        self.lab = Lab(LAB)
        self.federation = Federation(folder, caps=Caps(cpus="2", memory="2G", disk="20G"))

    def __enter__(self) -> "Bench":
        self.lab.down(force=True)
        self.lab.up()
        self.federation.enrol_lab(self.lab)
        self.federation.start_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.federation.stop_all()
        self.lab.down(force=True)

    def ctl(self, *words: str) -> None:
        """An overlayctl command. Raises RuntimeError if it does not succeed."""
        argv = self.federation.ctl_argv("i1", *words)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"overlayctl {' '.join(words)}: {done.stdout}{done.stderr}")

    def packed(self) -> Path:
        """The same disk as a publisher packs it: raw.xz, quickly made."""
        raw, packed = self.folder / "disk.raw", self.folder / "disk.raw.xz"
        convert(self.image, raw)
        with packed.open("wb") as out:
            run("xz", "-0", "-T0", "--stdout", raw, out=out)
        raw.unlink()
        return packed

    def boots(self, name: str) -> None:
        """One grid of one guest, up, which is ready then, and down again."""
        file = self.folder / "first.yaml"
        file.write_text(GRID.format(image=name))
        self.ctl("up", str(file))

    def boots_alone(self) -> None:
        """The same image in a qemu of one's own, with a seed like ours, until cloud-init has finished."""
        told = NoCloudSeeds(self.folder / "seeds").ensure("alone", Seed("first/box-1", "box-1"))
        seed, disk = asyncio.run(told), self.folder / "alone.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", self.image, "-F", "qcow2", disk)
        guest = subprocess.Popen(
            [tool("qemu-system-x86_64"), "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "512",
             "-display", "none", "-serial", "stdio", "-monitor", "none", "-nic", "user,model=virtio",
             "-drive", f"file={disk},if=virtio,format=qcow2",
             "-drive", f"file={seed},if=virtio,format=raw,readonly=on"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            assert guest.stdout is not None
            for line in guest.stdout:
                if b"Cloud-init v." in line and b" finished at " in line:
                    return
            raise RuntimeError("qemu ended before cloud-init had finished")
        finally:
            guest.kill()
            guest.wait()


def convert(source: Path, target: Path) -> None:
    """`qemu-img convert` to raw."""
    run("qemu-img", "convert", "-O", "raw", source, target)


def unpack(source: Path, target: Path) -> None:
    """`xz -dc` into a sparse file."""
    with target.open("wb") as out:
        run("xz", "--decompress", "--stdout", source, out=out)


def took(what: Callable[[], object]) -> float:
    """Seconds that it took."""
    began_s = time.monotonic()
    what()
    return time.monotonic() - began_s


def run(name: str, *words: object, out: BinaryIO | None = None) -> None:
    """A program of this machine. Raises CalledProcessError if it does not succeed."""
    subprocess.run([tool(name), *map(str, words)], stdout=out, check=True)


def tool(name: str) -> str:
    """Where a program is. Raises RuntimeError."""
    if found := shutil.which(name):
        return found
    raise RuntimeError(f"{name} is missing; scripts/setup installs what is needed")


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="scripts/bench image")
    parser.add_argument("--image", type=Path, default=IMAGE, help="a disk image as qcow2")
    parser.add_argument("--no-boot", action="store_true", help="only imports")
    options = parser.parse_args()
    console = Console()
    table = Table("what", "overlayd", "beside it", "")
    with (
        tempfile.TemporaryDirectory(prefix="ovl", dir="/tmp") as folder,
        Bench(Path(folder), options.image) as bench,
    ):
        packed, raw = bench.packed(), Path(folder) / "beside.raw"

        def row(
            what: str, ours: Callable[[], object], other: Callable[[], object], beside: str
        ) -> None:
            ours_s, other_s = took(ours), took(other)
            raw.unlink(missing_ok=True)
            table.add_row(what, f"{ours_s:.1f} s", f"{other_s:.1f} s", beside)
            console.print(f"{what}: {ours_s:.1f} s, {beside} {other_s:.1f} s", style="dim")

        def added(path: Path, name: str) -> Callable[[], object]:
            return lambda: bench.ctl("image", "add", str(path), "--name", name)

        row("image add, qcow2", added(options.image, "debian"), lambda: convert(options.image, raw),
            "qemu-img convert to raw")  # fmt: skip
        row("image add, the same as raw.xz", added(packed, "debian-too"), lambda: unpack(packed, raw),
            "xz -dc")  # fmt: skip
        if not options.no_boot:
            row("first boot, up to ready", lambda: bench.boots("debian"), bench.boots_alone,
                "qemu by hand, until cloud-init's last line")  # fmt: skip
            bench.ctl("down", "first")
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
