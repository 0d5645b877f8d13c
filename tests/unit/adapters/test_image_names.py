"""Names of images: one has one image here, an image may have several, and a damaged file is as good as none."""

import os
from pathlib import Path

import pytest

from overlayd.adapters import image_names
from overlayd.adapters.image_names import HostNames, ImageNames, NamesOfOne
from overlayd.ports.images import ImageError

A, B = "a" * 64, "b" * 64


def test_an_image_has_several_names_and_a_name_one_image(tmp_path: Path) -> None:
    names = ImageNames(tmp_path / "names.json")
    names.give("two", A)
    names.give("one", A)
    names.give("one", A)
    assert names.of(A) == ("one", "two")
    with pytest.raises(ImageError, match="taken here by image aaaaaaaaaaaa"):
        names.give("one", B)
    names.drop(A)
    names.give("one", B)
    assert ImageNames(tmp_path / "names.json").all() == {"one": B}


def test_all_names_are_found_by_one_look_at_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = HostNames(tmp_path)
    names.hear("theirs", A)
    names.hear("guest", A)
    names.give("guest", B)
    names.give("ours", A)
    read: list[str] = []
    read_bytes = Path.read_bytes

    def noted(path: Path) -> bytes:
        read.append(path.name)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    assert names.by_image() == {
        A: NamesOfOne(("ours", "theirs"), ("theirs",)),
        B: NamesOfOne(("guest",)),
    }
    assert read == ["names.json", "heard.json"]


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text("{")
    assert ImageNames(tmp_path / "names.json").all() == {}


def test_there_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_names, "NAMES_MOST", 1)
    names = ImageNames(tmp_path / "names.json")
    names.give("one", A)
    with pytest.raises(ImageError, match="takes no more"):
        names.give("two", A)


def test_one_image_has_few_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_names, "NAMES_OF_ONE_MOST", 1)
    names = ImageNames(tmp_path / "names.json")
    names.give("one", A)
    with pytest.raises(ImageError, match="has 1 names here, and gets no more"):
        names.give("two", A)
    names.give("two", B)


def test_a_name_is_on_the_disk_when_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    ImageNames(tmp_path / "names.json").give("one", "a" * 64)
    assert flushed == [str(tmp_path / "staging-names.json"), str(tmp_path)]
