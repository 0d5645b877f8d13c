"""A refusal is a value: which constraint, what was asked, what there is, and where.

Refusals travel, are counted and explained, and are never raised. Constraints are ordered from the mildest
to the one that usually binds, so that an explanation can put the binding one last.
"""

from enum import StrEnum

import msgspec

from protocol.terms.quantities import (
    format_byte_rate,
    format_cpus,
    format_operations,
    format_rate,
    format_size,
)
from protocol.terms.ranges import Amount, Name, Said, cut

PORTS = "exposed ports"
"""What is counted as a device: ports of a host that it gives to workspaces. No device is called so."""


class Constraint(StrEnum):
    """What can stop a workspace from being carried by a host."""

    SILENT = "silent"
    """The host did not answer in time."""
    UNFIT = "unfit"
    """The host says of itself that it could not run a guest now, or could keep no promise."""
    AUTHORITY = "authority"
    POLICY = "policy"
    """The site's policy lets the owner in, but does not allow it; or the grant that is shown does not."""
    SITE = "site"
    APART = "apart"
    """The host carries a grid that is to be kept apart from this one."""
    SPREAD = "spread"
    COMPACT = "compact"
    DISTANCE = "distance"
    """Too far from another member; `asked` and `available` are microseconds of round trip."""
    UNDERLAY = "underlay"
    """A network of the grid cannot span this host and another, because they cannot reach each other."""
    ENCRYPTION = "encryption"
    EGRESS = "egress"
    """The host gives guests no way out, and a network of the grid is to have one."""
    PORT = "port"
    """The host does not give a port at which a guest is to be reached, or not that one."""
    TIME = "time"
    """The lease cannot begin or end when it is to."""
    CLOCK = "clock"
    """The host's clock differs from its neighbours': it takes no reservation."""
    ARCHITECTURE = "architecture"
    DRIVER = "driver"
    LABEL = "label"
    IMAGE = "image"
    NAME = "name"
    """The host carries another grid of that name."""
    CONTENDED = "contended"
    """Another request holds that name here, or the last grid of that name is still being cleared."""
    OLDER = "older"
    """The host keeps its room for an older order that has waited for it."""
    NETWORK_ID = "network-id"
    STORE = "store"
    LIMIT = "limit"
    DEVICE = "device"
    """`detail` is the device's name; `asked` and `available` are counts."""
    DISK_OPERATIONS = "disk-operations"
    DISK_RATE = "disk-rate"
    NETWORK_RATE = "network-rate"
    CPUS = "cpus"
    DISK = "disk"
    MEMORY = "memory"


QUANTITIES = (
    Constraint.DEVICE,
    Constraint.DISK_OPERATIONS,
    Constraint.DISK_RATE,
    Constraint.NETWORK_RATE,
    Constraint.CPUS,
    Constraint.DISK,
    Constraint.MEMORY,
)
"""Constraints whose `asked` and `available` are amounts: counts, bits and bytes a second, thousandths of cpus,
bytes."""

_WORDS = {
    Constraint.CPUS: format_cpus,
    Constraint.NETWORK_RATE: format_rate,
    Constraint.DISK_RATE: format_byte_rate,
    Constraint.DISK_OPERATIONS: format_operations,
}
"""How amounts are said that are no bytes."""

RULED_OUT = (Constraint.SITE, Constraint.APART)
"""Constraints by which a grid says itself where it does not want to be."""

PASSING = (
    Constraint.SILENT,
    Constraint.CONTENDED,
    Constraint.OLDER,
    Constraint.NETWORK_ID,
    Constraint.PORT,
    *QUANTITIES,
)
"""Reasons to refuse a hold that may pass in a moment, so that another attempt is worth it."""


class Refusal(msgspec.Struct, frozen=True):
    """Why one host does not carry one workspace. `asked` and `available` are 0 where no amount is meant."""

    constraint: Constraint
    host: Name
    """The host's name, for people."""
    asked: Amount = 0
    available: Amount = 0
    detail: Said = ""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "detail", cut(self.detail))

    @property
    def short_by(self) -> int:
        """How much is missing, in the constraint's unit; never negative."""
        return max(0, self.asked - self.available)

    @property
    def what(self) -> str:
        """What is lacking, in words: `memory`, `device gpu`."""
        named = self.constraint is Constraint.DEVICE
        if self.detail == PORTS:
            return PORTS
        return f"device {self.detail}" if named else str(self.constraint)

    @property
    def others(self) -> str:
        """For whom the room is kept that is lacking: ends a sentence, for people; empty if for nobody."""
        amount = self.constraint in (Constraint.CPUS, Constraint.MEMORY)
        return f"; {self.detail}" if amount and self.detail else ""

    def amount(self, value: int) -> str:
        """`value` in words, in this constraint's unit."""
        if self.constraint is Constraint.DEVICE:
            return str(value)
        return _WORDS.get(self.constraint, format_size)(value)

    def __str__(self) -> str:
        if self.constraint in QUANTITIES:
            return (
                f"{self.host} lacks {self.what}: asked {self.amount(self.asked)}, "
                f"free {self.amount(self.available)}{self.others}"
            )
        return f"{self.host}: {self.constraint}: {self.detail}"
