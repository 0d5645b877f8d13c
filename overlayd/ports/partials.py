"""Unfinished fetches of images: what is here of each, checked chunk by chunk, and found again after a kill.

Everything here blocks and is called in a thread.
"""

from pathlib import Path
from typing import Protocol

import msgspec

from protocol.image.summary import ImageSummary
from protocol.terms.ids import Digest


class Local(msgspec.Struct, frozen=True):
    """A chunk that another image here has, or another place of this one."""

    index: int
    content: str
    """The file it is in."""
    offset: int


class Left(msgspec.Struct, frozen=True):
    """An unfinished fetch."""

    digest: Digest
    size_bytes: int
    """What it takes of the disk."""
    written_s: float
    """When it was written to last, Unix seconds."""


class PagePlan(msgspec.Struct, frozen=True):
    """What is missing of one page's chunks. Of chunks that are equal only the first is named: the others are
    copied once it is here."""

    fetch: tuple[int, ...]
    copy: tuple[Local, ...]

    @property
    def done(self) -> bool:
        """Whether nothing is missing."""
        return not self.fetch and not self.copy


class Partial(Protocol):
    """One unfinished fetch. Raises ImageError when the disk does not take something."""

    summary: ImageSummary

    @property
    def folder(self) -> Path:
        """Where it is."""

    def pages_missing(self) -> list[int]:
        """The pages of leaves that are not here."""

    def keep_page(self, page: int, leaves: bytes) -> bool:
        """Keeps the leaves of a page. False if they are not."""

    def here_bytes(self) -> int:
        """How much of the content is here, chunks of zeros with it. The leaves must be."""

    def wanted_bytes(self) -> int:
        """How much must still be written. The leaves must be here."""

    def plan(self, page: int) -> PagePlan:
        """What to do about the chunks of one page, whose leaves are here."""

    def keep(self, index: int, chunk: bytes) -> bool:
        """Keeps a chunk. False if it is not what belongs there."""

    def copy(self, local: Local) -> bool:
        """Copies a chunk. False if what is there is not what it should be."""

    def flush(self) -> None:
        """Puts everything on the disk."""

    def close(self) -> None:
        """Closes its files. What is here stays."""


class Partials(Protocol):
    """All unfinished fetches of this host."""

    def find(self, image: Digest) -> Partial | None:
        """What an earlier fetch left, checked again if the machine was started since."""

    def begin(self, image: Digest, summary: ImageSummary) -> Partial:
        """A new one. `summary` must have been checked. Raises ImageError."""

    def room(self) -> tuple[int, int]:
        """How many bytes the disk has free, and how many it has in all."""

    def left(self) -> list[Left]:
        """All there are."""

    def remove(self, image: Digest) -> int:
        """Throws one away. Answers how many bytes of disk that frees."""
