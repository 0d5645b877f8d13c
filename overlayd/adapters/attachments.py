"""Attachments as files, DIR/<key>/<digest>, which only root can read.

A file is written under another name, synced and renamed, so that a name in place is a whole file, also after a
power cut. It is checked against its digest whenever it is read.
"""

import asyncio
import os
import re
import shutil
from pathlib import Path

from overlayd.adapters.flushing import flush
from overlayd.ports.attachments import AttachmentError
from protocol.grid.limits import ATTACHMENT_BYTES_MAX
from protocol.terms.ids import Digest, digest_of, is_64_digits
from protocol.terms.quantities import format_size

HOST_BYTES_MAX = 512 << 20
"""All files of one host: those of a hundred large grids."""

_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_NEW = ".new"


class DirectoryAttachments:
    """The Attachments port on a directory of its own."""

    def __init__(self, directory: Path, most_bytes: int = HOST_BYTES_MAX) -> None:
        self._directory, self._most_bytes = directory, most_bytes
        self._turn = asyncio.Lock()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        self._sizes: dict[str, dict[Digest, int]] = {}
        for folder in sorted(path for path in directory.iterdir() if path.is_dir()):
            self._sizes[folder.name] = dict(_found(folder))

    async def keep(self, key: str, contents: tuple[bytes, ...]) -> None:
        """Keeps files under a key. Raises AttachmentError."""
        folder = self._folder(key)
        async with self._turn:
            new = {digest_of(c): c for c in contents}
            new = {digest: c for digest, c in new.items() if not self.has(key, digest)}
            self._check(new)
            try:
                await asyncio.to_thread(_write, folder, new)
            except OSError as error:
                raise AttachmentError(
                    f"a file of {key} cannot be kept on this host: {error.strerror}"
                ) from error
            if new:
                self._sizes.setdefault(key, {}).update({d: len(c) for d, c in new.items()})

    async def read(self, key: str, digest: str) -> bytes | None:
        """A file; None if it is not here. One that is damaged is removed."""
        if not self.has(key, digest):
            return None
        path = self._folder(key) / digest
        content = await asyncio.to_thread(_read, path)
        if content is not None and digest_of(content) == digest:
            return content
        async with self._turn:
            self._sizes.get(key, {}).pop(Digest(digest), None)
            await asyncio.to_thread(path.unlink, missing_ok=True)
        return None

    def has(self, key: str, digest: str) -> bool:
        """Whether a file is here."""
        return Digest(digest) in self._sizes.get(key, {})

    def size_bytes(self, key: str, digest: str) -> int:
        """The size of a file; -1 if it is not here."""
        return self._sizes.get(key, {}).get(Digest(digest), -1)

    def kept(self) -> dict[str, tuple[Digest, ...]]:
        """The files that are here, by key."""
        return {key: tuple(sizes) for key, sizes in self._sizes.items()}

    async def remove(self, key: str) -> None:
        """Removes a key's files."""
        folder = self._folder(key)
        async with self._turn:
            self._sizes.pop(key, None)
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _folder(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise AttachmentError(f"{key[:80]!r} is nothing that files are kept by")
        return self._directory / key

    def _check(self, new: dict[Digest, bytes]) -> None:
        for digest, content in new.items():
            if len(content) > ATTACHMENT_BYTES_MAX:
                size, most = format_size(len(content)), format_size(ATTACHMENT_BYTES_MAX)
                raise AttachmentError(f"file {digest[:12]} has {size}; at most {most} are kept")
        here = sum(size for sizes in self._sizes.values() for size in sizes.values())
        asked = sum(map(len, new.values()))
        if asked and here + asked > self._most_bytes:
            raise AttachmentError(
                f"no room for {format_size(asked)} of files: this host keeps {format_size(here)}, "
                f"at most {format_size(self._most_bytes)}; a grid that is taken down makes room"
            )


def _found(folder: Path) -> list[tuple[Digest, int]]:
    """The files of a key. What was cut short goes."""
    found = []
    for path in sorted(folder.iterdir()):
        if is_64_digits(path.name) and path.is_file():
            found.append((Digest(path.name), path.stat().st_size))
        elif path.name.endswith(_NEW):
            path.unlink()
    return found


def _write(folder: Path, contents: dict[Digest, bytes]) -> None:
    if not contents:
        return
    made = not folder.exists()
    folder.mkdir(mode=0o700, exist_ok=True)
    for digest, content in contents.items():
        fresh = folder / f"{digest}{_NEW}"
        try:
            handle = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(folder / digest)
        finally:
            fresh.unlink(missing_ok=True)
    flush(folder)
    if made:
        flush(folder.parent)


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(ATTACHMENT_BYTES_MAX + 1)
    except OSError:
        return None
