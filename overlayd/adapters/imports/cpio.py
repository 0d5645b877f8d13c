"""An initramfs as a tar: what a kernel would unpack into memory, read as if it came from an enemy.

The kernel's format is "newc" cpio (its Documentation/driver-api/early-userspace/buffer-format.rst), as it is or
gzipped. Nothing is written here but one file: `trees.py` checks what is in it, and unpacks it.
"""

import gzip
import stat
import tarfile
import zlib
from pathlib import Path
from typing import IO

from overlayd.ports.images import ImageError
from protocol.grid.problem import quoted

_GZIP = b"\x1f\x8b"
_MAGIC = (b"070701", b"070702")
_FIELDS, _DIGITS = 13, 8
_HEXADECIMAL = frozenset(b"0123456789abcdefABCDEF")
_HEAD_BYTES = 6 + _FIELDS * _DIGITS
_INO, _MODE, _UID, _GID, _LINKS, _TIME, _SIZE, _MAJOR, _MINOR = range(9)
_NAME_BYTES = 11
_END = "TRAILER!!!"
_NAME_MOST_BYTES = 4096
_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


def tar_of_initramfs(initramfs: Path, target: Path, most_bytes: int) -> None:
    """Writes what is in an initramfs into the new file `target`, as a tar. Raises ImageError.

    It may be no longer than `most_bytes` when it is unpacked.
    """
    with initramfs.open("rb") as file, tarfile.open(target, "x") as tar:
        packed = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        try:
            with gzip.open(file) if packed else file as content:
                _Copy(_Bounded(content, most_bytes), tar).all()
        except (EOFError, OSError, ValueError, zlib.error) as error:
            raise ImageError(f"not an image: an initramfs that cannot be read: {error}") from None


class _Bounded:
    """A stream of which no more than so many bytes are read."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, most_bytes: int) -> None:
        self._stream, self._most_bytes = stream, most_bytes
        self.at = 0

    def read(self, size: int = -1) -> bytes:
        """So many bytes. Raises ImageError where it ends before, or has more than it may."""
        self.at += size
        if size < 0 or self.at > self._most_bytes:
            raise ImageError(
                f"not an image: its initramfs has more than {self._most_bytes >> 20} MiB, which is all the"
                " memory of the workspace"
            )
        data = self._stream.read(size)
        if len(data) != size:
            raise ImageError("not a whole image: its initramfs ends early")
        return data

    def align(self) -> None:
        """Goes on to a multiple of 4 bytes."""
        self.read(-self.at % 4)


class _Copy:
    """One archive on its way from cpio to tar."""

    def __init__(self, source: _Bounded, tar: tarfile.TarFile) -> None:
        self._source, self._tar = source, tar
        self._files: dict[tuple[int, ...], str] = {}
        """Of files with several names the first that was written, by number and device."""
        self._empty: dict[tuple[int, ...], list[tarfile.TarInfo]] = {}
        """Names of files whose content comes with a later name."""

    def all(self) -> None:
        """Every entry up to the archive's end."""
        while self._one():
            self._tar.members = []  # type: ignore[attr-defined]  # it would keep all of them
        for names in self._empty.values():
            self._link(names[0], names[1:])

    def _one(self) -> bool:
        head = self._source.read(_HEAD_BYTES)
        if head[:6] not in _MAGIC:
            raise ImageError("not an image: its initramfs is no cpio archive of the kind `newc`")
        if not _HEXADECIMAL.issuperset(head[6:]):
            raise ImageError("not an image: its initramfs has numbers that are none")
        field = [int(head[6 + _DIGITS * i : 6 + _DIGITS * (i + 1)], 16) for i in range(_FIELDS)]
        if not 0 < field[_NAME_BYTES] <= _NAME_MOST_BYTES:
            raise ImageError("not an image: a name in its initramfs is too long")
        name = self._source.read(field[_NAME_BYTES])[:-1].decode(errors="surrogateescape")
        self._source.align()
        if name == _END:
            return False
        member = tarfile.TarInfo(name)
        kind = _TYPES.get(stat.S_IFMT(field[_MODE]))
        if kind is None:
            raise ImageError(f"not an image: {quoted(name)} in its initramfs is no kind of file")
        member.type, member.mode = kind, stat.S_IMODE(field[_MODE])
        member.uid, member.gid, member.mtime = field[_UID], field[_GID], field[_TIME]
        self._put(member, field)
        self._source.align()
        return True

    def _put(self, member: tarfile.TarInfo, field: list[int]) -> None:
        size = field[_SIZE]
        if member.issym():
            if size > _NAME_MOST_BYTES:
                raise ImageError(f"not an image: {quoted(member.name)} links too far")
            member.linkname = self._source.read(size).decode(errors="surrogateescape")
            self._tar.addfile(member)
        elif not member.isreg():
            self._source.read(size)
            self._tar.addfile(member)
        elif field[_LINKS] > 1:
            self._named(member, (field[_INO], field[_MAJOR], field[_MINOR]), size)
        else:
            self._fill(member, size)

    def _named(self, member: tarfile.TarInfo, file: tuple[int, ...], size: int) -> None:
        """One of several names of a file. The content comes with one of them, mostly the last."""
        first = self._files.get(file)
        if first is not None:
            self._source.read(size)
            self._as_link(member, first)
        elif not size:
            self._empty.setdefault(file, []).append(member)
        else:
            self._files[file] = member.name
            self._fill(member, size)
            for other in self._empty.pop(file, []):
                self._as_link(other, member.name)

    def _link(self, first: tarfile.TarInfo, others: list[tarfile.TarInfo]) -> None:
        self._fill(first, 0)
        for other in others:
            self._as_link(other, first.name)

    def _as_link(self, member: tarfile.TarInfo, first: str) -> None:
        member.type, member.linkname = tarfile.LNKTYPE, first
        self._tar.addfile(member)

    def _fill(self, member: tarfile.TarInfo, size: int) -> None:
        member.size = size
        self._tar.addfile(member, self._source)
