"""Images: content-addressed guest images that one host keeps."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from protocol.capacity.advert import ImageLabel
from protocol.image.facts import Firmware, ImageFacts, ImageNotes
from protocol.image.summary import ImageSummary
from protocol.terms.architecture import Architecture

ROOM_LEFT_BYTES = 1 << 30


def room_left_bytes(disk_bytes: int) -> int:
    """What images leave free of a disk of that size, or a twentieth of a small one: guests write to it, too."""
    return min(ROOM_LEFT_BYTES, disk_bytes // 20)


class ImageInfo(msgspec.Struct, frozen=True):
    """One complete, verified image."""

    digest: str
    """Its id, 64 hexadecimal digits: protocol/image/merkle.py."""
    names: tuple[str, ...]
    """What it is called here, in order; none if it is known by its id only."""
    facts: ImageFacts
    notes: ImageNotes
    size_bytes: int
    """What it takes of this host's disk. A hole takes nothing."""
    owner: str = ""
    """The key of who had it made of a root disk of theirs on this host; empty of all others."""
    heard: tuple[str, ...] = ()
    """Which of its names came with a fetch. Nobody here gave them."""

    @property
    def name(self) -> str:
        """The first of its names; empty if it has none."""
        return self.names[0] if self.names else ""


class KernelFiles(msgspec.Struct, frozen=True):
    """Where an appliance's parts are on this host, ready for a hypervisor."""

    kernel: str
    initrd: str
    cmdline: str


class DiskFile(msgspec.Struct, frozen=True):
    """A disk image on this host: raw, sparse, and read-only for good."""

    path: str
    bytes: int
    """How large the disk is for its guest."""
    firmware: Firmware


class TreeFile(msgspec.Struct, frozen=True):
    """A container image's root file system, unpacked on this host. Nobody writes to it."""

    path: str


ImageFiles = KernelFiles | DiskFile | TreeFile


class ImageUse(msgspec.Struct, frozen=True):
    """What is known of an image's use on this host."""

    last_s: float
    """When its files were asked for last, or it came. Unix seconds."""
    fetched: bool
    """Whether it came from another host. Otherwise somebody added it here."""


class Unused(msgspec.Struct, frozen=True):
    """An image here that nothing on this host uses."""

    digest: str
    name: str
    size_bytes: int
    used_s: float
    """When it was used last, or came. Unix seconds."""
    added: bool = False
    """Whether it was added here. It stays, then: it may be the only copy that lasts."""
    unfinished: bool = False


class Collected(msgspec.Struct, frozen=True):
    """What became of the images that nobody uses."""

    removed: tuple[Unused, ...]
    kept: tuple[Unused, ...]
    limit_bytes: int

    @property
    def freed_bytes(self) -> int:
        """How much disk that freed."""
        return sum(each.size_bytes for each in self.removed)


class ImageError(Exception):
    """It is no image, has a wrong digest, or there is no room. The text says which; nothing of it is kept."""


class ImportHow(msgspec.Struct, frozen=True):
    """What somebody says of a file that is to be an image."""

    origin: str = ""
    """The file's name, or its address. Nobody opens it: it is a note, and gives a name where none was said."""
    added_by: str = ""
    firmware: Firmware | None = None
    """What boots it, where its partition table does not tell, or tells otherwise."""
    architecture: Architecture | None = None
    default_user: str = ""
    """Who logs in to guests of it. Empty: nobody said."""


class ImportWatch:
    """How far an import is, and a way to stop it. One thread imports, others look."""

    def __init__(self) -> None:
        self.stage = "receiving"
        self.done_bytes = 0
        self.total_bytes = 0
        """0: it is not known."""
        self._stopped = threading.Event()
        self.guard: Callable[[], None] = lambda: None
        """The store's own check, which raises ImageError where an import may not go on."""

    def begin(self, stage: str, total_bytes: int = 0) -> None:
        """A stage begins."""
        self.stage, self.done_bytes, self.total_bytes = stage, 0, total_bytes

    def stop(self) -> None:
        """Has the import stop where it is; nothing of it is kept."""
        self._stopped.set()

    def check(self) -> None:
        """Raises ImageError once it was stopped, or may not go on."""
        self.guard()
        if self._stopped.is_set():
            raise ImageError("stopped; nothing of it is kept")


class Images(Protocol):
    """An image is known by its digest; a name is only a label on it."""

    async def list(self) -> tuple[ImageInfo, ...]:
        """Complete images, by name then digest."""

    async def add(
        self,
        path: Path,
        name: str | None = None,
        how: ImportHow = ImportHow(),  # noqa: B008, it is frozen
        watch: ImportWatch | None = None,
    ) -> ImageInfo:
        """Makes an image of a file. Known content gets that name, too. Raises ImageError.

        Without a name it is the appliance's own, or made of `how.origin`; a disk may have none.
        """

    async def keep_disk(
        self,
        folder: Path,
        facts: ImageFacts,
        notes: ImageNotes,
        leaves: bytes,
        name: str,
        owner: str = "",
    ) -> ImageInfo:
        """Makes an image of a folder with a disk's content, and takes the folder. Raises ImageError.

        The caller vouches for the leaves. Known content gets that name, too, and its folder stays.
        """

    async def rename(self, digest: str, new: str, old: str = "") -> ImageInfo:
        """Gives an image a name, in place of an old one if that is said. Raises ImageError if it is taken.

        A name that is only heard is not taken: another image of that name loses it.
        """

    async def unname(self, name: str) -> None:
        """Takes a name away; its image stays. It is no error if there is no such name."""

    async def save(self, digest: str, target: Path, watch: ImportWatch) -> None:
        """Writes a disk image into a new file, as qcow2. Raises ImageError."""

    async def remove(self, digest: str) -> None:
        """Removes an image, and its names. It is no error if there is none. Raises ImageError if a root disk of
        this host lies on it."""

    async def files(self, digest: str) -> ImageFiles:
        """Paths of what boots, made once. Raises ImageError if the image is not here."""

    async def read(self, digest: str, offset: int, length: int) -> tuple[bytes, int]:
        """A piece of the content for another peer, and all its bytes. Raises ImageError if it is not here."""

    async def leaves(self, digest: str, offset: int, length: int) -> tuple[bytes, int]:
        """The same of its leaves."""

    async def summary(self, digest: str) -> ImageSummary:
        """What another peer asks for first. Raises ImageError if it is not here."""

    async def uses(self) -> dict[str, ImageUse]:
        """When each image was used last, by digest."""

    async def adopt(self, digest: str, folder: Path, summary: ImageSummary, name: str) -> ImageInfo:
        """Makes an image of a fetch that is whole (ports/partials.py), and takes its folder.

        It has the name it brings or else `name`, as one that is heard, if no other image here has that. Raises
        ImageError.
        """


def labels_of(images: tuple[ImageInfo, ...]) -> tuple[ImageLabel, ...]:
    """What others are told of this host's images: a label for each name; an image without one has one, too."""
    return tuple(
        ImageLabel(
            name=name,
            digest=image.digest,
            size_bytes=image.size_bytes,
            kind=image.facts.kind,
            virtual_bytes=image.facts.content_bytes,
            firmware=image.facts.firmware or "",
            architecture=image.facts.architecture,
            default_user=image.notes.default_user,
            heard=name in image.heard,
        )
        for image in images
        for name in image.names or ("",)
    )
