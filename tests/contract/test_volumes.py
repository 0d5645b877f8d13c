"""The contract of volumes, in memory and as files; then what only a real disk shows."""
# ruff: noqa: ASYNC221, ASYNC230, ASYNC240 (a test has its loop for itself, so it may block)

import asyncio
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from overlayd.adapters.volumes import DirectoryVolumes
from overlayd.fakes.volumes import FakeVolumes
from overlayd.ports.volumes import VolumeError, Volumes
from overlayd.realise.paths import is_scratch, scratch_name, volume_name
from protocol.terms.ids import GridId

SIZE = 32 << 20


@pytest.fixture(params=["fake", "directory"])
def volumes(request: pytest.FixtureRequest, tmp_path: Path) -> Volumes:
    return FakeVolumes() if request.param == "fake" else DirectoryVolumes(tmp_path / "volumes")


async def test_made_once_and_found(volumes: Volumes) -> None:
    path = await volumes.ensure("home-1", SIZE, "home")
    assert await volumes.ensure("home-1", SIZE, "home") == path
    assert await volumes.ensure("home-2", SIZE, "home") != path
    assert list(await volumes.observe()) == ["home-1", "home-2"]


async def test_a_workspaces_own_disk_is_beside_the_volumes_of_its_grid(volumes: Volumes) -> None:
    grid = GridId("0123456789abcdef0123.1-abcdef")
    volume, own = volume_name(grid, "scratch"), scratch_name(grid, "scratch-1")
    assert await volumes.ensure(volume, SIZE, "scratch") != await volumes.ensure(
        own, 2 * SIZE, "scratch"
    )
    here = await volumes.observe()
    assert here == {volume: SIZE, own: 2 * SIZE}
    assert [is_scratch(disk) for disk in here] == [False, True]
    await volumes.remove(own)
    assert await volumes.observe() == {volume: SIZE}


async def test_removed_is_gone_and_removing_again_succeeds(volumes: Volumes) -> None:
    await volumes.ensure("home", SIZE, "home")
    await volumes.remove("home")
    await volumes.remove("home")
    assert await volumes.observe() == {}


async def test_promised_room_is_not_promised_twice(volumes: Volumes) -> None:
    half = await volumes.free_bytes() * 2 // 3
    await volumes.ensure("one", half, "one")
    assert await volumes.free_bytes() < half
    with pytest.raises(VolumeError, match="no room"):
        await volumes.ensure("two", half, "two")
    assert await volumes.observe() == {"one": half}


async def test_it_grows_as_far_as_there_is_room_and_never_shrinks(volumes: Volumes) -> None:
    path = await volumes.ensure("home", SIZE, "home")
    for _ in range(2):
        assert await volumes.ensure("home", 2 * SIZE, "home") == path
    with pytest.raises(VolumeError, match=str(2 * SIZE)):
        await volumes.ensure("home", SIZE, "home")
    with pytest.raises(VolumeError, match="no room"):
        await volumes.ensure("home", await volumes.free_bytes() + 3 * SIZE, "home")
    assert await volumes.observe() == {"home": 2 * SIZE}


@pytest.mark.parametrize(
    ("volume", "size", "label", "words"),
    [
        ("home", 1000, "home", "too small"),
        ("home", SIZE, "a label far too long", "labelled"),
        ("home", SIZE, "", "labelled"),
        ("home", SIZE, "a b", "labelled"),
        ("../home", SIZE, "home", "not a volume's id"),
        ("", SIZE, "home", "not a volume's id"),
    ],
)
async def test_impossible_wishes_make_nothing(
    volumes: Volumes, volume: str, size: int, label: str, words: str
) -> None:
    with pytest.raises(VolumeError, match=words):
        await volumes.ensure(volume, size, label)
    assert await volumes.observe() == {}


# What only a real disk shows.


async def test_it_is_a_sparse_private_labelled_ext4(tmp_path: Path) -> None:
    volumes = DirectoryVolumes(tmp_path / "volumes")
    path = Path(await volumes.ensure("home", 1 << 30, "data"))
    status = path.stat()
    assert status.st_size == 1 << 30
    assert status.st_blocks * 512 < 1 << 27
    assert stat.S_IMODE(status.st_mode) == 0o600
    told = subprocess.run(["blkid", "-p", "-o", "export", path], capture_output=True, check=True)
    assert {"LABEL=data", "TYPE=ext4"} <= set(told.stdout.decode().split())
    subprocess.run(["e2fsck", "-fn", path], capture_output=True, check=True)


async def test_never_formatted_again(tmp_path: Path) -> None:
    path = Path(await DirectoryVolumes(tmp_path / "volumes").ensure("home", SIZE, "home"))
    with path.open("r+b") as disk:
        disk.seek(SIZE - 512)
        disk.write(b"precious")
    before = path.read_bytes()
    assert await DirectoryVolumes(tmp_path / "volumes").ensure("home", SIZE, "home") == str(path)
    assert path.read_bytes() == before
    await DirectoryVolumes(tmp_path / "volumes").ensure("home", 2 * SIZE, "home")
    assert path.read_bytes() == before + bytes(SIZE), "nor when it grows"


async def test_a_half_made_one_is_not_used_nor_kept(tmp_path: Path) -> None:
    volumes = DirectoryVolumes(tmp_path / "volumes")
    for name in ("home", "other"):
        (tmp_path / "volumes" / f"{name}.making").write_bytes(b"half")
    assert await volumes.observe() == {}
    volumes = DirectoryVolumes(tmp_path / "volumes")
    path = await volumes.ensure("home", SIZE, "home")
    subprocess.run(["e2fsck", "-fn", path], capture_output=True, check=True)
    assert [entry.name for entry in (tmp_path / "volumes").iterdir()] == ["home.raw"]


async def test_a_failing_mkfs_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    broken = tmp_path / "bin" / "mkfs.ext4"
    broken.write_text("#!/bin/sh\necho the disk is on fire >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:/usr/bin:/bin")
    assert shutil.which("mkfs.ext4") == str(broken)
    with pytest.raises(VolumeError, match="the disk is on fire"):
        await DirectoryVolumes(tmp_path / "volumes").ensure("home", SIZE, "home")
    assert list((tmp_path / "volumes").iterdir()) == []


async def test_asked_twice_at_once_is_made_once(tmp_path: Path) -> None:
    volumes = DirectoryVolumes(tmp_path / "volumes")
    paths = await asyncio.gather(*(volumes.ensure("home", SIZE, "home") for _ in range(4)))
    assert len(set(paths)) == 1
    subprocess.run(["e2fsck", "-fn", paths[0]], capture_output=True, check=True)
