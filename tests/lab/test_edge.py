"""The edge service of examples/edge, as its README has it: a real proxy, and a neighbour that wants everything.

How fast the proxy answers is measured by `scripts/bench edge`. Here it answers at all, from its cache, with its
neighbour at work; and what it is guaranteed is refused to that one, or lent and had back.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from federation.tutorial import copied

from netns.kernel import namespaces

TOP = Path(__file__).resolve().parents[2]
IMAGES = TOP / ".cache" / "images"
WITHIN_S = 600
_ASKED = re.compile(r"answers a second; (\d+) of (\d+) from the cache")


def cleared() -> None:
    """The tutorial's namespaces are gone, whatever became of it."""
    for name in ("uc", "world"):
        if namespaces.is_mounted(name):
            namespaces.delete(name)


@pytest.fixture
def images() -> Iterator[list[Path]]:
    squid = IMAGES / "squid.img"
    packages = ["--with", "squid", "--with", "squid-common"]
    build = [TOP / "scripts" / "build-image", *packages, "--output", squid]
    subprocess.run(build, check=True, capture_output=True)
    cleared()
    yield [IMAGES / "guest.img", squid]
    cleared()


@pytest.mark.timeout(WITHIN_S)
def test_the_tutorial_of_an_edge_service_is_true(images: list[Path], folder: Path) -> None:
    folder.chmod(0o711)  # guests run as users of their own, and go through here to their files
    asked: list[tuple[int, int]] = []
    with copied("edge", folder) as (shell, todo):
        for image in images:
            shutil.copy(image, folder / "edge")
        for step in todo:
            said = shell.follow(step)
            if found := _ASKED.search(said):
                asked.append((int(found[1]), int(found[2])))
    assert len(asked) == 2, "beside its neighbour, and alone"
    assert all(cached == answers > 0 for cached, answers in asked)
