"""Images in memory. They are real image files, read the short way, since nobody attacks a fake."""

import io
import json
import shutil
import tarfile
from pathlib import Path

from msgspec import structs

from overlayd.ports.images import (
    ImageError,
    ImageFiles,
    ImageInfo,
    ImageUse,
    ImportHow,
    ImportWatch,
    KernelFiles,
)
from protocol.grid.syntax import image_name_problem
from protocol.image.facts import ImageFacts, ImageKind, ImageNotes
from protocol.image.merkle import CHUNK_BYTES, id_of, leaf_of, page_roots
from protocol.image.summary import ImageSummary
from protocol.terms.architecture import Architecture
from protocol.terms.ids import Digest, is_64_digits

READ_MAX_BYTES = 4 << 20


class FakeImages:
    """The Images port on a dict. `room_bytes` is how much its disk holds."""

    def __init__(self, room_bytes: int = 1 << 30) -> None:
        self.room_bytes = room_bytes
        self.fetched: set[str] = set()
        """The images that were fetched."""
        self._images: dict[str, tuple[ImageInfo, bytes, str]] = {}

    async def list(self) -> tuple[ImageInfo, ...]:
        """Complete images, by name then digest."""
        infos = (info for info, _, _ in self._images.values())
        return tuple(sorted(infos, key=lambda info: (info.name, info.digest)))

    async def add(
        self,
        path: Path,
        name: str | None = None,
        how: ImportHow = ImportHow(),  # noqa: B008, it is frozen
        watch: ImportWatch | None = None,
    ) -> ImageInfo:
        """Takes in the file's content."""
        if name is not None and (problem := image_name_problem(name)):
            raise ImageError(problem)
        try:
            content = path.read_bytes()  # noqa: ASYNC240, a fake may block for a small file
        except OSError as error:
            raise ImageError(f"{path} cannot be read: {error.strerror}") from error
        return self._take_in(content, name, user=how.default_user)

    async def rename(self, digest: str, new: str, old: str = "") -> ImageInfo:
        """Another label."""
        if problem := image_name_problem(new):
            raise ImageError(problem)
        if _checked(digest) not in self._images:
            raise ImageError(f"image {digest} is not on this host")
        self._free(new, digest)
        info = self._images[digest][0]
        names = tuple(sorted({*info.names, new} - ({old} - {new})))
        heard = tuple(name for name in info.heard if name in names and name != new)
        return self._put(structs.replace(info, names=names, heard=heard))

    async def unname(self, name: str) -> None:
        """One label less."""
        for info, _, _ in list(self._images.values()):
            kept = tuple(other for other in info.names if other != name)
            heard = tuple(other for other in info.heard if other != name)
            self._put(structs.replace(info, names=kept, heard=heard))

    def _put(self, info: ImageInfo) -> ImageInfo:
        _, content, cmdline = self._images[info.digest]
        self._images[info.digest] = (info, content, cmdline)
        return info

    def _free(self, name: str, digest: str) -> None:
        """Takes a name that is only heard from another image. Raises ImageError if it was given to one."""
        for other, (info, _, _) in list(self._images.items()):
            if other == digest or name not in info.names:
                continue
            if name not in info.heard:
                raise ImageError(f"the name {name} is taken here")
            names = tuple(each for each in info.names if each != name)
            heard = tuple(each for each in info.heard if each != name)
            self._put(structs.replace(info, names=names, heard=heard))

    async def save(self, digest: str, target: Path, watch: ImportWatch) -> None:
        """It has no disks."""
        raise ImageError(f"image {digest[:12]} is no disk")

    async def remove(self, digest: str) -> None:
        """Forgets it."""
        self._images.pop(_checked(digest), None)

    async def files(self, digest: str) -> ImageFiles:
        """Paths of files that do not exist."""
        if _checked(digest) not in self._images:
            raise ImageError(f"image {digest} is not on this host")
        place = f"/fake/images/{digest}"
        cmdline = self._images[digest][2]
        return KernelFiles(f"{place}/vmlinuz", f"{place}/initrd.img", cmdline)

    async def read(self, digest: str, offset: int, length: int) -> tuple[bytes, int]:
        """A chunk and the total size."""
        if offset < 0 or length < 0:
            raise ImageError(f"no such part of an image: {length} bytes from {offset}")
        if _checked(digest) not in self._images:
            raise ImageError(f"image {digest} is not on this host")
        content = self._images[digest][1]
        return content[offset : offset + min(length, READ_MAX_BYTES)], len(content)

    async def leaves(self, digest: str, offset: int, length: int) -> tuple[bytes, int]:
        """Some of its leaves, and how many bytes they all have."""
        content, _ = await self.read(digest, 0, 1 << 40)
        leaves = b"".join(_leaves(content))
        return leaves[offset : offset + length], len(leaves)

    async def summary(self, digest: str) -> ImageSummary:
        """Facts, and the roots of its pages."""
        if _checked(digest) not in self._images:
            raise ImageError(f"image {digest} is not on this host")
        info, content, _ = self._images[digest]
        return ImageSummary(info.facts, info.notes, b"".join(page_roots(_leaves(content))))

    async def uses(self) -> dict[str, ImageUse]:
        """None of them was ever used."""
        return {digest: ImageUse(0.0, digest in self.fetched) for digest in self._images}

    async def adopt(self, digest: str, folder: Path, summary: ImageSummary, name: str) -> ImageInfo:
        """Takes in what was fetched."""
        content = (folder / "content").read_bytes()
        shutil.rmtree(folder)
        if _checked(digest) in self._images:
            return self._images[digest][0]
        self.fetched.add(digest)
        info = self._take_in(content, None, fetched=True)
        return self._put(structs.replace(info, heard=info.names))

    def _take_in(
        self, content: bytes, name: str | None, fetched: bool = False, user: str = ""
    ) -> ImageInfo:
        if len(content) > self.room_bytes:
            raise ImageError("no room for the image")
        manifest = _manifest(content)
        digest, given = appliance_id(content), name or manifest["name"]
        taken = {n: d for d, (info, _, _) in self._images.items() for n in info.names}
        named = {given}
        if not fetched:
            self._free(given, digest)
        elif taken.get(given, digest) != digest:
            named = set()
        known = self._images[digest][0] if digest in self._images else None
        before, noted = (known.names, known.notes.default_user) if known else ((), "")
        info = ImageInfo(
            digest=digest,
            names=tuple(sorted({*before, *named})),
            facts=_facts(content, Architecture(manifest["architecture"])),
            notes=ImageNotes(user or noted),
            size_bytes=len(content),
        )
        self._images[digest] = (info, content, manifest["cmdline"])
        return info


