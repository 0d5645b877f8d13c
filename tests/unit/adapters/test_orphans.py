"""Guests that libvirt does not know any more are found by their command line, and nobody else's are."""

from pathlib import Path

import pytest

from overlayd.adapters.libvirt.compute import LibvirtCompute
from overlayd.adapters.libvirt.orphans import find, read
from overlayd.ports.compute import ComputeError, KernelBoot, LostMachine, Machine

ROOT = "/var/lib/overlayd/libvirt"
NAME = "ovl-5c62f6d3bc3c"
# As libvirt 9 starts it, shortened.
ARGV = [
    "/usr/bin/qemu-system-x86_64", "-name", f"guest={NAME},debug-threads=on", "-S", "-object",
    '{"qom-type":"secret","id":"masterKey0","format":"raw","file":"' + ROOT + '/lib/domain-1/master-key.aes"}',
    "-machine", "pc-q35-7.2,usb=off", "-m", "98304k", "-overcommit", "mem-lock=off", "-smp",
    "2,sockets=2,cores=1,threads=1", "-uuid", "6f3f6b1e-1111-4222-8333-444455556666", "",
]  # fmt: skip
LOST = LostMachine(NAME, 4711, 2000, 96 << 20)


def proc(folder: Path, **processes: list[str]) -> Path:
    for pid, argv in processes.items():
        (folder / pid.removeprefix("p")).mkdir()
        (folder / pid.removeprefix("p") / "cmdline").write_bytes("\0".join(argv).encode())
    return folder


def test_a_guest_that_libvirt_does_not_know(tmp_path: Path) -> None:
    there = proc(tmp_path, p4711=ARGV, p1=["/sbin/init"], p2=[""])
    (there / "self").mkdir()
    assert find(ROOT, (), there) == (LOST,)
    assert find(ROOT, (NAME,), there) == (), "this one it knows"


@pytest.mark.parametrize(
    ("size", "bytes_"),
    [("98304k", 96 << 20), ("size=98304k", 96 << 20), ("96", 96 << 20), ("1G", 1 << 30)],
)
def test_its_memory(size: str, bytes_: int) -> None:
    lost = read(4711, [size if a == "98304k" else a for a in ARGV], ROOT)
    assert lost is not None
    assert lost.memory_bytes == bytes_


@pytest.mark.parametrize(
    "argv",
    [
        ["/bin/sh", *ARGV[1:]],
        [a.replace("ovl-5c62f6d3bc3c", "their-own") for a in ARGV],
        [a.replace("ovl-5c62f6d3bc3c", "ovl-5c62f6d3bc3c-not") for a in ARGV],
        [a.replace(ROOT, "/tmp/another/libvirt") for a in ARGV],
        [a.replace(ROOT, ROOT + "-2") for a in ARGV],
        ARGV[:1],
        [ARGV[0], ROOT + "/x", "-name"],
    ],
)
def test_what_is_not_ours(argv: list[str]) -> None:
    assert read(4711, argv, ROOT) is None


def test_one_that_says_little_counts_for_nothing() -> None:
    assert read(1, [*ARGV[:3], ROOT + "/x"], ROOT) == LostMachine(NAME, 1, 0, 0)


class Nothing:
    """Domains of which none is known."""

    def start(self, machine: Machine) -> None:
        raise AssertionError("it runs already")

    def stop(self, name: str) -> None:
        """It is no error if there is none."""


async def test_what_is_lost_is_neither_started_again_nor_said_to_be_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute, lost = LibvirtCompute("test:///default", tmp_path), LostMachine("m", 4711, 1000, 1)
    monkeypatch.setattr(compute, "_domains", Nothing())
    monkeypatch.setattr(compute, "_lost", lambda: (lost,))
    for act in (compute.start(machine("m")), compute.stop("m")):
        with pytest.raises(ComputeError, match=r"m runs as process 4711.*`kill 4711` ends it"):
            await act
    await compute.stop("other")


def machine(name: str) -> Machine:
    return Machine(
        name=name, uuid="", title="", grid="", epoch=1, boot=1, vcpus=1, cpu_milli=500,
        memory_bytes=1, boots=KernelBoot("", "", ""), seed="",
    )  # fmt: skip
