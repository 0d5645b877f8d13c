"""Images: content-addressed guest images kept by one host."""

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
    """Not an image, a wrong digest, no room: the text says which, and nothing of it is kept."""


class Images(Protocol):
    """An image is known by its digest; a name is only a label on it."""

    async def list(self) -> tuple[ImageInfo, ...]:
        """Complete images, by name then digest."""

    async def add(self, path: Path, name: str | None = None) -> ImageInfo:
        """Copies a file in and verifies it; adding it again changes nothing. ImageError."""

    async def remove(self, digest: str) -> None:
        """Forgets it; no such image is a success."""

    async def files(self, digest: str) -> ImageFiles:
        """Unpacks once and answers paths. ImageError if it is not here."""

    async def read(self, digest: str, offset: int, length: int) -> tuple[bytes, int]:
        """A chunk for another peer and the total size in bytes. ImageError if it is not here."""

    async def partial(self, digest: str) -> int:
        """Bytes of an unfinished fetch already on disk, where a fetch goes on from; 0 if none."""

    async def append(self, digest: str, offset: int, chunk: bytes) -> None:
        """Adds a chunk to an unfinished fetch; `offset` must be what `partial` says. ImageError."""

    async def finish(self, digest: str) -> ImageInfo:
        """Verifies the whole and makes it an image; a wrong digest discards it and is an ImageError."""
