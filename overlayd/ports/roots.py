"""Root disks of workspaces on this host: each begins as its image and keeps what its guest writes.

A root lives as long as its workspace. Its image is read, never written, and must stay where it is meanwhile.
"""

from typing import Protocol

import msgspec

from overlayd.ports.images import DiskFile, TreeFile


class RootError(Exception):
    """No room, too large an image, or a tool that failed: the text says which. Nothing half-made is left."""


class Root(msgspec.Struct, frozen=True):
    """One root, ready for a hypervisor."""

    path: str
    """A qcow2 file that lies on the image's raw one; for a container a file system, a copy of the image."""
    variables: str = ""
    """The file in which UEFI keeps its variables; empty where the image starts by BIOS."""


class Roots(Protocol):
    """A root is known by its id, which the caller makes of grid, workspace and build."""

    async def ensure(self, root: str, base: DiskFile | TreeFile, size_bytes: int) -> Root:
        """The root, made from that image if it is not there. It is never made again. One that is smaller grows,
        which takes that no machine has it open; it does not shrink.

        With 0 bytes it is as large as its image; of a tree the size must be said. Raises RootError.
        """

    async def remove(self, root: str) -> None:
        """Removes a root; it is no error if there is none."""

    async def observe(self) -> dict[str, int]:
        """How large each root on this host is for its guest, in bytes, by id, sorted."""

    async def growth_bytes(self) -> int:
        """Bytes by which the roots that are here may still grow, all together."""
