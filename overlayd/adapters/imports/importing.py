"""From a file that somebody brought to an image's content and facts, or why it is none."""

import os
import platform
import re
import shutil
import tarfile
from pathlib import Path

import msgspec

from overlayd.adapters.image_format import MANIFEST, Manifest, check_label, opened, unpack
from overlayd.adapters.imports import disks, layers, unpacking
from overlayd.adapters.imports.look import Format, format_of, head_of, packing_of
from overlayd.adapters.imports.partitions import Boots, boots_of
from overlayd.adapters.imports.trees import Tree
from overlayd.ports.images import ImageError, ImportHow, ImportWatch
from protocol.grid.limits import IMAGE_NAME_MAX
from protocol.image.facts import NOTE_MOST, Firmware, ImageFacts, ImageKind, ImageNotes
from protocol.terms.architecture import Architecture

_LOOKED_AT = 16
"""The entries of a tar that tell what it is."""

_ENDINGS = re.compile(
    r"(\.(xz|gz|zst|bz2|qcow2|img|raw|vmdk|vdi|vhdx|ova|tar|tgz|txz))+$", re.IGNORECASE
)


class Made(msgspec.Struct, frozen=True):
    """What a file became. Its content is in the folder that was given."""

    facts: ImageFacts
    notes: ImageNotes
    name: str
    """What it may be called if nobody said; may be empty."""
    manifest: Manifest | None = None
    """An appliance's."""


def make(source: Path, folder: Path, how: ImportHow, watch: ImportWatch) -> Made:
    """Makes `folder`/content of a file, and of an appliance `folder`/parts. Raises ImageError, and OSError."""
    plain = folder / "plain"
    try:
        head = head_of(source)
        if packing := packing_of(head):
            unpacking.unpack(source, packing, plain, watch)
            source, head = plain, head_of(plain)
            if packing_of(head):
                raise ImageError("not an image: it is compressed twice; unpack it once")
        found = format_of(head, how.firmware is not None)
        notes = ImageNotes(
            default_user=how.default_user,
            added_by=how.added_by[:NOTE_MOST],
            origin=how.origin[:NOTE_MOST],
        )
        match found:
            case Format.TAR:
                return _of_tar(source, folder, how, notes, watch)
            case Format.SQUASHFS:
                inner = folder / "inner"
                unpacking.tar_of_squashfs(source, inner, watch)
                return _container(inner, folder, how, notes, watch)
            case Format.RAW if source is plain:
                plain.rename(folder / "content")
                size = (folder / "content").stat().st_size
                os.truncate(folder / "content", -(-size // 512) * 512)
            case _:
                disks.to_raw(source, found, folder / "content", watch)
        return _disk(folder, how, notes)
    finally:
        plain.unlink(missing_ok=True)


def name_of(origin: str) -> str:
    """What an image may be called that was made of such a file, or address; empty if nothing is left of it."""
    last = origin.partition("?")[0].partition("#")[0].rstrip("/").rpartition("/")[2]
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", _ENDINGS.sub("", last))
    name = plain.strip(".-_")[:IMAGE_NAME_MAX]
    try:
        check_label(name)
    except ImageError:
        return ""
    return name


def _of_tar(
    source: Path, folder: Path, how: ImportHow, notes: ImageNotes, watch: ImportWatch
) -> Made:
    names = _first_names(source)
    if MANIFEST in names:
        return _appliance(source, folder, how, notes, watch)
    if names and names[0].lower().endswith(".ovf"):
        inner = folder / "disk"
        with opened(source) as archive:
            unpacking.disk_of_ova(archive, inner, watch)
        found = format_of(head_of(inner), how.firmware is not None)
        if found in (Format.TAR, Format.SQUASHFS):
            raise ImageError("not an image: what the OVA has is no disk")
        disks.to_raw(inner, found, folder / "content", watch)
        inner.unlink()
        return _disk(folder, how, notes)
    return _container(source, folder, how, notes, watch, layered="oci-layout" in names)


def _first_names(source: Path) -> list[str]:
    names: list[str] = []
    try:
        with opened(source) as archive:
            for member in archive:
                names.append(member.name.removeprefix("./"))
                if len(names) == _LOOKED_AT:
                    break
    except (tarfile.TarError, EOFError, ValueError, RecursionError) as error:
        if not names:
            raise ImageError(f"not an image: a tar that cannot be read: {error}") from None
    return names


def _appliance(
    source: Path, folder: Path, how: ImportHow, notes: ImageNotes, watch: ImportWatch
) -> Made:
    if how.firmware is not None:
        raise ImageError("not a disk, but an appliance: its kernel is booted without a firmware")
    content = folder / "content"
    with source.open("rb") as file, content.open("xb") as kept:
        while data := file.read(1 << 20):
            watch.check()
            kept.write(data)
    made = make_appliance(folder, notes)
    if how.architecture not in (None, made.facts.architecture):
        said = f"its {MANIFEST} says {made.facts.architecture}"
        raise ImageError(f"not for {how.architecture}: {said}")
    return made


def make_appliance(folder: Path, notes: ImageNotes = ImageNotes()) -> Made:  # noqa: B008, it is frozen
    """Unpacks `folder`/content, which is an appliance's tar. Raises ImageError."""
    content = folder / "content"
    manifest = unpack(content, folder / "parts")
    facts = ImageFacts(ImageKind.APPLIANCE, content.stat().st_size, manifest.architecture)
    return Made(facts, notes, manifest.name, manifest)


def _disk(folder: Path, how: ImportHow, notes: ImageNotes) -> Made:
    content = folder / "content"
    boots = boots_of(content)
    firmware = how.firmware or _firmware(boots)
    architecture = how.architecture or boots.architecture or Architecture(platform.machine())
    if firmware is Firmware.BIOS and architecture is not Architecture.X86_64:
        raise ImageError(
            f"not bootable: {architecture} has no BIOS; --firmware uefi is what it has"
        )
    facts = ImageFacts(ImageKind.DISK, content.stat().st_size, architecture, firmware)
    return Made(facts, notes, name_of(how.origin))


def _firmware(boots: Boots) -> Firmware:
    if boots.firmware:
        return boots.firmware[0]
    raise ImageError(
        f"not bootable: {boots.why_not}; if it boots all the same, say by what: --firmware bios or uefi"
    )


def _container(
    source: Path,
    folder: Path,
    how: ImportHow,
    notes: ImageNotes,
    watch: ImportWatch,
    layered: bool = False,
) -> Made:
    """A root file system: of a tar, or of the layers of an OCI layout."""
    if how.firmware is not None:
        raise ImageError("not a disk, but a root file system: containers boot without a firmware")
    tree, found = Tree(watch), None
    work = folder / "work"
    work.mkdir(mode=0o700)
    if layered:
        found = layers.add_layers(source, work, tree, how.architecture, watch)
    else:
        tree.add(source)
    tree.check_root()
    tree.write(folder / "content")
    shutil.rmtree(work)
    (folder / "inner").unlink(missing_ok=True)
    architecture = how.architecture or found or Architecture(platform.machine())
    size = (folder / "content").stat().st_size
    facts = ImageFacts(ImageKind.CONTAINER, size, architecture)
    return Made(facts, notes, name_of(how.origin))
