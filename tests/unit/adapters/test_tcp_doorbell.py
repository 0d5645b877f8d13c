"""Why nobody takes a connection, as the system says it."""

import asyncio
import errno
import socket
from ipaddress import ip_address

import pytest

from overlayd.adapters import tcp_doorbell
from overlayd.adapters.tcp_doorbell import Doorbell
from protocol.terms.problem import Trouble

PORT_NOBODY_HAS = 1


async def ring(ip: str, port: int) -> Trouble | None:
    answer: asyncio.Future[Trouble | None] = asyncio.get_running_loop().create_future()
    Doorbell(ip_address(ip), port, answer.set_result)
    assert not answer.done(), "never from inside the call"
    return await asyncio.wait_for(answer, 10)


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
async def test_nobody_listens(ip: str) -> None:
    assert await ring(ip, PORT_NOBODY_HAS) is Trouble.REFUSED


async def test_somebody_takes_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert await ring("127.0.0.1", server.getsockname()[1]) is None


async def test_nothing_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_doorbell, "RING_S", 0.01)
    monkeypatch.setattr(socket.socket, "connect_ex", lambda *_: errno.EINPROGRESS)
    monkeypatch.setattr(asyncio.get_running_loop(), "add_writer", lambda *_: None)
    assert await ring("192.0.2.1", 7946) is Trouble.NO_ANSWER


@pytest.mark.parametrize(
    ("code", "trouble"),
    [
        (errno.EHOSTUNREACH, Trouble.NO_ROUTE),
        (errno.ENETUNREACH, Trouble.NO_ROUTE),
        (errno.EPERM, Trouble.NO_ROUTE),
        (errno.ECONNREFUSED, Trouble.REFUSED),
        (errno.ECONNRESET, Trouble.CLOSED),
        (errno.EMFILE, Trouble.THIS_HOST),
    ],
)
async def test_what_the_system_says(
    monkeypatch: pytest.MonkeyPatch, code: int, trouble: Trouble
) -> None:
    monkeypatch.setattr(socket.socket, "connect_ex", lambda *_: code)
    assert await ring("192.0.2.1", 7946) is trouble


async def test_one_that_is_given_up_answers_nothing() -> None:
    answers: list[Trouble | None] = []
    bell = Doorbell(ip_address("127.0.0.1"), PORT_NOBODY_HAS, answers.append)
    bell.close()
    await asyncio.sleep(0.05)
    assert answers == []
