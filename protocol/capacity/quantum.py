"""A resource quantum: what one workspace is promised and held to (Keahey 2006)."""

from collections.abc import Iterable

import msgspec

from protocol.terms.ranges import AMOUNT_MOST, Amount, Line, Name
from protocol.terms.refusal import Constraint

Devices = tuple[tuple[Name, Amount], ...]
"""How many of each named device, sorted by name. A device that is not there is not named."""


UNCOUNTED = AMOUNT_MOST
"""What a host has of a rate if it offers none in particular: as much as anybody asks for."""
_ONE_PORT = "exposed port "


def port_named(number: int) -> str:
    """What one port is called. A host has one of each, and nobody says so: it would be thousands."""
    return f"{_ONE_PORT}{number}"


def is_port(name: str) -> bool:
    """Whether a device is one port."""
    return name.startswith(_ONE_PORT)


class Quantum(msgspec.Struct, frozen=True):
    """An amount of everything that is counted. Arithmetic is by component."""

    cpus_milli: Amount = 0
    memory_bytes: Amount = 0
    disk_bytes: Amount = 0
    devices: Devices = ()
    network_bits_s: Amount = 0
    """The rate of networks' cards, each way. A host of a build that does not know it has none."""
    disk_bytes_s: Amount = 0
    """The rate of disks, what is read and what is written together. Likewise."""
    disk_operations_s: Amount = 0
    """Reads and writes a second, together. Likewise."""

    def __add__(self, other: "Quantum") -> "Quantum":
        return Quantum(
            self.cpus_milli + other.cpus_milli,
            self.memory_bytes + other.memory_bytes,
            self.disk_bytes + other.disk_bytes,
            _added(self.devices, other.devices, 1) if other.devices else self.devices,
            self.network_bits_s + other.network_bits_s,
            self.disk_bytes_s + other.disk_bytes_s,
            self.disk_operations_s + other.disk_operations_s,
        )

    def __sub__(self, other: "Quantum") -> "Quantum":
        return Quantum(
            self.cpus_milli - other.cpus_milli,
            self.memory_bytes - other.memory_bytes,
            self.disk_bytes - other.disk_bytes,
            _added(self.devices, other.devices, -1) if other.devices else self.devices,
            self.network_bits_s - other.network_bits_s,
            self.disk_bytes_s - other.disk_bytes_s,
            self.disk_operations_s - other.disk_operations_s,
        )

    def least(self, other: "Quantum") -> "Quantum":
        """The smaller of each component."""
        return Quantum(
            min(self.cpus_milli, other.cpus_milli),
            min(self.memory_bytes, other.memory_bytes),
            min(self.disk_bytes, other.disk_bytes),
            _least(self.devices, other.devices) if self.devices or other.devices else (),
            min(self.network_bits_s, other.network_bits_s),
            min(self.disk_bytes_s, other.disk_bytes_s),
            min(self.disk_operations_s, other.disk_operations_s),
        )

    def bounded(self) -> "Quantum":
        """The same, as far as it can be said to others."""
        return Quantum(
            _bounded(self.cpus_milli),
            _bounded(self.memory_bytes),
            _bounded(self.disk_bytes),
            tuple((name, _bounded(count)) for name, count in self.devices),
            _bounded(self.network_bits_s),
            _bounded(self.disk_bytes_s),
            _bounded(self.disk_operations_s),
        )

    @property
    def kept(self) -> "Quantum":
        """The part that stays in use while nothing runs: the disk."""
        return Quantum(disk_bytes=self.disk_bytes)

    @property
    def running(self) -> "Quantum":
        """The rest, which is free again while it does not run."""
        return msgspec.structs.replace(self, disk_bytes=0)

    def by_constraint(self) -> tuple[tuple[Constraint, int], ...]:
        """Components with their constraints, in the order of explanations. Devices have names of their own."""
        return (
            (Constraint.DISK_OPERATIONS, self.disk_operations_s),
            (Constraint.DISK_RATE, self.disk_bytes_s),
            (Constraint.NETWORK_RATE, self.network_bits_s),
            (Constraint.CPUS, self.cpus_milli),
            (Constraint.DISK, self.disk_bytes),
            (Constraint.MEMORY, self.memory_bytes),
        )

    def devices_of(self, name: str) -> int:
        """How many devices of that name there are."""
        return dict(self.devices).get(name, 0) + is_port(name)

    def sayable(self, ports: Iterable[int] = ()) -> "Quantum":
        """The same without single ports but those: who asks about some is not told of all that were given."""
        said = [port_named(number) for number in ports] if self.devices else []
        devices = tuple(d for d in self.devices if not is_port(d[0]) or d[0] in said)
        return msgspec.structs.replace(self, devices=devices)

    def fits(self, room: "Quantum") -> bool:
        """Whether this fits in `room`, in every component."""
        return (
            self.cpus_milli <= room.cpus_milli
            and self.memory_bytes <= room.memory_bytes
            and self.disk_bytes <= room.disk_bytes
            and self.network_bits_s <= room.network_bits_s
            and self.disk_bytes_s <= room.disk_bytes_s
            and self.disk_operations_s <= room.disk_operations_s
            and (not (self.devices or room.devices) or _covered(self.devices, room.devices))
        )

    def times_in(self, room: "Quantum") -> int:
        """How many of this fit in `room`; 0 when it asks for nothing at all."""
        ratios = [
            free // asked
            for (_, asked), (_, free) in zip(
                self.by_constraint(), room.by_constraint(), strict=True
            )
            if asked
        ]
        ratios += [room.devices_of(name) // count for name, count in self.devices if count]
        return max(0, min(ratios, default=0))


class Guaranteed(msgspec.Struct, frozen=True):
    """What a host keeps of what is free for others than who asks, since its site's policy guarantees it."""

    quantum: Quantum = Quantum()
    to: Line = ""
    """To whom, and by which line, for people."""


def _bounded(amount: int) -> int:
    return max(-AMOUNT_MOST, min(AMOUNT_MOST, amount))


def _added(ours: Devices, theirs: Devices, sign: int) -> Devices:
    """The sum, sorted by name. What comes to nothing is left out, so that equal amounts are equal."""
    counts = dict(ours)
    for name, count in theirs:
        counts[name] = counts.get(name, 0) + sign * count
    return tuple(sorted((name, count) for name, count in counts.items() if count))


def _least(ours: Devices, theirs: Devices) -> Devices:
    a, b = dict(ours), dict(theirs)
    both = {name: min(a.get(name, 0), b.get(name, 0)) for name in a | b}
    return tuple(sorted((name, count) for name, count in both.items() if count))


def _covered(asked: Devices, room: Devices) -> bool:
    a, b = dict(asked), dict(room)
    return all(a.get(name, 0) <= b.get(name, 0) + is_port(name) for name in a | b)


def total(quanta: Iterable[Quantum]) -> Quantum:
    """The sum of `quanta`. It ends at the largest amount there is: others may say any."""
    return sum(quanta, Quantum()).bounded()
