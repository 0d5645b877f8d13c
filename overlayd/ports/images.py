"""Images: content-addressed guest images that one host keeps."""

from pathlib import Path
from typing import Protocol

import msgspec


class ImageInfo(msgspec.Struct, frozen=True):
    """One complete, verified image."""

    name: str
    digest: str
    """SHA-256 of the image file, 64 hexadecimal digits."""
    size_bytes: int
    architecture: str


class ImageFiles(msgspec.Struct, frozen=True):
    """Where an unpacked image's parts are on this host, ready for a hypervisor."""

    kernel: str
    initrd: str
    cmdline: str


class ImageError(Exception):
    """It is no image, has a wrong digest, or there is no room. The text says which; nothing of it is kept."""


class Images(Protocol):
    """An image is known by its digest; a name is only a label on it."""

    async def list(self) -> tuple[ImageInfo, ...]:
        """Complete images, by name then digest."""

    async def add(self, path: Path, name: str | None = None) -> ImageInfo:
        """Copies a file in and verifies it. A second time changes nothing. Raises ImageError."""

    async def remove(self, digest: str) -> None:
        """Removes an image. It is no error if there is none."""

    async def files(self, digest: str) -> ImageFiles:
        """Paths of the parts, which are unpacked once. Raises ImageError if the image is not here."""

    async def read(self, digest: str, offset: int, length: int) -> tuple[bytes, int]:
        """A chunk for another peer, and the total size in bytes. Raises ImageError if it is not here."""

    async def partial(self, digest: str) -> int:
        """How many bytes of an unfinished fetch are on disk, where a fetch goes on; 0 if there are none."""

    async def append(self, digest: str, offset: int, chunk: bytes) -> None:
        """Adds a chunk to an unfinished fetch. `offset` must be what `partial` says. Raises ImageError."""

    async def finish(self, digest: str) -> ImageInfo:
        """Verifies the whole and makes it an image. A wrong digest discards it, and raises ImageError."""