def appliance_id(content: bytes) -> Digest:
    """The id that an appliance's file has. One that is none has that of an appliance for x86_64."""
    try:
        architecture = Architecture(_manifest(content)["architecture"])
    except ImageError:
        architecture = Architecture.X86_64
    return id_of(_facts(content, architecture), _leaves(content))


def _leaves(content: bytes) -> list[bytes]:
    chunks = range(0, max(1, len(content)), CHUNK_BYTES)
    return [leaf_of(content[i : i + CHUNK_BYTES]) for i in chunks]


def _facts(content: bytes, architecture: Architecture) -> ImageFacts:
    return ImageFacts(ImageKind.APPLIANCE, len(content), architecture)


def _manifest(content: bytes) -> dict[str, str]:
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            members = archive.getmembers()
            names = [member.name for member in members if member.isreg()]
            file = archive.extractfile("image.json")
            manifest = dict(json.loads(file.read())) if file else {}
    except (tarfile.TarError, KeyError, ValueError, TypeError) as error:
        raise ImageError(f"not an image: {error}") from error
    if len(names) != len(members) or any("/" in name or name[0] == "." for name in names):
        raise ImageError("not an image: something in it is not a plain file with a plain name")
    keys = ("name", "architecture", "kernel", "initrd", "cmdline")
    if manifest.get("format") != 1 or not all(isinstance(manifest.get(k), str) for k in keys):
        raise ImageError("not an image this version knows")
    if manifest["kernel"] not in names or manifest["initrd"] not in names:
        raise ImageError("not a whole image: a part is missing")
    if manifest["architecture"] not in tuple(Architecture):
        raise ImageError("not an image this version knows")
    return {key: manifest[key] for key in keys}


def _checked(digest: str) -> str:
    if not is_64_digits(digest):
        raise ImageError(f"{digest[:80]!r} is not an image's digest")
    return digest
