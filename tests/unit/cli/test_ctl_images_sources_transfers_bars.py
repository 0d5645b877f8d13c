"""`overlayctl image`: from files, standard input and addresses, whatever servers do; and back to files."""

import asyncio
import hashlib
import io
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asked_daemon import Daemon
from one_host import image_file
from rich.console import Console
from typer.testing import CliRunner

from overlayd.adapters.images import DirectoryImages
from overlayd.api.app import service_of
from overlayd.api.views import ImportView
from overlayd.cli import images, sources, transfers
from overlayd.cli.bars import Bars
from overlayd.cli.failure import Failure
from overlayd.cli.main import app
from overlayd.cli.session import Output, Session
from overlayd.cli.sources import Source, Transfer
from overlayd.ports.images import ImportWatch

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from some_disks import MIB, converted, mbr

DISK = mbr()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture
def store(daemon: Daemon, tmp_path: Path) -> DirectoryImages:
    """The daemon's store is a real one, with nothing in it."""
    daemon.host.images = made = DirectoryImages(tmp_path / "images")  # type: ignore[assignment]
    return made


Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that answers each path with these bytes, as they are. Answers its address."""
    listening: list[socket.socket] = []

    def started(hold: bool = False, **answers: bytes) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        listening.append(server)

        def run() -> None:
            held = []
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                path = connection.recv(65536).split(b" ")[1].decode().strip("/").partition("?")[0]
                connection.sendall(answers.get(path, b"HTTP/1.1 404 Not Found\r\n\r\n"))
                held.append(connection)
                if not hold:
                    held.pop().close()

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    yield started
    for server in listening:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def names(store: DirectoryImages) -> list[str]:
    return [name for info in asyncio.run(store.list()) for name in info.names]


def test_a_disk_is_added_shown_renamed_saved_and_removed(
    daemon: Daemon, store: DirectoryImages, tmp_path: Path
) -> None:
    path = converted(DISK, "qcow2", tmp_path)
    said = daemon.ask("image", "add", path, "--name", "debian").stdout
    words = said.split()
    assert words[:3] == ["added", "debian", "disk"]
    assert " of 8 MiB  x86_64 bios  " in said
    digest = words[-1]
    shown = daemon.ask("image", "show", digest[:8]).stdout
    assert "names     debian\n" in shown
    assert "boots     bios on x86_64\n" in shown
    assert "virtual   8 MiB\n" in shown
    assert "used by   nobody here\n" in shown
    assert "origin    some.qcow2\n" in shown
    known = daemon.ask("image", "add", path, "--name", "again").stdout
    assert known.startswith("known already as again  disk")
    assert "  its names here: again and debian\n" in known
    assert "debian" in daemon.ask("image", "rename", "again", "newest").stdout
    for form, first in (("qcow2", b"QFI\xfb"), ("raw", DISK[:4])):
        out = tmp_path / f"out.{form}"
        assert f"saved newest as {out}" in daemon.ask("image", "save", "newest", out).stdout
        assert out.read_bytes()[:4] == first
    assert out.read_bytes() == DISK
    assert out.stat().st_blocks * 512 < 5 * MIB, "zeros are holes"
    there = daemon.ask("image", "save", "newest", out, code=2).stderr
    assert there.startswith(f"error: {out} is there already")
    daemon.ask("image", "save", "newest", out, "--force")
    removed = daemon.ask("image", "remove", "newest").stdout
    assert removed.startswith("removed the name newest; it is still debian")
    assert daemon.ask("image", "remove", digest[:8]).stdout.startswith("removed debian")
    assert names(store) == []
    assert not list(tmp_path.glob(".*.part"))


def test_of_two_saves_of_one_name_the_first_that_ends_has_it(
    daemon: Daemon, store: DirectoryImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.ask("image", "add", converted(DISK, "qcow2", tmp_path), "--name", "debian")
    out, saved = tmp_path / "out.raw", images._saved

    def meanwhile(*arguments: Any) -> int:
        monkeypatch.setattr(images, "_saved", saved)
        daemon.ask("image", "save", "debian", out)
        return saved(*arguments)

    monkeypatch.setattr(images, "_saved", meanwhile)
    said = daemon.ask("image", "save", "debian", out, code=2).stderr
    assert said.startswith(f"error: {out} is there already")
    assert out.read_bytes() == DISK
    monkeypatch.setattr(images, "_saved", meanwhile)
    out.unlink()
    daemon.ask("image", "save", "debian", out, "--force")
    assert out.read_bytes() == DISK
    assert not list(tmp_path.glob(".*.part"))


def test_an_image_in_use_is_not_removed_and_says_by_whom(daemon: Daemon) -> None:
    daemon.up()
    rows = daemon.ask("image", "list").stdout.splitlines()
    assert " yes   demo " in rows[1]
    refused = daemon.ask("image", "remove", "guest", code=1).stderr
    assert (
        'image "guest" is in use here, by demo/head-1, demo/worker-1 and demo/worker-2' in refused
    )


def test_from_standard_input(daemon: Daemon, store: DirectoryImages) -> None:
    words = ["--peer", str(daemon.socket), "image", "add", "-", "--name", "piped", "-o", "json"]
    result = CliRunner().invoke(app, words, input=DISK)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["names"] == ["piped"]


def test_from_an_address_through_a_redirect(
    daemon: Daemon, store: DirectoryImages, serve: Serve
) -> None:
    address = serve(disk=OK % len(DISK) + DISK)
    there = serve(latest=f"HTTP/1.1 302 Found\r\nLocation: {address}/disk\r\n\r\n".encode())
    sha = hashlib.sha256(DISK).hexdigest()
    daemon.ask("image", "add", f"{there}/latest?key=secret", "--sha256", sha.upper())
    (info,) = asyncio.run(store.list())
    assert (info.names, info.notes.origin) == (("disk",), f"{address}/disk")


def test_from_an_address_in_chunks(daemon: Daemon, store: DirectoryImages, serve: Serve) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"%x\r\n" % len(DISK) + DISK + b"\r\n"
    address = serve(whole=head + body + b"0\r\n\r\n", cut=head + body[: 3 * MIB])
    assert "ended in the middle" in daemon.ask("image", "add", f"{address}/cut", code=1).stderr
    assert names(store) == []
    daemon.ask("image", "add", f"{address}/whole", "--name", "chunked")
    assert names(store) == ["chunked"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            OK % (len(DISK) + 7) + DISK,
            f"ended after {len(DISK)} bytes, and {len(DISK) + 7} were said",
        ),
        (OK % (len(DISK) - 512) + DISK, "goes on after the 8388096 bytes that were said"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nx",
            "its server says it has 'many' bytes",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
            "compressed though",
        ),
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "its server answers 404 Not Found",
        ),
        (
            b"HTTP/1.1 302 F\r\nLocation: file:///etc/passwd\r\n\r\n",
            "url 'file:///etc/passwd' is not allowed",
        ),
        (
            b"HTTP/1.1 302 F\r\nLocation: ftp://h/x\r\n\r\n",
            "it redirects to ftp://h/x, which is not",
        ),
        (b"HTTP/1.1 302 F\r\nLocation: /bad\r\n\r\n", "infinite loop"),
        (b"SSH-2.0-OpenSSH\r\n", "its server says something strange"),
        (b"", "cannot be fetched"),
    ],
)
def test_a_server_that_lies_leaves_nothing(
    daemon: Daemon, store: DirectoryImages, serve: Serve, tmp_path: Path, answer: bytes, why: str
) -> None:
    error = daemon.ask("image", "add", f"{serve(bad=answer)}/bad", code=1).stderr
    assert why in error
    assert asyncio.run(store.list()) == ()
    assert not list((tmp_path / "images").glob("staging-*"))


@pytest.mark.parametrize("sent", [0, MIB])
def test_a_server_that_stalls_is_given_up(
    daemon: Daemon,
    store: DirectoryImages,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    sent: int,
) -> None:
    monkeypatch.setattr(sources, "STALLED_S", 0.3)
    answer = OK % len(DISK) + DISK[:sent] if sent else b""
    error = daemon.ask("image", "add", f"{serve(True, slow=answer)}/slow", code=1).stderr
    assert "its server sent nothing for 0.3 s" in error
    assert names(store) == []


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://h/x", "http://", "gopher://h/x", "http://[::1/x"]
)
def test_only_http_and_https_are_fetched(daemon: Daemon, address: str) -> None:
    error = daemon.ask("image", "add", address, code=1).stderr
    assert error.startswith(f"error: {address} is not fetched: only http and https are\n")


def test_nobody_is_there(daemon: Daemon) -> None:
    error = daemon.ask("image", "add", "http://127.0.0.1:9/x", code=1).stderr
    assert "http://127.0.0.1:9/x cannot be fetched: connection refused" in error


def test_what_was_said_of_a_file_must_be_true(
    daemon: Daemon, store: DirectoryImages, tmp_path: Path
) -> None:
    path = tmp_path / "disk.raw"
    path.write_bytes(DISK)
    wrong = daemon.ask("image", "add", path, "--sha256", "0" * 64, code=1).stderr
    assert "the file's SHA-256 is " in wrong
    assert "is no SHA-256" in daemon.ask("image", "add", path, "--sha256", "abc", code=2).stderr
    other = daemon.ask("image", "add", path, "--architecture", "aarch64", code=1).stderr
    assert "aarch64 has no BIOS" in other
    assert names(store) == []


def test_a_name_taken_is_said_with_what_would_work(daemon: Daemon, tmp_path: Path) -> None:
    error = daemon.ask("image", "add", image_file(tmp_path / "b", "guest", "quiet"), code=1).stderr
    assert error.startswith("error: the name guest is taken here")


def test_bars_say_how_much_how_fast_and_how_long() -> None:
    out = io.StringIO()
    bars = Bars(Console(file=out, force_terminal=True, width=100))
    with bars:
        assert list(bars.sent(Source(iter([b"x" * MIB] * 3), "disk.raw", "", 4 * MIB))) != []
        bars.show(ImportView("receiving", 0, 0))
        bars.show(ImportView("unpacking", 1, 0))
        bars.show(ImportView("converting", 512 * MIB, 1024 * MIB))
    drawn = out.getvalue()
    assert "converting" in drawn
    assert "0.5/1.0 GiB" in drawn
    assert "receiving" not in drawn


def test_what_the_daemon_did_is_not_shown_beside_what_comes_of_it() -> None:
    out = io.StringIO()
    bars = Bars(Console(file=out, force_terminal=True, width=100))
    with bars:
        bars.show(ImportView("converting", 5, 5))
        assert next(bars.came([b"x"], 1, "disk.qcow2")) == b"x"
    last = [frame for frame in out.getvalue().split("\r") if "bytes" in frame][-1]
    assert "disk.qcow2" in last
    assert "converting" not in last


def test_without_a_terminal_there_is_no_bar(daemon: Daemon) -> None:
    session = Session(daemon.socket, Output.TABLE, None)
    with transfers.transfer(session) as moved:
        assert type(moved) is Transfer
        assert list(moved.sent(Source(iter([b"a"]), "a", "", None))) == [b"a"]
        assert list(moved.came([b"a"], 1, "a")) == [b"a"]


def test_the_daemon_is_asked_how_far_it_is_until_the_answer_is_there(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    shown = threading.Event()
    monkeypatch.setattr(Bars, "show", lambda *_: shown.set())
    session = Session(daemon.socket, Output.TABLE, None)
    with transfers.transfer(session) as moved:
        assert isinstance(moved, Bars)
        daemon.call(lambda: service_of(daemon.app).imports.update({moved.id: ImportWatch()}))
        assert shown.wait(10)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="is a directory"), sources.opened(str(tmp_path)) as source:
        list(source.chunks)
