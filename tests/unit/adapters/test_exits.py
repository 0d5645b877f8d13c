"""How a process that is not ours ended: the kernel tells it whoever opened it in time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from overlayd.adapters.libvirt import exits
from overlayd.adapters.libvirt.exits import Exits, words


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (signal.SIGKILL, "was killed (signal 9)"),
        (signal.SIGTERM, "was killed (signal 15)"),
        (signal.SIGSEGV, "crashed (signal 11)"),
        (1 << 8, "ended with status 1"),
        (0, "ended with status 0"),
    ],
)
def test_a_wait_status_in_words(status: int, said: str) -> None:
    assert words(status) == said


def a_process() -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


def test_what_runs_and_what_is_unknown_has_not_ended() -> None:
    watch, process = Exits(), a_process()
    watch.watch("m", 1, process.pid)
    assert (watch.how("m"), watch.how("other")) == ("", "")
    assert watch.watches("m", 1)
    assert not watch.watches("m", 2)
    process.kill()
    process.communicate()
    watch.forget("m")
    assert watch.how("m") == ""


def test_another_start_of_a_machine_is_another_process() -> None:
    watch, first, second = Exits(), a_process(), a_process()
    watch.watch("m", 1, first.pid)
    watch.watch("m", 1, second.pid)
    before = len(os.listdir("/proc/self/fd"))
    watch.watch("m", 2, second.pid)
    assert len(os.listdir("/proc/self/fd")) == before, "the first is let go of"
    watch.close()
    for process in (first, second):
        process.kill()
        process.communicate()
    watch.watch("gone", 1, first.pid)
    assert watch.how("gone") == "", "who comes too late learns nothing"


def test_the_kernels_word_becomes_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """An older kernel knows no such question, so the answer is played."""

    def told(_fd: int, _request: int, asked: bytearray) -> None:
        asked[:] = exits._INFO.pack(exits._INFO_EXIT, *[0] * 12, signal.SIGKILL)

    def refused(_fd: int, _request: int, _asked: bytearray) -> None:
        raise OSError(22, "Invalid argument")

    watch = Exits()
    watch.watch("m", 1, os.getpid())
    monkeypatch.setattr(exits.fcntl, "ioctl", told)
    assert watch.how("m") == "was killed (signal 9)"
    monkeypatch.setattr(exits.fcntl, "ioctl", refused)
    assert watch.how("m") == ""
    watch.close()


def test_the_question_is_the_kernels(tmp_path: Path) -> None:
    """_IOWR(0xFF, 11, 64 bytes), as include/uapi/linux/pidfd.h has it."""
    assert (exits._INFO.size, hex(exits._GET_INFO)) == (64, "0xc040ff0b")
