"""Initramfs archives, as an appliance that starts as a container has one: real ones and hostile ones."""

import gzip
import os
import subprocess
from pathlib import Path

import pytest

from overlayd.adapters.imports import trees
from overlayd.adapters.imports.cpio import tar_of_initramfs
from overlayd.ports.images import ImageError, ImportWatch

MIB = 1 << 20
FILE, FOLDER, LINK, PIPE, DEVICE = 0o100644, 0o040755, 0o120777, 0o010644, 0o020644


def entry(name: str, mode: int, data: bytes = b"", **fields: int) -> bytes:
    values = [1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    for key, value in fields.items():
        values[{"ino": 0, "links": 4, "size": 6}[key]] = value
    head = b"070701" + b"".join(b"%08x" % value for value in values) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


END = entry("TRAILER!!!", 0)


def unpacked(folder: Path, archive: bytes, most_bytes: int = MIB) -> Path:
    (folder / "initrd").write_bytes(archive)
    tar_of_initramfs(folder / "initrd", folder / "tar", most_bytes)
    trees.unpack(folder / "tar", folder / "root", ImportWatch())
    return folder / "root"


@pytest.mark.parametrize("squeeze", [bytes, gzip.compress])
def test_what_cpio_packs_is_unpacked_the_same(tmp_path: Path, squeeze: type[bytes]) -> None:
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin" / "sh").write_bytes(os.urandom(5000))
    (tree / "bin" / "sh").chmod(0o4755)
    (tree / "bin" / "ash").hardlink_to(tree / "bin" / "sh")
    (tree / "empty").touch()
    (tree / "empty-too").hardlink_to(tree / "empty")
    (tree / "init").symlink_to("bin/sh")
    os.chown(tree / "empty", 1000, 1001)
    names = subprocess.run(["find", ".", "-print0"], cwd=tree, capture_output=True, check=True)
    argv = ["cpio", "-0", "-o", "-H", "newc", "--quiet"]
    made = subprocess.run(argv, cwd=tree, input=names.stdout, capture_output=True, check=True)
    root = unpacked(tmp_path, squeeze(made.stdout))
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == [
        *("bin", "bin/ash", "bin/sh", "empty", "empty-too", "init"),
    ]
    assert (root / "bin" / "sh").read_bytes() == (tree / "bin" / "sh").read_bytes()
    assert (root / "bin" / "sh").stat().st_mode == 0o104755
    assert (root / "bin" / "ash").samefile(root / "bin" / "sh")
    assert (root / "empty-too").samefile(root / "empty")
    owner = (root / "empty").stat()
    assert (owner.st_uid, owner.st_gid) == (1000, 1001)
    assert os.readlink(root / "init") == "bin/sh"


OUT = "../" * 9 + "tmp"
HOSTILE = {
    "a file through a link": entry("a", LINK, b"/etc") + entry("a/cron", FILE, b"x"),
    "a file through a link of its own": entry("b", FOLDER)
    + entry("b/a", LINK, b"..")
    + entry("b/a/cron", FILE, b"x"),
    "a name that leads out": entry(f"{OUT}/x", FILE, b"x"),
    "an absolute name": entry("/etc/x", FILE, b"x"),
    "a link that leads out": entry("a", LINK, OUT.encode()),
    "a device": entry("sda", DEVICE),
    "a pipe": entry("etc/pipe", PIPE),
    "one name twice": entry("a", FILE, b"1") + entry("a", FILE, b"2"),
    "more than there is": entry("a", FILE, b"", size=1000),
    "more than there may be": entry("a", FILE, b"", size=0xFFFFFFFF),
    "a name of no length": b"070701" + b"0" * 104,
    "no kind of file": entry("a", 0o170000),
    "no cpio": b"\x7fELF" + bytes(300),
    "no numbers": b"070701" + b"zz" * 52,
    "a mode below nothing": entry("a", FILE).replace(b"000081a4", b"-00081a4"),
    "compressed, and damaged": gzip.compress(entry("a", FILE))[:10] + bytes(20),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_ones_are_refused_and_write_nothing_elsewhere(case: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(ImageError):
        unpacked(tmp_path / "in", HOSTILE[case] + END)
    left = {path.name for path in (tmp_path / "in").iterdir()}
    assert left <= {"initrd", "tar", "root"}
    assert {path.name for path in tmp_path.iterdir()} == {"in"}
    assert not list((tmp_path / "in").rglob("cron"))


def test_a_megabyte_that_becomes_gigabytes_ends_at_the_memory_it_may_have(tmp_path: Path) -> None:
    bomb = gzip.compress(entry("a", FILE, bytes(64 * MIB)) + END)
    with pytest.raises(ImageError, match="more than 32 MiB"):
        unpacked(tmp_path, bomb, 32 * MIB)
    assert (tmp_path / "tar").stat().st_size <= 33 * MIB


def test_what_is_for_dev_is_left_out(tmp_path: Path) -> None:
    root = unpacked(tmp_path, entry("dev", FOLDER) + entry("dev/console", DEVICE) + END)
    assert list((root / "dev").iterdir()) == []
