"""Consoles are opened as orders allow, here or by their host; what is typed reaches a slow guest too."""

import asyncio
import contextlib
import select
import socket
from pathlib import Path

import pytest

from overlayd.loop import consoles
from overlayd.loop.consoles import Consoles
from overlayd.realise.paths import Paths
from protocol.node.events import Say
from protocol.node.messages import ConsoleAsk, ConsoleText
from protocol.node.rows import NoConsole
from protocol.terms.ids import GridId, PeerId
from protocol.trust.order import SignedOrder
from protocol.trust.signing import Reason, Untrusted

KEYS = b"echo $((6*7)) of a line that is longer than what a serial port takes at once\n"
FIFO = 16
ME, YOU = PeerId("me"), PeerId("you")
ORDER = SignedOrder(b"an order", b"", ())
NOW = 5.0


class Host:
    """A host's consoles, with a node that opens `g`'s `web-1` to anybody, or says why not."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder)
        self.refuses: Exception | None = None
        self.asked: list[tuple[SignedOrder, PeerId, float]] = []
        self.said: list[Say] = []
        self.consoles = Consoles(ME, self._opens, self.paths, self.said.append, lambda: NOW)

    def _opens(self, order: SignedOrder, via: PeerId, now: float) -> tuple[GridId, str]:
        self.asked.append((order, via, now))
        if self.refuses is not None:
            raise self.refuses
        return GridId("g"), "web-1"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


async def test_a_console_of_this_host_is_read_from_its_log(host: Host) -> None:
    log, _ = host.paths.console(GridId("g"), "web-1")
    log.parent.mkdir(parents=True)
    log.write_bytes(b"booting\nlogin: ")
    text = await host.consoles.ask(ME, ORDER, 8, b"")
    assert (text.data, text.offset, text.problem) == (b"login: ", 8, "")
    assert host.asked == [(ORDER, ME, NOW)]
    assert host.said == []


async def test_a_log_that_was_cut_meanwhile_is_read_from_its_beginning(host: Host) -> None:
    log, _ = host.paths.console(GridId("g"), "web-1")
    log.parent.mkdir(parents=True)
    log.write_bytes(b"new")
    text = await host.consoles.ask(ME, ORDER, 4 << 20, b"")
    assert (text.data, text.offset) == (b"new", 0), "and whoever follows it goes on from there"
    text = await host.consoles.ask(ME, ORDER, 3, b"")
    assert (text.data, text.offset) == (b"", 3)
    text = await host.consoles.ask(ME, ORDER, -2, b"")
    assert (text.data, text.offset) == (b"ew", 1)


@pytest.mark.parametrize(
    ("refuses", "said"),
    [
        (NoConsole("this host does not carry g/web-2"), "this host does not carry g/web-2"),
        (Untrusted(Reason.MALFORMED, "no order at all"), "no order at all"),
        (None, "it has no console, or none yet"),
    ],
)
async def test_what_is_not_opened_says_why(
    host: Host, refuses: Exception | None, said: str
) -> None:
    host.refuses = refuses
    text = await host.consoles.serve(YOU, ConsoleAsk("s", ORDER, 3, b""))
    assert (text.session, text.offset, text.data) == ("s", 3, b"")
    assert text.problem.endswith(said)


async def test_another_hosts_console_is_asked_of_that_host_and_believed_of_no_other(
    host: Host,
) -> None:
    asking = asyncio.create_task(host.consoles.ask(YOU, ORDER, 0, b"x"))
    await asyncio.sleep(0)
    (say,) = host.said
    assert isinstance(say.message, ConsoleAsk)
    assert (say.peer, say.message.order, say.message.keys) == (YOU, ORDER, b"x")
    answer = ConsoleText(say.message.session, 0, b"hello", "")
    host.consoles.deliver(PeerId("mallory"), ConsoleText(say.message.session, 0, b"lie", ""))
    host.consoles.deliver(YOU, answer)
    assert await asking == answer
    assert host.asked == [], "whether it may is that host's to say"


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
