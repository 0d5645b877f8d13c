"""Where the things of a grid are on this host, and what they are called. Pure functions of ids."""

import re
from pathlib import Path
from uuid import UUID, uuid5

from protocol.grid.model import SCRATCH
from protocol.terms.ids import GridId, short_hash

_CONSOLE = re.compile(r"([0-9a-f]{12})[0-9a-f]{4}\..*")
_SPACE = UUID("6f766572-6c61-4964-8000-000000000001")
"""The namespace of our machines' UUIDs (RFC 9562, version 5)."""


class Paths:
    """Names and files under the daemon's state directory."""

    def __init__(self, state: Path) -> None:
        self.state = state

    @property
    def uploads(self) -> Path:
        """Where an image that is being added waits until it is checked."""
        return self.state / "uploads"

    def console(self, grid: GridId, workspace: str) -> tuple[Path, Path]:
        """The console's log and its socket. The socket's path is short, as a Unix socket's must be."""
        name = short_hash(grid, workspace, digits=16)
        return self.consoles / f"{name}.log", self.consoles / f"{name}.sock"

    def console_files(self, grid: GridId, workspace: str) -> list[Path]:
        """Every file there is of a console: the log and its older part, the sockets."""
        return list(self.consoles.glob(f"{short_hash(grid, workspace, digits=16)}.*"))

    @property
    def consoles(self) -> Path:
        """The folder of all consoles."""
        return self.state / "console"

    def agent(self, grid: GridId, workspace: str) -> Path:
        """The socket on which a guest's agent is heard. Its path is short, too."""
        return self.consoles / f"{short_hash(grid, workspace, digits=16)}.port"


def machine_name(grid: GridId, workspace: str) -> str:
    """A domain's name. It is the same for the same workspace, so that the domain cannot be made twice."""
    return f"ovl-{short_hash(grid, workspace, digits=12)}"


def machine_of_console(file: str) -> str | None:
    """The machine that a file of a console belongs to, by its first digits; None if it is no such file."""
    match = _CONSOLE.fullmatch(file)
    return f"ovl-{match[1]}" if match else None


def machine_uuid(grid: GridId, workspace: str) -> str:
    """A domain's UUID, which is also the same for the same workspace."""
    return str(uuid5(_SPACE, f"{grid}/{workspace}"))


def instance_id(grid: GridId, workspace: str, build: int) -> str:
    """By what a guest knows whether it boots for the first time: as long as its root disk is the same."""
    return machine_uuid(grid, workspace if build == 1 else f"{workspace}/{build}")


def network_name(grid: GridId, network: str) -> str:
    """A grid network's id on a host."""
    return f"{grid}.{network}"


def volume_name(grid: GridId, volume: str) -> str:
    """A volume's id on a host."""
    return f"{grid}.{volume}"


def scratch_name(grid: GridId, workspace: str) -> str:
    """The id on a host of a workspace's own disk. No volume has it, since a volume's name has no dot."""
    return f"{grid}.{workspace}.{SCRATCH}"


def root_name(grid: GridId, workspace: str, build: int) -> str:
    """The id on a host of a workspace's root disk. Each build of the workspace has its own."""
    return f"{grid}.{workspace}.{build}"


def root_owner(root: str) -> tuple[str, int]:
    """The workspace that a root disk belongs to, and its build. Of what has no such name: nobody, 0."""
    _, _, rest = root.partition(".")
    _, _, rest = rest.partition(".")
    workspace, _, build = rest.partition(".")
    return (workspace, int(build)) if build.isdecimal() and len(build) < 10 else ("", 0)


def is_scratch(disk: str) -> bool:
    """Whether a disk is a workspace's own. Otherwise it is a volume."""
    return disk.count(".") == 3 and disk.endswith(f".{SCRATCH}")


def grid_of(name: str) -> GridId:
    """The grid that a network's or disk's id belongs to."""
    return GridId(".".join(name.split(".")[:2]))
