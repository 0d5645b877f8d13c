"""Making an image of a workspace's root disk: what is ordered, and how far its host is."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.terms.ranges import Size

DETAIL_MOST = 400
"""The most characters of what is said about a commit."""


class CommitTerms(msgspec.Struct, frozen=True):
    """The body of an order to commit."""

    name: Annotated[str, Meta(max_length=64)]
    """What the image is to be called on its host."""
    id: Annotated[str, Meta(min_length=8, max_length=64)]
    """Which commit this is. Whoever asks with the same again asks how far it is."""


class CommitStage(StrEnum):
    """How far a commit is."""

    WAITS = "waits"
    """Another one is made on that host."""
    IMAGE = "image"
    """The image that the disk lies on is copied."""
    DISK = "disk"
    """What was written to the disk is copied. Its guest stands still."""
    HASH = "hash"
    """What was written is hashed."""
    DONE = "done"
    FAILED = "failed"


class CommitView(msgspec.Struct, frozen=True):
    """How far a commit is, as its host says it."""

    stage: CommitStage
    done_bytes: Size = 0
    """Of this stage."""
    total_bytes: Size = 0
    detail: Annotated[str, Meta(max_length=DETAIL_MOST)] = ""
    """Why it failed; or, when it is done, how its guest was held still."""
    digest: Annotated[str, Meta(max_length=64)] = ""
    """When it is done: the image's id, and the bytes that it takes of its host's disk."""
    size_bytes: Size = 0

    @property
    def over(self) -> bool:
        """Whether nothing more is done for it."""
        return self.stage in (CommitStage.DONE, CommitStage.FAILED)
