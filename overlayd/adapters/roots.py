"""Root disks as qcow2 overlays, a folder each, on images that are raw. A container's is a file system.

    DIR/<root>/disk.qcow2       what the guest has written
    DIR/<root>/root.ext4        a container's: a copy of its image, in a file as large as it may become
    DIR/<root>/variables.fd     UEFI's variables, where the image starts by UEFI
    DIR/<root>/root.json        on which image it lies, and how large it is

A folder is made under another name and renamed when it is whole, so a half-made root is never used. It is
renamed again before it is removed. Every format is said, here and to the hypervisor: nothing is ever guessed
from what a guest wrote.
"""

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from overlayd.adapters.flushing import flush
from overlayd.adapters.process import ProcessError, run
from overlayd.ports.images import DiskFile, TreeFile
from overlayd.ports.roots import Root, RootError
from protocol.image.facts import Firmware
from protocol.terms.quantities import format_size, write_size

MAKE_WITHIN_S = 60.0
FILL_WITHIN_S = 900.0
"""A root file system of some GiB is copied in that time on any disk."""

UEFI_VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
"""The variables that UEFI begins with, of Debian's package ovmf."""

_ROOT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_HALF = (".making", ".going")
_DISK, _TREE, _VARIABLES, _MADE = "disk.qcow2", "root.ext4", "variables.fd", "root.json"
_SECTOR = 512
"""A disk's size is a whole number of sectors."""


class _Made(msgspec.Struct, frozen=True):
    """What a root was made of, as it is beside it."""

    base: str
    size_bytes: int


