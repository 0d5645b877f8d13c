"""The socket: who may use it, whose it is, and that nothing of it is left."""

import asyncio
import os
import signal
import socket
import stat
from pathlib import Path

import httpx
import pytest
from one_host import OneHost
from orders import until

from overlayd.api.app import create_app
from overlayd.api.server import Served, SocketError, serve


async def served(host: OneHost, folder: Path, name: str = "s", group: str = "") -> Served:
    return await serve(create_app(host, folder / "uploads"), folder / name, group)


def client(path: Path) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    return httpx.AsyncClient(transport=transport, base_url="http://overlayd/v1")


async def test_only_owner_and_group_may_use_it_and_stopping_removes_it(
    host: OneHost, tmp_path: Path
) -> None:
    before = os.umask(0o022)
    os.umask(before)
    running = await served(host, tmp_path)
    mode = running.path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660
    assert os.umask(before) == before
    await running.stop()
    assert not running.path.exists()
    await running.stop()


async def test_signal_handlers_stay_the_daemons(host: OneHost, tmp_path: Path) -> None:
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    running = await served(host, tmp_path)
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before
    await running.stop()


async def test_a_socket_nobody_listens_on_is_replaced(host: OneHost, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "s"))
    running = await served(host, tmp_path)
    async with client(running.path) as api:
        assert (await api.get("/health")).status_code == 200
    await running.stop()


async def test_another_daemons_socket_is_left_alone(host: OneHost, tmp_path: Path) -> None:
    first = await served(host, tmp_path)
    with pytest.raises(SocketError) as refused:
        await served(host, tmp_path)
    assert str(refused.value) == (
        f"another daemon answers on {tmp_path}/s; stop it, or name another api.socket"
    )
    async with client(first.path) as api:
        assert (await api.get("/health")).status_code == 200
    await first.stop()


async def test_stopping_does_not_remove_a_successors_socket(host: OneHost, tmp_path: Path) -> None:
    first = await served(host, tmp_path)
    first.path.unlink()
    second = await served(host, tmp_path)
    await first.stop()
    assert second.path.exists()
    await second.stop()


@pytest.mark.parametrize(
    ("name", "group", "said"),
    [
        ("file", "", "{}/file is not a socket; move it away, or name another api.socket"),
        ("file/s", "", "cannot listen on {}/file/s: Not a directory"),
        ("s", "no-such-group", "{}/s: there is no group no-such-group on this host"),
        ("x" * 100, "", "cannot listen on {}/" + "x" * 100 + ": its path is too long"),
    ],
)
async def test_a_path_that_cannot_be_used(
    host: OneHost, tmp_path: Path, name: str, group: str, said: str
) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(SocketError) as refused:
        await served(host, tmp_path, name, group)
    assert str(refused.value) == said.format(tmp_path)
    assert (tmp_path / "file").read_text() == "kept"
    assert not (tmp_path / "s").exists()


async def test_stopping_ends_those_who_follow(host: OneHost, tmp_path: Path) -> None:
    running = await served(host, tmp_path)
    async with client(running.path) as api:
        since = len(host.events(0))
        async with api.stream("GET", f"/events?follow=true&since={since}") as stream:
            await until(lambda: host.waiting == 1)
            stopping = asyncio.create_task(running.stop())
            assert [line async for line in stream.aiter_lines()] == []
            await stopping
    assert host.waiting == 0


async def test_uploads_of_an_earlier_process_are_removed(host: OneHost, tmp_path: Path) -> None:
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "upload-1").write_bytes(b"half")
    create_app(host, tmp_path / "uploads")
    assert list((tmp_path / "uploads").iterdir()) == []
