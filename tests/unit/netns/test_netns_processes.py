"""Processes that outlive us are known by an argument of theirs, and ended whatever they think of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from netns import processes

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(flush=True)
time.sleep(60)
"""


def started(
    mark: str, program: str = "print(flush=True); import time; time.sleep(60)"
) -> subprocess.Popen[bytes]:
    made = subprocess.Popen([sys.executable, "-c", program, mark], stdout=subprocess.PIPE)
    assert made.stdout is not None
    made.stdout.read(1)  # it runs by now
    made.stdout.close()
    return made


def marked(mark: str) -> list[int]:
    return processes.found(lambda pid: mark.encode() in processes.words_of(pid))


def test_a_process_is_found_by_its_mark_and_ended(tmp_path: Path) -> None:
    mark = f"--mark={tmp_path}"
    child = started(mark)
    assert marked(mark) == [child.pid]
    assert processes.owner(child.pid) == os.getuid()
    assert processes.started_ticks(child.pid) > 0
    child.send_signal(signal.SIGSTOP)
    while not processes.is_stopped(child.pid):
        pass
    processes.end(lambda pid: mark.encode() in processes.words_of(pid), "the child")
    assert marked(mark) == []
    assert child.wait() == -signal.SIGTERM


def test_one_that_ignores_the_signal_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_STOP_S", 0.05)
    mark = f"--mark={tmp_path}"
    child = started(mark, STUBBORN)
    processes.end(lambda pid: mark.encode() in processes.words_of(pid), "the child")
    assert child.wait() == -signal.SIGKILL


def test_a_process_that_is_gone_is_nobodys() -> None:
    child = started("--none")
    child.kill()
    child.wait()
    assert processes.owner(child.pid) == -1
    assert processes.started_ticks(child.pid) == 0
    assert processes.words_of(child.pid) == []
    assert processes.is_stopped(child.pid)
