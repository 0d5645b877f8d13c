"""Guest images in a directory, by content.

    DIR/<id>/content        what its chunks are made of; read-only, sparse
    DIR/<id>/leaves         the hash of each chunk, 32 bytes each
    DIR/<id>/facts.json     what it is, and what is said of it
    DIR/<id>/parts/...      an appliance's kernel and initrd, unpacked
    DIR/names.json          what images are called here
    DIR/heard.json          what grids call those that were fetched for them
    DIR/fetching/<id>/      an unfinished fetch (partials.py), which is renamed to DIR/<id> when it is whole
    DIR/staging-*           work in progress; what a crash left there is removed at the next start

An image comes from strangers, so it is read with a bound on everything. A directory is made complete beside
its place, flushed, and renamed into it: an image is either whole or not there.
"""

import asyncio
import contextlib
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from overlayd.adapters.flushing import flush
from overlayd.adapters.image_content import leaves_of
from overlayd.adapters.image_folder import (
    Kept,
    complete,
    mark_added,
    mark_used,
    note_user,
    summary_in,
    use_of,
)
from overlayd.adapters.image_format import check_label
from overlayd.adapters.image_names import NONE, HostNames, NamesOfOne
from overlayd.adapters.imports import importing, saving, trees
from overlayd.ports.images import (
    DiskFile,
    ImageError,
    ImageFiles,
    ImageInfo,
    ImageUse,
    ImportHow,
    ImportWatch,
    KernelFiles,
    TreeFile,
    room_left_bytes,
)
from protocol.image.facts import ImageFacts, ImageKind, ImageNotes
from protocol.image.merkle import CHUNK_BYTES, id_of, split
from protocol.image.summary import ImageSummary
from protocol.terms.ids import is_64_digits

Answer = TypeVar("Answer")

READ_MAX_BYTES = 4 << 20
"""One chunk for a peer: large enough to keep a link busy, and small enough to hold a few in memory."""


