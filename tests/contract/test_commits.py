"""An image made of a root disk is what its guest saw, and its id is that of the same disk brought."""
# ruff: noqa: ASYNC220, ASYNC221, ASYNC240 (a test has its loop for itself, so it may block)

import os
import random
import subprocess
from pathlib import Path

import pytest

from overlayd.adapters.commits import DirectoryCommits
from overlayd.adapters.image_content import leaves_of
from overlayd.adapters.roots import DirectoryRoots
from overlayd.ports.commits import CommitError, CommitWatch, Draft
from overlayd.ports.images import DiskFile
from protocol.image.commit import CommitStage
from protocol.image.facts import Firmware

MIB = 1 << 20
ROOT = "g.web-1.1"
IMAGE_BYTES = 5 * MIB + 512 * 7
"""Its last chunk is not a whole one."""


class Disks:
    """An image, a root disk on it, and a place for drafts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        image = folder / "image"
        content = bytearray(random.Random(4).randbytes(IMAGE_BYTES))
        content[2 * MIB : 3 * MIB] = bytes(MIB)
        image.write_bytes(content)
        self.base = DiskFile(str(image), IMAGE_BYTES, Firmware.BIOS)
        image.with_name("leaves").write_bytes(b"".join(leaves_of(image)))
        self.roots = DirectoryRoots(folder / "roots")
        self.commits = DirectoryCommits(folder / "commits", folder / "roots")
        self.watch = CommitWatch()

    async def make(self, size_bytes: int, *writes: str) -> str:
        path = (await self.roots.ensure(ROOT, self.base, size_bytes)).path
        for command in writes:
            subprocess.run(["qemu-io", "-f", "qcow2", "-c", command, path], check=True)
        return path

    async def commit(self, within_s: float | None = None) -> tuple[Draft, bytes]:
        draft = await self.commits.begin(ROOT, self.base, self.watch)
        draft = await self.commits.fill(draft, ROOT, within_s, self.watch)
        return draft, await self.commits.leaves(draft, self.base, self.watch)


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    return Disks(tmp_path)


SIZES = {"as large as its image": 0, "larger, and not by whole chunks": 9 * MIB + 512}
WRITES = {
    "nothing": [],
    "one sector": ["write -P 0x5a 1M 512"],
    "across chunks": ["write -P 0x5a 900k 300k"],
    "what was a hole": ["write -P 0x5a 2M 1M"],
    "zeros over data": ["write -z 1M 128k", "write -P 0 3M 1M"],
    "discarded": ["write -P 0x5a 1M 1M", "discard 1M 1M"],
    "the last sectors of the image": [f"write -P 0x5a {IMAGE_BYTES - 1024} 1024"],
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("writes", WRITES)
async def test_it_is_what_the_guest_saw(disks: Disks, writes: str, size: str) -> None:
    path = await disks.make(SIZES[size], *WRITES[writes])
    draft, leaves = await disks.commit()
    seen = disks.folder / "seen"
    argv = ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, str(seen)]
    subprocess.run(argv, check=True)
    assert (draft.folder / "content").read_bytes() == seen.read_bytes()
    assert leaves == b"".join(leaves_of(seen)), "its leaves are those of the same disk brought"
    assert draft.size_bytes == seen.stat().st_size


async def test_only_what_was_written_is_hashed(disks: Disks) -> None:
    await disks.make(0, "write -P 0x5a 3M 512")
    await disks.commit()
    assert (disks.watch.stage, disks.watch.total_bytes) == (CommitStage.HASH, MIB)


async def test_beyond_its_image_only_what_was_written_takes_room(disks: Disks) -> None:
    await disks.make(1 << 30, "write -P 0x5a 512M 64k")
    draft, _ = await disks.commit()
    content = draft.folder / "content"
    assert content.stat().st_size == 1 << 30
    assert content.stat().st_blocks * 512 < 8 * MIB


async def test_the_disk_and_its_image_are_as_they_were(disks: Disks) -> None:
    path = Path(await disks.make(0, "write -P 0x5a 1M 1M"))
    before = path.read_bytes(), Path(disks.base.path).read_bytes()
    await disks.commit()
    assert (path.read_bytes(), Path(disks.base.path).read_bytes()) == before


async def test_a_disk_that_a_process_has_open_is_read_too(disks: Disks) -> None:
    path = await disks.make(0, "write -P 0x5a 1M 64k")
    argv = ["qemu-io", "-f", "qcow2", path]
    holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.write(b"read 0 512\n")
    holder.stdin.flush()
    holder.stdout.readline()
    draft, _ = await disks.commit()
    holder.communicate(b"quit\n")
    content = (draft.folder / "content").read_bytes()
    assert content[MIB : MIB + 65536] == b"\x5a" * 65536


async def test_a_guest_is_not_held_for_longer_than_was_said(disks: Disks) -> None:
    await disks.make(0, "write -P 0x5a 1M 64k")
    with pytest.raises(CommitError, match="stand still"):
        await disks.commit(within_s=-1)


async def test_what_nobody_waits_for_ends(disks: Disks) -> None:
    await disks.make(0)
    disks.watch.stop()
    with pytest.raises(CommitError, match="stopped"):
        await disks.commit()
    assert list((disks.folder / "commits").iterdir()) == []


async def test_a_root_disk_that_is_not_there_is_told(disks: Disks) -> None:
    with pytest.raises(CommitError, match="cannot be read"):
        await disks.commit()
    assert list((disks.folder / "commits").iterdir()) == []


async def test_what_a_death_left_is_removed_and_who_stood_still_is_known(disks: Disks) -> None:
    await disks.make(0)
    draft, _ = await disks.commit()
    await disks.commits.mark("ovl-1")
    again = DirectoryCommits(disks.folder / "commits", disks.folder / "roots")
    assert not draft.folder.exists()
    assert await again.marked() == ("ovl-1",)
    await again.unmark("ovl-1")
    await again.unmark("ovl-1")
    assert await again.marked() == ()


async def test_a_draft_is_discarded_once_and_again(disks: Disks) -> None:
    await disks.make(0)
    draft, _ = await disks.commit()
    await disks.commits.discard(draft)
    await disks.commits.discard(draft)
    assert os.listdir(disks.folder / "commits") == []
