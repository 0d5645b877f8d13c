"""Consoles of containers, on real terminals: logged, typed into, opened anew, closed by their end."""

import asyncio
import contextlib
import os
import time
import tty
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from overlayd.adapters.libvirt import consoles
from overlayd.adapters.libvirt.consoles import Consoles, Terminal

DEADLINE_S = 10.0


class Container:
    """The far end of a terminal, as libvirt holds it for a container."""

    def __init__(self, folder: Path) -> None:
        self.far, self._near = os.openpty()
        tty.setraw(self._near)
        path = os.ttyname(self._near)
        self.terminal = Terminal("ovl-1", path, folder / "1.log", folder / "1.sock")

    def says(self, text: bytes) -> None:
        os.write(self.far, text)

    def hears(self) -> bytes:
        return os.read(self.far, 100)

    def ends(self) -> None:
        os.close(self.far)
        os.close(self._near)

    @property
    def said(self) -> bytes:
        log = self.terminal.log
        return log.read_bytes() if log.exists() else b""


@pytest.fixture
async def heard() -> AsyncIterator[Consoles]:
    made = Consoles()
    yield made
    await made.close()


async def until(condition: Callable[[], object], what: str) -> None:
    give_up = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < give_up, what
        await asyncio.sleep(0.005)


async def types(box: Container, keys: bytes) -> None:
    _, writer = await asyncio.open_unix_connection(str(box.terminal.socket))
    writer.write(keys)
    writer.close()
    await writer.wait_closed()


async def test_what_it_says_is_logged_and_what_is_typed_reaches_it(
    heard: Consoles, tmp_path: Path
) -> None:
    box = Container(tmp_path)
    box.says(b"before anybody listened\n")
    await heard.follow((box.terminal,))
    await heard.follow((box.terminal,))
    box.says(b"hello\n")
    await until(lambda: box.said == b"before anybody listened\nhello\n", "it is logged once")
    assert box.terminal.log.stat().st_mode & 0o777 == 0o600
    await types(box, b"ls\n")
    assert await asyncio.to_thread(box.hears) == b"ls\n"


async def test_the_next_daemon_goes_on_with_the_log(tmp_path: Path) -> None:
    box = Container(tmp_path)
    for word in (b"one ", b"two "):
        heard = Consoles()
        await heard.follow((box.terminal,))
        box.says(word)
        await until(lambda w=word: box.said.endswith(w), f"{word!r} is logged")
        await heard.close()
        assert not box.terminal.socket.exists()
    assert box.said == b"one two "


async def test_its_end_closes_it_and_another_start_is_heard(
    heard: Consoles, tmp_path: Path
) -> None:
    first = Container(tmp_path)
    await heard.follow((first.terminal,))
    first.says(b"bye\n")
    await until(lambda: first.said == b"bye\n", "it is logged")
    first.ends()
    await until(lambda: not first.terminal.socket.exists(), "nobody can type into it")
    await until(lambda: len(heard) == 0, "nothing of it is kept")
    again = Container(tmp_path)
    await heard.follow((again.terminal,))
    again.says(b"back\n")
    await until(lambda: again.said == b"bye\nback\n", "it is logged behind it")


async def test_a_start_is_heard_before_the_end_of_the_one_before_was(
    heard: Consoles, tmp_path: Path
) -> None:
    first, again = Container(tmp_path), Container(tmp_path)
    await heard.follow((first.terminal,))
    await heard.follow((again.terminal,))
    again.says(b"back\n")
    await until(lambda: again.said == b"back\n", "the new one is heard")
    assert len(heard) == 1
    await types(again, b"x")
    assert await asyncio.to_thread(again.hears) == b"x"


async def test_one_that_ended_meanwhile_is_no_error(heard: Consoles, tmp_path: Path) -> None:
    box = Container(tmp_path)
    box.ends()
    await heard.follow((box.terminal._replace(path=str(tmp_path / "gone")),))
    assert box.said == b""


async def test_a_log_that_was_moved_away_begins_anew(heard: Consoles, tmp_path: Path) -> None:
    box = Container(tmp_path)
    await heard.follow((box.terminal,))
    box.says(b"old\n")
    await until(lambda: box.said == b"old\n", "it is logged")
    box.terminal.log.rename(tmp_path / "1.log.1")
    box.says(b"new\n")
    await until(lambda: box.said == b"new\n", "the log begins anew")


async def test_one_that_floods_is_read_at_a_pace(
    heard: Consoles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consoles, "PAUSE_S", 3600.0)
    box = Container(tmp_path)
    os.set_blocking(box.far, False)
    await heard.follow((box.terminal,))
    written = 0
    with contextlib.suppress(BlockingIOError):
        while written < 64 << 20:
            written += os.write(box.far, bytes(1024))
            await asyncio.sleep(0)
    assert len(box.said) < 2 * consoles.AT_ONCE_BYTES
    assert written < 1 << 20, "it waits"


async def test_what_is_typed_into_one_that_takes_nothing_is_given_up(
    heard: Consoles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consoles, "KEYS_WITHIN_S", 0.05)
    box = Container(tmp_path)
    await heard.follow((box.terminal,))
    _, writer = await asyncio.open_unix_connection(str(box.terminal.socket))
    writer.write(bytes(1 << 20))
    with pytest.raises(ConnectionError):
        await writer.drain()  # All of it is never taken, so this ends with the connection.
    writer.close()
