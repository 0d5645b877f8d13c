"""Images made of root disks. What was written lies over the image below; only that is copied and hashed."""

from pathlib import Path
from typing import Protocol

import msgspec

from overlayd.ports.images import DiskFile
from protocol.image.commit import CommitStage


class CommitError(Exception):
    """There is no room, it took too long, or a tool failed; the text says which. Nothing of it is kept."""


class CommitWatch:
    """How far a commit is. It is written in a thread and read on the loop."""

    def __init__(self) -> None:
        self.stage = CommitStage.WAITS
        self.done_bytes = 0
        self.total_bytes = 0
        self._stopped = False

    def begin(self, stage: CommitStage, total_bytes: int = 0) -> None:
        """A stage begins."""
        self.stage, self.done_bytes, self.total_bytes = stage, 0, total_bytes

    def stop(self) -> None:
        """Nobody waits any more."""
        self._stopped = True

    def step(self, size_bytes: int = 0) -> None:
        """So many bytes more are done. Raises CommitError if nobody waits any more."""
        self.done_bytes += size_bytes
        if self._stopped:
            raise CommitError("it was stopped")


class Draft(msgspec.Struct, frozen=True):
    """An image in the making: a folder with its content, and what of that may differ from the image below."""

    folder: Path
    size_bytes: int
    below_bytes: int
    """How large the image is that the disk lies on. Behind it there are zeros, if nothing was written."""
    written: tuple[tuple[int, int], ...] = ()
    """(offset, length) of what was written to the disk, in bytes, ascending."""


class Commits(Protocol):
    """Drafts are known by their folders. What a death leaves of them is removed at the next start."""

    async def begin(self, root: str, base: DiskFile, watch: CommitWatch) -> Draft:
        """A draft that is as the image that a root disk lies on. The disk may be in use. Raises CommitError."""

    async def fill(
        self, draft: Draft, root: str, within_s: float | None, watch: CommitWatch
    ) -> Draft:
        """Puts what was written to the disk into a draft. Nothing writes to the disk meanwhile.

        Raises CommitError, also when it takes longer than that.
        """

    async def leaves(self, draft: Draft, base: DiskFile, watch: CommitWatch) -> bytes:
        """The draft's leaves, 32 bytes each. Those of what was not written are the image's below."""

    async def discard(self, draft: Draft) -> None:
        """Removes a draft; it is no error if there is none, or if it has become an image."""

    async def mark(self, machine: str) -> None:
        """Notes on disk, before it is, that a machine is held still."""

    async def unmark(self, machine: str) -> None:
        """It is not held still any more."""

    async def marked(self) -> tuple[str, ...]:
        """The machines that an earlier life may have left held still."""
