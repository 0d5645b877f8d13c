"""Attachments: files that a grid names by their digests, kept beside it and never in it.

They are kept by what they came with: the request or the quote, until that is a grid, and then the grid's order,
whose id a grid's begins with. So a file that was given with one order is never shown to who carries another one
that names it, too.
"""

from typing import Protocol

from protocol.terms.ids import Digest


class AttachmentError(Exception):
    """A file cannot be kept; the text says why. Nothing changed."""


class Attachments(Protocol):
    """A host's store of files. What was kept is on disk before `keep` returns."""

    async def keep(self, key: str, contents: tuple[bytes, ...]) -> None:
        """Keeps files under a key, besides what is there. Raises AttachmentError: too large, or no room."""

    async def read(self, key: str, digest: str) -> bytes | None:
        """A file, checked against its digest; None if it is not here, or not whole any more."""

    def has(self, key: str, digest: str) -> bool:
        """Whether a file is here."""

    def size_bytes(self, key: str, digest: str) -> int:
        """The size of a file; -1 if it is not here."""

    def kept(self) -> dict[str, tuple[Digest, ...]]:
        """The files that are here, by key."""

    async def remove(self, key: str) -> None:
        """Removes what is kept under a key; it is no error if that is nothing."""
