"""The device of taps, where it cannot be opened, and where it is no such device."""

import os
from pathlib import Path

import pytest

from netns import tun
from netns.failures import NetnsError


def test_a_host_without_it_is_told_what_would_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tun, "DEVICE", str(tmp_path / "tun"))
    with pytest.raises(NetnsError, match=r"tun: No such file .* who runs this in a container"):
        tun.opened()


def test_what_is_no_such_device_makes_no_tap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tun, "DEVICE", os.devnull)
    handle = tun.opened(os.O_NONBLOCK)
    try:
        assert not os.get_blocking(handle)
        with pytest.raises(OSError, match="ioctl"):
            tun.be_tap(handle, "ov-t")
    finally:
        os.close(handle)
