"""What is remembered on disk: one directory per network, in the run directory given by the caller.

`plan.json` is written before anything is changed, and names every tap that may exist. So a later process
that knows nothing else can take the network down. Files change by rename. They are not synced, because what
they describe does not survive a power cut either.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from netns.model import NetworkPlan, is_network_id

T = TypeVar("T")


NO_SLOT = -1


class SavedPlan(msgspec.Struct, frozen=True):
    """The plan last asked for, and all taps that may still exist, those of earlier plans among them.

    `slot` is the network's way out among those of this host; NO_SLOT if it has none. `in_force` names the boot
    of the host in which the plan was brought about whole; empty before that.
    """

    plan: NetworkPlan
    taps: tuple[str, ...]
    in_force: str = ""
    slot: int = NO_SLOT


def directory_of(run_dir: Path, network: str) -> Path:
    """Where a network's files are. Raises ValueError for an id that could lead anywhere else."""
    if not is_network_id(network):
        raise ValueError(f"{network!r} is not the id of a network")
    return run_dir / network


def networks(run_dir: Path) -> list[str]:
    """Networks that have a directory, sorted."""
    if not run_dir.is_dir():
        return []
    names = (entry.name for entry in run_dir.iterdir() if entry.is_dir())
    return sorted(name for name in names if is_network_id(name))


def load_plan(directory: Path) -> SavedPlan | None:
    return read(directory / "plan.json", SavedPlan)


def sealed_plans(run_dir: Path) -> tuple[NetworkPlan, ...]:
    """Plans of the sealed networks that are here, or on their way, sorted."""
    return tuple(plan for plan in _plans(run_dir) if plan.sealed)


def wireguard_plans(run_dir: Path) -> tuple[NetworkPlan, ...]:
    """Plans of the networks that are here, or on their way, and cross hosts by WireGuard, sorted."""
    return tuple(plan for plan in _plans(run_dir) if plan.wireguard is not None)


def _plans(run_dir: Path) -> Iterator[NetworkPlan]:
    for name in networks(run_dir):
        if (state := load_plan(directory_of(run_dir, name))) is not None:
            yield state.plan


def save_plan(directory: Path, state: SavedPlan) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write(directory / "plan.json", state)


def forget(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)


def boot_id() -> str:
    """What the kernel calls this boot of the host."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def read(path: Path, kind: type[T]) -> T | None:
    """The struct in the file; None when the file is missing or not one of ours."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write(path: Path, state: msgspec.Struct) -> None:
    write_text(path, msgspec.json.encode(state).decode())


def write_text(path: Path, text: str, gid: int = 0) -> None:
    """Replaces the file, whole or not at all. Besides root only that group reads it."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    os.chown(fresh, -1, gid)
    fresh.chmod(0o640 if gid else 0o600)
    fresh.rename(path)


@contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Holds the run directory: one at a time, over processes and threads. It leaves no file behind."""
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
