"""Unfinished fetches in folders, beside the images.

    DIR/fetching/<id>/summary   facts and roots of pages; a folder without it was never begun
    DIR/fetching/<id>/leaves    as they come, page by page
    DIR/fetching/<id>/content   sparse, as long as the image from the first moment
    DIR/fetching/<id>/here      a bit for each chunk that was checked and written
    DIR/fetching/<id>/boot      the kernel's boot that wrote those bits

A bit is set after its chunk is written. A killed process loses nothing the kernel has taken, so the bits hold
for as long as the machine runs. After another start of the machine each chunk that has its bit is hashed again,
since a power cut may have taken it. Leaves are hashed again each time.
"""

import contextlib
import errno
import functools
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from overlayd.ports.images import ImageError
from overlayd.ports.partials import Left, Local, PagePlan
from protocol.image.merkle import (
    CHUNK_BYTES,
    HASH_BYTES,
    PAGE,
    ZERO_LEAF,
    chunk_bytes,
    chunk_count,
    page_count,
    page_leaves,
    split,
    verify_chunk,
    verify_page,
    zero_leaf,
)
from protocol.image.summary import ImageSummary, believed_summary, summary_bytes
from protocol.terms.ids import Digest, is_64_digits

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_READ_LEAVES = 1 << 20


P = ParamSpec("P")
Answer = TypeVar("Answer")


