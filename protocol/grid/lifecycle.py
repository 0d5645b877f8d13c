"""The life of a workspace, as tables. A host moves it; everybody else only reads where it is.

    held > image > network > booting > running > reachable > ready > (paused, restarting) > ending > gone
                                          saving > suspended > restoring > running
                                 reachable, ready > (no-room, stalled) > running
                                 running, reachable > off

`failed` can be reached from everywhere that a step can fail. Another try leaves it. `lost` is what others say
of the workspaces of a host that is not heard.
"""

from enum import StrEnum

import msgspec

from protocol.grid.host_keys import KEYS_MOST, is_host_key
from protocol.grid.model import ImageRef
from protocol.terms.ranges import Count, Moment, Name, WholeSeconds


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
    READY = "ready"
    """Its guest says that it is set up, or has said nothing for a while though it answers."""
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
    OFF = "off"
    """It ended by itself, and is not started again by itself. The detail says how it ended."""
    FAILED = "failed"
    """A step failed; the detail says which, and it is being tried again."""
    ENDING = "ending"
    """It is to end: its guest is asked to shut down, and the detail says how long it has for that."""
    EXPIRED = "expired"
    """Its lease has ended: it is stopped, and its disks are kept for the grace."""
    GONE = "gone"
    LOST = "lost"
    """Its host is not heard. No host tells this of itself: others say it of a host that is silent."""


SETTLED = (Phase.RUNNING, Phase.READY, Phase.PAUSED, Phase.OFF)
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
    """What the host has promised to make of one workspace."""

    workspace: str
    power: Power = Power.RUNNING
    boot: int = 1
    """Counts wanted starts."""
    build: int = 1
    """Counts the root disks it was given: one more with each rebuild."""
    image: ImageRef = ImageRef("")
    """What its root disk is made from since a rebuild named it; without a name: what its grid says."""
    at_once: bool = False
    """Whether the start before this one is ended without asking its guest."""


class Word(msgspec.Struct, frozen=True, array_like=True):
    """What a guest said last of itself."""

    workspace: str
    boot: Count
    """The start in which it said so."""
    host_keys: tuple[str, ...] = ()
    problem: str = ""
    """What is wrong; empty if it is ready."""


class Status(msgspec.Struct, frozen=True):
    """Where one workspace is, as its host says it."""

    workspace: Name
    phase: Phase
    detail: str = ""
    since_s: Moment = 0.0
    boot: Count = 1
    """Which of its starts this is about, from 1."""
    final: bool = False
    """No further phase is expected, though it cannot get ready."""
    within_s: WholeSeconds = 0
    """Of one that is ending: how many seconds its guest has to shut down."""
    host_keys: tuple[str, ...] = ()
    """The SSH host keys that its guest named in this start."""

    def __post_init__(self) -> None:
        """Raises ValueError (Malformed where it is decoded) for a host that says of itself that it is lost, and
        for host keys that are none."""
        if self.phase is Phase.LOST:
            raise ValueError("a host that tells of a workspace has not lost it")
        if len(self.host_keys) > KEYS_MOST or not all(map(is_host_key, self.host_keys)):
            raise ValueError("host keys of a workspace are no host keys, or too many")

    @property
    def settled(self) -> bool:
        """Whether an `up` has done its work for this workspace."""
        return self.phase is Phase.READY or (self.final and self.phase in SETTLED)

    @property
    def troubled(self) -> bool:
        """Whether its guest said that its first boot failed: it is reached, and will not be ready by itself."""
        return self.final and self.phase is Phase.REACHABLE


_ALLOWED: dict[tuple[Power, str], Power] = {
    (Power.RUNNING, "pause"): Power.PAUSED,
    (Power.PAUSED, "pause"): Power.PAUSED,
    (Power.PAUSED, "resume"): Power.RUNNING,
    (Power.RUNNING, "resume"): Power.RUNNING,
    (Power.RUNNING, "restart"): Power.RUNNING,
    (Power.PAUSED, "restart"): Power.RUNNING,
    (Power.RUNNING, "rebuild"): Power.RUNNING,
    (Power.PAUSED, "rebuild"): Power.RUNNING,
    (Power.SUSPENDED, "rebuild"): Power.RUNNING,
    (Power.RUNNING, "suspend"): Power.SUSPENDED,
    (Power.PAUSED, "suspend"): Power.SUSPENDED,
    (Power.SUSPENDED, "suspend"): Power.SUSPENDED,
    (Power.SUSPENDED, "restore"): Power.RUNNING,
    (Power.RUNNING, "restore"): Power.RUNNING,
}
_STARTS = ("restart", "rebuild")
"""Actions after which a workspace is in another start."""


def follow(
    wanted: Wanted, action: str, at_once: bool = False, image: ImageRef | None = None
) -> Wanted | None:
    """What a workspace is wanted to be after an action; None if the action means nothing now.

    `at_once` says whether what runs is ended without asking its guest, `image` what a rebuild is made from.
    """
    power = _ALLOWED.get((wanted.power, action))
    if power is None:
        return None
    followed = msgspec.structs.replace(wanted, power=power)
    if action in _STARTS:
        followed = msgspec.structs.replace(followed, boot=wanted.boot + 1, at_once=at_once)
    if action == "rebuild":
        made_from = image if image is not None and image.name else wanted.image
        followed = msgspec.structs.replace(followed, build=wanted.build + 1, image=made_from)
    return followed
