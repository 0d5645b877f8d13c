"""Keeps logs that others write small: guests' consoles, and what QEMU says of itself.

Whoever writes holds the file open, so it cannot be moved away. Its end is copied, and the file cut to nothing.
That works because all of them append (O_APPEND): the next line goes to the new beginning.
"""

import asyncio
import contextlib
from pathlib import Path

CONSOLE_BYTES = 4 << 20
QEMU_BYTES = 256 << 10
CONSOLE_MOST_BYTES = 3 * CONSOLE_BYTES
"""What a console may take of the disk: its log, the older part, and the next older part while it is copied."""
LOOK_EVERY_S = 10.0
BUSY_EVERY_S = 0.5
"""A log that grew by an eighth of its bound since the last look is looked at so often: then one that a guest
fills as fast as it can costs little more than its bound."""
OLDER = ".1"
"""What the older part of a log is called: the log's name with this behind it."""


def older(log: Path) -> Path:
    """Where the older part of a log is."""
    return log.with_name(log.name + OLDER)


def trim(log: Path, most_bytes: int) -> bool:
    """Cuts a log that has grown too large. Its last `most_bytes` are its older part then. False if it has not.

    Without room for the older part it is lost, since a log may not fill a disk.
    """
    with contextlib.suppress(FileNotFoundError):
        size = log.stat().st_size
        if size <= most_bytes:
            return False
        fresh = log.with_name(log.name + ".new")
        try:
            with log.open("rb") as source, fresh.open("wb") as target:
                source.seek(size - most_bytes)
                target.write(source.read(most_bytes))
            fresh.replace(older(log))
        except OSError:
            fresh.unlink(missing_ok=True)
        with log.open("r+b") as file:
            file.truncate(0)
        return True
    return False


class Trimmer:
    """Every log of some folders: `folders` says how many bytes each may have."""

    def __init__(self, folders: dict[Path, int]) -> None:
        self._folders = folders
        self._sizes: dict[Path, int] = {}

    def look(self) -> bool:
        """Cuts what is too large. Whether something grows so fast that it is to be looked at again soon."""
        busy, sizes = False, dict[Path, int]()
        for folder, most_bytes in self._folders.items():
            for log in folder.glob("*.log"):
                cut = trim(log, most_bytes)
                with contextlib.suppress(FileNotFoundError):
                    sizes[log] = log.stat().st_size
                    grew = sizes[log] - self._sizes.get(log, 0)
                    busy = busy or cut or grew > most_bytes // 8
        self._sizes = sizes
        return busy


async def keep_small(folders: dict[Path, int]) -> None:
    """Goes on for ever. A disk that fails does not end it."""
    trimmer = Trimmer(folders)
    while True:
        busy = False
        with contextlib.suppress(OSError):
            busy = await asyncio.to_thread(trimmer.look)
        await asyncio.sleep(BUSY_EVERY_S if busy else LOOK_EVERY_S)


def promised_bytes(consoles: Path) -> int:
    """What the consoles in that folder may still grow by. It blocks."""
    promised = 0
    for log in consoles.glob("*.log"):
        used = 0
        for path in (log, older(log)):
            with contextlib.suppress(FileNotFoundError):
                used += path.stat().st_blocks * 512
        promised += max(0, CONSOLE_MOST_BYTES - used)
    return promised
