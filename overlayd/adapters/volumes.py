"""Volumes as sparse files, one each, formatted when they are made and never again. They may grow.

A volume is made under another name and renamed when it is whole, so a half-made one is never used. Room
counts as promised, not as used, because a sparse file may yet fill up to its size.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from overlayd.adapters.flushing import flush
from overlayd.adapters.process import ProcessError, run
from overlayd.ports.volumes import VolumeError
from protocol.grid.limits import VOLUME_BYTES_MIN, VOLUME_NAME_MAX

MKFS_TIMEOUT_S = 300.0

_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SUFFIX = ".raw"
_MAKING = ".making"


class DirectoryVolumes:
    """The Volumes port on a directory of its own."""

    def __init__(self, directory: Path, beside_bytes: Callable[[], int] = lambda: 0) -> None:
        """`beside_bytes` says how much else on that file system is promised, and not used yet."""
        self._directory, self._beside_bytes = directory, beside_bytes
        self._making = asyncio.Lock()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        for half in directory.glob(f"*{_MAKING}"):
            half.unlink()

    async def ensure(self, volume: str, size_bytes: int, label: str) -> str:
        """Path of the disk. Raises VolumeError: no room, an impossible size or label, a larger one here."""
        path = self._path(volume)
        _check(volume, size_bytes, label)
        async with self._making:
            here = (await self.observe()).get(volume)
            more = size_bytes - (here or 0)
            if here is not None and more < 0:
                raise VolumeError(
                    f"volume {volume} is here with {here} bytes, not {size_bytes}; it cannot shrink"
                )
            free = await self.free_bytes() if more else 0
            if more > free:
                raise VolumeError(
                    f"no room for volume {volume}: it needs {more} bytes, {free} are left, "
                    f"{more - free} too few"
                )
            if here is None:
                await self._make(path, size_bytes, label)
            elif more:
                await asyncio.to_thread(_grow, path, size_bytes)
        return str(path)

    async def remove(self, volume: str) -> None:
        """Removes the volume; it is no error if there is none."""
        path = self._path(volume)
        async with self._making:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def observe(self) -> dict[str, int]:
        """Size in bytes of every volume here, by id, sorted."""
        here = await asyncio.to_thread(self._here)
        return {volume: status.st_size for volume, status in here.items()}

    async def free_bytes(self) -> int:
        """Room on the file system, less what the volumes here, and what is beside them, may still grow by."""
        return await asyncio.to_thread(self._free_bytes)

    async def _make(self, path: Path, size_bytes: int, label: str) -> None:
        making = path.with_suffix(_MAKING)
        try:
            await asyncio.to_thread(_allocate, making, size_bytes)
            # No reserve for root. Journal and tables are written when they are needed, not now.
            options = ("-q", "-F", "-m", "0", "-L", label, "-E", "lazy_itable_init=1,nodiscard")
            await run("mkfs.ext4", *options, str(making), timeout_s=MKFS_TIMEOUT_S)
            await asyncio.to_thread(_place, making, path)
        except (OSError, ProcessError) as error:
            raise VolumeError(f"volume {path.stem} cannot be made: {error}") from error
        finally:
            making.unlink(missing_ok=True)

    def promised_bytes(self) -> int:
        """What the volumes here may still grow by, for a thread that may block."""
        here = self._here().values()
        return sum(max(0, status.st_size - status.st_blocks * 512) for status in here)

    def _here(self) -> dict[str, os.stat_result]:
        found = {}
        for path in sorted(self._directory.glob(f"*{_SUFFIX}"), key=lambda path: path.stem):
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                found[path.stem] = path.stat()
        return found

    def _free_bytes(self) -> int:
        room = os.statvfs(self._directory)
        promised = self.promised_bytes() + self._beside_bytes()
        return max(0, room.f_bavail * room.f_frsize - promised)

    def _path(self, volume: str) -> Path:
        if not _VOLUME.fullmatch(volume):
            raise VolumeError(f"{volume[:150]!r} is not a volume's id")
        return self._directory / f"{volume}{_SUFFIX}"


def _check(volume: str, size_bytes: int, label: str) -> None:
    if size_bytes < VOLUME_BYTES_MIN:
        raise VolumeError(
            f"volume {volume} is too small: {size_bytes} bytes; the least is {VOLUME_BYTES_MIN}"
        )
    excess = len(label.encode()) - VOLUME_NAME_MAX
    if excess > 0 or not re.fullmatch(r"[A-Za-z0-9._-]+", label):
        raise VolumeError(
            f"volume {volume} cannot be labelled {label[:80]!r}: use 1 to {VOLUME_NAME_MAX} letters, "
            "digits, dots, dashes and underscores"
        )


def _grow(path: Path, size_bytes: int) -> None:
    """The disk. What is on it is its guest's, and so is to make use of the room."""
    os.truncate(path, size_bytes)
    flush(path)


def _allocate(path: Path, size_bytes: int) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        os.ftruncate(descriptor, size_bytes)
    finally:
        os.close(descriptor)


def _place(making: Path, path: Path) -> None:
    """Flushes the file before it has its name, and then the name."""
    flush(making)
    making.rename(path)
    flush(path.parent)
