"""One fetch: what never travels, what is copied here, and pages of leaves."""

import os
from pathlib import Path

import pytest
from image_world import A, Image, Sparse, World, random_image

from overlayd.realise.one_fetch import Progress
from protocol.image.fetching import ImagePiece
from protocol.image.merkle import CHUNK_BYTES


def of_chunks(*chunks: bytes) -> Image:
    return Image(b"".join(chunks))


def chunk() -> bytes:
    return os.urandom(CHUNK_BYTES)


ZEROS = bytes(CHUNK_BYTES)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "images"


async def fetched(place: Path, image: Image) -> World:
    world = World(place, image)
    world.sources = {A: image.honest}
    await world.fetch()
    assert world.content() == image.content
    return world


async def test_chunks_of_zeros_never_travel_and_take_no_room(place: Path) -> None:
    image = of_chunks(chunk(), ZEROS, ZEROS, chunk(), ZEROS, bytes(1000))
    world = await fetched(place, image)
    assert world.asked_of(A) == [0, 3]
    assert (place / world.digest / "content").stat().st_blocks * 512 <= 3 * CHUNK_BYTES


async def test_an_image_of_nothing_but_zeros_is_only_its_leaves(place: Path) -> None:
    world = await fetched(place, of_chunks(ZEROS, ZEROS))
    assert world.asked_of(A) == []


async def test_equal_chunks_are_fetched_once(place: Path) -> None:
    same, other = chunk(), chunk()
    world = await fetched(place, of_chunks(same, other, same, same))
    assert world.asked_of(A) == [0, 1]


async def test_what_another_image_has_is_copied_from_it(place: Path) -> None:
    first = random_image(20)
    await fetched(place, first)
    content = bytearray(first.content)
    content[7 * CHUNK_BYTES : 7 * CHUNK_BYTES + 5] = b"other"
    # It begins elsewhere, so that an offset that is taken from the wrong image is seen.
    second = of_chunks(chunk(), bytes(content))
    world = await fetched(place, second)
    assert world.asked_of(A) == [0, 8]
    assert first.content == (place / first.digest / "content").read_bytes()


async def test_a_chunk_that_is_spoilt_here_is_fetched_instead(place: Path) -> None:
    first = random_image(6)
    await fetched(place, first)
    kept = place / first.digest / "content"
    kept.chmod(0o600)
    with kept.open("r+b") as file:
        file.seek(2 * CHUNK_BYTES)
        file.write(b"rotten")
    world = await fetched(place, of_chunks(first.content, chunk()[:500]))
    assert 2 in world.asked_of(A)
    assert 3 not in world.asked_of(A)


async def test_more_than_a_page_of_leaves(place: Path) -> None:
    """Nearly all zeros, so that it is small: two pages, and one chunk of each."""
    image = Image(Sparse(4100, {5: chunk(), 4099: chunk()}))
    world = World(place, image)
    world.sources = {A: image.honest}
    await world.fetch()
    with (place / world.digest / "content").open("rb") as file:
        file.seek(4098 * CHUNK_BYTES)
        assert file.read() == image.content[4098 * CHUNK_BYTES : 4100 * CHUNK_BYTES]
    assert world.asked_of(A) == [5, 4099]
    assert [piece for _, piece, _ in world.asked].count(ImagePiece.LEAVES) == 2


def test_progress_is_told_in_few_steps() -> None:
    texts = {Progress(here, 3 << 30, 2).text for here in range(0, 3 << 30, 1 << 20)}
    assert len(texts) == 20
    assert Progress(3 << 29, 3 << 30, 2).text == "50 % of 3 GiB, from 2 peers"
    assert Progress(0, 3 << 30, 0).text == "0 % of 3 GiB"
