"""What a confined forwarder can not do, tried by one that was confined as it is; what root opens."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import netns
from netns.failures import NetnsError
from netns.kernel import namespaces, tap
from netns.tunnel import client, confine, opening

ATTEMPTS = """
import ctypes, json, os, signal, socket, sys, threading
from pathlib import Path
from netns.tunnel import confine
parent = os.getppid()
inherited = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
inherited.bind(("127.0.0.1", 0))
inherited.setblocking(False)
control, own = socket.socketpair()
confine.enter(int(sys.argv[1]), Path(sys.argv[2]))
libc = ctypes.CDLL(None, use_errno=True)

def tried(work):
    try:
        work()
    except OSError as error:
        return error.strerror
    return "done"

def called(name, *words):
    def work():
        if getattr(libc, name)(*words) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return work

found = {
    "open a file": tried(lambda: os.open("/etc/passwd", os.O_RDONLY)),
    "list a folder": tried(lambda: os.listdir("/")),
    "make a socket": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)),
    "make a unix socket": tried(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)),
    "make a raw socket": tried(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    "fork": tried(os.fork),
    "start a thread": tried(lambda: threading.Thread(target=int).start()),
    "run a program": tried(lambda: os.execv("/bin/true", ["true"])),
    "signal another": tried(lambda: os.kill(parent, 0)),
    "become root": tried(lambda: os.setuid(0)),
    "make a name space": tried(called("unshare", 0x10000000)),
    "trace": tried(called("ptrace", 16, parent, 0, 0)),
    "mount": tried(called("mount", b"x", b"/", b"tmpfs", 0, None)),
    "change a device": tried(called("ioctl", inherited.fileno(), 0x400454CA, b"x" * 40)),
    "send by what it was given": tried(lambda: inherited.sendto(b"x", inherited.getsockname())),
    "receive by it": tried(lambda: inherited.recv(10)),
}
own.sendall(json.dumps(found).encode())
os.write(1, control.recv(9000) + b"\\n")
os._exit(0)
"""

DONE = ("start a thread", "send by what it was given", "receive by it")


def tried(uid: int, empty: Path) -> dict[str, str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(netns.__file__).parents[1])}
    ran = subprocess.run(
        [sys.executable, "-c", ATTEMPTS, str(uid), str(empty)],
        capture_output=True, check=True, env=environment, timeout=60,
    )  # fmt: skip
    found: dict[str, str] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize("uid", [0x7FFC_1234, 0])
def test_what_is_confined_can_use_what_it_was_given_and_nothing_else(
    tmp_path: Path, uid: int
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    found = tried(uid, empty)
    assert {name for name, said in found.items() if said == "done"} == set(DONE)


def test_a_running_forwarder_is_confined_in_all_ways(tmp_path: Path) -> None:
    try:
        pid = client.ensure(tmp_path, 0).pid
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        user = int(status["Uid"].split()[0])
        assert 0x7FFC_0000 <= user < 0x7FFD_0000
        assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(user)}
        assert status["Groups"].strip() == ""
        for powers in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[powers], 16) == 0, powers
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        assert os.listdir(f"/proc/{pid}/root") == []
        for kind in ("net", "ipc"):
            assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
        mounts = os.readlink(f"/proc/{pid}/ns/mnt")
        assert mounts == os.readlink("/proc/self/ns/mnt"), "what is unmounted is let go"
        assert not any(
            Path(f"/proc/{pid}/fd/{number}").readlink() == tmp_path
            for number in os.listdir(f"/proc/{pid}/fd")
        )
    finally:
        client.stop(tmp_path)


def test_the_filter_is_for_machines_whose_numbers_are_known() -> None:
    assert confine.filter_program("riscv64") == b""
    assert len(confine.filter_program("x86_64")) % 8 == 0


@pytest.fixture
def place() -> Iterator[str]:
    name = f"tun{os.getpid()}"
    namespaces.add(name)
    yield name
    namespaces.delete(name)


def test_a_tap_that_is_there_is_opened_once(place: str) -> None:
    def work() -> None:
        with pytest.raises(NetnsError, match="no interface with this name"):
            opening.open_tap("ovs-000001")
        tap.add_tap("ovs-000001")
        handle = opening.open_tap("ovs-000001")
        with pytest.raises(BlockingIOError):
            os.read(handle, 100)
        with pytest.raises(NetnsError, match="Device or resource busy"):
            opening.open_tap("ovs-000001")
        os.close(handle)

    namespaces.inside(place, work)


def test_a_socket_is_opened_at_the_port_that_was_asked_for(place: str) -> None:
    def work() -> None:
        with opening.open_socket(7790) as handle:
            assert handle.getsockname()[:2] == ("::", 7790)

    namespaces.inside(place, work)
