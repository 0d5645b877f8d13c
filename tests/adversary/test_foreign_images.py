"""Images that strangers made: two formats in one file, more than a disk has room for, and who made them."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from one_host import image_file

from overlayd.adapters import images as images_module
from overlayd.adapters.images import DirectoryImages
from overlayd.ports.images import ROOM_LEFT_BYTES, ImageError, ImageInfo, labels_of
from protocol.image.facts import ImageFacts, ImageKind, ImageNotes
from protocol.terms.architecture import Architecture
from protocol.wire.codec import encode

QCOW2 = b"QFI\xfb" + (3).to_bytes(4, "big") + bytes(96)
ISO_AT = 0x8001


async def test_a_file_that_is_two_formats_at_once_is_none(tmp_path: Path) -> None:
    images, both = DirectoryImages(tmp_path / "images"), bytearray(QCOW2.ljust(64 << 10, b"\0"))
    both[ISO_AT : ISO_AT + 5] = b"CD001"
    (tmp_path / "both").write_bytes(both)
    with pytest.raises(ImageError, match="Multiple formats detected: "):
        await images.add(tmp_path / "both")
    assert await images.list() == ()


async def test_no_image_takes_the_last_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, total = DirectoryImages(tmp_path / "images"), 100 * ROOM_LEFT_BYTES
    free = ROOM_LEFT_BYTES - 1
    usage = SimpleNamespace(disk_usage=lambda _: SimpleNamespace(total=total, free=free))
    monkeypatch.setattr(images_module, "shutil", SimpleNamespace(**vars(shutil) | vars(usage)))
    with pytest.raises(ImageError, match="this host's disk is nearly full; nothing of it is left"):
        await images.add(image_file(tmp_path / "a.img"))
    assert await images.list() == ()
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["fetching"]
    free = ROOM_LEFT_BYTES
    assert (await images.add(image_file(tmp_path / "a.img"))).name == "guest"


def test_who_made_an_image_of_a_root_disk_is_told_to_nobody() -> None:
    owner, facts = "a" * 64, ImageFacts(ImageKind.DISK, 1 << 20, Architecture.X86_64)
    made = ImageInfo("b" * 64, ("mine",), facts, ImageNotes(), 1, owner=owner)
    (label,) = labels_of((made,))
    assert label.name == "mine"
    assert owner.encode() not in encode(label)
