"""`overlayctl connect` and `forward`: ports of workspaces, on standard input and output or on a port here."""

import os
import socket
import threading
from contextlib import suppress
from typing import Annotated

import typer

from overlayd.api.frames import DATA_MAX_BYTES
from overlayd.cli.failure import USAGE, Failure, failure
from overlayd.cli.life import One
from overlayd.cli.pipe import Ends, join
from overlayd.cli.reaching import Reached, reached
from overlayd.cli.session import Session, session_of
from protocol.grid.problem import quoted

_LOOPBACK = "127.0.0.1"
_BACKLOG = 64
_LOOK_UP_EVERY_S = 1.0

Port = Annotated[int, typer.Argument(min=1, max=65535, help="A TCP port of the workspace.")]


def connect(context: typer.Context, target: One, port: Port) -> None:
    """Connects standard input and output with a TCP port of a workspace, wherever it runs.

    For `ssh -o ProxyCommand=` and the like; no route to the workspace is needed.

    Example: overlayctl connect star/head-1 22
    """
    session = session_of(context)
    to = reached(session, target)
    ends = Ends(lambda: os.read(0, DATA_MAX_BYTES), _write_out, lambda: os.close(1))
    join(session, to.grid, to.workspace, port, ends)


def _write_out(data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(1, left) :]


def forward(
    context: typer.Context,
    target: One,
    ports: Annotated[
        str,
        typer.Argument(
            metavar="[[ADDRESS:]LOCAL:]PORT",
            help="A port here, and one of the workspace. Without LOCAL the same; 0 takes a free one.",
        ),
    ],
) -> None:
    """Listens on a port of this host, and leads each connection to a port of a workspace. Ctrl-C ends it.

    It listens on 127.0.0.1, where others cannot reach it, unless an address is given.

    Example: overlayctl forward star/head-1 8080:80
    """
    address, local, port = _ports(ports)
    session = session_of(context)
    to = reached(session, target)
    with _listening(address, local) as listening:
        at, number = listening.getsockname()
        typer.echo(f"{at}:{number} leads to {target} port {port}; Ctrl-C ends it")
        # A Ctrl-C that comes just before it waits is seen when it looks up.
        listening.settimeout(_LOOK_UP_EVERY_S)
        while True:
            try:
                near, _ = listening.accept()
            except TimeoutError:
                continue
            work = (session, to, port, near)
            threading.Thread(target=_forward, args=work, daemon=True).start()


def _ports(text: str) -> tuple[str, int, int]:
    """Address, port here, port there. Raises Failure."""
    parts = text.split(":")
    numbers = [int(part) for part in parts[-2:] if part.isascii() and part.isdigit()]
    good = 1 <= len(parts) <= 3 and len(numbers) == len(parts[-2:])
    if not good or not all(n < 65536 for n in numbers) or numbers[-1] == 0 or not parts[0]:
        said = f"{quoted(text)} names no ports from 1 to 65535"
        works = "PORT, as in 80; LOCAL:PORT, as in 8080:80; or ADDRESS:LOCAL:PORT. LOCAL 0 takes a free one"
        raise failure(said, works, USAGE)
    return parts[0] if len(parts) == 3 else _LOOPBACK, numbers[0], numbers[-1]


def _listening(address: str, port: int) -> socket.socket:
    """Raises Failure if it cannot listen there."""
    handle = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        handle.bind((address, port))
        handle.listen(_BACKLOG)
    except OSError as error:
        handle.close()
        why = (error.strerror or str(error)).lower()
        another = "another LOCAL port, or 0 for one that is free"
        raise failure(f"cannot listen on {address}:{port}: {why}", another) from None
    return handle


def _forward(session: Session, to: Reached, port: int, near: socket.socket) -> None:
    """One connection. What stops it is said, and ends no other."""

    def end() -> None:
        near.shutdown(socket.SHUT_WR)

    with near:
        ends = Ends(lambda: near.recv(DATA_MAX_BYTES), near.sendall, end)
        try:
            with suppress(OSError):
                join(session, to.grid, to.workspace, port, ends)
        except Failure as failed:
            failed.show()
            with suppress(OSError):
                near.shutdown(socket.SHUT_RDWR)
