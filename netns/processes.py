"""Processes of ours that outlive us, known by an argument on their command line that nobody else has.

A pid alone says nothing: another process may have taken it. So a process is known by pid, start time and that
argument together.
"""

import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from netns.failures import NetnsError

_STOP_S = 5.0


def words_of(pid: int) -> list[bytes]:
    """Its command line; empty when it is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def found(is_ours: Callable[[int], bool]) -> list[int]:
    """All processes of that kind, even one whose starter was killed before it noted the pid."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and is_ours(int(entry))]


def owner(pid: int) -> int:
    """Whose process it is; -1 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return -1
    return int(status.partition("\nUid:")[2].split()[1])


def started_ticks(pid: int) -> int:
    """Field 22 of /proc/PID/stat; 0 when the process is gone."""
    return int(_stat(pid)[19])


def is_stopped(pid: int) -> bool:
    """Whether a signal stopped it, or it is gone."""
    return _stat(pid)[0] in "Tt0"


def end(is_ours: Callable[[int], bool], what: str) -> None:
    """Ends every process of that kind. Raises NetnsError if one does not end even when killed."""
    deadline = time.monotonic() + _STOP_S
    sent: dict[int, signal.Signals] = {}
    with ExitStack() as ends:
        ending: list[int] = []
        while (pids := found(is_ours)) or not _are_over(ending):
            late = time.monotonic() > deadline
            for pid in pids:
                wanted = signal.SIGKILL if late else signal.SIGTERM
                if sent.get(pid) is not wanted:
                    if pid not in sent and (handle := _pidfd(pid)) is not None:
                        ends.callback(os.close, handle)
                        ending.append(handle)
                    sent[pid] = wanted
                    _signal(pid, wanted)
                    _signal(pid, signal.SIGCONT)  # a stopped one would not hear it
            if time.monotonic() > deadline + _STOP_S:
                left = ", ".join(map(str, pids or sent))
                raise NetnsError(f"{what} ({left}) does not end, not even killed")
            time.sleep(0.005)


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _are_over(ending: list[int]) -> bool:
    """Whether all have ended, sockets and all: a process that ends loses its command line before those."""
    poll = select.poll()
    for handle in ending:
        poll.register(handle, select.POLLIN)
    return len(poll.poll(0)) == len(ending)


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on, which is the state; zeros when the process is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ["0"] * 20
    return stat.rpartition(")")[2].split()


def _signal(pid: int, which: signal.Signals) -> None:
    try:
        os.kill(pid, which)
    except ProcessLookupError:
        return
