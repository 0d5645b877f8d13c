"""Images made of root disks: a clone of the image below, and over it what was written.

    DIR/draft-*/content      the image in the making, raw and sparse
    DIR/still-<machine>      this machine is held still, or was when this host's daemon died

Where the file system can, extents are shared and not copied. Which clusters of a qcow2 file are its own is
asked of qemu-img, which is told the format. Its metadata is QEMU's: a guest writes data only.
"""

import asyncio
import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from overlayd.adapters.flushing import flush
from overlayd.adapters.process import ProcessError, run
from overlayd.ports.commits import CommitError, CommitWatch, Draft
from overlayd.ports.images import DiskFile
from protocol.image.commit import CommitStage
from protocol.image.merkle import CHUNK_BYTES, chunk_bytes, chunk_count, leaf_of, zero_leaf

Answer = TypeVar("Answer")

MAP_WITHIN_S = 60.0
_PIECE_BYTES = 8 << 20
_FICLONE = 0x40049409
"""The ioctl that makes a file share all extents of another."""
_DRAFT, _STILL = "draft-", "still-"
_LEAF_BYTES = 32
_OWN = 0
"""The depth of what is in the file itself, in qemu-img's words."""


class _Extent(msgspec.Struct, frozen=True):
    """One line of `qemu-img map`."""

    start: int
    length: int
    depth: int = 0
    zero: bool = False
    data: bool = False
    compressed: bool = False
    offset: int | None = None


class DirectoryCommits:
    """The Commits port on a directory of its own, on the file system of images and root disks."""

    def __init__(self, directory: Path, roots: Path) -> None:
        """`roots` is the directory of root disks (adapters/roots.py)."""
        self._directory, self._roots = directory, roots
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        for left in directory.glob(f"{_DRAFT}*"):
            shutil.rmtree(left)

    async def begin(self, root: str, base: DiskFile, watch: CommitWatch) -> Draft:
        """A clone of the image below."""
        size_bytes = (await self._info(root)).virtual_size
        return await self._call(lambda: self._begin(base, size_bytes, watch))

    async def fill(
        self, draft: Draft, root: str, within_s: float | None, watch: CommitWatch
    ) -> Draft:
        """The disk's own clusters go over it."""
        until_s = None if within_s is None else time.monotonic() + within_s
        own = await self._own(root, draft.below_bytes)
        return await self._call(lambda: self._fill(draft, self._disk(root), own, until_s, watch))

    async def leaves(self, draft: Draft, base: DiskFile, watch: CommitWatch) -> bytes:
        """Hashes the chunks that may differ, and takes the others' from beside the image below."""
        below = Path(base.path).with_name("leaves")
        return await self._call(lambda: _leaves(draft, below.read_bytes(), watch))

    async def discard(self, draft: Draft) -> None:
        """Removes its folder."""
        await asyncio.to_thread(shutil.rmtree, draft.folder, ignore_errors=True)

    async def mark(self, machine: str) -> None:
        """An empty file says it."""
        await self._call(lambda: _note(self._directory / f"{_STILL}{machine}"))

    async def unmark(self, machine: str) -> None:
        """The file goes."""
        path = self._directory / f"{_STILL}{machine}"
        await self._call(lambda: path.unlink(missing_ok=True))

    async def marked(self) -> tuple[str, ...]:
        """Whose files there are."""
        paths = await asyncio.to_thread(lambda: sorted(self._directory.glob(f"{_STILL}*")))
        return tuple(path.name.removeprefix(_STILL) for path in paths)

    async def _call(self, work: Callable[[], Answer]) -> Answer:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            said = "no room on this host's disk for the image" if full else str(error)
            raise CommitError(said) from error

    def _disk(self, root: str) -> Path:
        return self._roots / root / "disk.qcow2"

    async def _info(self, root: str) -> "_Info":
        said = await self._qemu_img("info", "--output=json", self._disk(root))
        return msgspec.json.decode(said, type=_Info)

    async def _own(self, root: str, below_bytes: int) -> tuple[_Extent, ...]:
        """What the disk has itself. Behind the image below, all that was not written is called zeros."""
        said = await self._qemu_img("map", "--output=json", self._disk(root))
        own = []
        for extent in msgspec.json.decode(said, type=tuple[_Extent, ...]):
            if extent.zero and extent.start + extent.length > below_bytes:
                length = below_bytes - extent.start
                extent = msgspec.structs.replace(extent, length=length)
            if extent.depth == _OWN and extent.length > 0:
                own.append(extent)
        return tuple(own)

    async def _qemu_img(self, command: str, form: str, disk: Path) -> bytes:
        """Of a disk that another process may have open: whoever reads it must know that nothing writes."""
        argv = ("qemu-img", command, form, "-U", "-f", "qcow2", str(disk))
        try:
            return await run(*argv, timeout_s=MAP_WITHIN_S)
        except ProcessError as error:
            raise CommitError(f"its root disk cannot be read: {error}") from error

    def _begin(self, base: DiskFile, size_bytes: int, watch: CommitWatch) -> Draft:
        folder = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=self._directory))
        try:
            watch.begin(CommitStage.IMAGE, Path(base.path).stat().st_blocks * 512)
            with Path(base.path).open("rb") as source, (folder / "content").open("xb") as target:
                _clone(source.fileno(), target.fileno(), watch)
                os.ftruncate(target.fileno(), size_bytes)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return Draft(folder, size_bytes, base.bytes)

    def _fill(
        self,
        draft: Draft,
        disk: Path,
        own: tuple[_Extent, ...],
        until_s: float | None,
        watch: CommitWatch,
    ) -> Draft:
        watch.begin(CommitStage.DISK, sum(extent.length for extent in own if not extent.zero))
        with disk.open("rb") as source, (draft.folder / "content").open("r+b") as target:
            for extent in own:
                if extent.zero:
                    _zero(target.fileno(), extent.start, extent.length, draft.size_bytes)
                elif extent.offset is None or extent.compressed:
                    raise CommitError("a cluster of its root disk is where nobody can copy it from")
                else:
                    pieces = _pieces(extent.offset, extent.start, extent.length)
                    _copy(source.fileno(), target.fileno(), pieces, until_s, watch)
            os.ftruncate(target.fileno(), draft.size_bytes)
        written = tuple((extent.start, extent.length) for extent in own)
        return msgspec.structs.replace(draft, written=written)


