"""A libvirtd of our own that has ended is started again, once, whoever asks for something meanwhile."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from overlayd.adapters.libvirt.compute import LibvirtCompute
from overlayd.adapters.libvirt.driver import DomainType


class Connection:
    """One to a libvirtd that is there, or has ended."""

    def __init__(self, alive: bool) -> None:
        self.alive = alive

    def isAlive(self) -> bool:
        return self.alive


def test_of_several_that_ask_at_once_one_connects_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = LibvirtCompute(f"lxc:///?root={tmp_path / 'lxc'}", tmp_path)
    monkeypatch.setattr(compute, "_connection", Connection(alive=False))
    made: list[Connection] = []

    def connect(*_: object) -> None:
        made.append(Connection(alive=True))
        time.sleep(0.1)  # as a libvirtd needs to start
        monkeypatch.setattr(compute, "_connection", made[-1])

    monkeypatch.setattr(compute, "_connect", connect)
    with ThreadPoolExecutor(4) as threads:
        asked = [
            threads.submit(compute._connected_again, DomainType.LXC, "", print) for _ in range(4)
        ]
    for one in asked:
        one.result()
    assert len(made) == 1
