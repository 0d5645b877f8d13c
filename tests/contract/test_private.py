"""The libvirtd that a daemon starts for its containers: one, found again, ended only when asked."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest
from federation.launch import wait_for

from overlayd.adapters.libvirt import private
from overlayd.adapters.libvirt.plans import EMULATOR
from overlayd.ports.compute import ComputeError

SCRIPT = "#!/bin/sh\nexec false\n"

SLOW = """
import ctypes, os, signal, socket, sys, threading, time
from pathlib import Path
heard = socket.socket(socket.AF_UNIX)
heard.bind(sys.argv[2] + "/run/libvirt-sock")
heard.listen()
def last():
    time.sleep(0.5)
    os._exit(0)
def end(*_):
    heard.close()
    threading.Thread(target=last).start()
    ctypes.CDLL(None).pthread_exit(None)
signal.signal(signal.SIGTERM, end)
Path(sys.argv[1] + ".new").write_text(str(os.getpid()))
Path(sys.argv[1] + ".new").rename(sys.argv[1])
while True:
    signal.pause()
"""
"""Something like a libvirtd that is silent before it has gone. Of its threads the first goes first: then it
has no command line any more, but its files still."""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "lxc"
    private.end(tmp_path / "lxc")


def pid_of(root: Path) -> int:
    return int((root / "libvirtd.pid").read_text())


def is_there(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return Path(f"/proc/{pid}").exists()


def test_it_is_started_once_and_again_after_it_was_killed(root: Path) -> None:
    private.ensure(root, SCRIPT)
    first = pid_of(root)
    private.ensure(root, SCRIPT)
    assert pid_of(root) == first
    connection = libvirt.open(private.uri_of(root))
    assert connection.getType() == "LXC"
    connection.close()
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not is_there(first), 30, "it is gone")
    private.ensure(root, SCRIPT)
    second = pid_of(root)
    assert second != first
    libvirt.open(private.uri_of(root)).close()
    private.end(root)
    wait_for(lambda: not is_there(second), 30, "it ends")


def test_one_that_was_started_with_another_controller_is_started_anew(root: Path) -> None:
    private.ensure(root, SCRIPT)
    first = pid_of(root)
    private.ensure(root, SCRIPT.replace("false", "true"))
    wait_for(lambda: not is_there(first), 30, "it is gone")
    inside = Path(f"/proc/{pid_of(root)}/root")
    assert (inside / EMULATOR[1:]).read_text() == SCRIPT.replace("false", "true")
    assert (inside / private.emulator_of(root)[1:]).read_bytes() == Path(EMULATOR).read_bytes()


def test_the_next_one_is_started_when_the_one_before_has_gone_not_when_it_is_silent(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "run").mkdir(parents=True)
    slow = subprocess.Popen([sys.executable, "-c", SLOW, str(root / "libvirtd.pid"), str(root)])
    wait_for(lambda: (root / "libvirtd.pid").exists(), 30, "it answers")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ComputeError, match="containers need libvirtd"):
        private.ensure(root, SCRIPT)
    assert slow.poll() == 0, "its pid file is locked until then"


def test_another_process_with_its_pid_is_not_ended(root: Path) -> None:
    root.mkdir()
    (root / "libvirtd.pid").write_text(str(os.getpid()))
    private.end(root)


def test_what_stops_it_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ComputeError, match="containers need libvirtd"):
        private.ensure(root, SCRIPT)
