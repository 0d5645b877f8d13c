"""Seeds as NoCloud ISO images, which cloud-init and our own guest image read alike."""

import asyncio
import contextlib
import io
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from overlayd.adapters.seed_files import files_of
from overlayd.ports.seeds import Seed, SeedError

if TYPE_CHECKING:
    from pycdlib import PyCdlib

VOLUME_ID = "cidata"
"""A guest finds the seed by it."""

SEED_MIN_BYTES = 384 << 10
"""Images are padded to this, as genisoimage does. busybox's findfs gives up on a disk that ends before 68 KiB,
where other file systems would have their superblock."""

_MACHINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class NoCloudSeeds:
    """The Seeds port on a directory of its own: DIR/<machine>.iso, mode 0600."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)

    async def ensure(self, machine: str, seed: Seed) -> str:
        """Path of the ISO. Raises SeedError: no room, or a guest could not read something in it."""
        path = self._path(machine)
        await asyncio.to_thread(_ensure, path, files_of(seed))
        return str(path)

    async def files(self, machine: str) -> dict[str, bytes]:
        """What is in the ISO. Raises SeedError."""
        found = await asyncio.to_thread(_read, self._path(machine))
        if found is None:
            raise SeedError(f"there is no whole seed of {machine} here")
        return found

    async def observe(self) -> tuple[str, ...]:
        """The machines with an ISO here. One that was cut short while it was written is theirs, too."""
        files = await asyncio.to_thread(lambda: list(self._directory.iterdir()))
        return tuple(sorted({file.stem for file in files if _MACHINE.fullmatch(file.stem)}))

    async def remove(self, machine: str) -> None:
        """Removes the seed; it is no error if there is none."""
        path = self._path(machine)
        for file in (path, path.with_suffix(".new")):
            await asyncio.to_thread(file.unlink, missing_ok=True)

    def _path(self, machine: str) -> Path:
        if not _MACHINE.fullmatch(machine):
            raise SeedError(f"{machine[:150]!r} is not a machine's name")
        return self._directory / f"{machine}.iso"


def _ensure(path: Path, files: dict[str, bytes]) -> None:
    if _read(path) == files:
        return
    fresh = path.with_suffix(".new")
    try:
        with _private(fresh) as target:
            _write(target, files)
            target.flush()
            target.truncate(max(target.seek(0, os.SEEK_END), SEED_MIN_BYTES))
            os.fsync(target.fileno())
        fresh.replace(path)
    except OSError as error:
        raise SeedError(f"the seed {path} cannot be written: {error.strerror}") from error
    finally:
        fresh.unlink(missing_ok=True)


def _private(path: Path) -> io.BufferedRandom:
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "w+b")


def _write(target: io.BufferedRandom, files: dict[str, bytes]) -> None:
    from pycdlib import PyCdlib  # Imported with the first seed: most hosts never write one.

    iso = PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=VOLUME_ID)
    try:
        for name, content in files.items():
            plain = name.replace("-", "").upper()
            iso.add_fp(
                io.BytesIO(content),
                len(content),
                f"/{plain}.;1",
                rr_name=name,
                joliet_path=f"/{name}",
            )
        iso.write_fp(target)
    finally:
        iso.close()


def names_in(iso: "PyCdlib") -> list[str]:
    """The names of the files in an open ISO."""
    entries = iso.list_children(rr_path="/")
    names = (entry.rock_ridge.name().decode() for entry in entries if not entry.is_dir())
    return list(names)


def _read(path: Path) -> dict[str, bytes] | None:
    """What is in an ISO; None if it is not there or not whole."""
    from pycdlib import PyCdlib
    from pycdlib.pycdlibexception import PyCdlibException

    files = {}
    with contextlib.suppress(OSError, PyCdlibException):
        iso = PyCdlib()
        iso.open(str(path))
        try:
            for name in names_in(iso):
                content = io.BytesIO()
                iso.get_file_from_iso_fp(content, rr_path=f"/{name}")
                files[name] = content.getvalue()
        finally:
            iso.close()
        return files
    return None
