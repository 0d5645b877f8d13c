"""An image's content on a disk: read with its holes, and hashed chunk by chunk."""

import os
from collections.abc import Iterator
from pathlib import Path

from protocol.image.merkle import CHUNK_BYTES, chunk_bytes, chunk_count, leaf_of, zero_leaf


def leaves_of(content: Path) -> Iterator[bytes]:
    """The leaf of each chunk of a file. Holes are not read."""
    with content.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        data = -1
        for index in range(chunk_count(size)):
            start, length = index * CHUNK_BYTES, chunk_bytes(size, index)
            if data < start:
                data = _data_from(file.fileno(), start, size)
            if data >= start + length:
                yield zero_leaf(size, index)
            else:
                yield leaf_of(os.pread(file.fileno(), length, start))


def _data_from(descriptor: int, offset: int, size: int) -> int:
    """Where the first data at or after `offset` is; `size` if there is none."""
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA)
    except OSError:
        return size
