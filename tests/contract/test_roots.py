"""The contract of root disks, in memory and as files; then what only real files show."""
# ruff: noqa: ASYNC221, ASYNC240 (a test has its loop for itself, so it may block)

import asyncio
import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from overlayd.adapters.image_content import leaves_of
from overlayd.adapters.images import DirectoryImages
from overlayd.adapters.roots import DirectoryRoots
from overlayd.fakes.roots import FakeRoots
from overlayd.ports.images import DiskFile, ImageError, TreeFile
from overlayd.ports.roots import RootError, Roots
from protocol.image.facts import Firmware, ImageFacts, ImageKind, ImageNotes
from protocol.terms.architecture import Architecture

SIZE = 32 << 20
IMAGE_BYTES = 8 << 20
IMAGE = bytes(range(256)) * (IMAGE_BYTES // 256)


@pytest.fixture
def image(tmp_path: Path) -> DiskFile:
    """A disk image as an image store keeps it."""
    path = tmp_path / "image"
    path.write_bytes(IMAGE)
    path.chmod(0o400)
    return DiskFile(str(path), IMAGE_BYTES, Firmware.BIOS)


@pytest.fixture(params=["fake", "directory"])
def roots(request: pytest.FixtureRequest, tmp_path: Path) -> Roots:
    return FakeRoots() if request.param == "fake" else DirectoryRoots(tmp_path / "roots")


async def test_made_once_and_found(roots: Roots, image: DiskFile) -> None:
    root = await roots.ensure("g.web-1.1", image, SIZE)
    assert await roots.ensure("g.web-1.1", image, SIZE) == root
    assert await roots.ensure("g.web-2.1", image, SIZE) != root
    assert await roots.observe() == {"g.web-1.1": SIZE, "g.web-2.1": SIZE}


async def test_without_a_size_it_is_as_large_as_its_image(roots: Roots, image: DiskFile) -> None:
    await roots.ensure("g.web-1.1", image, 0)
    assert await roots.observe() == {"g.web-1.1": IMAGE_BYTES}


async def test_smaller_than_its_image_is_refused_with_what_would_do(
    roots: Roots, image: DiskFile
) -> None:
    with pytest.raises(RootError, match=r"smaller than its image.*; what works: disk: 8"):
        await roots.ensure("g.web-1.1", image, IMAGE_BYTES - 1)
    assert await roots.observe() == {}


async def test_removed_is_gone_and_removing_again_succeeds(roots: Roots, image: DiskFile) -> None:
    await roots.ensure("g.web-1.1", image, SIZE)
    await roots.remove("g.web-1.1")
    await roots.remove("g.web-1.1")
    assert await roots.observe() == {}


async def test_only_one_that_starts_by_uefi_keeps_variables(roots: Roots, image: DiskFile) -> None:
    assert (await roots.ensure("g.web-1.1", image, SIZE)).variables == ""
    by_uefi = DiskFile(image.path, image.bytes, Firmware.UEFI)
    assert (await roots.ensure("g.web-2.1", by_uefi, SIZE)).variables


@pytest.mark.parametrize("change", ["image", "size"])
async def test_what_was_made_otherwise_is_never_made_anew(
    roots: Roots, image: DiskFile, change: str
) -> None:
    await roots.ensure("g.web-1.1", image, SIZE)
    other = DiskFile("/another", image.bytes, Firmware.BIOS) if change == "image" else image
    with pytest.raises(RootError, match="is not made anew"):
        await roots.ensure("g.web-1.1", other, SIZE if change == "image" else IMAGE_BYTES)
    assert await roots.observe() == {"g.web-1.1": SIZE}


async def test_it_grows_as_far_as_there_is_room(roots: Roots, image: DiskFile) -> None:
    before = await roots.ensure("grid.head-1.1", image, image.bytes)
    for _ in range(2):
        assert await roots.ensure("grid.head-1.1", image, 2 * image.bytes) == before
        assert await roots.observe() == {"grid.head-1.1": 2 * image.bytes}
    with pytest.raises(RootError, match="no room"):
        await roots.ensure("grid.head-1.1", image, 1 << 56)
    assert await roots.observe() == {"grid.head-1.1": 2 * image.bytes}


async def test_no_room_makes_nothing(roots: Roots, image: DiskFile) -> None:
    with pytest.raises(RootError, match="no room"):
        await roots.ensure("g.web-1.1", image, 1 << 50)
    assert await roots.observe() == {}


async def test_what_it_may_grow_by_is_promised(roots: Roots, image: DiskFile) -> None:
    before = await roots.growth_bytes()
    await roots.ensure("g.web-1.1", image, SIZE)
    assert SIZE * 9 // 10 < await roots.growth_bytes() - before <= SIZE


@pytest.mark.parametrize("root", ["../web", "", ".web", "a/b"])
async def test_no_path_is_a_roots_id(roots: Roots, image: DiskFile, root: str) -> None:
    with pytest.raises(RootError, match="not a root disk's id"):
        await roots.ensure(root, image, SIZE)


# What only real files show.


async def test_it_is_a_private_overlay_whose_formats_are_said(
    tmp_path: Path, image: DiskFile
) -> None:
    path = Path((await DirectoryRoots(tmp_path / "roots").ensure("g.web-1.1", image, SIZE)).path)
    argv = ["qemu-img", "info", "-f", "qcow2", "--output=json", path]
    told = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    assert told["virtual-size"] == SIZE
    assert (told["backing-filename"], told["backing-filename-format"]) == (image.path, "raw")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.stat().st_blocks * 512 < 1 << 20
    subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", path], check=True)


async def test_what_is_written_stays_and_the_image_is_as_it_was(
    tmp_path: Path, image: DiskFile
) -> None:
    path = (await DirectoryRoots(tmp_path / "roots").ensure("g.web-1.1", image, SIZE)).path
    qemu_io(path, "write -P 0x5a 1M 64k")
    again = await DirectoryRoots(tmp_path / "roots").ensure("g.web-1.1", image, SIZE)
    assert again.path == path
    qemu_io(path, "read -P 0x5a 1M 64k")
    assert Path(image.path).read_bytes() == IMAGE


async def test_what_is_below_it_is_not_read_in_it_when_it_grows(
    tmp_path: Path, image: DiskFile
) -> None:
    """Whoever broke out of its QEMU may have written another image there."""
    roots = DirectoryRoots(tmp_path / "roots")
    path = (await roots.ensure("g.web-1.1", image, SIZE)).path
    qemu_io(path, "write -P 0x5a 1M 64k")
    lie = ("rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", "/nowhere")
    subprocess.run(["qemu-img", *lie, path], check=True)
    await roots.ensure("g.web-1.1", image, 2 * SIZE)
    truth = ("rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", image.path)
    subprocess.run(["qemu-img", *truth, path], check=True)
    qemu_io(path, "read -P 0x5a 1M 64k")
    qemu_io(path, f"read -P 0 {2 * SIZE - 65536} 64k")


async def test_uefi_begins_with_its_own_variables(tmp_path: Path, image: DiskFile) -> None:
    by_uefi = DiskFile(image.path, image.bytes, Firmware.UEFI)
    roots = DirectoryRoots(tmp_path / "roots")
    one, other = [await roots.ensure(f"g.web-{n}.1", by_uefi, SIZE) for n in (1, 2)]
    Path(one.variables).write_bytes(b"changed")
    assert Path(other.variables).stat().st_size > 1 << 16
    assert (await roots.ensure("g.web-1.1", by_uefi, SIZE)) == one
    assert Path(one.variables).read_bytes() == b"changed"


@pytest.mark.parametrize("half", ["making", "going"])
async def test_a_half_made_one_is_not_used_nor_kept(
    tmp_path: Path, image: DiskFile, half: str
) -> None:
    roots = DirectoryRoots(tmp_path / "roots")
    folder = tmp_path / "roots" / f"g.web-1.1.{half}"
    folder.mkdir()
    (folder / "disk.qcow2").write_bytes(b"half")
    assert await roots.observe() == {}
    await roots.ensure("g.web-1.1", image, SIZE)
    await roots.remove("g.web-1.1")
    folder.mkdir(exist_ok=True)
    assert await DirectoryRoots(tmp_path / "roots").observe() == {}
    assert list((tmp_path / "roots").iterdir()) == []


async def test_a_failing_tool_leaves_nothing(
    tmp_path: Path, image: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    broken = tmp_path / "bin" / "qemu-img"
    broken.write_text("#!/bin/sh\necho the disk is on fire >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:/usr/bin:/bin")
    with pytest.raises(RootError, match="the disk is on fire"):
        await DirectoryRoots(tmp_path / "roots").ensure("g.web-1.1", image, SIZE)
    assert list((tmp_path / "roots").iterdir()) == []


async def test_asked_twice_at_once_is_made_once(tmp_path: Path, image: DiskFile) -> None:
    roots = DirectoryRoots(tmp_path / "roots")
    made = await asyncio.gather(*(roots.ensure("g.web-1.1", image, SIZE) for _ in range(4)))
    assert len(set(made)) == 1
    subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", made[0].path], check=True)


async def test_what_others_are_promised_on_that_disk_is_not_given_to_a_root(
    tmp_path: Path, image: DiskFile
) -> None:
    room = os.statvfs(tmp_path)
    free = room.f_bavail * room.f_frsize
    roots = DirectoryRoots(tmp_path / "roots", beside_bytes=lambda: free - SIZE)
    with pytest.raises(RootError, match="no room"):
        await roots.ensure("g.web-1.1", image, 2 * SIZE)


async def test_an_image_that_a_root_disk_lies_on_is_not_removed(tmp_path: Path) -> None:
    roots = DirectoryRoots(tmp_path / "roots")
    images = DirectoryImages(tmp_path / "images", roots.lying_on)
    (tmp_path / "made").mkdir()
    content = tmp_path / "made" / "content"
    content.write_bytes(IMAGE)
    facts = ImageFacts(ImageKind.DISK, IMAGE_BYTES, Architecture.X86_64, Firmware.BIOS)
    leaves = b"".join(leaves_of(content))
    digest = (await images.keep_disk(content.parent, facts, ImageNotes(), leaves, "one")).digest
    base = await images.files(digest)
    assert isinstance(base, DiskFile)
    await roots.ensure("g.web-1.1", base, SIZE)
    with pytest.raises(ImageError, match=r"root disks on this host lie on .*: g.web-1.1$"):
        await images.remove(digest)
    await roots.remove("g.web-1.1")
    await images.remove(digest)
    assert await images.list() == ()


def qemu_io(path: str, command: str) -> None:
    """Reads or writes as a guest would; a pattern that is not there is an error."""
    argv = ["qemu-io", "-f", "qcow2", "-c", command, path]
    told = subprocess.run(argv, capture_output=True, check=True, text=True).stdout
    assert "Pattern verification failed" not in told, told


@pytest.fixture
def tree(tmp_path: Path) -> TreeFile:
    """A tiny root file system."""
    (tmp_path / "tree" / "sbin").mkdir(parents=True)
    (tmp_path / "tree" / "sbin" / "init").write_bytes(b"x" * 100_000)
    return TreeFile(str(tmp_path / "tree"))


async def test_a_containers_root_is_a_copy_of_its_image_of_that_size(
    tmp_path: Path, tree: TreeFile
) -> None:
    roots = DirectoryRoots(tmp_path / "roots")
    root = await roots.ensure("g.web-1.1", tree, 16 << 20)
    assert Path(root.path).stat().st_size == 16 << 20
    listed = subprocess.run(
        ["debugfs", "-R", "ls -l /sbin", root.path], capture_output=True, text=True, check=True
    )
    assert "100000" in listed.stdout
    assert (await roots.ensure("g.web-1.1", tree, 16 << 20)) == root, "it is made once"
    assert await roots.observe() == {"g.web-1.1": 16 << 20}
    assert (await roots.ensure("g.web-1.1", tree, 32 << 20)) == root
    assert Path(root.path).stat().st_size == 32 << 20


async def test_a_tree_that_does_not_fit_leaves_nothing(tmp_path: Path, tree: TreeFile) -> None:
    (Path(tree.path) / "large").write_bytes(b"x" * (20 << 20))
    roots = DirectoryRoots(tmp_path / "roots")
    with pytest.raises(RootError, match="cannot be made"):
        await roots.ensure("g.web-1.1", tree, 16 << 20)
    assert await roots.observe() == {}


@pytest.mark.parametrize("real", [False, True])
async def test_a_tree_says_not_how_large_its_root_is(
    tmp_path: Path, tree: TreeFile, real: bool
) -> None:
    roots: Roots = DirectoryRoots(tmp_path / "roots") if real else FakeRoots()
    with pytest.raises(RootError):
        await roots.ensure("g.web-1.1", tree, 0)
    assert (await roots.ensure("g.web-1.1", tree, 16 << 20)).path.endswith("root.ext4")