class DirectoryImages:
    """The Images port on a directory that nothing else uses."""

    def __init__(
        self, directory: Path, lying_on: Callable[[str], list[str]] = lambda _: []
    ) -> None:
        """`lying_on` answers the root disks that lie on an image's file, which is not removed meanwhile."""
        self._lying_on = lying_on
        self._directory = directory
        self._fetching = directory / "fetching"
        self._names = HostNames(directory)
        self._writing = threading.Lock()
        self._unpacking = threading.Lock()
        self._fetching.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        for left in directory.glob("staging-*"):
            _discard(left)

    async def list(self) -> tuple[ImageInfo, ...]:
        """Complete images, by name then digest."""
        return await self._call(self._list)

    async def add(
        self,
        path: Path,
        name: str | None = None,
        how: ImportHow = ImportHow(),  # noqa: B008, it is frozen
        watch: ImportWatch | None = None,
    ) -> ImageInfo:
        """Makes an image of a file: `imports/importing.py`."""
        return await self._call(self._add, path, name, how, watch)

    async def keep_disk(
        self,
        folder: Path,
        facts: ImageFacts,
        notes: ImageNotes,
        leaves: bytes,
        name: str,
        owner: str = "",
    ) -> ImageInfo:
        """Makes an image of a folder with a disk's content."""
        hashes = split(leaves)

        def keep() -> ImageInfo:
            with _saying_no_room():
                return self.keep(folder, Kept(facts, notes, owner=owner), hashes, name)

        return await self._call(keep)

    async def rename(self, digest: str, new: str, old: str = "") -> ImageInfo:
        """Gives an image a name, in place of an old one if that is said."""
        return await self._call(self._rename, digest, new, old)

    async def unname(self, name: str) -> None:
        """Takes a name away; its image stays."""
        await self._call(self._unname, name)

    async def save(self, digest: str, target: Path, watch: ImportWatch) -> None:
        """Writes a disk image into a new file, as qcow2."""
        await self._call(self._save, digest, target, watch)

    async def remove(self, digest: str) -> None:
        """Removes an image with its names, and an unfinished fetch of it."""
        await self._call(self._remove, digest)

    async def files(self, digest: str) -> ImageFiles:
        """Paths of what boots."""
        files = await self._call(self._files, digest)
        await self._call(mark_used, self._place(digest))
        return files

    async def read(self, digest: str, offset: int, length: int) -> tuple[bytes, int]:
        """At most READ_MAX_BYTES from `offset`, and the total size in bytes. Empty at and past the end."""
        return await self._call(self._piece, digest, "content", offset, length)

    async def summary(self, digest: str) -> ImageSummary:
        """What another peer needs to check this image's leaves and chunks."""
        return await self._call(self._summary, digest)

    async def leaves(self, digest: str, offset: int, length: int) -> tuple[bytes, int]:
        """At most READ_MAX_BYTES of the leaves from `offset`, and how many bytes they all have."""
        return await self._call(self._piece, digest, "leaves", offset, length)

    async def uses(self) -> dict[str, ImageUse]:
        """When each image was used last."""
        return await self._call(self._uses)

    async def adopt(self, digest: str, folder: Path, summary: ImageSummary, name: str) -> ImageInfo:
        """Makes an image of a fetch that is whole."""
        return await self._call(self._adopt, digest, folder, summary, name)

    def any_kernel(self) -> tuple[str, str] | None:
        """Paths of the kernel and initrd of some image here; None if there is none.

        It blocks: a trial of KVM calls it in a thread.
        """
        for info in self._list():
            files = self._files(info.digest)
            if isinstance(files, KernelFiles):
                return files.kernel, files.initrd
        return None

    async def _call(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        return await asyncio.to_thread(function, *arguments)

    def _list(self) -> tuple[ImageInfo, ...]:
        there = [entry.name for entry in self._directory.iterdir()]
        names = self._names.by_image()
        found = (self._info(digest, names.get(digest, NONE)) for digest in there)
        infos = [info for info in found if info is not None]
        return tuple(sorted(infos, key=lambda info: (info.name, info.digest)))

    def _add(
        self, path: Path, name: str | None, how: ImportHow, watch: ImportWatch | None
    ) -> ImageInfo:
        if name is not None:
            check_label(name)
        watch = watch or ImportWatch()
        with _saying_no_room(), self._staging() as staging:
            self._check_source(path)
            watch.guard = self._check_room
            made = importing.make(path, staging, how, watch)
            return self._keep_made(made, staging, name or made.name, watch)

    def _check_source(self, path: Path) -> None:
        """Raises ImageError if it cannot be read, or there is surely no room for it."""
        try:
            with path.open("rb") as file:
                found = os.fstat(file.fileno())
        except OSError as error:
            raise ImageError(f"{path} cannot be read: {error.strerror}") from error
        if not stat.S_ISREG(found.st_mode):
            raise ImageError(f"{path} is not a file")
        free = shutil.disk_usage(self._directory).free
        if min(found.st_size, found.st_blocks * 512) > free:
            raise ImageError(
                f"no room for the image: its file has {found.st_size} bytes, {free} are free"
            )

    def _check_room(self) -> None:
        """Raises ImageError while little of the disk is left: others write to it, too."""
        disk = shutil.disk_usage(self._directory)
        if disk.free < room_left_bytes(disk.total):
            raise ImageError(
                "no room for the image: this host's disk is nearly full; nothing of it is left"
            )

    def _keep_made(
        self, made: importing.Made, staging: Path, name: str, watch: ImportWatch
    ) -> ImageInfo:
        watch.begin("hashing", made.facts.content_bytes)
        leaves = []
        for leaf in leaves_of(staging / "content"):
            watch.check()
            leaves.append(leaf)
            watch.done_bytes = min(len(leaves) * CHUNK_BYTES, watch.total_bytes)
        parts = made.manifest
        boots = (parts.kernel, parts.initrd, parts.cmdline) if parts else ()
        return self.keep(staging, Kept(made.facts, made.notes, *boots), leaves, name)

    def _adopt(self, digest: str, folder: Path, summary: ImageSummary, name: str) -> ImageInfo:
        """The folder stays a fetch that is found again until it is renamed, and is an image then."""
        known = self._info(digest)
        if known is not None:
            shutil.rmtree(folder, ignore_errors=True)
            return known
        with _saying_no_room():
            try:
                name = complete(folder, summary) or name
            except ImageError:
                shutil.rmtree(folder)
                raise
            with self._writing:
                folder.rename(self._place(digest))
                flush(self._directory)
                if name:
                    self._names.hear(name, digest)
                info = self._info(digest)
                assert info is not None
                return info

    def _uses(self) -> dict[str, ImageUse]:
        places = (entry for entry in self._directory.iterdir() if is_64_digits(entry.name))
        uses = {place.name: use_of(place) for place in places}
        return {digest: use for digest, use in uses.items() if use is not None}

    def _summary(self, digest: str) -> ImageSummary:
        kept, place = self._kept(digest), self._place(digest)
        if kept is None:
            raise _absent(digest)
        return summary_in(place, kept.facts, kept.notes)

    def keep(self, staging: Path, kept: Kept, leaves: Sequence[bytes], name: str) -> ImageInfo:
        """Makes an image of a staging folder with its content: flushes it and gives it its place and name.

        If it is here already, the folder is left as it is, and only who logs in is noted, if that is said now.
        Raises ImageError if another image has the name.
        """
        digest = id_of(kept.facts, leaves)
        (staging / "leaves").write_bytes(b"".join(leaves))
        (staging / "facts.json").write_bytes(msgspec.json.encode(kept))
        for entry in (*staging.rglob("*"), staging):
            entry.chmod(0o700 if entry.is_dir() else 0o400)
            flush(entry)
        with self._writing:
            if name:
                self._names.check_free(name, digest)
            before, user = self._kept(digest), kept.notes.default_user
            if before is None:
                staging.rename(self._directory / digest)
                flush(self._directory)
            elif user not in ("", before.notes.default_user):
                note_user(self._place(digest), before, user)
            mark_added(self._place(digest))
            if name:
                self._names.give(name, digest)
            info = self._info(digest)
            assert info is not None
            return info

    def _rename(self, digest: str, new: str, old: str) -> ImageInfo:
        check_label(new)
        with self._writing, _saying_no_room():
            if self._info(digest) is None:
                raise _absent(digest)
            self._names.give(new, digest)
            if old != new and old in self._names.of(digest).all:
                self._names.take(old)
            info = self._info(digest)
            assert info is not None
            return info

    def _unname(self, name: str) -> None:
        with self._writing, _saying_no_room():
            self._names.take(name)

    def _save(self, digest: str, target: Path, watch: ImportWatch) -> None:
        files = self._files(digest)
        if not isinstance(files, DiskFile):
            raise ImageError(f"image {digest[:12]} is no disk; save it as it is, as a tar")
        with _saying_no_room():
            saving.to_qcow2(Path(files.path), target, watch)

    def _remove(self, digest: str) -> None:
        place = self._place(digest)
        if roots := self._lying_on(str(place / "content")):
            raise ImageError(
                f"root disks on this host lie on image {digest[:12]}: {', '.join(roots)}"
            )
        with self._writing, _saying_no_room():
            room = True
            try:
                self._names.drop(digest)
            except OSError:  # A full disk: what goes makes the room for it.
                room = False
            if place.exists():
                going = self._directory / f"staging-{digest}"
                shutil.rmtree(going, ignore_errors=True)
                place.rename(going)
                shutil.rmtree(going, ignore_errors=True)
            if not room:
                self._names.drop(digest)

    def _files(self, digest: str) -> ImageFiles:
        kept, place = self._kept(digest), self._place(digest)
        if kept is None:
            raise _absent(digest)
        match kept.facts.kind:
            case ImageKind.APPLIANCE:
                parts = place / "parts"
                return KernelFiles(str(parts / kept.kernel), str(parts / kept.initrd), kept.cmdline)
            case ImageKind.DISK:
                firmware = kept.facts.firmware
                assert firmware is not None
                return DiskFile(str(place / "content"), kept.facts.content_bytes, firmware)
            case ImageKind.CONTAINER:
                return TreeFile(str(self._tree(place)))

    def _tree(self, place: Path) -> Path:
        """A container image's root file system, unpacked when it is first needed."""
        tree = place / "tree"
        if not tree.exists():
            with self._unpacking, _saying_no_room(), self._staging() as staging:
                if not tree.exists():
                    watch = ImportWatch()
                    watch.guard = self._check_room
                    trees.unpack(place / "content", staging / "tree", watch)
                    (staging / "tree").rename(tree)
        return tree

    def _piece(self, digest: str, part: str, offset: int, length: int) -> tuple[bytes, int]:
        if offset < 0 or length < 0:
            raise ImageError(f"no such part of an image: {length} bytes from {offset}")
        try:
            with (self._place(digest) / part).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                return os.pread(file.fileno(), min(length, READ_MAX_BYTES), offset), size
        except (FileNotFoundError, OverflowError):
            raise _absent(digest) from None

    def _info(self, digest: str, names: NamesOfOne | None = None) -> ImageInfo | None:
        """What is known of it; None if it is not here. Its names are read if they are not given."""
        kept = self._kept(digest) if is_64_digits(digest) else None
        if kept is None:
            return None
        try:
            found = (self._place(digest) / "content").stat()
        except FileNotFoundError:
            return None  # removed meanwhile
        named = names or self._names.of(digest)
        return ImageInfo(
            digest=digest,
            names=named.all,
            facts=kept.facts,
            notes=kept.notes,
            size_bytes=found.st_blocks * 512,
            owner=kept.owner,
            heard=named.heard,
        )

    def _kept(self, digest: str) -> Kept | None:
        try:
            return msgspec.json.decode((self._place(digest) / "facts.json").read_bytes(), type=Kept)
        except FileNotFoundError:
            return None

    def _place(self, digest: str) -> Path:
        return self._directory / _checked(digest)

    @contextlib.contextmanager
    def _staging(self) -> Iterator[Path]:
        """A directory to work in. It is gone afterwards, unless it was renamed to its place."""
        staging = Path(tempfile.mkdtemp(prefix="staging-", dir=self._directory))
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _discard(left: Path) -> None:
    if left.is_dir():
        shutil.rmtree(left)
    else:
        left.unlink()


def _checked(digest: str) -> str:
    if not is_64_digits(digest):
        raise ImageError(f"{digest[:80]!r} is not an image's digest: 64 hexadecimal digits")
    return digest


def _absent(digest: str) -> ImageError:
    return ImageError(f"image {digest} is not on this host")


@contextlib.contextmanager
def _saying_no_room() -> Iterator[None]:
    """Says in the port's words that a disk is full."""
    try:
        yield
    except OSError as error:
        raise ImageError(
            f"the image cannot be kept: {error.strerror}; nothing of it is left"
        ) from error
