"""Files and folders are flushed, and nothing stays open."""

import os
from pathlib import Path

import pytest

from overlayd.adapters.flushing import flush


def test_a_file_and_a_folder_are_flushed_and_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: flushed.append(os.readlink(f"/proc/self/fd/{fd}")))
    file = tmp_path / "file"
    file.touch()
    before = len(os.listdir("/proc/self/fd"))
    flush(file)
    flush(tmp_path)
    assert flushed == [str(file), str(tmp_path)]
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_disk_that_fails_is_heard(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        flush(tmp_path / "none")
