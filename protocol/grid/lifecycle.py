"""The life of a workspace, as tables. A host moves it; everybody else only reads where it is.

    held > image > network > booting > running > reachable > (paused, restarting) > ending > gone
                                          saving > suspended > restoring > running
                                 running, reachable > (no-room, stalled) > running

`failed` can be reached from everywhere that a step can fail. Another try leaves it. `lost` is what others say
of the workspaces of a host that is not heard.
"""

from enum import StrEnum

import msgspec


class Phase(StrEnum):
    """Where a workspace is, in the words a person sees."""

    HELD = "held"
    """Promised, not yet built."""
    IMAGE = "image"
    """Its image is being fetched."""
    NETWORK = "network"
    """Its networks and disks are being made."""
    BOOTING = "booting"
    """The hypervisor has it; nobody has seen it answer."""
    RUNNING = "running"
    """It runs, but has no network to be reached by, or has stopped answering."""
    REACHABLE = "reachable"
    """It runs and answers on its network."""
    PAUSED = "paused"
    NO_ROOM = "no-room"
    """It wrote to a disk for which its host has no room. It is paused, and goes on when there is room."""
    STALLED = "stalled"
    """Something else than its people paused it, a disk that fails for one. It is let go on again and again."""
    SAVING = "saving"
    """Its memory is being written to disk."""
    SUSPENDED = "suspended"
    """Its memory is on disk; it uses neither cpus nor memory."""
    RESTORING = "restoring"
    FAILED = "failed"
    """A step failed; the detail says which, and it is being tried again."""
    ENDING = "ending"
    EXPIRED = "expired"
    """Its lease has ended: it is stopped, and its disks are kept for the grace."""
    GONE = "gone"
    LOST = "lost"
    """Its host is not heard. No host tells this of itself: others say it of a host that is silent."""


SETTLED = (Phase.RUNNING, Phase.REACHABLE, Phase.PAUSED)
"""Phases in which an `up` has done its work for a workspace."""


class Power(StrEnum):
    """What a workspace is wanted to be."""

    RUNNING = "running"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    """Not running, memory and disks kept."""
    OFF = "off"
    """Not running, disks kept."""
    GONE = "gone"


class Wanted(msgspec.Struct, frozen=True):
    """What the host has promised to make of one workspace.

    `boot` counts wanted starts, and `build` how often its root disk was to be made from its image.
    """

    workspace: str
    power: Power = Power.RUNNING
    boot: int = 1
    build: int = 1


class Status(msgspec.Struct, frozen=True):
    """Where one workspace is, as its host says it."""

    workspace: str
    phase: Phase
    detail: str = ""
    since_s: float = 0.0
    boot: int = 1
    """Which of its starts this is about, from 1."""
    final: bool = False
    """No further phase is expected, though it is not reachable."""

    def __post_init__(self) -> None:
        """Raises ValueError (Malformed where it is decoded) for a host that says of itself that it is lost."""
        if self.phase is Phase.LOST:
            raise ValueError("a host that tells of a workspace has not lost it")

    @property
    def settled(self) -> bool:
        """Whether an `up` has done its work for this workspace."""
        return self.phase is Phase.REACHABLE or (self.final and self.phase in SETTLED)


_ALLOWED: dict[tuple[Power, str], Power] = {
    (Power.RUNNING, "pause"): Power.PAUSED,
    (Power.PAUSED, "pause"): Power.PAUSED,
    (Power.PAUSED, "resume"): Power.RUNNING,
    (Power.RUNNING, "resume"): Power.RUNNING,
    (Power.RUNNING, "restart"): Power.RUNNING,
    (Power.PAUSED, "restart"): Power.RUNNING,
    (Power.RUNNING, "suspend"): Power.SUSPENDED,
    (Power.PAUSED, "suspend"): Power.SUSPENDED,
    (Power.SUSPENDED, "suspend"): Power.SUSPENDED,
    (Power.SUSPENDED, "restore"): Power.RUNNING,
    (Power.RUNNING, "restore"): Power.RUNNING,
}


def follow(wanted: Wanted, action: str) -> Wanted | None:
    """What a workspace is wanted to be after an action; None if the action means nothing now."""
    power = _ALLOWED.get((wanted.power, action))
    if power is None:
        return None
    boot = wanted.boot + 1 if action == "restart" else wanted.boot
    return Wanted(wanted.workspace, power, boot, wanted.build)
