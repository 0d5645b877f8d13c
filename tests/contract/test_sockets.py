"""Sockets inside a named network namespace, on a real one."""

import os
import socket
from collections.abc import Iterator

import pytest

from netns.failures import NetnsError
from netns.kernel import namespaces, sockets


@pytest.fixture
def apart() -> Iterator[str]:
    """A namespace of its own, with a loopback."""
    name = f"test-sockets-{os.getpid()}"
    namespaces.add(name)
    yield name
    namespaces.delete(name)


def _here() -> int:
    return os.stat("/proc/thread-self/ns/net").st_ino


def _calls(namespace: str, port: int) -> socket.socket:
    """A connection from inside the namespace."""
    return namespaces.inside(
        namespace, lambda: socket.create_connection(("127.0.0.1", port), timeout=5)
    )


def test_a_listener_is_reached_in_its_namespace_and_not_outside(apart: str) -> None:
    before = _here()
    with sockets.listen_in(apart, "127.0.0.1", 0) as listener:
        assert listener.getblocking() is False
        port = listener.getsockname()[1]
        with _calls(apart, port) as caller:
            listener.setblocking(True)
            heard, (address, _) = listener.accept()
            with heard:
                assert address == "127.0.0.1"
                caller.send(b"hello")
                assert heard.recv(5) == b"hello"
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), timeout=5)
    assert _here() == before, "the thread that asked has not moved"


def test_an_address_of_another_or_taken_is_said(apart: str) -> None:
    with pytest.raises(NetnsError, match="assign requested address"):
        sockets.listen_in(apart, "192.0.2.9", 80)
    with sockets.listen_in(apart, "127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(NetnsError, match="in use"):
            sockets.listen_in(apart, "127.0.0.1", port)


def test_no_such_namespace_is_said() -> None:
    with pytest.raises(NetnsError, match="there is no network namespace test-nowhere here"):
        sockets.listen_in("test-nowhere", "127.0.0.1", 80)
