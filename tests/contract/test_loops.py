"""A file as a block device: there while somebody has it open, and gone with the last."""

import os
import subprocess
from pathlib import Path

import pytest

from overlayd.adapters.libvirt.loops import attached
from overlayd.ports.compute import ComputeError


def devices_of(path: Path) -> list[str]:
    argv = ["losetup", "--noheadings", "--output", "NAME", "--associated", str(path)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


def test_the_device_is_the_file_and_goes_with_its_last_user(tmp_path: Path) -> None:
    file = tmp_path / "disk"
    file.write_bytes(b"what is in it".ljust(1 << 20, b"\0"))
    with attached(str(file)) as device, attached(str(file)) as other:
        assert {device, other} == {*devices_of(file)}
        user = os.open(device, os.O_RDWR)
    assert devices_of(file) == [device], "somebody still has it"
    assert os.pread(user, 13, 0) == b"what is in it"
    os.pwrite(user, b"more", 0)
    os.close(user)
    assert devices_of(file) == []
    assert file.read_bytes()[:13] == b"more is in it"


def test_what_cannot_be_one_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(ComputeError, match="cannot be made a disk of a container"),
        attached(str(tmp_path)),
    ):
        pass