def _in_use(
    method: Callable[Concatenate["DirectoryPartial", P], Answer],
) -> Callable[Concatenate["DirectoryPartial", P], Answer]:
    """A method that has the files to itself. A descriptor that is closed may be another file's already."""

    @functools.wraps(method)
    def guarded(self: "DirectoryPartial", /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        with self._using:
            if self._closed:
                raise ImageError("this fetch was given up")
            return method(self, *args, **kwargs)

    return guarded


class DirectoryPartials:
    """The Partials port. `directory` is the images' own."""

    def __init__(self, directory: Path, boot: str = "") -> None:
        """`boot` names this start of the machine; the kernel's name of it if left out."""
        self._images, self._directory = directory, directory / "fetching"
        self._boot = boot or _BOOT.read_text().strip()

    def find(self, image: Digest) -> "DirectoryPartial | None":
        """What an earlier fetch left. What cannot be used is thrown away."""
        folder = self._folder(image)
        # A daemon that was killed while it removed one leaves some of its files.
        with _saying_why(), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            summary = believed_summary(image, (folder / "summary").read_bytes())
            if summary is not None:
                return DirectoryPartial(folder, summary, self._boot)
        self.remove(image)
        return None

    def begin(self, image: Digest, summary: ImageSummary) -> "DirectoryPartial":
        """A new one, in place of what was there."""
        self.remove(image)
        folder, size = self._folder(image), summary.facts.content_bytes
        chunks = chunk_count(size)
        with _saying_why():
            folder.mkdir(mode=0o700, parents=True)
            lengths = {"content": size, "leaves": chunks * HASH_BYTES, "here": -(-chunks // 8)}
            for name, length in lengths.items():
                with (folder / name).open("xb") as file:
                    file.truncate(length)
            (folder / "boot").write_text(self._boot)
            (folder / "summary.new").write_bytes(summary_bytes(summary))
            (folder / "summary.new").rename(folder / "summary")
            return DirectoryPartial(folder, summary, self._boot)

    def room(self) -> tuple[int, int]:
        """How many bytes the disk has free, and how many it has in all."""
        found = shutil.disk_usage(self._images)
        return found.free, found.total

    def left(self) -> list[Left]:
        """All there are, in order."""
        found: list[Left] = []
        for entry in sorted(self._directory.iterdir()):
            content = entry / "content" if entry.is_dir() else entry  # A file is an older build's.
            with contextlib.suppress(FileNotFoundError):
                seen = content.stat()
                if is_64_digits(entry.name):
                    digest = Digest(entry.name)
                    found.append(Left(digest, seen.st_blocks * 512, seen.st_mtime))
        return found

    def remove(self, image: Digest) -> int:
        """Throws one away."""
        folder = self._folder(image)
        if folder.is_file():  # an older build's
            folder.unlink()
        freed = 0
        with contextlib.suppress(FileNotFoundError):
            freed = (folder / "content").stat().st_blocks * 512
        shutil.rmtree(folder, ignore_errors=True)
        return freed

    def _folder(self, image: Digest) -> Path:
        if not is_64_digits(image):
            raise ImageError(f"{image[:80]!r} is not an image's digest: 64 hexadecimal digits")
        return self._directory / image


class DirectoryPartial:
    """The Partial port on one folder. Threads may use it side by side, and one may close it meanwhile."""

    def __init__(self, folder: Path, summary: ImageSummary, boot: str) -> None:
        self.folder, self.summary = folder, summary
        self._size = summary.facts.content_bytes
        self._roots = split(summary.page_roots)
        self._using, self._closed = threading.RLock(), False
        self._wrong: set[bytes] = set()
        """Leaves of chunks that were not what they should be where they were copied from."""
        self._last_zero = zero_leaf(self._size, chunk_count(self._size) - 1)
        self._content = os.open(folder / "content", os.O_RDWR | os.O_CLOEXEC)
        self._leaves = os.open(folder / "leaves", os.O_RDWR | os.O_CLOEXEC)
        self._bits = os.open(folder / "here", os.O_RDWR | os.O_CLOEXEC)
        self._here = bytearray((folder / "here").read_bytes())
        self._here.extend(bytes(max(0, -(-chunk_count(self._size) // 8) - len(self._here))))
        if _text(folder / "boot") != boot:
            self._look_again()
            (folder / "boot").write_text(boot)

    # -- leaves

    @_in_use
    def pages_missing(self) -> list[int]:
        """The pages of leaves that are not here, or not right."""
        pages = range(page_count(self._size))
        return [p for p in pages if not verify_page(self._roots[p], self._leaves_of(p))]

    @_in_use
    def keep_page(self, page: int, leaves: bytes) -> bool:
        """Keeps the leaves of a page. False if they are not."""
        right = len(leaves) == page_leaves(self._size, page) * HASH_BYTES
        if not right or not verify_page(self._roots[page], split(leaves)):
            return False
        with _saying_why():
            os.pwrite(self._leaves, leaves, page * PAGE * HASH_BYTES)
        return True

    def _leaves_of(self, page: int) -> tuple[bytes, ...]:
        length = page_leaves(self._size, page) * HASH_BYTES
        return split(os.pread(self._leaves, length, page * PAGE * HASH_BYTES))

    def _leaf(self, index: int) -> bytes:
        return os.pread(self._leaves, HASH_BYTES, index * HASH_BYTES)

    # -- what is here

    def here_bytes(self) -> int:
        """How much of the content is here."""
        return self._size - self.wanted_bytes()

    @_in_use
    def wanted_bytes(self) -> int:
        """How much must still be written."""
        return sum(
            chunk_bytes(self._size, index)
            for page in range(page_count(self._size))
            for index, _ in self._missing(page)
        )

    @_in_use
    def plan(self, page: int) -> PagePlan:
        """What to do about the chunks of one page."""
        first: dict[bytes, int] = {}
        for index, leaf in self._missing(page):
            first.setdefault(leaf, index)
        copies = list(self._found(first))
        copied = {local.index for local in copies}
        fetch = [index for index in first.values() if index not in copied]
        return PagePlan(tuple(fetch), tuple(copies))

    def _missing(self, page: int) -> Iterator[tuple[int, bytes]]:
        last = chunk_count(self._size) - 1
        for index, leaf in enumerate(self._leaves_of(page), page * PAGE):
            zero = self._last_zero if index == last else ZERO_LEAF
            if leaf != zero and not self._is_here(index):
                yield index, leaf

    def _found(self, first: dict[bytes, int]) -> Iterator[Local]:
        """Where chunks with these leaves are on this host."""
        left = {leaf: index for leaf, index in first.items() if leaf not in self._wrong}
        for folder in (self.folder, *self._images()):
            if not left:
                return
            for number, leaf in _leaves_in(folder / "leaves"):
                index = left.get(leaf)
                if index is None or (folder == self.folder and not self._is_here(number)):
                    continue
                del left[leaf]
                yield Local(index, str(folder / "content"), number * CHUNK_BYTES)

    def _images(self) -> list[Path]:
        entries = sorted(self.folder.parent.parent.iterdir())
        return [entry for entry in entries if is_64_digits(entry.name)]

    def _is_here(self, index: int) -> bool:
        return bool(self._here[index // 8] & (1 << index % 8))

    # -- chunks

    @_in_use
    def keep(self, index: int, chunk: bytes) -> bool:
        """Keeps a chunk, if it is the one that belongs there."""
        right = len(chunk) == chunk_bytes(self._size, index)
        if not right or not verify_chunk(self._leaf(index), chunk):
            return False
        with _saying_why():
            _write(self._content, chunk, index * CHUNK_BYTES)
            self._mark(index, True)
        return True

    @_in_use
    def copy(self, local: Local) -> bool:
        """Copies a chunk, sharing its blocks where the file system can."""
        length, at = chunk_bytes(self._size, local.index), local.index * CHUNK_BYTES
        leaf = self._leaf(local.index)
        try:
            source = os.open(local.content, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._wrong.add(leaf)
            return False
        try:
            with contextlib.suppress(OSError):
                os.copy_file_range(source, self._content, length, local.offset, at)
            if verify_chunk(leaf, os.pread(self._content, length, at)):
                self._mark(local.index, True)
                return True
            if self.keep(local.index, os.pread(source, length, local.offset)):
                return True
        finally:
            os.close(source)
        self._wrong.add(leaf)
        return False

    @_in_use
    def flush(self) -> None:
        """Puts everything on the disk."""
        with _saying_why():
            os.fsync(self._content)
            os.fsync(self._leaves)

    def close(self) -> None:
        """Closes its files."""
        with self._using:
            if not self._closed:
                self._closed = True
                for descriptor in (self._content, self._leaves, self._bits):
                    os.close(descriptor)

    def _mark(self, index: int, here: bool) -> None:
        mask = 1 << index % 8
        self._here[index // 8] = self._here[index // 8] & ~mask | (mask if here else 0)
        os.pwrite(self._bits, self._here[index // 8 : index // 8 + 1], index // 8)

    def _look_again(self) -> None:
        """Takes back the bit of each chunk that is not what it should be."""
        for index in range(chunk_count(self._size)):
            if self._is_here(index):
                length = chunk_bytes(self._size, index)
                chunk = os.pread(self._content, length, index * CHUNK_BYTES)
                if not verify_chunk(self._leaf(index), chunk):
                    self._mark(index, False)


def _leaves_in(path: Path) -> Iterator[tuple[int, bytes]]:
    """The leaves in a file with their numbers; none if it is gone."""
    number = 0
    try:
        with path.open("rb") as file:
            while some := file.read(_READ_LEAVES):
                for leaf in split(some):
                    yield number, leaf
                    number += 1
    except OSError:
        return


def _write(descriptor: int, data: bytes, offset: int) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@contextlib.contextmanager
def _saying_why() -> Iterator[None]:
    """Says in the port's words what a disk does not take."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        help_ = "; `overlayctl image gc` frees what nobody uses" if full else ""
        raise ImageError(f"the image cannot be kept: {error.strerror}{help_}") from error
