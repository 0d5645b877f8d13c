"""What is known of an image beside its bytes: facts, which are part of its id, and notes, which are hearsay."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.terms.architecture import Architecture
from protocol.terms.login import Login

CONTENT_BYTES_MOST = 1 << 40
"""The most bytes of an image's content, 1 TiB. Its leaves are then 32 MiB, and the roots of its pages 8 KiB."""

NOTE_MOST = 1024
"""The most characters of a note."""


class ImageKind(StrEnum):
    """What an image is, and so what boots it."""

    DISK = "disk"
    """A disk as its guest sees it, byte for byte."""
    CONTAINER = "container"
    """A root file system, as a canonical tar."""
    APPLIANCE = "appliance"
    """A kernel and an initramfs, in a tar with a manifest."""


class Firmware(StrEnum):
    """What a guest's disk is started by."""

    BIOS = "bios"
    UEFI = "uefi"


class ImageFacts(msgspec.Struct, frozen=True):
    """All that decides how an image boots. It is in the id, so that one id boots one way everywhere."""

    kind: ImageKind
    content_bytes: Annotated[int, Meta(ge=1, le=CONTENT_BYTES_MOST)]
    """How long the content is: of a disk, what its guest sees."""
    architecture: Architecture
    firmware: Firmware | None = None
    """Of a disk only."""


Text = Annotated[str, Meta(max_length=NOTE_MOST)]


class ImageNotes(msgspec.Struct, frozen=True):
    """What is said of an image and holds nobody to anything. It is not in the id."""

    default_user: Login = ""
    """Who logs in to a guest of it. Empty: nobody said."""
    memory_least_bytes: Annotated[int, Meta(ge=0, le=1 << 50)] = 0
    """The least memory a guest of it wants. 0: nobody said."""
    added_by: Text = ""
    """The host it was first added at."""
    origin: Text = ""
    """What it was made from: a file's name, or an address."""
