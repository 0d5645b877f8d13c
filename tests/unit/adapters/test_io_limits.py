"""What a container's disks are held to: read from, and written to, files as the kernel has them."""

import os
from pathlib import Path

import pytest

from overlayd.adapters.libvirt import io_limits
from overlayd.adapters.libvirt.controller import AT, guard_limits
from overlayd.ports.compute import NO_DISK_RATE, DiskRate

KEEPER = 7
MOUNTS = f"""\
21 1 8:1 / / rw - ext4 /dev/sda1 rw
40 21 0:50 / {AT} rw - tmpfs overlayd rw
41 40 7:0 / {AT}/0 rw,nodev - ext4 /dev/loop0 rw
42 40 7:3 / {AT}/1 rw,nodev master:9 - ext4 /dev/loop3 rw
43 40 8:1 /seed {AT}/2 ro - ext4 /dev/sda1 rw
44 21 7:9 / /snap/other ro - squashfs /dev/loop9 ro
"""


class Kernel:
    """Files of one container, and of the group that this process is in."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.groups = folder / "proc", folder / "groups"
        self.group = self.groups / "machine" / "lxc-7-box.libvirt-lxc"
        self.group.mkdir(parents=True)
        for pid, place in ((KEEPER, "/machine/lxc-7-box.libvirt-lxc"), (os.getpid(), "/init")):
            (self.proc / str(pid)).mkdir(parents=True)
            (self.proc / str(pid) / "cgroup").write_text(f"4:cpu:/elsewhere\n0::{place}\n")
        (self.groups / "init").mkdir()
        (self.groups / "init" / "cgroup.controllers").write_text("cpu memory pids\n")
        (self.groups / "cgroup.controllers").write_text("cpu io memory pids\n")
        (self.proc / str(KEEPER) / "mountinfo").write_text(MOUNTS)
        self.limits = self.group / "io.max"
        self.limits.write_text("")

    def seen(self) -> DiskRate:
        return io_limits.seen(KEEPER, self.proc, self.groups)

    def hold(self, rate: DiskRate) -> str:
        return io_limits.hold(KEEPER, rate, self.proc, self.groups)

    def why_not(self) -> str:
        return io_limits.why_not(self.proc, self.groups)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def both(said: str) -> str:
    return f"7:0 {said}\n7:3 {said}\n"


@pytest.mark.parametrize(
    ("limits", "rate"),
    [
        ("", NO_DISK_RATE),
        (both("rbps=2048 wbps=2048 riops=max wiops=max"), DiskRate(2048)),
        (both("rbps=max wbps=max riops=9 wiops=9"), DiskRate(0, 9)),
        (both("rbps=1 wbps=1 riops=9 wiops=9") + "8:1 rbps=5 wbps=max", DiskRate(1, 9)),
        (both("rbps=2048 wbps=max riops=max wiops=max"), io_limits.MIXED),
        ("7:0 rbps=2048 wbps=2048 riops=max wiops=max\n", io_limits.MIXED),
    ],
)
def test_a_rate_is_one_if_all_its_disks_have_it_both_ways(
    kernel: Kernel, limits: str, rate: DiskRate
) -> None:
    kernel.limits.write_text(limits)
    assert kernel.seen() == rate


def test_each_disk_of_its_own_is_held_and_no_device_of_others(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []  # the kernel keeps a line for each device; a file would keep the last
    monkeypatch.setattr(Path, "write_text", lambda _, text: said.append(text))
    assert kernel.hold(DiskRate(50 << 20, 500)) == ""
    assert kernel.hold(DiskRate(50 << 20)) == ""
    first = "rbps=52428800 wbps=52428800 riops=500 wiops=500\n"
    then = "rbps=52428800 wbps=52428800 riops=max wiops=max\n"
    assert said == [f"7:0 {first}", f"7:3 {first}", f"7:0 {then}", f"7:3 {then}"]


def test_what_stops_it_is_said_unless_nothing_is_to_be_held(kernel: Kernel) -> None:
    kernel.limits.unlink()
    kernel.group.rmdir()
    assert "cannot be held to their rate: [Errno 2]" in kernel.hold(DiskRate(1 << 20))
    assert kernel.hold(NO_DISK_RATE) == ""
    (kernel.groups / "cgroup.controllers").unlink()
    assert "not of version 2" in kernel.hold(DiskRate(1 << 20))
    assert kernel.seen() == NO_DISK_RATE


def test_why_a_host_cannot_is_said(kernel: Kernel) -> None:
    assert "has no `io`; Delegate=yes" in kernel.why_not()
    (kernel.groups / "init" / "cgroup.controllers").write_text("cpu io memory\n")
    assert kernel.why_not() == ""
    (kernel.groups / "cgroup.controllers").unlink()
    assert kernel.why_not().startswith("its control groups are of version 1")


def test_a_containers_root_keeps_of_its_group_what_it_makes_others_with(kernel: Kernel) -> None:
    first = 0x6FF0_0000
    nested = kernel.group / "init.scope"
    nested.mkdir()
    delegated = ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control")
    for name in (*delegated, "cpu.max", "memory.max"):
        (kernel.group / name).touch()
    for path in (*kernel.group.iterdir(), kernel.group):
        os.chown(path, first, first)
    assert guard_limits(KEEPER, first, str(kernel.proc), str(kernel.groups))
    its = {path.name for path in kernel.group.iterdir() if path.stat().st_uid == first}
    assert its == {*delegated, nested.name}
    assert kernel.group.stat().st_uid == first


def test_one_that_has_ended_is_not_waited_for(kernel: Kernel) -> None:
    assert not guard_limits(KEEPER + 1, 1, str(kernel.proc), str(kernel.groups))
