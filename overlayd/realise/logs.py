"""Keeps logs that others write small: guests' consoles, and what QEMU says of itself.

Whoever writes holds the file open, so it cannot be moved away. Its end is copied, and the file cut to nothing.
That works because all of them append (O_APPEND): the next line goes to the new beginning.
"""

import asyncio
import contextlib
from pathlib import Path

CONSOLE_BYTES = 4 << 20
QEMU_BYTES = 256 << 10
LOOK_EVERY_S = 10.0
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


def trim_all(folders: dict[Path, int]) -> None:
    """Every log of some folders: `folders` says how many bytes each may have."""
    for folder, most_bytes in folders.items():
        for log in folder.glob("*.log"):
            trim(log, most_bytes)


async def keep_small(folders: dict[Path, int]) -> None:
    """Goes on for ever. A disk that fails does not end it."""
    while True:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(trim_all, folders)
        await asyncio.sleep(LOOK_EVERY_S)
