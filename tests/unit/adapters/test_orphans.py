"""Guests that libvirt does not know any more are found by their command line, and nobody else's are."""

from pathlib import Path

import pytest

from overlayd.adapters.libvirt.orphans import find, read
from overlayd.ports.compute import LostMachine

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
