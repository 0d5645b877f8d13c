"""One image's folder: what is written of it, its summary for other peers, and how a whole fetch becomes one."""

import contextlib
import shutil
from pathlib import Path

import msgspec

from overlayd.adapters.flushing import flush
from overlayd.adapters.image_format import unpack
from overlayd.ports.images import ImageUse
from protocol.image.facts import ImageFacts, ImageKind, ImageNotes
from protocol.image.merkle import page_count, page_roots, split
from protocol.image.summary import ImageSummary, summary_bytes
from protocol.wire.codec import Malformed, decode

USED, FETCHED = "used", "fetched"
"""Empty files: when the first was touched says when the image was used; the second says that it was fetched."""


class Kept(msgspec.Struct, frozen=True):
    """DIR/<id>/facts.json."""

    facts: ImageFacts
    notes: ImageNotes
    kernel: str = ""
    """Of an appliance: the names of its parts, and its kernel's command line."""
    initrd: str = ""
    cmdline: str = ""
    owner: str = ""
    """Who had it made of a root disk here; others are not told."""


def summary_in(folder: Path, facts: ImageFacts, notes: ImageNotes) -> ImageSummary:
    """The image's summary. It is kept beside it, since it takes long to hash all leaves of a large one."""
    with contextlib.suppress(OSError, Malformed):
        kept = decode((folder / "summary").read_bytes(), ImageSummary)
        if (kept.facts, kept.notes) == (facts, notes) and len(split(kept.page_roots)) == page_count(
            facts.content_bytes
        ):
            return kept
    roots = page_roots(split((folder / "leaves").read_bytes()))
    summary = ImageSummary(facts, notes, b"".join(roots))
    with contextlib.suppress(OSError):  # It is only quicker with it.
        (folder / "summary.new").write_bytes(summary_bytes(summary))
        (folder / "summary.new").rename(folder / "summary")
    return summary


def complete(folder: Path, summary: ImageSummary) -> str:
    """Makes everything in a whole fetch's folder that an image has, however often it is done. Answers the name
    that an appliance brings. Raises ImageError if it is none, OSError if there is no room."""
    kept, name = Kept(summary.facts, summary.notes), ""
    if summary.facts.kind is ImageKind.APPLIANCE:
        shutil.rmtree(folder / "parts", ignore_errors=True)
        manifest = unpack(folder / "content", folder / "parts")
        name = manifest.name
        kept = Kept(
            summary.facts, summary.notes, manifest.kernel, manifest.initrd, manifest.cmdline
        )
    (folder / FETCHED).touch()
    (folder / "facts.json").write_bytes(msgspec.json.encode(kept))
    for entry in (*folder.rglob("*"), folder):
        entry.chmod(0o700 if entry.is_dir() else 0o400)
        flush(entry)
    return name


def note_user(folder: Path, kept: Kept, user: str) -> None:
    """Writes down who logs in to guests of an image that is here already."""
    notes = msgspec.structs.replace(kept.notes, default_user=user)
    new = folder / "facts.new"
    new.unlink(missing_ok=True)
    new.write_bytes(msgspec.json.encode(msgspec.structs.replace(kept, notes=notes)))
    new.chmod(0o400)
    flush(new)
    new.rename(folder / "facts.json")
    flush(folder)


def use_of(folder: Path) -> ImageUse | None:
    """When the image was used last. None if it is gone."""
    try:
        came_s = (folder / "facts.json").stat().st_mtime
    except OSError:
        return None
    with contextlib.suppress(OSError):
        came_s = max(came_s, (folder / USED).stat().st_mtime)
    return ImageUse(came_s, (folder / FETCHED).exists())


def mark_used(folder: Path) -> None:
    """The image is used now."""
    with contextlib.suppress(OSError):  # A full disk keeps nobody from using it.
        (folder / USED).touch(0o400)


def mark_added(folder: Path) -> None:
    """Somebody added it here, whether or not it was fetched before."""
    (folder / FETCHED).unlink(missing_ok=True)
