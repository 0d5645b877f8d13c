"""Fetching an image: from all who have it, on from what is here, past who lies or is silent, or a clear no."""

import asyncio
import os
from pathlib import Path
from unittest.mock import AsyncMock

import msgspec
import pytest
from host_world import until
from image_world import A, B, C, World, random_image

from overlayd.ports.images import ImageError
from protocol.image import fetching
from protocol.image.fetching import ImagePiece
from protocol.image.merkle import CHUNK_BYTES
from protocol.node.messages import ImageAsk, ImageChunk

CHUNKS = 12


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(fetching, "PIECE_WITHIN_S", 0.3)  # the one deadline these tests wait for
    return World(tmp_path / "images", random_image(CHUNKS))


async def test_an_image_comes_whole_and_is_told(world: World) -> None:
    world.sources = {A: world.image.honest}
    await world.fetch()
    (info,) = await world.images.list()
    assert (info.digest, info.names, info.facts) == (
        world.digest,
        ("named",),
        world.image.summary.facts,
    )
    assert world.content() == world.image.content
    assert world.came == 1
    here = [each.here_bytes for each in world.progress]
    assert here == sorted(here)
    assert world.progress[-1].here_bytes == world.progress[-1].total_bytes
    assert not list((world.folder / "fetching").iterdir())


async def test_what_is_here_is_not_fetched(world: World) -> None:
    world.sources = {A: world.image.honest}
    await world.fetch()
    world.asked.clear()
    await world.fetch()
    assert world.asked == []


async def test_several_peers_share_one_image(world: World) -> None:
    world.sources = {A: world.image.honest, B: world.image.honest, C: world.image.honest}
    await world.fetch()
    shares = [set(world.asked_of(peer)) for peer in (A, B, C)]
    assert set.union(*shares) == set(range(CHUNKS))
    assert all(len(share) >= 2 for share in shares)
    assert sum(map(len, shares)) <= CHUNKS + 3


async def test_a_source_that_dies_in_the_middle_is_left_for_the_next(world: World) -> None:
    world.sources = {A: world.only(0, 1, 2, 3), B: world.image.honest}
    await world.fetch()
    assert world.content() == world.image.content
    assert world.blamed == []


async def test_a_source_that_goes_costs_nothing(world: World) -> None:
    def going(ask: ImageAsk) -> ImageChunk | None:
        if ask.piece is ImagePiece.CONTENT:
            world.sources.pop(A, None)
            return None
        return world.image.honest(ask)

    world.sources = {A: going, B: world.image.honest}
    await world.fetch()
    assert world.content() == world.image.content