class DirectoryRoots:
    """The Roots port on a directory of its own."""

    def __init__(self, directory: Path, beside_bytes: Callable[[], int] = lambda: 0) -> None:
        """`beside_bytes` says how much else on that file system is promised, and not used yet."""
        self._directory, self._beside_bytes = directory, beside_bytes
        self._making = asyncio.Lock()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        for folder in directory.iterdir():
            if folder.suffix in _HALF:
                shutil.rmtree(folder)

    async def ensure(self, root: str, base: DiskFile | TreeFile, size_bytes: int) -> Root:
        """The root. Raises RootError: no room, a size below its image's, another image or size here."""
        folder = self._folder(root)
        if isinstance(base, TreeFile) and not size_bytes:
            raise RootError(
                f"root {root} is a container's, and nothing says how large it is: disk: 1G"
            )
        size_bytes = size_bytes or (base.bytes if isinstance(base, DiskFile) else 0)
        if isinstance(base, DiskFile) and size_bytes < base.bytes:
            least = write_size(base.bytes)
            raise RootError(
                f"a root disk of {format_size(size_bytes)} is smaller than its image, which has "
                f"{format_size(base.bytes)}; what works: disk: {least} or more, or no disk at all"
            )
        async with self._making:
            made = await asyncio.to_thread(_read, folder)
            wanted = _Made(base.path, -(-size_bytes // _SECTOR) * _SECTOR)
            if made is None:
                await self._check_room(root, size_bytes)
                await self._make(folder, base, wanted)
            elif made.base == wanted.base and made.size_bytes < wanted.size_bytes:
                await self._check_room(root, wanted.size_bytes - made.size_bytes)
                await self._grow(folder, base, wanted)
            elif made != wanted:
                raise RootError(
                    f"root disk {root} is here, of {made.size_bytes} bytes on {made.base}; "
                    f"it was not made of {base.path} with {wanted.size_bytes} bytes, and is not made anew"
                )
        if isinstance(base, TreeFile):
            return Root(str(folder / _TREE))
        variables = folder / _VARIABLES
        return Root(str(folder / _DISK), str(variables) if base.firmware is Firmware.UEFI else "")

    async def remove(self, root: str) -> None:
        """Removes the root; it is no error if there is none."""
        folder = self._folder(root)
        async with self._making:
            await asyncio.to_thread(_remove, folder)

    async def observe(self) -> dict[str, int]:
        """How large each root is for its guest, by id, sorted. One that cannot be read counts as 0 bytes."""
        here = await asyncio.to_thread(self._here)
        return {root: made.size_bytes for root, (made, _) in here.items()}

    async def growth_bytes(self) -> int:
        """What the roots here may still grow by."""
        return await asyncio.to_thread(self.promised_bytes)

    def promised_bytes(self) -> int:
        """The same, for a thread that may block."""
        return sum(max(0, made.size_bytes - used) for made, used in self._here().values())

    def lying_on(self, image: str) -> list[str]:
        """The roots that lie on an image's file, for a thread that may block."""
        return [root for root, (made, _) in self._here().items() if made.base == image]

    async def _check_room(self, root: str, size_bytes: int) -> None:
        room = await asyncio.to_thread(os.statvfs, self._directory)
        promised = await asyncio.to_thread(lambda: self.promised_bytes() + self._beside_bytes())
        free = max(0, room.f_bavail * room.f_frsize - promised)
        if size_bytes > free:
            raise RootError(
                f"no room for root disk {root}: it needs {size_bytes} bytes, {free} are left, "
                f"{size_bytes - free} too few"
            )

    async def _make(self, folder: Path, base: DiskFile | TreeFile, made: _Made) -> None:
        making = folder.with_name(f"{folder.name}{_HALF[0]}")
        try:
            await asyncio.to_thread(_begin, making)
            if isinstance(base, TreeFile):
                await self._fill(making / _TREE, base, made.size_bytes)
            else:
                argv = ("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", made.base)
                await run(*argv, str(making / _DISK), str(made.size_bytes), timeout_s=MAKE_WITHIN_S)
            await asyncio.to_thread(_finish, making, folder, base, made)
        except (OSError, ProcessError) as error:
            raise RootError(f"root disk {folder.name} cannot be made: {error}") from error
        finally:
            await asyncio.to_thread(shutil.rmtree, making, ignore_errors=True)

    async def _grow(self, folder: Path, base: DiskFile | TreeFile, wanted: _Made) -> None:
        """Makes a root larger that no machine has open. What lies below it is said, not read in it."""
        try:
            if isinstance(base, TreeFile):
                await asyncio.to_thread(os.truncate, folder / _TREE, wanted.size_bytes)
            else:
                opts = f"driver=qcow2,file.driver=file,file.filename={_escaped(folder / _DISK)}"
                opts += ",backing.driver=raw,backing.file.driver=file"
                opts += f",backing.file.filename={_escaped(Path(wanted.base))}"
                argv = ("qemu-img", "resize", "-q", "--image-opts", opts, str(wanted.size_bytes))
                await run(*argv, timeout_s=MAKE_WITHIN_S)
            await asyncio.to_thread(_note, folder, wanted)
        except (OSError, ProcessError) as error:
            raise RootError(f"root disk {folder.name} cannot grow: {error}") from error

    async def _fill(self, file: Path, base: TreeFile, size_bytes: int) -> None:
        """A file system of that size with a copy of the tree. It takes as long as the copying does."""
        with file.open("xb") as made:
            made.truncate(size_bytes)
        argv = ("mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-L", "root", "-d", base.path)
        await run(*argv, str(file), timeout_s=FILL_WITHIN_S)

    def _here(self) -> dict[str, tuple[_Made, int]]:
        """Every root, and the bytes of disk that it takes."""
        found = {}
        for folder in sorted(self._directory.iterdir()):
            if folder.suffix not in _HALF:
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                    used = sum(path.stat().st_blocks * 512 for path in folder.iterdir())
                    found[folder.name] = (_read(folder) or _Made("", 0), used)
        return found

    def _folder(self, root: str) -> Path:
        if not _ROOT.fullmatch(root) or root.endswith(_HALF):
            raise RootError(f"{root[:150]!r} is not a root disk's id")
        return self._directory / root


def _read(folder: Path) -> _Made | None:
    """What a root was made of; None if there is none, or nobody could say of what it is."""
    try:
        return msgspec.json.decode((folder / _MADE).read_bytes(), type=_Made)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _begin(making: Path) -> None:
    if making.exists():
        shutil.rmtree(making)
    making.mkdir(mode=0o700)


def _finish(making: Path, folder: Path, base: DiskFile | TreeFile, made: _Made) -> None:
    """Puts the rest beside the disk, flushes all of it before it has its name, and then the name."""
    if isinstance(base, DiskFile) and base.firmware is Firmware.UEFI:
        shutil.copyfile(UEFI_VARIABLES, making / _VARIABLES)
    (making / _MADE).write_bytes(msgspec.json.encode(made))
    for path in making.iterdir():
        path.chmod(0o600)
        flush(path)
    flush(making)
    making.rename(folder)
    flush(folder.parent)


def _note(folder: Path, made: _Made) -> None:
    """Says what a root is now. Killed before, it grows to where it has grown already."""
    note = folder / f"{_MADE}{_HALF[0]}"
    note.write_bytes(msgspec.json.encode(made))
    note.chmod(0o600)
    flush(note)
    note.replace(folder / _MADE)
    flush(folder)


def _escaped(path: Path) -> str:
    """A path as QEMU's options have it."""
    return str(path).replace(",", ",,")


def _remove(folder: Path) -> None:
    going = folder.with_name(f"{folder.name}{_HALF[1]}")
    if going.exists():
        shutil.rmtree(going)
    with contextlib.suppress(FileNotFoundError):
        folder.rename(going)
        shutil.rmtree(going)
