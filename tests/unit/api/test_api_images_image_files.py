"""Images by the API: who has them, what uses them, their names, and files that become images and back."""

import asyncio
import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import AsyncMock

import msgspec
import pytest
from httpx import AsyncClient
from one_host import OneHost, image_file
from orders import grid_spec, post, until, up_order

from overlayd.adapters.images import DirectoryImages
from overlayd.api import image_files
from overlayd.api.images import image_rows
from overlayd.api.views import ImageRow, ImageView, ImportView
from overlayd.ports.images import ROOM_LEFT_BYTES, ImageInfo, ImportHow, ImportWatch
from protocol.capacity.advert import ImageLabel

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from some_disks import mbr

DISK = mbr()


@pytest.fixture
def stored(host: OneHost, tmp_path: Path) -> DirectoryImages:
    """The real store behind the API."""
    host.images = DirectoryImages(tmp_path / "images")  # type: ignore[assignment]
    return host.images  # type: ignore[return-value]


async def test_a_disk_comes_as_it_is_and_goes_as_qcow2_or_raw(
    api: AsyncClient, stored: DirectoryImages, tmp_path: Path
) -> None:
    params = {"origin": "https://x/some-disk.raw", "sha256": hashlib.sha256(DISK).hexdigest()}
    answer = await api.post("/images", params=params, content=DISK)
    assert answer.status_code == 201, answer.text
    added = answer.json()
    assert (added["names"], added["known"], added["facts"]["kind"]) == (
        ["some-disk"],
        False,
        "disk",
    )
    assert added["notes"]["added_by"] == "h1"
    again = (await api.post("/images", params={"name": "other"}, content=DISK)).json()
    assert (again["names"], again["known"]) == (["other", "some-disk"], True)
    raw = await api.get(f"/images/{added['digest'][:8]}/content")
    assert raw.content == DISK
    packed = await api.get("/images/other/content", params={"form": "qcow2"})
    assert packed.content[:4] == b"QFI\xfb"
    back = await api.post("/images", params={"name": "third"}, content=packed.content)
    assert back.json()["digest"] == added["digest"]
    assert list((tmp_path / "uploads").iterdir()) == []


async def test_another_digest_than_was_said_is_refused(
    api: AsyncClient, stored: DirectoryImages, tmp_path: Path
) -> None:
    answer = await api.post("/images", params={"sha256": "0" * 64}, content=DISK)
    assert answer.status_code == 422
    found = hashlib.sha256(DISK).hexdigest()
    assert answer.json()["problem"] == f"the file's SHA-256 is {found}; {'0' * 64} was to be"
    assert await stored.list() == ()
    assert list((tmp_path / "uploads").iterdir()) == []


@pytest.mark.parametrize(
    "params",
    [{"sha256": "xyz"}, {"firmware": "coreboot"}, {"architecture": "pdp11"}, {"import": "1"}],
)
async def test_parameters_are_checked(
    api: AsyncClient, stored: DirectoryImages, params: dict[str, str]
) -> None:
    assert (await api.post("/images", params=params, content=DISK)).status_code == 400


async def test_the_daemon_fetches_nothing(
    api: AsyncClient, stored: DirectoryImages, tmp_path: Path
) -> None:
    """An origin is a note: what it names is not asked, though it is on this very host."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    (tmp_path / "secret").write_bytes(DISK)
    for origin in (f"http://127.0.0.1:{port}/x.img", f"file://{tmp_path}/secret"):
        answer = await api.post("/images", params={"origin": origin}, content=b"")
        assert answer.json()["problem"] == "not an image: it is empty"
    assert asked == []
    server.close()


async def test_who_has_an_image_and_what_uses_it(api: AsyncClient, host: OneHost) -> None:
    (info,) = await host.images.list()
    await post(api, "/orders", up_order(host.site_dir, await grid_spec(host)))
    await until(lambda: bool(host.view.image_users(info.digest)))
    rows = msgspec.json.decode((await api.get("/images")).content, type=list[ImageRow])
    (row,) = rows
    assert row.used_by
    assert (row.kind, row.architecture) == ("appliance", "x86_64")
    view = msgspec.json.decode((await api.get("/images/guest")).content, type=ImageView)
    assert (view.names, view.digest, view.used_by) == (("guest",), info.digest, row.used_by)
    assert [each.name for each in view.hosts] == ["h1"]
    refused = await api.delete("/images/guest")
    assert refused.status_code == 409
    assert row.used_by[0] in refused.json()["problem"]


async def test_names_are_changed_and_removed(
    api: AsyncClient, host: OneHost, tmp_path: Path
) -> None:
    (info,) = await host.images.list()
    one = await api.post("/images/guest/name", params={"name": "tiny"})
    assert one.json()["names"] == ["tiny"]
    both = await api.post(f"/images/{info.digest[:9]}/name", params={"name": "small"})
    assert both.json()["names"] == ["small", "tiny"]
    await host.images.add(image_file(tmp_path / "b.img", "other", "quiet"))
    taken = await api.post("/images/other/name", params={"name": "tiny"})
    assert (taken.status_code, "taken" in taken.json()["problem"]) == (409, True)
    assert (await api.post("/images/other/name", params={"name": "a/b"})).status_code == 400
    assert (await api.post("/images/absent/name", params={"name": "x"})).status_code == 404
    left = await api.delete("/images/tiny")
    assert left.json()["names"] == ["small"]
    assert (await api.delete("/images/small")).json()["digest"] == info.digest
    assert [each.name for each in await host.images.list()] == ["other"]


class Slow(DirectoryImages):
    """A store whose imports wait until they are stopped, or let go."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.watches: list[ImportWatch] = []
        self.go = asyncio.Event()
        self.ended = 0

    async def add(
        self,
        path: Path,
        name: str | None = None,
        how: ImportHow = ImportHow(),  # noqa: B008, it is frozen
        watch: ImportWatch | None = None,
    ) -> ImageInfo:
        assert watch is not None
        watch.begin("converting", 1000)
        watch.done_bytes = 250
        self.watches.append(watch)
        try:
            while not self.go.is_set():
                watch.check()
                await asyncio.sleep(0.01)
            return await super().add(path, name, how, watch)
        finally:
            self.ended += 1