async def test_one_that_comes_to_have_it_joins(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overlayd.realise.one_fetch.LOOK_EVERY_S", 0.0)

    def first(ask: ImageAsk) -> ImageChunk:
        if ask.offset >= 2 * CHUNK_BYTES:
            world.sources[B] = world.image.honest
        return world.image.honest(ask)

    world.sources = {A: first}
    await world.fetch()
    assert world.asked_of(B)


async def test_a_liar_costs_one_chunk_and_is_blamed_once(world: World) -> None:
    world.sources = {A: world.lying, B: world.image.honest}
    await world.fetch()
    assert world.content() == world.image.content
    assert world.blamed == [A]
    assert len(world.asked_of(A)) == 1


@pytest.mark.parametrize("piece", [ImagePiece.SUMMARY, ImagePiece.LEAVES])
@pytest.mark.parametrize("fault", ["garbage", "swapped", "long"])
async def test_a_liar_about_what_the_image_is(world: World, piece: ImagePiece, fault: str) -> None:
    other = random_image(CHUNKS)

    def lying(ask: ImageAsk) -> ImageChunk:
        chunk = world.image.honest(ask)
        if ask.piece is not piece:
            return chunk
        data = {
            "garbage": os.urandom(len(chunk.data)),
            "swapped": other.honest(ask).data,
            "long": chunk.data + b"x" * ask.length,
        }[fault]
        return msgspec.structs.replace(chunk, data=data)

    world.sources = {A: lying, B: world.image.honest}
    await world.fetch()
    assert world.content() == world.image.content
    assert world.blamed == [A]


async def test_only_liars_end_in_an_error_that_names_them(world: World) -> None:
    world.sources = {A: world.lying, B: world.lying}
    with pytest.raises(ImageError, match="could not be fetched") as caught:
        await world.fetch()
    assert f"{A[:12]}: what it sent is a wrong chunk" in str(caught.value)
    assert f"{B[:12]}: " in str(caught.value)
    assert await world.listed() == []
    assert world.came == 0


@pytest.mark.parametrize("fault", ["shifted", "empty", "endless"])
async def test_a_source_that_breaks_the_rules_is_left(world: World, fault: str) -> None:
    def broken(ask: ImageAsk) -> ImageChunk:
        chunk = world.image.honest(ask)
        if fault == "shifted":
            return msgspec.structs.replace(chunk, offset=ask.offset + 1)
        return msgspec.structs.replace(chunk, data=b"" if fault == "empty" else chunk.data * 3)

    world.sources = {A: broken, B: world.image.honest}
    await world.fetch()
    assert world.content() == world.image.content


async def test_a_source_that_has_it_no_more_is_left(world: World) -> None:
    def without(ask: ImageAsk) -> ImageChunk:
        return ImageChunk(ask.session, ask.digest, ask.offset, -1, b"", ask.piece)

    world.sources = {A: without, B: world.image.honest}
    await world.fetch()
    assert world.content() == world.image.content
    assert world.blamed == []


async def test_nobody_has_it(world: World) -> None:
    with pytest.raises(ImageError, match=r"no live peer has image .*overlayctl image add"):
        await world.fetch()


async def test_every_source_that_failed_is_named(world: World) -> None:
    world.sources = {A: lambda ask: None, B: world.lying}
    with pytest.raises(ImageError) as caught:
        await world.fetch()
    assert f"{A[:12]}: does not answer" in str(caught.value)
    assert f"{B[:12]}: " in str(caught.value)


async def test_another_peer_cannot_answer_for_the_source(world: World) -> None:
    """Sessions can be guessed, so a piece counts only from the peer that was asked for it."""

    def slow(ask: ImageAsk) -> ImageChunk:
        asyncio.get_running_loop().call_soon(world.fetcher.deliver, C, world.lying(ask))
        return world.image.honest(ask)

    world.sources = {A: slow}
    await world.fetch()
    assert world.content() == world.image.content


async def test_who_asks_at_once_shares_one_fetch(world: World) -> None:
    world.sources = {A: world.image.honest}
    await asyncio.gather(*(world.fetch() for _ in range(5)))
    assert len(world.asked) == len(set(world.asked))
    assert world.came == 1
    assert sum(1 for each in world.progress if each.here_bytes == each.total_bytes) == 5


async def test_a_fetch_that_nobody_waits_for_ends_and_what_is_here_stays(world: World) -> None:
    world.sources = {A: world.only(0, 1, 2)}
    first, second = asyncio.create_task(world.fetch()), asyncio.create_task(world.fetch())
    await until(lambda: len(world.progress) >= 2, "something comes")
    first.cancel()
    await asyncio.sleep(0)
    assert world.fetcher.running == (world.digest,)
    second.cancel()
    await until(lambda: not world.fetcher.running, "the fetch ends")
    world.sources = {A: world.image.honest}
    world.asked.clear()
    await world.fetch()
    assert 0 not in world.asked_of(A)


async def test_who_comes_just_as_a_fetch_is_given_up_gets_one_of_its_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none_at_once() -> tuple[()]:
        return ()

    monkeypatch.setattr(world.images, "list", none_at_once)
    world.sources = {A: world.only(0, 1)}
    first = asyncio.create_task(world.fetch())
    await until(lambda: len(world.progress) >= 1, "something comes")
    world.sources = {A: world.image.honest}
    first.cancel()
    await asyncio.sleep(0)  # It gives up, and its task has not ended yet.
    await world.fetch()
    assert world.content() == world.image.content
    assert world.fetcher.running == ()


@pytest.mark.parametrize("boot", ["one", "two"])
async def test_a_fetch_goes_on_from_what_is_here(world: World, boot: str) -> None:
    world.sources = {A: world.only(0, 1, 2, 3, 4)}
    with pytest.raises(ImageError, match="does not answer"):
        await world.fetch()
    world.begin(boot)
    world.asked.clear()
    world.sources = {B: world.image.honest}
    await world.fetch()
    assert world.asked_of(B) == list(range(5, CHUNKS))
    assert {piece for _, piece, _ in world.asked} == {ImagePiece.CONTENT}
    assert world.content() == world.image.content


async def test_room_is_asked_for_before_content_and_what_would_help_is_said(world: World) -> None:
    world.sources = {A: world.image.honest}
    world.partials.room = lambda: (1 << 20, 1 << 30)  # type: ignore[method-assign]
    with pytest.raises(ImageError, match="no room for image") as caught:
        await world.fetch()
    assert "it needs 11.7 MiB" in str(caught.value)
    assert "1 MiB are free" in str(caught.value)
    assert world.wanted_room
    assert world.asked_of(A) == []


async def test_after_a_failure_it_can_be_asked_for_again(world: World) -> None:
    world.sources = {A: world.only(0, 1)}
    with pytest.raises(ImageError):
        await world.fetch()
    world.sources = {A: world.image.honest}
    await world.fetch()
    assert await world.listed() == [world.digest]


async def test_who_asks_while_a_fetch_that_nobody_waits_for_ends_has_one_of_its_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = asyncio.create_task(world.fetch())
    await until(lambda: bool(world.fetcher.running), "it is coming")
    listed = AsyncMock(return_value=())
    monkeypatch.setattr(world.images, "list", listed)
    (task,) = world.fetcher._running.values()
    task.cancel()  # as the last who waits does; the next asks before it has ended
    world.sources = {A: world.image.honest}
    await world.fetch()
    await asyncio.gather(first, return_exceptions=True)
    assert world.content() == world.image.content


@pytest.mark.parametrize("gone", ["content", "leaves", "here"])
async def test_one_that_was_half_removed_when_the_daemon_was_killed_comes_anew(
    world: World, gone: str
) -> None:
    world.sources = {A: world.only(0, 1)}
    with pytest.raises(ImageError):
        await world.fetch()
    (world.folder / "fetching" / world.digest / gone).unlink()
    world.begin()
    world.sources = {A: world.image.honest}
    await world.fetch()
    assert world.content() == world.image.content
