"""Writing a file with its zeros as holes."""

import os
from pathlib import Path
from typing import IO

from overlayd.ports.images import ImageError
from protocol.terms.quantities import format_size

BLOCK_BYTES = 64 << 10
"""A run of so many zeros, aligned to so many bytes, is a hole."""

SECTOR_BYTES = 512

_ZEROS = bytes(BLOCK_BYTES)


class SparseWriter:
    """Takes bytes in order. Zeros take no room on the disk."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        """A new file of at most so many bytes."""
        self._file: IO[bytes] = path.open("xb", buffering=0)
        self._most = most_bytes
        self._rest = bytearray()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Raises ImageError when it becomes too long, and OSError if the disk is full."""
        self.size += len(data)
        if self.size > self._most:
            raise ImageError(
                f"not an image: it becomes more than {format_size(self._most)} when it is unpacked"
            )
        self._rest += data
        whole = len(self._rest) - len(self._rest) % BLOCK_BYTES
        if whole:
            self._put(memoryview(bytes(self._rest[:whole])), self.size - len(self._rest))
            del self._rest[:whole]

    def close(self, sectors: bool = False) -> None:
        """Writes the rest. With `sectors` the last one is filled up with zeros."""
        self._put(memoryview(bytes(self._rest)), self.size - len(self._rest))
        if sectors:
            self.size = -(-self.size // SECTOR_BYTES) * SECTOR_BYTES
        self._file.truncate(self.size)
        self._file.close()

    def _put(self, data: memoryview, offset: int) -> None:
        for start in range(0, len(data), BLOCK_BYTES):
            block = data[start : start + BLOCK_BYTES]
            if block != _ZEROS[: len(block)]:
                _write_all(self._file.fileno(), block, offset + start)


def _write_all(descriptor: int, data: memoryview, offset: int) -> None:
    """A disk that is nearly full takes a part, and says so the next time."""
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, data[done:], offset + done)
