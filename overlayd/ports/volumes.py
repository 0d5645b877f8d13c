"""Disks of workspaces on this host: volumes, which outlive the workspaces that use them, and scratch disks.

The caller knows which is which. Here all are called volumes.
"""

from typing import Protocol


class VolumeError(Exception):
    """There is no room, or a tool failed; the text says which. Nothing half-made is left."""


class Volumes(Protocol):
    """One file for each volume. There are no replicas yet."""

    async def ensure(self, volume: str, size_bytes: int, label: str) -> str:
        """Path of a raw disk of that size, formatted as ext4 when it is made, and never again.

        One that is smaller grows; the file system on it is its guest's, and is left as it is.
        """

    async def remove(self, volume: str) -> None:
        """Removes a volume; it is no error if there is none."""

    async def observe(self) -> dict[str, int]:
        """Size in bytes of every volume on this host, by id, sorted."""

    async def free_bytes(self) -> int:
        """Bytes that would be left where volumes are kept if all that are here were full."""
