"""One image's folder: its summary is kept beside it, and a whole fetch is completed however often."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from overlayd.adapters.image_folder import complete, summary_in
from overlayd.ports.images import ImageError
from protocol.image.facts import ImageFacts, ImageKind, ImageNotes
from protocol.image.merkle import leaf_of, root_of
from protocol.image.summary import ImageSummary
from protocol.terms.architecture import Architecture

FACTS = ImageFacts(ImageKind.CONTAINER, 7, Architecture.X86_64)
LEAF = leaf_of(b"content")


def folder_of(place: Path, content: bytes = b"content") -> Path:
    place.mkdir()
    (place / "content").write_bytes(content)
    (place / "leaves").write_bytes(leaf_of(content))
    return place


def appliance() -> bytes:
    about = {
        "name": "guest",
        "architecture": "x86_64",
        "kernel": "k",
        "initrd": "i",
        "cmdline": "c",
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in (
            ("image.json", json.dumps({**about, "format": 1}).encode()),
            ("k", b"kernel"),
            ("i", b"initrd"),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def test_a_summary_is_made_of_the_leaves_and_kept(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "image")
    made = summary_in(folder, FACTS, ImageNotes())
    assert made == ImageSummary(FACTS, ImageNotes(), root_of([LEAF]))
    (folder / "leaves").unlink()
    assert summary_in(folder, FACTS, ImageNotes()) == made


@pytest.mark.parametrize("spoilt", [b"", b"garbage", b"\x93\x00\x00\x00"])
def test_a_spoilt_summary_is_made_again(tmp_path: Path, spoilt: bytes) -> None:
    folder = folder_of(tmp_path / "image")
    (folder / "summary").write_bytes(spoilt)
    assert summary_in(folder, FACTS, ImageNotes()).page_roots == LEAF


def test_an_appliance_is_unpacked_however_often_it_is_completed(tmp_path: Path) -> None:
    content = appliance()
    folder = folder_of(tmp_path / "image", content)
    facts = ImageFacts(ImageKind.APPLIANCE, len(content), Architecture.X86_64)
    for _ in range(2):
        assert complete(folder, ImageSummary(facts, ImageNotes(), leaf_of(content))) == "guest"
    assert (folder / "parts" / "k").read_bytes() == b"kernel"
    assert json.loads((folder / "facts.json").read_bytes())["cmdline"] == "c"


def test_what_says_it_is_an_appliance_and_is_none(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "image")
    facts = ImageFacts(ImageKind.APPLIANCE, 7, Architecture.X86_64)
    with pytest.raises(ImageError, match=r"^not an image"):
        complete(folder, ImageSummary(facts, ImageNotes(), LEAF))
