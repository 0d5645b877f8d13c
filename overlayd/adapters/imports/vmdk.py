"""A sparse VMDK's tables, to see that the file has all the grains they name: QEMU does not look."""

import os
import struct
from pathlib import Path

from overlayd.ports.images import ImageError

_SECTOR = 512
_HEADER = struct.Struct("<4sIIQQQQIQQ")
_COMPRESSED = 1 << 16
_AT_END = (1 << 64) - 1
_TABLES_MOST = 1 << 20
"""Grain tables: 512 entries each, and 64 KiB a grain is usual, so 32 TiB."""


def check(path: Path) -> None:
    """Raises ImageError if a grain is not in the file."""
    with path.open("rb") as file:
        descriptor = file.fileno()
        length = os.fstat(descriptor).st_size
        head = os.pread(descriptor, _SECTOR, 0)
        if head[:4] != b"KDMV" or len(head) < _SECTOR:
            return  # a bare description, which has been refused already
        if _HEADER.unpack_from(head)[9] == _AT_END:
            head = os.pread(descriptor, _SECTOR, max(0, length - 2 * _SECTOR))
            if head[:4] != b"KDMV":
                raise _ends(length, "its end, which has its tables, is missing")
        _, _, flags, capacity, grain, _, _, per_table, _, directory = _HEADER.unpack_from(head)
        if not 0 < grain <= 1 << 16 or not 0 < per_table <= 512:
            raise ImageError("not an image: a VMDK with grains or tables of an impossible size")
        count = -(-capacity // (grain * per_table))
        if count > _TABLES_MOST:
            raise ImageError("not an image: a VMDK with more tables than any has")
        furthest = 0
        for table in set(_read(descriptor, directory, count, length)) - {0}:
            entries = _read(descriptor, table, per_table, length)
            furthest = max(furthest, *entries)
        _check_grain(descriptor, furthest, grain, bool(flags & _COMPRESSED), length)


def _check_grain(descriptor: int, at: int, grain: int, compressed: bool, length: int) -> None:
    """Raises ImageError if the last grain is not whole. One at 0 or 1 is zeros, and nowhere."""
    if at <= 1:
        return
    end = (at + grain) * _SECTOR
    if compressed:
        marker = os.pread(descriptor, 12, at * _SECTOR)
        if len(marker) < 12:
            raise _ends(length, f"a grain is at {at * _SECTOR}")
        end = at * _SECTOR + 12 + struct.unpack_from("<I", marker, 8)[0]
    if end > length:
        raise _ends(length, f"a grain of it ends at {end}")


def _read(descriptor: int, sector: int, count: int, length: int) -> tuple[int, ...]:
    if sector * _SECTOR + 4 * count > length:
        raise _ends(length, f"a table of it is at {sector * _SECTOR}")
    return struct.unpack(f"<{count}I", os.pread(descriptor, 4 * count, sector * _SECTOR))


def _ends(length: int, why: str) -> ImageError:
    return ImageError(
        f"not a whole image: it ends at byte {length}, and {why}; was it downloaded to its end?"
    )
