"""Room on a disk that is kept for what must not fail: a file, given up when its room is needed.

Disks fill up, mostly with what others write. A program that then cannot write a few KiB loses what it knows.
"""

import contextlib
import os
from pathlib import Path

_SHARE = 8
"""At most so large a part of a small disk is kept."""


class Reserve:
    """One file with blocks of its own: `most_bytes`, less on a small disk."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        self._path, self._most_bytes = path, most_bytes
        self.whole = False
        """Whether all of it is there."""

    @property
    def size_bytes(self) -> int:
        """How large it is when it is whole."""
        disk = os.statvfs(self._path.parent)
        return max(1, min(self._most_bytes, disk.f_blocks * disk.f_frsize // _SHARE))

    def make(self) -> None:
        """Makes the reserve whole if there is room for it. Otherwise nothing of it is left."""
        if self.whole:
            return
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return
        try:
            os.posix_fallocate(file, 0, self.size_bytes)
            self.whole = True
        except OSError:
            with contextlib.suppress(OSError):
                self._path.unlink()
        finally:
            os.close(file)

    def give_up(self) -> bool:
        """Gives the room back to the disk. False if there was none to give."""
        try:
            had = self._path.stat().st_size > 0
            self._path.unlink()
        except OSError:
            had = False
        self.whole = False
        return had
