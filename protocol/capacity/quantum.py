"""A resource quantum: what one workspace is promised and held to (Keahey 2006)."""

import msgspec

from protocol.terms.refusal import Constraint


class Quantum(msgspec.Struct, frozen=True):
    """An amount of everything that is counted. Arithmetic is by component."""

    cpus_milli: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0

    def __add__(self, other: "Quantum") -> "Quantum":
        return Quantum(
            self.cpus_milli + other.cpus_milli,
            self.memory_bytes + other.memory_bytes,
            self.disk_bytes + other.disk_bytes,
        )

    def __sub__(self, other: "Quantum") -> "Quantum":
        return Quantum(
            self.cpus_milli - other.cpus_milli,
            self.memory_bytes - other.memory_bytes,
            self.disk_bytes - other.disk_bytes,
        )

    def least(self, other: "Quantum") -> "Quantum":
        """The smaller of each component."""
        return Quantum(
            min(self.cpus_milli, other.cpus_milli),
            min(self.memory_bytes, other.memory_bytes),
            min(self.disk_bytes, other.disk_bytes),
        )

    @property
    def kept(self) -> "Quantum":
        """What of this stays in use while nothing runs: the disk."""
        return Quantum(disk_bytes=self.disk_bytes)

    def by_constraint(self) -> tuple[tuple[Constraint, int], ...]:
        """Components with their names, in the order of explanations."""
        return (
            (Constraint.CPUS, self.cpus_milli),
            (Constraint.DISK, self.disk_bytes),
            (Constraint.MEMORY, self.memory_bytes),
        )

    def fits(self, room: "Quantum") -> bool:
        """Whether this fits in `room`, in every component."""
        return (
            self.cpus_milli <= room.cpus_milli
            and self.memory_bytes <= room.memory_bytes
            and self.disk_bytes <= room.disk_bytes
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
        return max(0, min(ratios, default=0))


def total(quanta: "list[Quantum]") -> Quantum:
    """Their sum."""
    return sum(quanta, Quantum())
