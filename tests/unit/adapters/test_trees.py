"""Tars that would cost this daemon its memory, or an error that nobody foresaw."""

import tarfile
from pathlib import Path

import pytest

from overlayd.adapters.imports import trees
from overlayd.adapters.imports.trees import Tree
from overlayd.ports.images import ImageError, ImportWatch


def packed(folder: Path, names: list[str], mtime: str = "") -> Path:
    path = folder / "tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            if mtime:
                member.pax_headers = {"mtime": mtime}
            archive.addfile(member)
    return path


@pytest.mark.parametrize("mtime", ["inf", "-inf", "nan", "1e400"])
def test_a_time_that_is_none(tmp_path: Path, mtime: str) -> None:
    path = packed(tmp_path, ["bin"], mtime)
    with pytest.raises(ImageError, match="a tar that cannot be read"):
        Tree(ImportWatch()).add(path)


def test_long_names_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "NAMES_MOST_BYTES", 10_000)
    few, many = (["/".join([f"{n:03}" * 80] * 16).strip("/") for n in range(c)] for c in (2, 3))
    Tree(ImportWatch()).add(packed(tmp_path, few))
    with pytest.raises(ImageError, match="names in it are longer"):
        Tree(ImportWatch()).add(packed(tmp_path, many))