@pytest.fixture
def slow(host: OneHost, tmp_path: Path) -> Slow:
    host.images = store = Slow(tmp_path / "images")  # type: ignore[assignment]
    return store


async def test_how_far_an_import_is_can_be_asked_meanwhile(api: AsyncClient, slow: Slow) -> None:
    mine = "ab" * 16
    adding = asyncio.create_task(api.post("/images", params={"import": mine}, content=DISK))
    await until(lambda: bool(slow.watches))
    answer = await api.get(f"/imports/{mine}")
    view = msgspec.json.decode(answer.content, type=ImportView)
    assert (view.stage, view.done_bytes, view.total_bytes) == ("converting", 250, 1000)
    slow.go.set()
    assert (await adding).status_code == 201
    assert (await api.get(f"/imports/{mine}")).status_code == 404


async def test_a_client_that_goes_while_its_image_is_made_leaves_nothing(
    api: AsyncClient, slow: Slow, tmp_path: Path
) -> None:
    _, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
    head = f"POST /v1/images HTTP/1.1\r\nHost: x\r\nContent-Length: {len(DISK)}\r\n\r\n"
    writer.write(head.encode() + DISK)
    await writer.drain()
    await until(lambda: bool(slow.watches))
    writer.transport.abort()
    await until(lambda: slow.ended == 1)
    await until(lambda: not list((tmp_path / "uploads").iterdir()))
    assert await slow.list() == ()
    slow.go.set()
    assert (await api.post("/images", content=DISK)).status_code == 201


async def test_imports_at_once_are_bounded(
    api: AsyncClient, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_files, "AT_ONCE_MOST", 1)
    adding = asyncio.create_task(api.post("/images", content=DISK))
    await until(lambda: bool(slow.watches))
    assert (await api.post("/images", content=DISK)).status_code == 503
    slow.go.set()
    assert (await adding).status_code == 201


async def test_a_content_that_cannot_be_had(api: AsyncClient, host: OneHost) -> None:
    assert (await api.get("/images/absent/content")).status_code == 404
    refused = await api.get("/images/guest/content", params={"form": "qcow2"})
    assert (refused.status_code, "is no disk" in refused.json()["problem"]) == (422, True)
    assert (await api.get("/images/guest/content", params={"form": "iso"})).status_code == 400


async def test_an_upload_leaves_room_on_the_disk(
    api: AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = 1 << 40
    free = iter(range(ROOM_LEFT_BYTES + (3 << 20), 0, -(1 << 20)))

    def usage(path: Path) -> SimpleNamespace:
        return SimpleNamespace(total=total, free=next(free))

    monkeypatch.setattr(image_files, "make_room", AsyncMock())
    monkeypatch.setattr(image_files, "shutil", SimpleNamespace(disk_usage=usage))
    answer = await api.post("/images", content=bytes(8 << 20))
    assert answer.status_code == 507
    assert not list((tmp_path / "uploads").iterdir())


async def test_a_name_means_what_this_site_calls_so(host: OneHost) -> None:
    """What another site's host advertises under a name, or a grid brought here, is not what the name means."""
    mine = (await host.images.list())[0].digest

    def peer(name: str, site: str, *labels: ImageLabel) -> SimpleNamespace:
        return SimpleNamespace(name=name, site=site, health="alive", age_s=1.0, images=labels)

    peers = (
        peer(
            "h2", "s1", ImageLabel("near", "b" * 64, 1), ImageLabel("came", "c" * 64, 1, heard=True)
        ),
        peer("h3", "s2", ImageLabel("guest", "d" * 64, 1), ImageLabel("far", "e" * 64, 1)),
        peer("h4", "s2", ImageLabel("near", "b" * 64, 1)),
    )
    view = SimpleNamespace(name="h1", site="s1", peers=lambda _: peers, image_users=lambda _: [])
    here = SimpleNamespace(view=view, images=host.images, now=lambda: 0.0)
    rows = await image_rows(SimpleNamespace(peer=here))  # type: ignore[arg-type]
    assert {(row.name, row.digest): (row.ours, row.named_by) for row in rows} == {
        ("guest", mine): (True, ("s1",)),
        ("near", "b" * 64): (True, ("s1", "s2")),
        ("came", "c" * 64): (False, ()),
        ("guest", "d" * 64): (False, ("s2",)),
        ("far", "e" * 64): (False, ("s2",)),
    }
