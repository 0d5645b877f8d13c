"""Root file systems for containers: read from tars as if they came from enemies, written as one canonical tar.

Canonical: entries sorted by name, every folder before what is in it, numeric owners, whole seconds, no devices
(a container gets its own /dev), nothing absolute, nothing that leads out. So one tree has one id, however it is
packed.
"""

import os
import tarfile
from collections.abc import Callable, Iterator, Set
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec

from overlayd.adapters.image_format import opened
from overlayd.ports.images import ImageError, ImportWatch
from protocol.grid.problem import quoted
from protocol.image.facts import CONTENT_BYTES_MOST

ENTRIES_MOST = 250_000
"""Several times what a distribution's server has. Each takes some 400 bytes of memory while it is read."""

NAMES_MOST_BYTES = 32 << 20
"""All names and links together, which are in memory: twice as long as any distribution's are."""

PATH_MOST, DEPTH_MOST, OWNER_MOST = 4095, 64, (1 << 32) - 2
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
"""How an upper layer of an OCI image takes away what a lower one has."""

_PIECE_BYTES = 1 << 20


class Entry(msgspec.Struct):
    """One file of a tree, and where its bytes are."""

    kind: bytes
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int = 0
    link: str = ""
    """A symbolic link's text."""
    source: Path | None = None
    offset: int = 0


class Tree:
    """A root file system, of one tar or of several layers. Names are relative, without a dot in front."""

    def __init__(self, watch: ImportWatch) -> None:
        self._watch = watch
        self._entries: dict[str, Entry] = {}
        self._named_bytes = 0

    def add(self, archive: Path, layer: bool = False) -> None:
        """Adds what is in a plain tar; a `layer` goes over what there is. Raises ImageError."""
        seen: set[str] = set()
        size, count = archive.stat().st_size, 0
        self._watch.begin("reading", size)
        try:
            with opened(archive) as tar:
                for member in tar:
                    tar.members = []  # type: ignore[attr-defined]  # it would keep all of them
                    count += 1
                    if count > ENTRIES_MOST:
                        raise ImageError(f"not an image: it has more than {ENTRIES_MOST} entries")
                    self._watch.check()
                    self._watch.done_bytes = member.offset
                    self._take(member, archive, seen, layer)
                    if member.isreg() and member.offset_data + member.size > size:
                        raise ImageError(f"not a whole image: {quoted(member.name)} ends early")
        except (
            tarfile.TarError,
            EOFError,
            ValueError,
            OverflowError,
            RecursionError,
        ) as error:
            raise ImageError(f"not an image: a tar that cannot be read: {error}") from None

    def check_root(self) -> None:
        """Raises ImageError if there is nothing that a container could start."""
        if not any(
            name in self._entries for name in ("sbin", "bin", "usr/bin", "usr/sbin", "init")
        ):
            raise ImageError(
                "not an image: a tar without a root file system (no /bin, no /sbin, no /usr/bin)"
            )

    def _take(self, member: tarfile.TarInfo, archive: Path, seen: set[str], layer: bool) -> None:
        name = _plain(member.name)
        if not name:
            return
        last = name.rpartition("/")[2]
        if layer and last.startswith(WHITEOUT):
            self._white_out(name, last, seen)
            return
        self._named_bytes += len(name) + len(member.linkname)
        if self._named_bytes > NAMES_MOST_BYTES:
            raise ImageError("not an image: the names in it are longer than those of any system")
        self._check_parents(name)
        if name in seen and not member.isdir():
            raise ImageError(f"not an image: {quoted(name)} is in it twice")
        seen.add(name)
        entry = self._entry(name, member, archive)
        if entry is None:
            return
        before = self._entries.get(name)
        if before is not None and before.kind == tarfile.DIRTYPE and entry.kind != tarfile.DIRTYPE:
            if not layer:  # to look for all that is below, again and again, would take hours
                raise ImageError(f"not an image: {quoted(name)} is a folder in it, and no folder")
            self._drop_below(name)
        self._entries[name] = entry

    def _entry(self, name: str, member: tarfile.TarInfo, archive: Path) -> Entry | None:
        if not 0 <= member.uid <= OWNER_MOST or not 0 <= member.gid <= OWNER_MOST:
            raise ImageError(f"not an image: {quoted(name)} has an impossible owner")
        mtime = min(max(0, int(member.mtime)), (1 << 33) - 1)
        made = Entry(member.type, member.mode & 0o7777, member.uid, member.gid, mtime)
        if member.issparse():
            raise ImageError(
                f"not an image: {quoted(name)} is sparse; pack it without (tar has -S)"
            )
        if member.isdir():
            made.kind = tarfile.DIRTYPE
        elif member.isreg():
            made.kind = tarfile.REGTYPE
            made.size, made.source, made.offset = member.size, archive, member.offset_data
        elif member.issym():
            made.link, made.mode = _link(name, member.linkname), 0o777
        elif member.islnk():
            target = self._entries.get(_plain(member.linkname))
            if target is None or target.kind != tarfile.REGTYPE:
                raise ImageError(
                    f"not an image: {quoted(name)} is a link to {quoted(member.linkname)}, no file in it"
                )
            return target  # the same entry: two names for one file
        elif member.isdev() and name.startswith("dev/"):
            return None  # a container gets its own
        else:
            raise ImageError(
                f"not an image: {quoted(name)} is a device, a pipe or a socket; a container has those"
                " of its own in /dev"
            )
        return made

    def _check_parents(self, name: str) -> None:
        """Raises ImageError if it would be written through something that is no folder. Adds missing ones."""
        parts = name.split("/")
        for depth in range(1, len(parts)):
            parent = "/".join(parts[:depth])
            found = self._entries.get(parent)
            if found is None:
                self._entries[parent] = Entry(tarfile.DIRTYPE, 0o755, 0, 0, 0)
            elif found.kind != tarfile.DIRTYPE:
                raise ImageError(
                    f"not an image: {quoted(name)} is below {quoted(parent)}, which is no folder"
                )
        if len(self._entries) > ENTRIES_MOST:
            raise ImageError(f"not an image: it has more than {ENTRIES_MOST} entries")

    def _white_out(self, name: str, last: str, seen: set[str]) -> None:
        folder = name.rpartition("/")[0]
        if last == OPAQUE:
            self._drop_below(folder, seen)
            return
        gone = f"{folder}/{last.removeprefix(WHITEOUT)}".lstrip("/")
        self._entries.pop(gone, None)
        self._drop_below(gone)

    def _drop_below(self, folder: str, keep: Set[str] = frozenset()) -> None:
        start = f"{folder}/" if folder else ""
        for name in [n for n in self._entries if n.startswith(start) and n not in keep]:
            del self._entries[name]

    def write(self, target: Path) -> None:
        """Writes the canonical tar, a new file. Raises ImageError if it is too large, and OSError."""
        total = sum({id(e): e.size for e in self._entries.values()}.values())
        if total + 2048 * len(self._entries) > CONTENT_BYTES_MOST:
            raise ImageError("not an image: the tree is larger than any image may be")
        self._watch.begin("writing", total)
        with tarfile.open(target, "x", format=tarfile.PAX_FORMAT) as tar:
            for name, entry, twin in self.in_order():
                self._watch.check()
                member = _member(name, entry)
                if twin:
                    member.type, member.linkname, member.size = tarfile.LNKTYPE, twin, 0
                if twin or entry.source is None:
                    tar.addfile(member)
                else:
                    with entry.source.open("rb") as file:
                        file.seek(entry.offset)
                        tar.addfile(member, file)
                    self._watch.done_bytes += entry.size
                tar.members = []  # type: ignore[attr-defined]

    def in_order(self) -> Iterator[tuple[str, Entry, str]]:
        """(name, entry, an earlier name of the same file or empty), every folder before what is in it."""
        first: dict[int, str] = {}
        for name in sorted(self._entries, key=lambda name: name.split("/")):
            entry = self._entries[name]
            shared = entry.kind == tarfile.REGTYPE
            yield name, entry, first.get(id(entry), "") if shared else ""
            first.setdefault(id(entry), name)