class _Info(msgspec.Struct, frozen=True, rename="kebab"):
    """What is needed of `qemu-img info`."""

    virtual_size: int


def _clone(source: int, target: int, watch: CommitWatch) -> None:
    """Makes a file like another, holes included; sharing its extents if the file system can."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL):
            raise
        size = os.fstat(source).st_size
        os.ftruncate(target, size)
        for start, length in _data(source, size):
            _copy(source, target, _pieces(start, start, length), None, watch)


def _data(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """(offset, length) of what is no hole."""
    at = 0
    while at < size:
        try:
            at = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(descriptor, at, os.SEEK_HOLE)
        yield at, end - at
        at = end


def _pieces(from_: int, to: int, length: int) -> Iterator[tuple[int, int, int]]:
    for done in range(0, length, _PIECE_BYTES):
        yield from_ + done, to + done, min(_PIECE_BYTES, length - done)


def _copy(
    source: int,
    target: int,
    pieces: Iterable[tuple[int, int, int]],
    until_s: float | None,
    watch: CommitWatch,
) -> None:
    for from_, to, length in pieces:
        if until_s is not None and time.monotonic() > until_s:
            raise CommitError(
                "its guest would have to stand still for longer, since much was written to its disk;"
                " `overlayctl suspend` it first, then there is no hurry"
            )
        while length:
            copied = os.copy_file_range(source, target, length, from_, to)
            if not copied:
                return  # The file ends here: of its last cluster the rest is zeros.
            from_, to, length = from_ + copied, to + copied, length - copied
            watch.step(copied)


def _zero(target: int, start: int, length: int, size: int) -> None:
    """Makes zeros of it. Where there are none but zeros already, a hole for one, nothing is written."""
    zeros = bytes(1 << 20)
    end = min(start + length, size)
    while start < end:
        piece = min(len(zeros), end - start)
        if any(os.pread(target, piece, start)):
            os.pwrite(target, zeros[:piece], start)
        start += piece


def _leaves(draft: Draft, below: bytes, watch: CommitWatch) -> bytes:
    dirty = _dirty(draft)
    watch.begin(CommitStage.HASH, len(dirty) * CHUNK_BYTES)
    leaves = []
    with (draft.folder / "content").open("rb") as file:
        for index in range(chunk_count(draft.size_bytes)):
            length = chunk_bytes(draft.size_bytes, index)
            if index in dirty:
                leaves.append(leaf_of(os.pread(file.fileno(), length, index * CHUNK_BYTES)))
                watch.step(length)
            elif index < chunk_count(draft.below_bytes):
                leaves.append(below[index * _LEAF_BYTES : (index + 1) * _LEAF_BYTES])
            else:
                leaves.append(zero_leaf(draft.size_bytes, index))
    return b"".join(leaves)


def _dirty(draft: Draft) -> dict[int, None]:
    """The chunks that may differ from those below: what was written, and where the image below ends."""
    dirty: dict[int, None] = {}
    for start, length in draft.written:
        last = min(start + length, draft.size_bytes) - 1
        dirty |= dict.fromkeys(range(start // CHUNK_BYTES, last // CHUNK_BYTES + 1))
    if draft.size_bytes != draft.below_bytes:
        dirty[(draft.below_bytes - 1) // CHUNK_BYTES] = None
    return dirty


def _note(path: Path) -> None:
    with path.open("wb") as file:
        os.fsync(file.fileno())
    flush(path.parent)
