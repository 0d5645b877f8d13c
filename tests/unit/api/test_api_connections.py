"""Connections that do not get on are closed, and one process leaves some for others."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from one_host import OneHost
from orders import until

from overlayd.api import connections as module
from overlayd.api.app import create_app
from overlayd.api.connections import OF_PROCESS, OF_USER, Held
from overlayd.api.server import Served, serve

HALF = b"GET /v1/health HTTP/1.1\r\nHost: x\r\n"
SLOW_LORIS = """
import socket, sys
held = []
for number in range(300):
    end = socket.socket(socket.AF_UNIX)
    end.connect(sys.argv[1])
    try:
        end.send(b"GET /v1/health HTTP/1.1\\r\\n")
    except BrokenPipeError:
        pass
    held.append(end)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
async def running(host: OneHost, tmp_path: Path) -> AsyncIterator[Served]:
    made = await serve(create_app(host, tmp_path / "uploads"), tmp_path / "s")
    yield made
    await made.stop()


async def health(path: Path) -> int:
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    async with httpx.AsyncClient(transport=transport, base_url="http://overlayd/v1") as api:
        return (await api.get("/health")).status_code


async def ends(running: Served, *parts: bytes, apart_s: float = 0.0) -> bytes:
    """What is answered until the daemon closes the connection."""
    reader, writer = await asyncio.open_unix_connection(str(running.path))
    said = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(20):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(apart_s)
            said = await reader.read()
    writer.close()
    return said


async def test_a_process_with_half_requests_leaves_room_for_others(running: Served) -> None:
    argv = [sys.executable, "-c", SLOW_LORIS, str(running.path)]
    loris = await asyncio.create_subprocess_exec(
        *argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert loris.stdout is not None
    assert await loris.stdout.readline() == b"held\n"
    assert await health(running.path) == 200
    loris.kill()
    await loris.wait()


async def test_what_one_process_and_one_user_have_is_counted_and_given_back() -> None:
    held = Held()
    assert sum(held.take(1, 0) for _ in range(300)) == OF_PROCESS
    assert sum(held.take(2, 0) for _ in range(300)) == OF_USER - OF_PROCESS
    assert held.take(3, 1), "another user has some"
    held.give(1, 0)
    assert held.take(4, 0)
    for pid, uid, count in ((1, 0, OF_PROCESS - 1), (2, 0, OF_USER - OF_PROCESS), (4, 0, 1)):
        for _ in range(count):
            held.give(pid, uid)
    held.give(3, 1)
    assert (held.of_process, held.of_user) == ({}, {})


async def test_half_a_request_is_not_waited_for(
    running: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEAD_WITHIN_S", 0.3)
    for parts in ((), (HALF,), (b"GET", *(b" " for _ in range(8)))):
        assert await ends(running, *parts, apart_s=0.1) == b""
    assert await health(running.path) == 200


async def test_half_a_body_is_not_waited_for_long(
    running: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BODY_SILENT_S", 0.3)
    head = b"POST /v1/requests HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
    await ends(running, head)
    assert await health(running.path) == 200


async def test_who_follows_may_be_silent(
    running: Served, host: OneHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEAD_WITHIN_S", 0.1)
    monkeypatch.setattr(module, "BODY_SILENT_S", 0.1)
    transport = httpx.AsyncHTTPTransport(uds=str(running.path))
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://overlayd/v1") as api,
        api.stream("GET", f"/events?follow=true&since={len(host.events(0))}") as stream,
    ):
        await until(lambda: host.waiting == 1)
        reader = asyncio.ensure_future(anext(stream.aiter_lines(), None))
        assert await ends(running, HALF) == b"", "a deadline has passed meanwhile"
        assert not reader.done()
        reader.cancel()