def unpack(
    content: Path, target: Path, watch: ImportWatch, owner: Callable[[int], int] = int
) -> None:
    """Unpacks a canonical tar into the new folder `target`, as its owners. Raises ImageError if it is none.

    It is checked anew: an id says that these are the bytes, not that they are good ones. `owner` answers the id
    of the file for an id of the tar.
    """
    tree = Tree(watch)
    tree.add(content)
    target.mkdir(mode=0o755)
    os.chown(target, owner(0), owner(0))
    for name, entry, twin in tree.in_order():
        path = target / name
        if entry.kind == tarfile.DIRTYPE:
            path.mkdir(mode=0o700)
        elif twin:
            path.hardlink_to(target / twin)
            continue
        elif entry.kind == tarfile.SYMTYPE:
            path.symlink_to(entry.link)
        else:
            with content.open("rb") as file, path.open("xb") as out:
                file.seek(entry.offset)
                _copy(file, out, entry.size)
        os.chown(path, owner(entry.uid), owner(entry.gid), follow_symlinks=False)
        if entry.kind != tarfile.SYMTYPE:
            path.chmod(entry.mode)
        os.utime(path, (entry.mtime, entry.mtime), follow_symlinks=False)


def _copy(file: IO[bytes], out: IO[bytes], size: int) -> None:
    while size and (data := file.read(min(size, _PIECE_BYTES))):
        out.write(data)
        size -= len(data)


def _member(name: str, entry: Entry) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = entry.kind, entry.mode, entry.mtime
    member.uid, member.gid, member.size = entry.uid, entry.gid, entry.size
    member.linkname = entry.link
    return member


def _plain(name: str) -> str:
    """A name without what means nothing. Raises ImageError if it leads out."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ImageError(f"not an image: {quoted(name)} leads out of it")
    plain = "" if str(path) == "." else str(path)
    if len(plain.encode(errors="surrogateescape")) > PATH_MOST or len(path.parts) > DEPTH_MOST:
        raise ImageError(f"not an image: {quoted(name)} is too long, or too deep")
    if any(len(part.encode(errors="surrogateescape")) > 255 for part in path.parts) or "\0" in name:
        raise ImageError(f"not an image: {quoted(name)} is no file's name")
    return plain


def _link(name: str, target: str) -> str:
    """A symbolic link's text. One that begins at the root stays in the container; a relative one must, too."""
    if not target or len(target) > PATH_MOST or "\0" in target:
        raise ImageError(f"not an image: {quoted(name)} links to nothing")
    depth = name.count("/")
    for part in () if target.startswith("/") else target.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            raise ImageError(f"not an image: {quoted(name)} links to {quoted(target)}, out of it")
    return target
