"""How confined guests are on this host: what stops it, and what was seen of one that was tried.

Words are told of what the kernel says of a guest's process, not of what was configured.
"""

import os
import subprocess
import time
from pathlib import Path

from netns.program import has_users
from overlayd.adapters.libvirt.users import UserRange

_MODELS = ("apparmor", "selinux")
"""libvirt's security models that keep a guest to a profile of its own, whatever its user may do."""

_SETTLES_WITHIN_S = 2.0


def why_no_users(state: Path, range_: UserRange, proc: Path = Path("/proc")) -> str:
    """Why guests cannot run as users of their own here; empty if they can."""
    if not is_mapped(range_, (proc / "self" / "uid_map").read_text()):
        return f"this host has no user ids {range_.first} to {range_.last}"
    for folder in state.parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            return (
                f"{folder} is closed to other users (mode {mode & 0o7777:04o}); chmod o+x {folder}"
            )
    return ""


def open_state(state: Path, through: frozenset[str] = frozenset({"networks"})) -> None:
    """Lets guests' users through the state directory to what is theirs in it. The rest is closed to them.

    Nobody lists or reads the folders in `through`, either; other users than guests' have something in them.
    """
    for entry in os.scandir(state):
        if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False):
            left = 0o7711 if entry.name in through else 0o7700
            os.chmod(entry.path, entry.stat().st_mode & left)
    state.chmod(0o711)


def has_mount_namespaces() -> bool:
    """Whether a process of ours may have a mount namespace of its own."""
    argv = ["unshare", "--mount", "true"]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def seen(pid: int, models: frozenset[str], proc: Path = Path("/proc")) -> tuple[str, ...]:
    """What confines a guest's process, as the kernel says: `user`, `seccomp`, `namespaces`, `mac`.

    `models` are the security models of this libvirt. One that has root's powers is `root` instead of `user`.
    The powers of a container's process count for nothing outside its user namespace.
    """
    status = dict(
        line.split(":", 1) for line in (proc / str(pid) / "status").read_text().splitlines()
    )
    uids = set(status["Uid"].split())
    powers = int(status["CapEff"], 16) | int(status["CapPrm"], 16)
    own = {
        kind: os.readlink(proc / str(pid) / "ns" / kind) != os.readlink(proc / "self" / "ns" / kind)
        for kind in ("mnt", "user")
    }
    powerless = "0" not in uids and (not powers or own["user"])
    words = {
        "user": powerless,
        "root": not powerless,
        "seccomp": status["Seccomp"].strip() == "2",
        "namespaces": own["mnt"],
        "mac": not models.isdisjoint(_MODELS),
    }
    return tuple(word for word, holds in words.items() if holds)


def init_of(keeper: int, proc: Path = Path("/proc"), *, settles: bool = False) -> int:
    """The first process of the container that a process keeps; 0 if there is none.

    One that `settles` is waited for, a moment at most, until it has become its user.
    """
    end_s = time.monotonic() + _SETTLES_WITHIN_S
    try:
        children = (proc / str(keeper) / "task" / str(keeper) / "children").read_text().split()
        while settles and children and time.monotonic() < end_s:
            if "Uid:\t0\t" not in (proc / children[0] / "status").read_text():
                break
            time.sleep(0.01)
    except OSError:
        return 0
    return int(children[0]) if children else 0


def is_mapped(range_: UserRange, uid_map: str) -> bool:
    """Whether a user namespace's map (lines of inside, outside, count) has all of the range."""
    return has_users(range_.first, range_.last, uid_map)
