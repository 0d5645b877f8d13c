"""A served peer in the test's own loop."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from one_host import OneHost, image_file

from overlayd.api.app import create_app
from overlayd.api.server import serve


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[OneHost]:
    """The peer, with one image, its loop running. It builds nothing by itself."""
    host = OneHost(tmp_path, builds=False)
    await host.images.add(image_file(tmp_path / "guest.img"))
    loop = asyncio.create_task(host.run())
    await host.images_changed()
    yield host
    assert not loop.done(), loop.exception()
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


@pytest.fixture
async def api(host: OneHost, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of its API, over the real socket."""
    served = await serve(create_app(host, tmp_path / "uploads"), tmp_path / "s")
    transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "s"))
    async with httpx.AsyncClient(transport=transport, base_url="http://overlayd/v1") as client:
        yield client
    await served.stop()
