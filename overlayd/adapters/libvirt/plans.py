"""What each container is started with: its ids on this host, and the file systems that it holds.

    DIR/<machine>.json      written anew for each start; its ids are the machine's for as long as it is wanted
    DIR/controller          what libvirt starts instead of its own controller (`controller.py`)

A container's ids are a range of the host's that nobody else has. Its root is the first of them, and on the host
it is nobody.
"""

import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from overlayd.adapters.libvirt import controller
from overlayd.adapters.libvirt.confinement import is_mapped
from overlayd.adapters.libvirt.users import CONTAINER_IDS, UserRange, slots_of
from overlayd.ports.compute import ComputeError, ContainerBoot, Machine

SEED_PATH = "/var/lib/cloud/seed/nocloud"
"""Where cloud-init looks for a seed in a container."""

EMULATOR = "/usr/lib/libvirt/libvirt_lxc"
"""libvirt's own controller."""

_MACHINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MAKING = ".making"
_TRIED = "overlayd-try"
_TRY_WITHIN_S = 30.0
_TRY_BYTES = 1 << 20


class Held(msgspec.Struct, frozen=True):
    """A file system of a container."""

    kind: Literal["disk", "tree"]
    """A file with a file system (ext4), or a folder."""
    source: str
    target: str
    """Where the container has it."""
    read_only: bool = False
    room_bytes: int = 0
    """Of a folder: how much may be written over it, which is in memory and goes with the container. 0: it is
    written itself."""


class Plan(msgspec.Struct, frozen=True):
    """What the controller reads."""

    ids: UserRange | None
    held: tuple[Held, ...]


def container_root(machine: Machine) -> str:
    """The folder of a container's own that is made at its start, beside its console log: its root file system,
    unpacked, or only its seed if it has a root of its own."""
    return root_beside(machine.console_log, machine.name)


def root_beside(console_log: str, name: str) -> str:
    """The same, of a machine of that name with that console log."""
    return console_log.rpartition("/")[0] + f"/{name}.root"


