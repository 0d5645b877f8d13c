"""The cache of images: who was used longest ago goes first, what is used or was added here stays."""

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_world import A, Image, World, random_image

from overlayd.adapters.image_names import ImageNames
from overlayd.ports.images import ImageError, Unused
from overlayd.realise.image_cache import ImageCache, goes
from protocol.image.merkle import CHUNK_BYTES
from protocol.terms.ids import Digest


def unused(number: int, size: int, used_s: float, added: bool = False) -> Unused:
    return Unused(f"{number:064x}", f"image-{number}", size, used_s, added)


ROWS = st.lists(st.tuples(st.integers(0, 100), st.floats(0, 10), st.booleans()), max_size=12).map(
    lambda rows: [unused(number, *row) for number, row in enumerate(rows)]
)


@given(ROWS, st.integers(0, 600), st.integers(0, 600))
def test_no_more_goes_than_must_the_oldest_first_and_never_what_was_added(
    rows: list[Unused], limit: int, need: int
) -> None:
    going = goes(rows, limit, need)
    assert not any(each.added for each in going)
    freed = sum(each.size_bytes for each in going)
    left = sum(each.size_bytes for each in rows) - freed
    rest = [each for each in rows if each not in going and not each.added]
    assert (left <= limit and freed >= need) or not rest
    if going:
        newest = going[-1]
        assert all(newest.used_s <= each.used_s for each in rest)
        without = left + newest.size_bytes
        assert without > limit or freed - newest.size_bytes < need


class Cache:
    """A host with images that it has fetched, and one that was added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World(folder, random_image(1))
        self.users: dict[str, list[str]] = {}
        self.coming: tuple[Digest, ...] = ()
        self.changes = 0
        self.cache = ImageCache(
            self.world.images,
            self.world.partials,
            lambda digest: self.users.get(digest, []),
            lambda: self.coming,
            self._changed,
            limit_bytes=0,
        )

    async def fetched(self, image: Image) -> str:
        world = World(self.folder, image)
        world.sources = {A: image.honest}
        await world.fetch()
        return image.digest

    async def listed(self) -> set[str]:
        return {info.digest for info in await self.world.images.list()}

    async def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def host(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "images")


async def test_what_is_used_or_coming_stays_and_the_rest_goes(host: Cache) -> None:
    used, coming, idle = [await host.fetched(random_image(1)) for _ in range(3)]
    host.users[used] = ["star/head-1"]
    host.coming = (Digest(coming),)
    collected = await host.cache.collect()
    assert [each.digest for each in collected.removed] == [idle]
    assert await host.listed() == {used, coming}
    assert host.changes == 1
    assert collected.freed_bytes > 600_000


async def test_within_the_limit_nothing_goes(host: Cache) -> None:
    await host.fetched(random_image(1))
    collected = await host.cache.collect(limit_bytes=1 << 30)
    assert (collected.removed, len(collected.kept), host.changes) == ((), 1, 0)


async def test_room_that_is_needed_is_made_though_the_limit_is_kept(host: Cache) -> None:
    first = await host.fetched(random_image(1))
    second = await host.fetched(random_image(1))
    await host.world.images.files(first)  # It is used now, so the other goes.
    collected = await host.cache.collect(limit_bytes=1 << 30, need_bytes=1000)
    assert [each.digest for each in collected.removed] == [second]


async def test_one_that_a_root_disk_lies_on_stays_and_is_not_told_as_gone(host: Cache) -> None:
    lain_on, idle = [await host.fetched(random_image(1)) for _ in range(2)]
    kept = str(host.folder / lain_on / "content")
    host.world.images._lying_on = lambda path: ["root"] if path == kept else []
    collected = await host.cache.collect()
    assert [each.digest for each in collected.removed] == [idle]
    assert [each.digest for each in collected.kept] == [lain_on]


async def test_what_was_added_here_stays_since_who_fetched_it_may_let_it_go(host: Cache) -> None:
    digest = await host.fetched(random_image(1))
    (host.folder / digest / "fetched").unlink()  # As if it had been added.
    collected = await host.cache.collect(need_bytes=1 << 40)
    assert [(each.name, each.added) for each in collected.kept] == [("named", True)]
    assert await host.listed() == {digest}


async def test_unfinished_fetches_go_too_unless_somebody_waits_for_them(host: Cache) -> None:
    image = random_image(3)
    world = World(host.folder, image)
    behind = CHUNK_BYTES
    world.sources = {A: lambda ask: (world.lying if ask.offset >= behind else image.honest)(ask)}
    with pytest.raises(ImageError):
        await world.fetch()
    host.users[image.digest] = ["star/head-1"]
    assert (await host.cache.collect()).removed == ()
    host.users.clear()
    (removed,) = (await host.cache.collect()).removed
    assert (removed.digest, removed.unfinished) == (image.digest, True)
    assert host.changes == 0
    assert host.world.partials.left() == []


async def test_what_is_used_or_fetched_again_by_the_time_its_turn_comes_stays(
    host: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = [await host.fetched(random_image(1)) for _ in range(3)]
    remove = host.world.images.remove

    async def slow(digest: str) -> None:
        host.users[second] = ["star/head-1"]
        host.coming = (Digest(third),)
        await remove(digest)

    monkeypatch.setattr(host.world.images, "remove", slow)
    collected = await host.cache.collect()
    assert [each.digest for each in collected.removed] == [first]
    assert await host.listed() == {second, third}
    assert host.changes == 1


async def test_a_disk_that_is_full_keeps_no_image_from_going(
    host: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = [await host.fetched(random_image(1)) for _ in range(2)]
    write, names = ImageNames._write, ImageNames(host.folder / "names.json")
    names.give("full", first)

    def full(self: ImageNames, names: dict[str, str]) -> None:
        if (host.folder / first).exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, names)

    monkeypatch.setattr(ImageNames, "_write", full)
    collected = await host.cache.collect()
    assert {each.digest for each in collected.removed} == {first, second}
    assert await host.listed() == set()
    assert "full" not in names.all()
