"""The image file: a plain tar of `image.json` and the parts it names, read as if it came from an enemy."""

import contextlib
import io
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from overlayd.ports.images import ImageError
from protocol.grid.syntax import image_name_problem
from protocol.terms.architecture import Architecture

MANIFEST = "image.json"
IMAGE_MAX_BYTES = 8 << 30
"""More than any image of a kernel and an initramfs. A host's disk is not ours to fill."""

MANIFEST_MAX_BYTES = 64 << 10
PARTS_MAX = 16
"""Entries of the tar: a manifest, a kernel, an initrd, and room for what later formats bring."""

READ_AT_ONCE_MAX_BYTES = 1 << 20
"""tarfile reads extended headers into memory, whatever size they claim. Here it may not go beyond this."""

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CMDLINE = re.compile(r"[ -~]{0,2000}")


class Manifest(msgspec.Struct, frozen=True):
    """`image.json`. Unknown keys are passed over; another `format` is refused."""

    name: str
    architecture: Architecture
    kernel: str
    initrd: str
    cmdline: str
    format: Literal[1]


class _Bounded(io.FileIO):
    """A file that refuses to be read in one piece."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0 or size > READ_AT_ONCE_MAX_BYTES:
            raise ImageError("not an image: a header larger than any image has")
        return super().read(size) or b""


def check_label(name: str) -> None:
    """Raises ImageError if an image cannot have that name."""
    if problem := image_name_problem(name):
        raise ImageError(problem)


@contextlib.contextmanager
def opened(archive: Path) -> Iterator[tarfile.TarFile]:
    """A plain tar, whose headers are not read into memory beyond a bound."""
    with _Bounded(archive) as file, tarfile.open(fileobj=file, mode="r:") as opened_:
        yield opened_


def unpack(image: Path, target: Path) -> Manifest:
    """Puts the parts into the new directory `target`. Raises ImageError, which says what is wrong."""
    target.mkdir(mode=0o700)
    try:
        with opened(image) as archive:
            manifest = _unpack_parts(archive, target)
    except (tarfile.TarError, EOFError, ValueError, RecursionError) as error:
        raise ImageError(
            f"not an image (a plain tar with {MANIFEST} in it, as scripts/build-image makes): {error}"
        ) from error
    for part in (manifest.kernel, manifest.initrd):
        if part == MANIFEST or not (target / part).is_file():
            raise ImageError(
                f"not a whole image: {MANIFEST} names {part[:80]!r}, which is not in it"
            )
    return manifest


def _unpack_parts(archive: tarfile.TarFile, target: Path) -> Manifest:
    manifest = None
    seen: set[str] = set()
    for member in archive:
        name = member.name
        if not _PART.fullmatch(name) or not member.isreg() or member.issparse():
            raise ImageError(f"not an image: {name[:80]!r} is not a plain file with a plain name")
        if name in seen or len(seen) >= PARTS_MAX:
            raise ImageError(
                f"not an image: {name!r} is there twice, or more than {PARTS_MAX} parts"
            )
        seen.add(name)
        content = archive.extractfile(member)
        assert content is not None
        if name == MANIFEST:
            manifest = _manifest(content.read(READ_AT_ONCE_MAX_BYTES), member.size)
            continue
        with (target / name).open("xb") as part:
            shutil.copyfileobj(content, part, READ_AT_ONCE_MAX_BYTES // 4)
        if (target / name).stat().st_size != member.size:
            raise ImageError(f"not a whole image: {name} ends early")
    if manifest is None:
        raise ImageError(f"not an image: a plain tar, but without {MANIFEST}")
    return manifest


def _manifest(content: bytes, size: int) -> Manifest:
    if size > MANIFEST_MAX_BYTES:
        raise ImageError(
            f"not an image: {MANIFEST} has {size} bytes, it may have {MANIFEST_MAX_BYTES}"
        )
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ImageError(f"not an image this version knows: {MANIFEST}: {error}") from error
    check_label(manifest.name)
    if not _CMDLINE.fullmatch(manifest.cmdline):
        raise ImageError("not an image: its kernel command line is too long or not plain text")
    if not _PART.fullmatch(manifest.kernel) or not _PART.fullmatch(manifest.initrd):
        raise ImageError(f"not an image: a part named in {MANIFEST} has no plain name")
    return manifest
