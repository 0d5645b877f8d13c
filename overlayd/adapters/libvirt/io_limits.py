"""The rate of a container's disks: `io.max` of its control group, for each of its loop devices. Blocking.

Control groups of version 2 count what is written later, from the host's page cache, on the account of who wrote
it, and a loop device is where that is counted whole. Those of version 1 count it on nobody's: there a container
cannot be held to a rate. The kernel counts reads and writes apart, and each device for itself. So a container
may read, and write, as much as its rate on each of its disks, where a virtual machine has it for all together.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from overlayd.adapters.libvirt.controller import AT
from overlayd.ports.compute import NO_DISK_RATE, DiskRate

PROC: Final = Path("/proc")
GROUPS: Final = Path("/sys/fs/cgroup")
MIXED: Final = DiskRate(-1, -1)
"""A rate that nobody asks for."""
_NONE: Final = "max"
_KEYS: Final = (("rbps", "wbps"), ("riops", "wiops"))
"""The kernel's names for the two directions, of bytes and of operations a second."""


def why_not(proc: Path = PROC, groups: Path = GROUPS) -> str:
    """Why containers cannot be held to a rate of their disks here, for people; empty if they can."""
    if not (groups / "cgroup.controllers").exists():
        return (
            "its control groups are of version 1, which do not count what a container's disks write later; "
            "boot it with systemd.unified_cgroup_hierarchy=1"
        )
    own = _group(os.getpid(), proc, groups)
    try:
        has = (own / "cgroup.controllers").read_text().split() if own is not None else []
    except OSError:
        has = []
    if "io" in has:
        return ""
    return "overlayd's control group has no `io`; Delegate=yes in its unit, or an older kernel's io, gives it"


def seen(keeper: int, proc: Path = PROC, groups: Path = GROUPS) -> DiskRate:
    """What a container's disks are held to, by the process that keeps it; MIXED if not all are to the same."""
    devices, limits = _devices(keeper, proc), {}
    group = _group(keeper, proc, groups)
    if group is not None:
        with contextlib.suppress(OSError):
            for line in (group / "io.max").read_text().splitlines():
                device, *pairs = line.split()
                limits[device] = dict(pair.split("=", 1) for pair in pairs)
    found = {_rate(limits.get(device, {})) for device in devices}
    return found.pop() if len(found) == 1 else MIXED if found else NO_DISK_RATE


def hold(keeper: int, rate: DiskRate, proc: Path = PROC, groups: Path = GROUPS) -> str:
    """Holds a container's disks to that, from now on. Answers why that is not done; empty if it is."""
    group = _group(keeper, proc, groups)
    amounts = (rate.bytes_s, rate.operations_s)
    said = " ".join(
        f"{key}={amount or _NONE}"
        for keys, amount in zip(_KEYS, amounts, strict=True)
        for key in keys
    )
    try:
        if group is None:
            raise FileNotFoundError("control groups are not of version 2")
        for device in _devices(keeper, proc):
            (group / "io.max").write_text(f"{device} {said}\n")
    except OSError as error:
        return "" if rate == NO_DISK_RATE else f"its disks cannot be held to their rate: {error}"
    return ""


def _rate(limits: dict[str, str]) -> DiskRate:
    pairs = [tuple(limits.get(key, _NONE) for key in keys) for keys in _KEYS]
    if any(one != other for one, other in pairs):
        return MIXED
    return DiskRate(*(0 if one == _NONE else int(one) for one, _ in pairs))


def _devices(keeper: int, proc: Path) -> Iterator[str]:
    """The loop devices of a container's disks, as MAJOR:MINOR: what was mounted for it, and by its keeper."""
    for line in (proc / str(keeper) / "mountinfo").read_text().splitlines():
        words = line.split()
        if words[4].startswith(f"{AT}/") and words[words.index("-") + 2].startswith("/dev/loop"):
            yield words[2]


def _group(pid: int, proc: Path, groups: Path) -> Path | None:
    """The control group of a process; None if they are of version 1."""
    if not (groups / "cgroup.controllers").exists():
        return None
    for line in (proc / str(pid) / "cgroup").read_text().splitlines():
        number, _, group = line.split(":", 2)
        if number == "0":
            return groups / group.strip("/")
    return None
