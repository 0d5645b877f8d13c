"""A container's file systems: mounted with its ids, seen by nobody else, gone with who sees them."""

import os
import signal
import subprocess
from pathlib import Path

import msgspec
import pytest
from federation.launch import wait_for

from overlayd.adapters.libvirt import controller, plans
from overlayd.adapters.libvirt.controller import AT, attach
from overlayd.adapters.libvirt.plans import Held, Plan, why_no_ids
from overlayd.adapters.libvirt.users import CONTAINER_IDS, UserRange

IDS = UserRange(0x6FF0_0000, CONTAINER_IDS)
LOOK = f"""\
#!/bin/sh
stat -c '%n %u:%g' {AT}/0/mark {AT}/1/mark
stat -f -c %T {AT}/0
touch {AT}/0/more {AT}/1/more
echo x >{AT}/0/null
"""


def devices_of(path: Path) -> list[str]:
    argv = ["losetup", "--noheadings", "--output", "NAME", "--associated", str(path)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


def disk(folder: Path) -> Path:
    """A disk with a file on it that belongs to root, and a device that another host's root has made."""
    made = folder / "disk"
    tree = folder / "tree"
    tree.mkdir()
    (tree / "mark").write_text("here")
    with made.open("wb") as file:
        file.truncate(4 << 20)
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(tree), str(made)]
    subprocess.run(argv, check=True, capture_output=True)
    argv = ["debugfs", "-w", "-R", "mknod null c 1 3", str(made)]
    subprocess.run(argv, check=True, capture_output=True)
    return made


def run(folder: Path, plan: Plan, look: str = LOOK) -> subprocess.CompletedProcess[str]:
    """What a script sees that stands for libvirt's own controller."""
    emulator = folder / "emulator"
    emulator.write_text(look)
    emulator.chmod(0o755)
    (folder / "ovl-1.json").write_bytes(msgspec.json.encode(plan))
    started = folder / "controller"
    started.write_text(plans.script(folder, str(emulator)))
    started.chmod(0o755)
    argv = [str(started), "--name", "ovl-1", "--background"]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_disks_are_mounted_with_the_containers_ids_and_nothing_stays(tmp_path: Path) -> None:
    made = disk(tmp_path)
    held = (Held("disk", str(made), "/"), Held("tree", str(tmp_path / "tree"), "/seed", True))
    done = run(tmp_path, Plan(IDS, held))
    assert done.stdout.splitlines()[:3] == [
        f"{AT}/0/mark {IDS.first}:{IDS.first}",
        f"{AT}/1/mark 0:0",
        "ext2/ext3",
    ], done.stderr
    assert "Read-only file system" in done.stderr, "the seed cannot be changed"
    assert "more" not in os.listdir(tmp_path / "tree")
    assert "null: Permission denied" in done.stderr, "a device on a disk is none"
    assert devices_of(made) == []
    assert str(made) not in Path("/proc/mounts").read_text()
    assert f"{AT} " not in Path("/proc/mounts").read_text()


def test_without_ids_it_is_roots(tmp_path: Path) -> None:
    held = (Held("disk", str(disk(tmp_path)), "/"), Held("tree", str(tmp_path / "tree"), "/seed"))
    assert run(tmp_path, Plan(None, held)).stdout.startswith(f"{AT}/0/mark 0:0\n")


def test_a_disk_that_has_grown_is_used_as_a_whole(tmp_path: Path) -> None:
    """Where root may: the kernel asks for a power (CAP_SYS_RESOURCE) that root lacks in some containers."""
    powers = int(Path("/proc/self/status").read_text().split("CapEff:\t")[1].split()[0], 16)
    made = disk(tmp_path)
    os.truncate(made, 16 << 20)
    for _ in range(2):
        assert "mark" in run(tmp_path, Plan(IDS, (Held("disk", str(made), "/"),))).stdout
    argv = ["dumpe2fs", "-h", str(made)]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    facts = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    size_bytes = int(facts["Block count"]) * int(facts["Block size"])
    assert size_bytes == (16 << 20 if powers & 1 << 24 else 4 << 20)


