"""Images that nobody uses are removed through the API."""

from types import SimpleNamespace

import httpx
import msgspec
import pytest
from one_host import OneHost

from overlayd.ports.images import Collected


async def test_what_was_fetched_goes_and_what_was_added_stays(
    api: httpx.AsyncClient, host: OneHost
) -> None:
    (info,) = await host.images.list()
    kept = msgspec.json.decode((await api.post("/images/gc?keep=0")).content, type=Collected)
    assert kept.removed == ()
    assert [(each.digest, each.added) for each in kept.kept] == [(info.digest, True)]
    host.images.fetched.add(info.digest)
    limit = msgspec.json.decode((await api.post("/images/gc")).content, type=Collected)
    assert (limit.removed, limit.limit_bytes) == ((), 50 << 30)
    gone = msgspec.json.decode((await api.post("/images/gc?keep=0")).content, type=Collected)
    assert [each.digest for each in gone.removed] == [info.digest]
    assert await host.images.list() == ()


@pytest.mark.parametrize("free_bytes", [0, 1 << 40])
async def test_an_upload_without_room_makes_some(
    api: httpx.AsyncClient, host: OneHost, monkeypatch: pytest.MonkeyPatch, free_bytes: int
) -> None:
    (info,) = await host.images.list()
    host.images.fetched.add(info.digest)
    usage = SimpleNamespace(disk_usage=lambda path: SimpleNamespace(free=free_bytes))
    monkeypatch.setattr("overlayd.api.image_gc.shutil", usage)
    assert (await api.post("/images", content=b"no image")).status_code == 422
    assert await host.images.list() == (() if not free_bytes else (info,))


async def test_a_limit_is_a_number_of_bytes(api: httpx.AsyncClient) -> None:
    for wrong in ("-1", "lots"):
        assert (await api.post(f"/images/gc?keep={wrong}")).status_code == 400
