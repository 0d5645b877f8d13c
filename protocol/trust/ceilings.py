"""Ceilings: how much a virtual organisation or a member may have at most, each kind by itself."""

from collections.abc import Iterator

import msgspec

from protocol.terms.ranges import Size


class Ceilings(msgspec.Struct, frozen=True):
    """The most of each kind; None is as much as there is. What is there at once, but for the lease."""

    cpus_milli: Size | None = None
    memory_bytes: Size | None = None
    disk_bytes: Size | None = None
    workspaces: Size | None = None
    devices: Size | None = None
    """Of all names together."""
    lease_s: Size | None = None
    """The longest lease."""

    def beyond(self, other: "Ceilings") -> tuple[str, ...]:
        """The fields in which this allows more than `other` does."""
        return tuple(
            field
            for field, most in other.limits()
            if (mine := getattr(self, field)) is None or mine > most
        )

    def limits(self) -> Iterator[tuple[str, int]]:
        """The fields that have a limit, with it."""
        for field in self.__struct_fields__:
            if (most := getattr(self, field)) is not None:
                yield field, most


NO_CEILINGS = Ceilings()
