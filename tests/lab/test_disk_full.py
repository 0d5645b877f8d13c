"""A host whose disk is full: it refuses in words, promises nothing, and goes on when there is room."""

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from federation import orders
from federation.launch import wait_for
from loopback import Daemons, image_file, make_daemons

from protocol.grid.model import GridSpec, PlacementSpec
from protocol.requesting.request import RequestState
from protocol.trust.order import Action

DISK = "6M"


class Disk:
    """A small file system with the state directory of one host."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mount(self) -> None:
        self.path.mkdir(mode=0o700, parents=True)
        argv = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "tmpfs", str(self.path)]
        subprocess.run(argv, check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.path)], check=True)

    def fill(self) -> None:
        """Fills it to the last byte, with ever smaller pieces."""
        with (self.path / "filler").open("ab", buffering=0) as filler:
            size = 1 << 20
            while size:
                try:
                    filler.write(b"x" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2

    def free(self) -> None:
        (self.path / "filler").unlink()


@pytest.fixture
def small(folder: Path) -> Iterator[tuple[Daemons, Disk]]:
    """Four hosts; the only one at site `small` has the small disk."""
    daemons = make_daemons(folder, ("ams", "bnl", "uc", "small"))
    disk = Disk(daemons.hosts["h4"].folder / "state")
    disk.mount()
    try:
        with daemons:
            daemons.start_all()
            image = image_file(folder / "image")
            daemons.image = orders.add_image(daemons.hosts["h1"], image)
            daemons.wait_converged()
            daemons.wait_image_known()
            yield daemons, disk
    finally:
        disk.unmount()


def at_small(daemons: Daemons, name: str) -> GridSpec:
    spec = orders.spec(name, daemons.image, 2)
    return msgspec.structs.replace(spec, placement=PlacementSpec(sites=("small",)))


def test_a_full_disk_refuses_in_words_and_works_again_with_room(
    small: tuple[Daemons, Disk],
) -> None:
    daemons, disk = small
    disk.fill()
    refused = orders.obeyed(
        daemons.hosts["h1"],
        orders.up(daemons.identity("ams"), at_small(daemons, "tight"), daemons.hosts["h1"]),
    )
    assert refused.state is RequestState.FAILED
    said = "\n".join(refused.answer)
    assert "its disk is full" in said or "store" in said
    assert "h4" in said
    assert "would work" in said
    assert daemons.left() == []
    assert orders.peers(daemons.hosts["h1"])["h4"].health == "alive"
    disk.free()
    made = orders.obeyed(
        daemons.hosts["h1"],
        orders.up(daemons.identity("ams"), at_small(daemons, "tight"), daemons.hosts["h1"]),
    )
    assert made.state is RequestState.DONE, made.answer
    down = orders.signed(daemons.identity("ams"), Action.DOWN, "tight")
    assert orders.obeyed(daemons.hosts["h2"], down).state is RequestState.DONE
    daemons.wait_nothing_left()


def test_an_image_without_room_is_told_and_tried_again(
    small: tuple[Daemons, Disk], folder: Path
) -> None:
    daemons, disk = small
    large = image_file(folder / "large", kernel=bytes(4 << 20))
    daemons.image = orders.add_image(daemons.hosts["h1"], large, "large")
    daemons.wait_image_known()
    host = daemons.hosts["h1"]
    request = orders.give(
        host, orders.up(daemons.identity("ams"), at_small(daemons, "large"), host)
    )

    def told() -> str:
        view = orders.grid(host, "large")
        rows = view.workspaces if view is not None else ()
        return next((row.detail for row in rows if row.phase == "failed"), "")

    said = wait_for(told, 30, "a workspace says that it failed")
    assert "no room for image" in said
    assert "image gc" in said
    shown = daemons.ctl("h2", "show", "large").stdout
    assert "failed" in shown
    assert "no room for image" in shown
    assert daemons.hosts["h4"].process is not None
    assert daemons.hosts["h4"].process.poll() is None
    subprocess.run(["mount", "-o", "remount,size=32M", str(disk.path)], check=True)
    assert orders.answer(host, request).state is RequestState.DONE
    down = orders.signed(daemons.identity("ams"), Action.DOWN, "large")
    assert orders.obeyed(host, down).state is RequestState.DONE
    daemons.wait_nothing_left()


def test_a_disk_that_fills_under_a_grid_keeps_the_daemon_to_what_it_has(
    small: tuple[Daemons, Disk],
) -> None:
    """It takes nothing new, says so, and obeys about what it has. With room it is as before."""
    daemons, disk = small
    asked, host = daemons.hosts["h1"], daemons.hosts["h4"]
    made = orders.obeyed(
        asked, orders.up(daemons.identity("ams"), at_small(daemons, "kept"), asked)
    )
    assert made.state is RequestState.DONE, made.answer
    disk.fill()
    wait_for(lambda: "its disk is full" in daemons.ctl("h4", "status").stdout, 20, "h4 says so")
    refused = orders.obeyed(
        asked, orders.up(daemons.identity("ams"), at_small(daemons, "new"), asked)
    )
    assert refused.state is RequestState.FAILED
    assert "unfit: its disk is full" in "\n".join(refused.answer)
    paused = orders.signed(daemons.identity("ams"), Action.PAUSE, "kept")
    assert orders.obeyed(asked, paused).state is RequestState.DONE
    down = orders.signed(daemons.identity("ams"), Action.DOWN, "kept")
    assert orders.obeyed(asked, down).state is RequestState.DONE
    daemons.wait_nothing_left()
    process = host.process
    assert process is not None
    assert process.poll() is None
    disk.free()
    wait_for(lambda: "its disk is full" not in daemons.ctl("h4", "status").stdout, 20, "it is well")
    made = orders.obeyed(asked, orders.up(daemons.identity("ams"), at_small(daemons, "new"), asked))
    assert made.state is RequestState.DONE, made.answer
    down = orders.signed(daemons.identity("ams"), Action.DOWN, "new")
    assert orders.obeyed(asked, down).state is RequestState.DONE
    daemons.wait_nothing_left()
