"""Guests of ours that run, and libvirt does not know them: its directory was lost, and they were not.

An embedded libvirt keeps below its root what it knows of its guests. Without that a guest's process runs on,
and nobody can stop, save or find it through libvirt. It is recognised by its command line: QEMU, a name that we
give, and paths below the same root.
"""

import re
from collections.abc import Container
from pathlib import Path

from overlayd.ports.compute import LostMachine

_QEMU = re.compile(r"(^|/)qemu-system-[a-z0-9_]+$")
_NAME = re.compile(r"guest=(ovl-[0-9a-f]{12})(,|$)")
_SIZE = re.compile(r"(?:size=)?(\d+)([kKmMgG]?)(,|$)")
_CPUS = re.compile(r"(\d+)(,|$)")
_UNITS = {"": 20, "k": 10, "m": 20, "g": 30}


def find(root: str, known: Container[str], proc: Path = Path("/proc")) -> tuple[LostMachine, ...]:
    """Every guest below that root that is not `known` to libvirt, by name."""
    found = []
    for path in proc.glob("[0-9]*/cmdline"):
        try:
            argv = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has ended meanwhile
        lost = read(int(path.parent.name), argv, root)
        if lost is not None and lost.name not in known:
            found.append(lost)
    return tuple(sorted(found, key=lambda lost: lost.name))


def read(pid: int, argv: list[str], root: str) -> LostMachine | None:
    """The guest whose process has this command line; None if it is no guest below that root."""
    if not _QEMU.search(argv[0]) or not any(f"{root}/" in argument for argument in argv):
        return None
    named = _NAME.match(_after("-name", argv))
    if named is None:
        return None
    size, cpus = _SIZE.match(_after("-m", argv)), _CPUS.match(_after("-smp", argv))
    return LostMachine(
        name=named[1],
        pid=pid,
        cpus_milli=int(cpus[1]) * 1000 if cpus else 0,
        memory_bytes=int(size[1]) << _UNITS[size[2].lower()] if size else 0,
    )


def _after(option: str, argv: list[str]) -> str:
    """What an option is given; nothing if it is not there."""
    at = argv.index(option) if option in argv else len(argv)
    return argv[at + 1] if at + 1 < len(argv) else ""
