"""TCP listeners that belong to a named network namespace, wherever in the process they are used; ports in use.

A socket stays in the namespace in which it was made. So a thread of its own goes there, makes the socket, and
ends; the process, and its event loop, stay where they are. The call blocks: make it in a thread of a pool.
"""

import socket
from collections.abc import Callable
from pathlib import Path

from netns.failures import NetnsError
from netns.kernel import namespaces

LISTEN_BACKLOG = 64
"""Connections the kernel keeps for a listener that has not accepted them yet."""


_TABLES = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
"""Where the kernel lists sockets, and the state of those that wait for anybody."""


def ports_in_use() -> tuple[int, ...]:
    """The ports at which sockets of the calling process's network namespace wait for others, sorted."""
    found: dict[int, None] = {}
    for name, waits in _TABLES.items():
        table = Path("/proc/self/net") / name
        lines = table.read_text().splitlines()[1:] if table.exists() else []
        for _, local, _, state, *_ in map(str.split, lines):
            if state == waits:
                found[int(local.rpartition(":")[2], 16)] = None
    return tuple(sorted(found))


def listen_in(namespace: str, address: str, port: int) -> socket.socket:
    """A listener at that address inside the namespace, without blocking. The caller closes it.

    `port` 0 takes any that is free. Raises NetnsError if there is no such namespace, or the address is not
    one of its own or is taken.
    """

    def listen() -> socket.socket:
        handle = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            handle.bind((address, port))
            handle.listen(LISTEN_BACKLOG)
        except BaseException:
            handle.close()
            raise
        return handle

    return _made(namespace, listen, f"listen at {address} port {port}")


def _made(namespace: str, make: Callable[[], socket.socket], what: str) -> socket.socket:
    if not namespaces.is_mounted(namespace):
        raise NetnsError(f"cannot {what}: there is no network namespace {namespace} here")
    try:
        return namespaces.inside(namespace, make)
    except OSError as error:
        why = error.strerror or str(error)
        raise NetnsError(f"cannot {what} in the namespace {namespace}: {why}") from error
