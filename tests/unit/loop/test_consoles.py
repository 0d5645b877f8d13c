"""What is typed into a console reaches the guest, however slowly it reads."""

import asyncio
import contextlib
import select
import socket
from pathlib import Path

import pytest

from overlayd.loop import consoles

KEYS = b"echo $((6*7)) of a line that is longer than what a serial port takes at once\n"
FIFO = 16


async def like_qemu(listener: socket.socket) -> bytes:
    """What a guest gets of a connection: a little at a time, and nothing once it was closed."""
    connection, _ = await asyncio.get_running_loop().sock_accept(listener)
    hangup = select.poll()
    hangup.register(connection, select.POLLRDHUP)
    got = b""
    with connection:
        while not hangup.poll(0):
            with contextlib.suppress(BlockingIOError):
                got += connection.recv(FIFO)
            await asyncio.sleep(0)
    return got


async def test_all_of_it_is_taken_before_the_connection_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consoles, "_ECHO_S", 0.0)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        listener.setblocking(False)
        guest = asyncio.create_task(like_qemu(listener))
        await consoles._type(tmp_path / "s", KEYS)
        assert await guest == KEYS
