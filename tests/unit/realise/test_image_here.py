"""A workspace's image is waited for as long as the workspace is wanted, and no longer."""

import asyncio
from pathlib import Path

import pytest
from host_world import until
from image_world import A, World, random_image

from overlayd.ports.images import ImageError
from overlayd.realise import image_here as module
from overlayd.realise.image_here import image_here
from protocol.grid.model import ImageRef
from protocol.image import fetching


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    return World(tmp_path / "images", random_image(3))


def asked(world: World, wanted: list[bool], said: list[str]) -> asyncio.Task[bool]:
    image = ImageRef("debian", world.digest)
    work = image_here(world.images, world.fetcher, image, lambda: all(wanted), said.append)
    return asyncio.create_task(work)


async def test_it_is_fetched_under_its_name_and_said_how_far_that_is(world: World) -> None:
    world.sources, said = {A: world.image.honest}, list[str]()
    assert await asked(world, [], said)
    assert said[0] == "fetching"
    assert said[-1].startswith("100 % of 2.7 MiB")
    steps = [int(text.split()[0]) for text in said[1:]]
    assert steps == sorted(set(steps)), "each step is said once, whoever serves it"
    assert [info.names for info in await world.images.list()] == [("debian",)]
    assert await asked(world, [], said[:0])


async def test_one_that_is_wanted_no_more_is_not_waited_for(world: World) -> None:
    world.sources, wanted, said = {A: world.only(0)}, [True], list[str]()
    work = asked(world, wanted, said)
    await until(lambda: world.progress or len(said) > 1, "something comes")
    wanted.append(False)
    assert not await work
    await until(lambda: not world.fetcher.running, "the fetch ends")
    assert await world.listed() == []


async def test_what_nobody_could_give_is_an_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "PIECE_WITHIN_S", 0.05)
    world.sources = {A: lambda ask: None}
    with pytest.raises(ImageError, match="does not answer"):
        await asked(world, [], [])