def test_what_is_no_file_system_is_said(tmp_path: Path) -> None:
    made = tmp_path / "disk"
    made.write_bytes(bytes(1 << 20))
    done = run(tmp_path, Plan(IDS, (Held("disk", str(made), "/"),)))
    assert done.returncode == 1
    assert "ovl-1: its file systems cannot be mounted: " in done.stderr
    assert devices_of(made) == []


FILL = f"""\
#!/bin/sh
echo of-the-image >>{AT}/0/mark
stat -c '%u:%g %a' {AT}/0 {AT}/0/sub
dd if=/dev/zero of={AT}/0/fill bs=64k count=128
cat {AT}/0/mark
rm -r {AT}/0/sub && mkdir {AT}/0/sub && ls -a {AT}/0/sub
mknod {AT}/0/null c 1 3; echo x >{AT}/0/null
ls {AT}
"""


def test_what_is_written_over_an_image_is_in_memory_and_has_an_end(tmp_path: Path) -> None:
    """Who is root in a container fills what it was given, not the disk of its host."""
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True, mode=0o755)
    (tree / "sub" / "deep").write_text("deep")
    (tree / "mark").write_text("here\n")
    tree.chmod(0o751)
    for path in (tree, *tree.rglob("*")):
        os.chown(path, IDS.first, IDS.first)
    before = sorted((path.name, path.lstat().st_size) for path in tree.rglob("*"))
    done = run(tmp_path, Plan(IDS, (Held("tree", str(tree), "/", room_bytes=2 << 20),)), FILL)
    assert "No space left on device" in done.stderr, done.stderr
    assert done.stdout.splitlines() == [
        f"{IDS.first}:{IDS.first} 751",
        f"{IDS.first}:{IDS.first} 755",
        "here",
        "of-the-image",
        ".",
        "..",
        "0",
    ], done.stderr
    assert "null: Permission denied" in done.stderr, "a device in it is none"
    after = sorted((path.name, path.lstat().st_size) for path in tree.rglob("*"))
    assert after == before, "what is on the host's disk stays as it was unpacked"
    assert str(tree) not in Path("/proc/mounts").read_text()


def test_whoever_is_killed_nothing_stays(tmp_path: Path) -> None:
    made = disk(tmp_path)
    (tmp_path / "emulator").write_text(f"#!/bin/sh\necho mounted\nexec sleep 600 <{AT}/0/mark\n")
    (tmp_path / "emulator").chmod(0o755)
    plan = Plan(IDS, (Held("disk", str(made), "/"),))
    (tmp_path / "ovl-1.json").write_bytes(msgspec.json.encode(plan))
    started = tmp_path / "controller"
    started.write_text(plans.script(tmp_path, str(tmp_path / "emulator")))
    started.chmod(0o755)
    with subprocess.Popen([str(started), "--name", "ovl-1"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"mounted\n"
        assert len(devices_of(made)) == 1
        process.kill()
    wait_for(lambda: devices_of(made) == [], 20, "the kernel has undone it")


@pytest.mark.timeout(30)
def test_nobody_waits_for_a_namespace_whose_maker_was_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Killed:
        def unshare(self, _: int) -> int:
            os.kill(os.getpid(), signal.SIGKILL)
            return 0

    monkeypatch.setattr(controller, "_libc", Killed())
    with pytest.raises(OSError, match="whoever made a user namespace was killed"):
        controller._users(IDS.first, IDS.count)


def test_a_device_goes_with_its_last_user(tmp_path: Path) -> None:
    file = tmp_path / "disk"
    file.write_bytes(b"what is in it".ljust(1 << 20, b"\0"))
    first, name = attach(str(file))
    user = os.open(name, os.O_RDWR)
    os.close(first)
    assert devices_of(file) == [name], "somebody still has it"
    with pytest.raises(OSError, match=f"it is in use as {name}"):
        attach(str(file), within_s=0.1)
    os.pwrite(user, b"more", 0)
    os.close(user)
    assert devices_of(file) == []
    assert file.read_bytes()[:13] == b"more is in it"


def test_a_host_that_can_do_it_says_nothing_against_it(tmp_path: Path) -> None:
    assert why_no_ids(tmp_path / "plans", UserRange(IDS.first, 2 * CONTAINER_IDS)) == ""
    assert list((tmp_path / "plans").iterdir()) == []
