"""What goes on while the hypervisor is looked at anew: a libvirtd that has ended is started again, once.

And calls for one machine still wait for each other.
"""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from overlayd.adapters.libvirt.compute import LibvirtCompute
from overlayd.adapters.libvirt.domains import Domains
from overlayd.adapters.libvirt.driver import DomainType
from overlayd.ports.compute import KernelBoot, Machine


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


MACHINE = Machine(
    name="ovl-1", uuid="", title="", grid="g", epoch=1, boot=1, vcpus=1, cpu_milli=500,
    memory_bytes=64 << 20, boots=KernelBoot("", "", ""), seed="", disks=(), console_log="",
)  # fmt: skip


async def test_a_stop_waits_for_a_start_though_images_came_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting, go_on, done = threading.Event(), threading.Event(), list[str]()

    def find(_: Domains, __: Machine) -> None:
        starting.set()
        go_on.wait(20)

    monkeypatch.setattr(Domains, "_find", find)
    monkeypatch.setattr(Domains, "_make", lambda _, machine: done.append("started"))
    monkeypatch.setattr(Domains, "_ours", lambda _, name: done.append("stopped"))
    compute = LibvirtCompute("test:///default", tmp_path)
    await compute.open(lambda name: None)
    try:
        start = asyncio.create_task(compute.start(MACHINE))
        await asyncio.to_thread(starting.wait, 20)
        await compute.reconsider()
        stop = asyncio.create_task(compute.stop(MACHINE.name))
        # Any other machine's is done at once, so this one has had its turn.
        await compute.stop("ovl-2")
        await compute.stop("ovl-3")
        go_on.set()
        await asyncio.gather(start, stop)
        assert done == ["stopped", "stopped", "started", "stopped"]
    finally:
        go_on.set()
        await compute.close()
