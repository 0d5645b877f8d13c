"""Four real daemons for the tests of this folder."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from federation import orders
from loopback import SITES, Daemons, image_file, make_daemons


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder with a short path, because sockets are in it."""
    folder = Path(tempfile.mkdtemp(prefix="ovl", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def folder() -> Iterator[Path]:
    """The same, for one test."""
    folder = Path(tempfile.mkdtemp(prefix="ovl", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def running(short_folder: Path) -> Iterator[Daemons]:
    """Four daemons at three sites that know each other, and an image on the first."""
    with make_daemons(short_folder / "f", SITES) as daemons:
        daemons.start_all()
        daemons.image = orders.add_image(daemons.hosts["h1"], image_file(short_folder / "image"))
        daemons.wait_converged()
        daemons.wait_image_known()
        yield daemons


@pytest.fixture
def daemons(running: Daemons) -> Iterator[Daemons]:
    """The four, every one up. Whatever the test made must be gone when it ends."""
    for name, host in running.hosts.items():
        if host.process is None or host.process.poll() is not None:
            running.restart(name)
    running.wait_converged()
    yield running
    running.wait_nothing_left()
