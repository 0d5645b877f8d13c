"""Seeds: how a guest learns its identity, in cloud-init's NoCloud format."""

from typing import Protocol

import msgspec


class SeedNic(msgspec.Struct, frozen=True):
    """One of a guest's network cards, and what it is on its network."""

    mac: str
    """`02:00:0a:2a:00:0b`: how the guest knows which of its cards it is."""
    address: str
    """IPv4 with its prefix, `10.42.0.11/24`."""
    gateway: str
    """The network's own address: its DNS server, and the way to the metadata address."""
    mtu: int
    """The largest packet it may send, in bytes."""
    way_out: bool = False
    """Whether the default route is here. At most one card of a guest has it."""
    metadata: bool = False
    """Whether the metadata address is reached here. At most one card of a guest has it."""
    address6: str = ""
    """IPv6 with its prefix, `fd42::a2a:b/64`; empty if it has none."""


class Seed(msgspec.Struct, frozen=True):
    """What one guest is told at boot."""

    instance_id: str
    hostname: str
    ssh_authorized_keys: tuple[str, ...] = ()
    mounts: tuple[tuple[str, str], ...] = ()
    """(disk label, mount point) pairs."""
    domain: str = ""
    """The DNS domain of its grid; empty without a network."""
    nics: tuple[SeedNic, ...] = ()
    """In the order of its networks."""
    user_data: bytes = b""
    """What its owner gave it, as it is. Whoever has the seed can read it."""


class SeedError(Exception):
    """A guest could not be told this, or there is no room to write it; the text says which. Nothing changed."""


class Seeds(Protocol):
    """Writes seeds where a hypervisor can read them."""

    async def ensure(self, machine: str, seed: Seed) -> str:
        """Path of the ISO (volume id `cidata`) for that machine. The same seed is not written again.

        Raises SeedError.
        """

    async def files(self, machine: str) -> dict[str, bytes]:
        """The files of a machine's seed, by name. Raises SeedError if it has none."""

    async def observe(self) -> tuple[str, ...]:
        """The machines that have a seed here, sorted."""

    async def remove(self, machine: str) -> None:
        """Removes a machine's seed; it is no error if there is none."""
