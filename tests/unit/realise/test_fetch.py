"""Fetching an image: from the next source when one dies or lies, on from what is here, or a clear no."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_image import tiny_image

from overlayd.fakes.images import FakeImages, appliance_id
from overlayd.ports.images import ImageError
from overlayd.realise import fetch
from overlayd.realise.fetch import CHUNK_BYTES, Fetcher
from protocol.node.events import Say
from protocol.node.messages import ImageAsk, ImageChunk
from protocol.terms.ids import Digest, PeerId

A, B, C = PeerId("a" * 64), PeerId("b" * 64), PeerId("c" * 64)
Source = Callable[[ImageAsk], ImageChunk | None]


class World:
    """A fetcher, and sources that answer at once."""

    def __init__(self, folder: Path) -> None:
        file = tiny_image(folder / "image", kernel=bytes(range(256)) * 4096 * 5)
        self.content = file.read_bytes()
        self.digest = appliance_id(self.content)
        self.images = FakeImages()
        self.sources: dict[PeerId, Source] = {}
        self.asked: list[tuple[PeerId, int]] = []
        self.came = 0
        self.progress: list[int] = []
        self.fetcher = Fetcher(self.images, self._say, self._who, self._changed)

    def honest(self, ask: ImageAsk) -> ImageChunk:
        data = self.content[ask.offset : ask.offset + ask.length]
        return ImageChunk(ask.session, ask.digest, ask.offset, len(self.content), data)

    def lying(self, ask: ImageAsk) -> ImageChunk:
        size = len(self.honest(ask).data)
        return ImageChunk(ask.session, ask.digest, ask.offset, len(self.content), bytes(size))

    def dies_after(self, chunks: int) -> Source:
        return lambda ask: self.honest(ask) if ask.offset < chunks * CHUNK_BYTES else None

    async def fetch(self) -> None:
        await self.fetcher.ensure(self.digest, lambda here, _: self.progress.append(here))

    async def listed(self) -> list[str]:
        return [info.digest for info in await self.images.list()]

    def _say(self, say: Say) -> None:
        ask = say.message
        assert isinstance(ask, ImageAsk)
        self.asked.append((say.peer, ask.offset))
        chunk = self.sources[say.peer](ask)
        if chunk is not None:
            asyncio.get_running_loop().call_soon(self.fetcher.deliver, say.peer, chunk)

    def _who(self, digest: Digest) -> list[PeerId]:
        return list(self.sources)

    def _changed(self) -> None:
        self.came += 1


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(fetch, "_CHUNK_WITHIN_S", 0.05)  # the one deadline these tests wait for
    return World(tmp_path)


async def test_an_image_comes_whole_in_order_and_is_told(world: World) -> None:
    world.sources = {A: world.honest}
    await world.fetch()
    assert await world.listed() == [world.digest]
    assert world.came == 1
    assert world.progress == sorted(world.progress)
    assert world.progress[-1] == len(world.content)


async def test_what_is_here_is_not_fetched(world: World) -> None:
    world.sources = {A: world.honest}
    await world.fetch()
    world.asked.clear()
    await world.fetch()
    assert world.asked == []


async def test_a_source_that_dies_in_the_middle_is_left_for_the_next(world: World) -> None:
    world.sources = {A: world.dies_after(6), B: world.honest}
    await world.fetch()
    assert await world.listed() == [world.digest]
    first = next(offset for peer, offset in world.asked if peer == B)
    assert first == 6 * CHUNK_BYTES


async def test_a_fetch_goes_on_from_what_is_here(world: World) -> None:
    await world.images.append(world.digest, 0, world.content[:700_000])
    world.sources = {A: world.honest}
    await world.fetch()
    assert world.asked[0] == (A, 700_000)
    assert await world.listed() == [world.digest]


async def test_everything_here_but_unfinished_is_only_checked(world: World) -> None:
    await world.images.append(world.digest, 0, world.content)
    world.sources = {A: world.honest}
    await world.fetch()
    assert await world.listed() == [world.digest]


async def test_wrong_bytes_are_thrown_away_and_the_next_source_asked_from_the_start(
    world: World,
) -> None:
    world.sources = {A: world.lying, B: world.honest}
    await world.fetch()
    assert next(offset for peer, offset in world.asked if peer == B) == 0
    assert await world.listed() == [world.digest]


async def test_a_source_that_lies_and_dies_does_not_spoil_what_the_next_gives(
    world: World,
) -> None:
    """The whole is wrong though the last source was honest: it is asked for all of it."""
    world.sources = {
        A: lambda ask: world.lying(ask) if ask.offset < 3 * CHUNK_BYTES else None,
        B: world.honest,
    }
    await world.fetch()
    assert await world.listed() == [world.digest]
    assert [offset for peer, offset in world.asked if peer == B and offset == 0] == [0]


async def test_a_spoilt_beginning_from_an_earlier_life_is_got_rid_of(world: World) -> None:
    await world.images.append(world.digest, 0, bytes(1000))
    world.sources = {A: world.honest}
    await world.fetch()
    assert await world.listed() == [world.digest]


async def test_only_wrong_bytes_end_in_an_error_that_names_the_source(world: World) -> None:
    world.sources = {A: world.lying}
    with pytest.raises(ImageError, match=f"could not be fetched: {A[:12]}"):
        await world.fetch()
    assert await world.listed() == []
    assert await world.images.partial(world.digest) == 0
    assert world.came == 0


@pytest.mark.parametrize("fault", ["shifted", "empty", "endless"])
async def test_a_source_that_breaks_the_rules_is_left(world: World, fault: str) -> None:
    def broken(ask: ImageAsk) -> ImageChunk:
        chunk = world.honest(ask)
        data = {"shifted": chunk.data, "empty": b"", "endless": chunk.data * 3}[fault]
        return ImageChunk(ask.session, ask.digest, ask.offset, chunk.total_bytes, data)

    if fault == "shifted":
        world.sources = {A: lambda ask: world.honest(_behind(ask)), B: world.honest}
    else:
        world.sources = {A: broken, B: world.honest}
    await world.fetch()
    assert await world.listed() == [world.digest]


def _behind(ask: ImageAsk) -> ImageAsk:
    return ImageAsk(ask.session, ask.digest, ask.offset + 1, ask.length)


async def test_a_source_that_has_it_no_more_is_left(world: World) -> None:
    def without(ask: ImageAsk) -> ImageChunk:
        return ImageChunk(ask.session, ask.digest, ask.offset, -1, b"")

    world.sources = {A: without, B: world.honest}
    await world.fetch()
    assert await world.listed() == [world.digest]


async def test_nobody_has_it(world: World) -> None:
    with pytest.raises(ImageError, match=r"no live peer has image .*overlayctl image add"):
        await world.fetch()


async def test_every_source_that_failed_is_named(world: World) -> None:
    world.sources = {A: world.dies_after(0), B: world.lying}
    with pytest.raises(ImageError) as caught:
        await world.fetch()
    assert f"{A[:12]}: does not answer" in str(caught.value)
    assert f"{B[:12]}: " in str(caught.value)


async def test_another_peer_cannot_answer_for_the_source(world: World) -> None:
    """Sessions can be guessed, so a chunk counts only from the peer that was asked for it."""

    def slow(ask: ImageAsk) -> ImageChunk:
        loop = asyncio.get_running_loop()
        loop.call_soon(world.fetcher.deliver, C, world.lying(ask))
        return world.honest(ask)

    world.sources = {A: slow}
    await world.fetch()
    assert await world.listed() == [world.digest]


async def test_who_asks_at_once_shares_one_fetch(world: World) -> None:
    world.sources = {A: world.honest}
    await asyncio.gather(*(world.fetch() for _ in range(5)))
    offsets = [offset for _, offset in world.asked]
    assert len(offsets) == len(set(offsets))
    assert world.came == 1


async def test_after_a_failure_it_can_be_asked_for_again(world: World) -> None:
    world.sources = {A: world.dies_after(2)}
    with pytest.raises(ImageError):
        await world.fetch()
    kept = await world.images.partial(world.digest)
    assert kept == 2 * CHUNK_BYTES
    world.sources = {A: world.honest}
    await world.fetch()
    assert await world.listed() == [world.digest]


def test_the_image_is_larger_than_the_window(world: World) -> None:
    """If it were not, these tests would show little."""
    assert len(world.content) > 12 * CHUNK_BYTES
