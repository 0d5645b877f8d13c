"""Seeds: how a guest learns its identity, in cloud-init's NoCloud format."""

from typing import Protocol

import msgspec


class Seed(msgspec.Struct, frozen=True):
    """What one guest is told at boot."""

    instance_id: str
    hostname: str
    ssh_authorized_keys: tuple[str, ...] = ()
    mounts: tuple[tuple[str, str], ...] = ()
    """(disk label, mount point) pairs."""


class SeedError(Exception):
    """A guest could not be told this, or there is no room to write it; the text says which. Nothing changed."""


class Seeds(Protocol):
    """Writes seeds where a hypervisor can read them."""

    async def ensure(self, machine: str, seed: Seed) -> str:
        """Path of the ISO (volume id `cidata`) for that machine. The same seed is not written again.

        Raises SeedError.
        """

    async def observe(self) -> tuple[str, ...]:
        """The machines that have a seed here, sorted."""

    async def remove(self, machine: str) -> None:
        """Removes a machine's seed; it is no error if there is none."""
