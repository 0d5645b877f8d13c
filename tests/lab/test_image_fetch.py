"""Images between real daemons: a fetch killed in the middle goes on, and one nobody has is named."""

import filecmp
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from federation import orders
from federation.launch import wait_for
from loopback import Daemons, image_file, make_daemons

from protocol.grid.model import PlacementSpec
from protocol.requesting.request import RequestState
from protocol.trust.order import Action

IMAGE_BYTES = 192 << 20
"""Enough to take some seconds, so that a daemon can be killed in the middle."""


@pytest.fixture
def two(folder: Path) -> Iterator[Daemons]:
    """Two hosts; the first has a large image."""
    daemons = make_daemons(folder, ("ams", "bnl"))
    file = image_file(folder / "image", kernel=bytes(IMAGE_BYTES))
    with daemons:
        daemons.start_all()
        daemons.image = orders.add_image(daemons.hosts["h1"], file)
        file.unlink()
        daemons.wait_converged()
        daemons.wait_image_known()
        yield daemons


def test_a_killed_fetch_goes_on_where_it_was(two: Daemons) -> None:
    spec = orders.spec("large", two.image, 1)
    spec = msgspec.structs.replace(spec, placement=PlacementSpec(sites=("bnl",)))
    request = orders.give(two.hosts["h1"], orders.up(two.identity("ams"), spec))
    images = two.hosts["h2"].folder / "state" / "images"
    first = two.hosts["h1"].folder / "state" / "images"
    part = images / "fetching" / two.image.digest

    def size() -> int:
        return part.stat().st_size if part.exists() else 0

    wait_for(lambda: size() > IMAGE_BYTES // 10, 30, "a tenth of the image is here")
    two.kill("h2")
    kept = size()
    assert IMAGE_BYTES // 10 < kept < IMAGE_BYTES
    two.restart("h2")
    sizes = [kept]

    def here() -> bool:
        if part.exists():
            sizes.append(part.stat().st_size)
        return (images / two.image.digest / "content").exists()

    wait_for(here, 60, "the whole image is here")
    assert min(sizes) == kept
    files = [daemon / two.image.digest / "content" for daemon in (images, first)]
    assert filecmp.cmp(*files, shallow=False)
    assert orders.answer(two.hosts["h1"], request).state is RequestState.DONE
    down = orders.signed(two.identity("ams"), Action.DOWN, "large")
    assert orders.obeyed(two.hosts["h2"], down).state is RequestState.DONE
    two.wait_nothing_left()
