"""The forwarder's process: started if it is not there, found again by a later daemon, stopped.

One runs for each run directory. It outlives us. Its files are in `.tunnel` there, a name that no network can
have: `control`, the socket; `forwarder.json`, which process it is; `log`, its last words.
"""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

import netns
from netns import processes, program, saved

DIRECTORY = ".tunnel"
CONTROL = "control"
_FILES = (CONTROL, "forwarder.json", "log")
CARDS = "cards.json"
"""Which cards of the host itself there may be rules for (own_card.py)."""
EMPTY = "empty"
_MARK = "--tunnel-of="
IN_PYTHON = "--in-python"


class Running(msgspec.Struct, frozen=True):
    """Which process it is. `instance` is another number in each."""

    pid: int
    started_ticks: int
    instance: int


def directory_of(run_dir: Path) -> Path:
    """Where a host's forwarder has its files."""
    return run_dir.resolve() / DIRECTORY


def running(run_dir: Path) -> Running | None:
    """The process that is noted, if it still is that process."""
    found = saved.read(directory_of(run_dir) / "forwarder.json", Running)
    if found is None or not _is_ours(found.pid, run_dir):
        return None
    return found if processes.started_ticks(found.pid) == found.started_ticks else None


def pidfd(run_dir: Path) -> int | None:
    """A descriptor that can be read once the running process has ended; the caller's. None if none runs."""
    found = running(run_dir)
    if found is None:
        return None
    try:
        handle = os.pidfd_open(found.pid)
    except OSError:
        return None
    if running(run_dir) == found:
        return handle
    os.close(handle)  # the pid was taken by another meanwhile
    return None


def start(run_dir: Path, *, native: bool = True) -> None:
    """Starts one, in place of whatever was left of others. It listens when this returns. Raises NetnsError.

    Without `native`, or where the native loops were not built, frames are carried in Python.
    """
    directory = directory_of(run_dir)
    _end(run_dir)  # and leaves the directory, which the caller has locked
    (directory / EMPTY).mkdir(mode=0o555, parents=True, exist_ok=True)
    directory.chmod(0o700)
    modules = str(Path(netns.__file__).parents[1])
    program.run(
        [
            "env", "-i", f"PYTHONPATH={modules}", "MALLOC_ARENA_MAX=2",
            sys.executable, "-P", "-s", "-m", "netns.tunnel", _mark(run_dir),
            f"--user={program.user_of(directory)}", *([] if native else [IN_PYTHON]),
        ]
    )  # fmt: skip


def stop(run_dir: Path) -> None:
    """Ends it, and whatever was left of others, and removes its files. Idempotent. Raises NetnsError."""
    _end(run_dir)
    directory = directory_of(run_dir)
    for folder in (directory / EMPTY, directory):
        try:
            folder.rmdir()
        except OSError:
            return  # it is not there, or somebody else's file is in it


def _end(run_dir: Path) -> None:
    processes.end(lambda pid: _is_ours(pid, run_dir), "the forwarder of sealed networks")
    for name in _FILES:
        (directory_of(run_dir) / name).unlink(missing_ok=True)


def note(directory: Path, instance: int) -> None:
    """Writes down that the calling process is the forwarder of that directory."""
    pid = os.getpid()
    saved.write(directory / "forwarder.json", Running(pid, processes.started_ticks(pid), instance))


def directory_marked(word: str) -> Path:
    """The directory that a forwarder's argument names. Raises ValueError."""
    if not word.startswith(_MARK):
        raise ValueError(f"{word!r} is not {_MARK}RUN_DIRECTORY")
    return directory_of(Path(word.removeprefix(_MARK)))


@contextmanager
def reached(directory: Path) -> Iterator[str]:
    """A path of the control socket that is short enough for the kernel, however long the directory's is."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{CONTROL}"
    finally:
        os.close(handle)


def listener(directory: Path) -> socket.socket:
    """The control socket, which only root may connect to."""
    handle = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    with reached(directory) as path:
        Path(path).unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            handle.bind(path)
        finally:
            os.umask(before)
    handle.listen(8)
    return handle


def _mark(run_dir: Path) -> str:
    """The argument that tells our process from all others."""
    return f"{_MARK}{run_dir.resolve()}"


def _is_ours(pid: int, run_dir: Path) -> bool:
    words = processes.words_of(pid)
    return b"netns.tunnel" in words and os.fsencode(_mark(run_dir)) in words


def last_words(run_dir: Path) -> str:
    """The last words of one that ended; empty if it said nothing."""
    try:
        return (directory_of(run_dir) / "log").read_text(errors="replace").strip()[-600:]
    except OSError:
        return ""
