"""A qcow2's header, read before any tool reads it: what it refers to, and whether that is in the file."""

import os
import struct
from pathlib import Path

import msgspec

from overlayd.ports.images import ImageError
from protocol.image.facts import CONTENT_BYTES_MOST
from protocol.terms.quantities import format_size

_FIXED = struct.Struct(">4sIQIIQIIQQIIQ")
_FEATURES = struct.Struct(">QQQ")
_ENTRY = struct.Struct(">Q")
_OFFSET = 0x00FFFFFFFFFFFE00
_COMPRESSED = 1 << 62
_L1_MOST = 4 << 20
"""Entries of a first table: 32 MiB of them, which is QEMU's limit, too."""

_CORRUPT, _DATA_FILE, _EXTENDED, _KNOWN = 2, 4, 16, 0x1F
_BITMAPS = 1
"""Bits of the features that must be known, and of those that may be cleared."""

_CONVERT = "qemu-img convert -O qcow2 FILE NEW.qcow2 makes one without"


def check(path: Path) -> int:
    """Answers how many bytes its guest sees. Raises ImageError with what is wrong with it."""
    length = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(104)
        if len(head) < _FIXED.size:
            raise ImageError(f"not an image: a qcow2 that ends in its header, after {length} bytes")
        (
            _,
            version,
            backing,
            _,
            cluster_bits,
            size,
            encrypted,
            l1_size,
            l1_at,
            _,
            _,
            snapshots,
            _,
        ) = _FIXED.unpack_from(head)
        if version not in (2, 3):
            raise ImageError(f"not an image: a qcow2 of version {version}; 2 and 3 are known")
        if version == 3 and len(head) < _FIXED.size + _FEATURES.size:
            raise ImageError(f"not an image: a qcow2 that ends in its header, after {length} bytes")
        needed, _, clearable = _FEATURES.unpack_from(head, 72) if version == 3 else (0, 0, 0)
        _refuse(backing, encrypted, needed, clearable, snapshots)
        if not 9 <= cluster_bits <= 21:
            raise ImageError("not an image: a qcow2 with clusters of an impossible size")
        check_size(size)
        layout = _Layout(length, size, cluster_bits, bool(needed & _EXTENDED))
        tables = _check_l1(file.fileno(), layout, l1_size, l1_at)
        _check_clusters(file.fileno(), layout, tables)
    return int(size)


def check_size(size: int) -> None:
    """Raises ImageError if a disk of that size cannot be an image."""
    if size > CONTENT_BYTES_MOST:
        raise ImageError(
            f"not an image: it says it is {format_size(size)} large; {format_size(CONTENT_BYTES_MOST)} "
            "is the most"
        )
    if size < 512:
        raise ImageError("not an image: a disk without a byte in it")


def _refuse(backing: int, encrypted: int, needed: int, clearable: int, snapshots: int) -> None:
    """Raises ImageError for what would be lost or would be read from elsewhere."""
    if backing:
        raise ImageError(
            f"not a whole image: it has a backing file, and holds only what differs; {_CONVERT}"
        )
    if needed & _DATA_FILE:
        raise ImageError(
            f"not a whole image: it has an external data file, and holds no data; {_CONVERT}"
        )
    if encrypted:
        raise ImageError(
            "not an image that can be read: it is encrypted; qemu-img convert can decrypt it"
        )
    if needed & _CORRUPT:
        raise ImageError(
            "not a whole image: it is marked corrupt; qemu-img check -r all FILE may mend it"
        )
    if needed & ~_KNOWN:
        raise ImageError(
            f"not an image this version knows: it needs features {needed & ~_KNOWN:#x} of qcow2"
        )
    if snapshots:
        raise ImageError(
            f"it has {snapshots} internal snapshots, which an image does not keep; {_CONVERT}"
        )
    if clearable & _BITMAPS:
        raise ImageError(
            f"it has bitmaps (marks for backups), which an image does not keep; {_CONVERT}"
        )


class _Layout(msgspec.Struct, frozen=True):
    """Where the file's tables are, and how its clusters are counted."""

    length: int
    """Of the file, in bytes."""
    size: int
    """Of the disk."""
    bits: int
    """A cluster is 2**bits bytes."""
    extended: bool
    """Whether an entry of a second table is 16 bytes."""

    @property
    def cluster(self) -> int:
        return 1 << self.bits

    @property
    def covers(self) -> int:
        """Bytes of the disk for each entry of the first table."""
        return 1 << (2 * self.bits - (4 if self.extended else 3))


def _check_l1(descriptor: int, layout: _Layout, entries: int, at: int) -> list[int]:
    """Where the second tables are. Raises ImageError if a table is not in the file."""
    wanted = -(-layout.size // layout.covers)
    if entries < wanted or wanted > _L1_MOST or at % layout.cluster or at == 0:
        raise ImageError(
            "not a whole image: its first table (L1) is not one for a disk of its size"
        )
    if at + 8 * wanted > layout.length:
        raise ImageError(
            f"not a whole image: its first table (L1) is at byte {at}, and the file ends at {layout.length}"
        )
    table = os.pread(descriptor, 8 * wanted, at)
    tables = sorted({entry & _OFFSET for (entry,) in _ENTRY.iter_unpack(table)} - {0})
    if tables:
        _check_end(tables[-1] + layout.cluster, layout)
    return tables


def _check_clusters(descriptor: int, layout: _Layout, tables: list[int]) -> None:
    """Raises ImageError if the file ends before a cluster of its data does."""
    packed_bits = 62 - (layout.bits - 8)
    for at in tables:
        furthest = 0
        table = os.pread(descriptor, layout.cluster, at)
        entries = [entry for (entry,) in _ENTRY.iter_unpack(table)]
        for entry in set(entries[:: 2 if layout.extended else 1]):
            if entry & _COMPRESSED:
                sectors = (entry & (_COMPRESSED - 1)) >> packed_bits
                start = entry & ((1 << packed_bits) - 1)
                end = (start // 512 + sectors) * 512 + 1
            else:
                start = entry & _OFFSET
                end = start + layout.cluster if start else 0
            furthest = max(furthest, end)
        _check_end(furthest, layout)


def _check_end(needed: int, layout: _Layout) -> None:
    if needed > layout.length:
        raise ImageError(
            f"not a whole image: it ends at byte {layout.length}, and a part of it at {needed}; was it "
            "downloaded to its end?"
        )