def held_by(machine: Machine) -> tuple[Held, ...]:
    """The file systems of a container, its root first."""
    folder = container_root(machine)
    disks = tuple(Held("disk", disk.path, disk.mount) for disk in machine.disks)
    if isinstance(machine.boots, ContainerBoot):
        root = Held("disk", machine.boots.root, "/")
        return (root, Held("tree", folder, SEED_PATH, read_only=True), *disks)
    # As a kernel does with an initramfs: what is written is in memory, in half of it at most.
    return (Held("tree", folder, "/", room_bytes=max(1, machine.memory_bytes // 2)), *disks)


class Containers:
    """The plans of one daemon's containers. Calls block."""

    def __init__(
        self, directory: Path, range_: UserRange | None, proc: Path = Path("/proc")
    ) -> None:
        """Without a range, root in a container is root on this host."""
        self._directory, self._range, self._proc = directory, range_, proc
        self._turn = threading.Lock()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)

    def script(self, emulator: str = EMULATOR) -> str:
        """What libvirt starts instead of that emulator."""
        return script(self._directory, emulator)

    def install(self) -> str:
        """Where that script is, for a libvirtd that has its own emulator in the usual place."""
        path = self._directory / "controller"
        making = path.with_suffix(_MAKING)
        making.write_text(self.script())
        making.chmod(0o755)
        making.replace(path)  # libvirt may start a container meanwhile
        return str(path)

    def prepare(self, machine: Machine) -> UserRange | None:
        """Writes the plan of a machine's next start. Answers its ids: what it has, or free ones.

        What it has is no good any more if another daemon gave it away while nobody had it.

        Raises ComputeError if none are left, or it cannot be written.
        """
        with self._turn:
            taken = self.taken()
            ids = self._range and (
                self._kept(machine.name, taken) or self._free(machine.name, taken)
            )
            try:
                _write(self._directory, machine.name, Plan(ids, held_by(machine)))
            except OSError as error:
                raise ComputeError(
                    f"{machine.name} cannot be started: its plan: {error}"
                ) from error
        return ids

    def forget(self, name: str) -> None:
        """Lets go of a machine's ids; it is no error if there is none."""
        path = _path(self._directory, name)
        with self._turn:
            for file in (path, path.with_suffix(_MAKING)):
                file.unlink(missing_ok=True)

    def trees(self, name: str) -> tuple[str, ...]:
        """The folders that were made for a machine's starts, whether they are there or not."""
        plan = _read(_path(self._directory, name))
        return tuple(held.source for held in plan.held if held.kind == "tree") if plan else ()

    def taken(self) -> dict[str, UserRange]:
        """The ids of each machine that has some."""
        found = {}
        for path in self._directory.glob("*.json"):
            plan = _read(path)
            if plan is not None and plan.ids is not None:
                found[path.stem] = plan.ids
        return found

    def _kept(self, machine: str, taken: dict[str, UserRange]) -> UserRange | None:
        """A machine's ids, unless others have them now. Nothing on its disks depends on them."""
        ids = taken.get(machine)
        met = ids is not None and any(ids.meets(other) for other in mapped_by_others(self._proc))
        return None if met else ids

    def _free(self, machine: str, taken: dict[str, UserRange]) -> UserRange:
        assert self._range is not None
        others = [*taken.values(), *mapped_by_others(self._proc)]
        for ids in slots_of(self._range, machine):
            if not any(ids.meets(other) for other in others):
                return ids
        raise ComputeError(
            f"{machine} has no user ids to run with: those from {self._range.first} to {self._range.last} "
            f"are taken, {CONTAINER_IDS} for each container; give this host more of them"
        )


def script(plans: Path, emulator: str) -> str:
    """A program with which a container is started by a plan."""
    return f'#!/bin/sh\n# Written by overlayd.\nexec {shlex.join(_argv(plans, emulator))} "$@"\n'


def why_no_ids(directory: Path, range_: UserRange, proc: Path = Path("/proc")) -> str:
    """Why containers cannot have ids of their own here; empty if they can. It tries it, without libvirt.

    Also empty if it could not be tried, as on a full disk: that passes, and nobody is made root for it. A
    container that cannot be mounted then is not started, and says why.
    """
    if range_.count < 2 * CONTAINER_IDS:
        return f"{range_.count} user ids are too few: each container needs {CONTAINER_IDS}"
    if not is_mapped(range_, (proc / "self" / "uid_map").read_text()):
        return f"this host has no user ids {range_.first} to {range_.last}"
    most = proc / "sys" / "user" / "max_user_namespaces"
    if not most.exists() or int(most.read_text()) == 0:
        return f"this host makes no user namespaces; write 16384 to {most}"
    try:
        return _tried(directory, UserRange(range_.first, CONTAINER_IDS))
    except (OSError, subprocess.SubprocessError):
        return ""


def mapped_by_others(proc: Path) -> Collection[UserRange]:
    """The ids that user namespaces of this host have now, whoever made them."""
    found = set()
    for path in proc.glob("[0-9]*/uid_map"):
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue  # It has ended.
        for line in lines:
            _, first, count = (int(word) for word in line.split())
            if first:
                found.add(UserRange(first, count))
    return found


def _tried(directory: Path, ids: UserRange) -> str:
    """What stops a disk of nothing from being mounted with these ids; empty if nothing does."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    disk = directory / "try.ext4"
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", str(disk)]
    try:
        disk.write_bytes(b"")
        os.truncate(disk, _TRY_BYTES)
        subprocess.run(argv, check=True, capture_output=True, timeout=_TRY_WITHIN_S)
        _write(directory, _TRIED, Plan(ids, (Held("disk", str(disk), "/"),)))
        argv = [*_argv(directory, "/bin/true"), "--name", _TRIED]
        done = subprocess.run(
            argv, check=False, capture_output=True, text=True, timeout=_TRY_WITHIN_S
        )
        return done.stderr.strip()[-300:] if done.returncode else ""
    finally:
        disk.unlink(missing_ok=True)
        _path(directory, _TRIED).unlink(missing_ok=True)


def _argv(plans: Path, emulator: str) -> Iterator[str]:
    # Without site packages and away from any virtual environment: it begins the sooner, and needs none of them.
    python = os.path.realpath(sys.executable)
    yield from (python, "-I", "-S", str(Path(controller.__file__).resolve()), str(plans), emulator)


def _path(directory: Path, name: str) -> Path:
    if not _MACHINE.fullmatch(name):
        raise ComputeError(f"{name[:150]!r} is not a machine's name")
    return directory / f"{name}.json"


def _write(directory: Path, name: str, plan: Plan) -> None:
    path = _path(directory, name)
    making = path.with_suffix(_MAKING)
    making.write_bytes(msgspec.json.encode(plan))
    making.rename(path)


def _read(path: Path) -> Plan | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
