"""Disks of workspaces on this host: volumes, which outlive those that use them, and scratch disks.

Who asks knows which is which; here all are called volumes.
"""

from typing import Protocol


class VolumeError(Exception):
    """No room, or a tool failed; the text says which. Nothing half made is left."""


class Volumes(Protocol):
    """One file per volume for now; replicas come with their own design."""

    async def ensure(self, volume: str, size_bytes: int, label: str) -> str:
        """Path of a raw, ext4-formatted disk of that size, made if it is not there. Never reformats."""

    async def remove(self, volume: str) -> None:
        """Gone afterwards."""

    async def observe(self) -> dict[str, int]:
        """Size in bytes of every volume on this host, by id, sorted."""

    async def free_bytes(self) -> int:
        """Room left where volumes are kept, when all that are here are full."""
