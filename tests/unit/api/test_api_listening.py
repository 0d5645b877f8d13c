"""The socket is there before what answers on it. A client that connects meanwhile only waits."""

import asyncio
import socket
from pathlib import Path

from overlayd.api.listening import listen


async def test_the_first_to_connect_is_told_once_and_not_taken(tmp_path: Path) -> None:
    listening = listen(tmp_path / "s")
    told = asyncio.Event()
    count = 0

    def come() -> None:
        nonlocal count
        count += 1
        told.set()

    listening.on_first(come)
    clients = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    for client in clients:
        client.setblocking(False)
        client.connect(str(tmp_path / "s"))
    await asyncio.wait_for(told.wait(), 5)
    await asyncio.sleep(0)
    assert count == 1
    accepted, _ = listening.socket.accept()
    accepted.sendall(b"!")
    assert await asyncio.get_running_loop().sock_recv(clients[0], 1) == b"!"
    for each in (*clients, accepted):
        each.close()
    listening.close()
    assert not (tmp_path / "s").exists()


async def test_closing_leaves_another_daemons_socket_alone(tmp_path: Path) -> None:
    first = listen(tmp_path / "s")
    (tmp_path / "s").unlink()
    second = listen(tmp_path / "s")
    first.close()
    assert (tmp_path / "s").is_socket()
    second.close()
