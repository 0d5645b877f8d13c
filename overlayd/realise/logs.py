"""Keeps logs that others write small: guests' consoles, and what QEMU says of itself.

Whoever writes holds the file open, so it cannot be moved away. Its end is copied, and the file cut to nothing.
That works because all of them append (O_APPEND): the next line goes to the new beginning.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

QEMU_BYTES = 256 << 10
LOOK_EVERY_S = 3.0
BUSY_EVERY_S = 0.5
"""A log that grew by an eighth of its bound since the last look is looked at so often: then one that a guest
fills as fast as it can costs little more than its bound."""
OLDER = ".1"
"""What the older part of a log is called: the log's name with this behind it."""

_PIECE_BYTES = 1 << 20


def older(log: Path) -> Path:
    """Where the older part of a log is."""
    return log.with_name(log.name + OLDER)


def trim(log: Path, most_bytes: int) -> bool:
    """Cuts a log that has grown too large. Its last `most_bytes` are its older part then. False if it has not.

    Without room for the older part it is lost, since a log may not fill a disk. The one before goes first, so
    that there are never two beside the log.
    """
    with contextlib.suppress(FileNotFoundError):
        size = log.stat().st_size
        if size <= most_bytes:
            return False
        fresh = log.with_name(log.name + ".new")
        try:
            older(log).unlink(missing_ok=True)
            with log.open("rb") as source, fresh.open("wb") as target:
                source.seek(size - most_bytes)
                left = most_bytes  # and no more: its writer writes on
                while left and (piece := source.read(min(left, _PIECE_BYTES))):
                    target.write(piece)
                    left -= len(piece)
            fresh.replace(older(log))
        except OSError:
            fresh.unlink(missing_ok=True)
        with log.open("r+b") as file:
            file.truncate(0)
        return True
    return False


Bound = Callable[[Path], int]
"""How many bytes a log may have."""


class Trimmer:
    """Every log of some folders."""

    def __init__(self, folders: dict[Path, Bound]) -> None:
        self._folders = folders
        self._sizes: dict[Path, int] = {}

    def look(self) -> bool:
        """Cuts what is too large. Whether something grows so fast that it is to be looked at again soon."""
        busy, sizes = False, dict[Path, int]()
        for folder, bound in self._folders.items():
            for log in folder.glob("*.log"):
                most_bytes = bound(log)
                cut = trim(log, most_bytes)
                with contextlib.suppress(FileNotFoundError):
                    sizes[log] = log.stat().st_size
                    grew = sizes[log] - self._sizes.get(log, 0)
                    busy = busy or cut or grew > most_bytes // 8
        self._sizes = sizes
        return busy


async def keep_small(folders: dict[Path, Bound]) -> None:
    """Goes on for ever. A disk that fails does not end it."""
    trimmer = Trimmer(folders)
    while True:
        busy = False
        with contextlib.suppress(OSError):
            busy = await asyncio.to_thread(trimmer.look)
        await asyncio.sleep(BUSY_EVERY_S if busy else LOOK_EVERY_S)
