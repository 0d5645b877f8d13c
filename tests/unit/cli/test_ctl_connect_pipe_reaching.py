"""Ports of workspaces on standard input and output, and on a port here."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from asked_daemon import Daemon

from overlayd.cli.connect import _ports
from overlayd.cli.failure import Failure
from overlayd.ports.peer import StreamOver
from protocol.stream.messages import ConnectBody, Why
from protocol.trust.order import Action
from protocol.wire.codec import decode

WITHIN_S = 20


def run(daemon: Daemon, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """overlayctl as a process of its own, since it uses the standard streams themselves."""
    command = [sys.executable, "-m", "overlayd.cli.entry"]
    options = ["--peer", str(daemon.socket), "--identity", str(daemon.host.site_dir)]
    return subprocess.run(
        [*command, *options, *words], input=given, capture_output=True, timeout=WITHIN_S
    )


def test_standard_input_and_output_are_connected_until_both_end(daemon: Daemon) -> None:
    daemon.up()
    lots = os.urandom(700_000)
    done = run(daemon, "connect", "demo/head-1", "22", given=lots)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == lots
    (order,) = daemon.host.connected
    view = daemon.host.view
    (row,) = view.grids(daemon.host.now())
    assert (order.action, order.grid, order.workspace) == (Action.CONNECT, row.grid, "head-1")
    assert decode(order.body, ConnectBody) == ConnectBody(22, view.me)


def test_what_refuses_a_stream_is_told(daemon: Daemon) -> None:
    daemon.up()
    text = "connection refused by head-1 port 23: nobody listens there"
    daemon.host.stream_refused = StreamOver(Why.UNREACHABLE, text)
    done = run(daemon, "connect", "demo/head-1", "23")
    assert done.returncode == 1
    first, second = done.stderr.decode().splitlines()
    assert first == f"error: demo/head-1 is not reached: {text}"
    assert second.startswith("  would work: `overlayctl show GRID` says how far it is")


def test_a_stream_that_breaks_is_no_end(daemon: Daemon) -> None:
    daemon.up()
    daemon.call(daemon.host.echo.breaks.set)
    done = run(daemon, "connect", "demo/head-1", "22")
    assert done.returncode == 1
    assert b"the stream ended: its lease has ended" in done.stderr


def test_no_such_workspace_and_a_whole_grid(daemon: Daemon) -> None:
    daemon.up()
    assert daemon.ask("connect", "demo/head-9", 22, code=1).stderr == (
        'error: there is no workspace of demo named "head-9"; there are head-1,'
        " worker-1 and worker-2\n"
    )
    assert "is not a workspace" in daemon.ask("connect", "demo", 22, code=2).stderr
    assert daemon.host.connected == []


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", ("127.0.0.1", 80, 80)),
        ("8080:80", ("127.0.0.1", 8080, 80)),
        ("0:80", ("127.0.0.1", 0, 80)),
        ("192.0.2.7:8080:80", ("192.0.2.7", 8080, 80)),
    ],
)
def test_ports_are_named_as_ssh_names_them(text: str, ports: tuple[str, int, int]) -> None:
    assert _ports(text) == ports


@pytest.mark.parametrize(
    "text", ["", "x", "80:", ":80", "1:2:3:4", "80:0", "70000:80", "::", "a:b:c"]
)
def test_what_names_no_ports_is_a_mistake(text: str) -> None:
    with pytest.raises(Failure, match="names no ports"):
        _ports(text)


@contextmanager
def forwarding(daemon: Daemon, ports: str) -> Iterator[int]:
    """A forward that runs, and the port it listens at."""
    command = [sys.executable, "-u", "-m", "overlayd.cli.entry", "--peer", str(daemon.socket)]
    command += ["--identity", str(daemon.host.site_dir), "forward", "demo/head-1", ports]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        try:
            line = running.stdout.readline().decode()
            assert line.startswith("127.0.0.1:"), line
            assert "leads to demo/head-1 port 80; Ctrl-C ends it" in line
            yield int(line.split(" ")[0].rpartition(":")[2])
        finally:
            running.send_signal(2)
            assert running.wait(WITHIN_S) == 130


def test_a_port_here_leads_to_one_of_the_workspace(daemon: Daemon) -> None:
    daemon.up()
    with (
        forwarding(daemon, "0:80") as port,
        socket.create_connection(("127.0.0.1", port), WITHIN_S) as near,
    ):
        near.sendall(b"GET / HTTP/1.0\r\n\r\n")
        near.shutdown(socket.SHUT_WR)
        got = b""
        while more := near.recv(1000):
            got += more
    assert got == b"GET / HTTP/1.0\r\n\r\n"


def test_a_port_in_use_is_said(daemon: Daemon) -> None:
    daemon.up()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = daemon.ask("forward", "demo/head-1", f"{port}:80", code=1).stderr
    assert said == (
        f"error: cannot listen on 127.0.0.1:{port}: address already in use\n"
        "  would work: another LOCAL port, or 0 for one that is free\n"
    )


def test_one_connection_that_fails_ends_no_other(daemon: Daemon) -> None:
    daemon.up()
    daemon.host.stream_refused = StreamOver(Why.UNREACHABLE, "nobody listens there")
    with forwarding(daemon, "0:80") as port:
        with socket.create_connection(("127.0.0.1", port), WITHIN_S) as near:
            assert near.recv(10) == b""
        daemon.host.stream_refused = None
        with socket.create_connection(("127.0.0.1", port), WITHIN_S) as near:
            near.sendall(b"ping")
            assert near.recv(10) == b"ping"
