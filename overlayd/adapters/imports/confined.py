"""A tool that reads what a stranger brought, in a cage: no network, nobody's rights, no file but those named.

bubblewrap gives it name spaces of its own and /usr to read; setpriv makes it `nobody`, for good; prlimit bounds
its memory, its time on the cpu, its processes and what it writes; a filter refuses most of what else the
kernel could be asked (syscalls.py). It ends with the thread that waits for it.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from overlayd.adapters.imports import syscalls
from overlayd.ports.images import ImageError, ImportWatch

NOBODY = 65534
"""The user and group the tool runs as. What it writes is made its own first (`give`)."""

MEMORY_BYTES = 3 << 30
CPU_S = 4 * 3600
PROCESSES_MOST = 1024
"""Processes and threads of `nobody` on the whole host: several imports' and what else runs as it, and no fork
bomb's."""

DEADLINE_S = 6 * 3600.0
"""Longer than anything that comes to an end: a terabyte at 50 MB/s."""

_WORDS_MOST = 2000
_LOOK_EVERY_S = 0.25
_PIECE_BYTES = 1 << 20


class Cage(msgspec.Struct, frozen=True):
    """What the tool is given of this host."""

    reads: tuple[tuple[str, Path], ...] = ()
    """(name in the cage, file): read-only."""
    writes: tuple[tuple[str, Path], ...] = ()
    output_bytes: int = 1 << 20
    """How long a file may become that it writes."""


def give(path: Path) -> None:
    """Makes an empty file that the tool may write to."""
    path.touch(mode=0o600)
    os.chown(path, NOBODY, NOBODY)


def take_back(path: Path) -> None:
    """Makes a file ours again."""
    os.chown(path, 0, 0)


@contextlib.contextmanager
def readable(source: Path) -> Iterator[None]:
    """Lets `nobody` read a file for a while. Its folder is closed to all others."""
    before = source.stat().st_mode & 0o777
    source.chmod(0o444)
    try:
        yield
    finally:
        source.chmod(before)


def run(
    argv: Sequence[str],
    cage: Cage,
    watch: ImportWatch,
    stdin: IO[bytes] | None = None,
    output: Callable[[bytes], None] = lambda _: None,
    good: tuple[int, ...] = (0,),
) -> str:
    """Runs a tool to its end, and hands over what it prints as it comes. Answers its last words.

    Raises ImageError with its last words if it ends with another status than the good ones, is stopped or takes
    too long. Nothing of it goes on.
    """
    deadline_s = time.monotonic() + DEADLINE_S
    try:
        process = _started([*_bars(cage), *argv], stdin)
    except OSError as error:
        raise ImageError(
            f"images cannot be read safely here: bwrap cannot be started ({error.strerror}); "
            "install the package bubblewrap"
        ) from None
    words = bytearray()
    try:
        with process:
            try:
                _follow(process, words, watch, output, deadline_s)
                code = process.wait(timeout=30.0)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
    except subprocess.TimeoutExpired:
        raise ImageError(f"{argv[0]} did not end; it was stopped") from None
    said = words.decode(errors="replace").strip()
    if code not in good:
        raise ImageError(f"{argv[0]} says: {said or _ending(code)}")
    return said


def _started(argv: list[str], stdin: IO[bytes] | None) -> subprocess.Popen[bytes]:
    """The cage with the tool in it, behind the filter."""
    program = syscalls.program()
    with os.fdopen(os.memfd_create("filter"), "wb") as filter_file:
        filter_file.write(program)
        filter_file.seek(0)  # flushes
        number = filter_file.fileno()
        bars = ["--seccomp", str(number)] if program else []
        return subprocess.Popen(
            [argv[0], *bars, *argv[1:]],
            stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
            pass_fds=(number,),
        )


def _follow(
    process: subprocess.Popen[bytes],
    words: bytearray,
    watch: ImportWatch,
    output: Callable[[bytes], None],
    deadline_s: float,
) -> None:
    """Reads both pipes to their ends."""
    assert process.stdout is not None
    assert process.stderr is not None
    with selectors.DefaultSelector() as pipes:
        pipes.register(process.stdout, selectors.EVENT_READ, output)
        pipes.register(process.stderr, selectors.EVENT_READ, words.extend)
        while pipes.get_map():
            watch.check()
            if time.monotonic() > deadline_s:
                raise ImageError(f"it took longer than {DEADLINE_S / 3600:g} h, and was stopped")
            for key, _ in pipes.select(_LOOK_EVERY_S):
                data = os.read(key.fd, _PIECE_BYTES)
                if not data:
                    pipes.unregister(key.fileobj)
                    continue
                key.data(data)
                del words[:-_WORDS_MOST]


def _bars(cage: Cage) -> list[str]:
    bars = ["bwrap", "--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    bars += ["--die-with-parent", "--new-session", "--clearenv", "--setenv", "PATH", "/usr/bin"]
    bars += ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev", "--chdir", "/"]
    for name in ("bin", "lib", "lib64"):
        bars += ["--symlink", f"usr/{name}", f"/{name}"]
    for name, path in cage.reads:
        bars += ["--ro-bind", str(path), name]
    for name, path in cage.writes:
        bars += ["--bind", str(path), name]
    bars += ["--cap-drop", "ALL"]
    for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
        bars += ["--cap-add", capability]
    bars += ["--", "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    bars += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    bars += ["prlimit", f"--as={MEMORY_BYTES}", f"--cpu={CPU_S}", f"--fsize={cage.output_bytes}"]
    return [*bars, f"--nproc={PROCESSES_MOST}", "--nofile=64", "--core=0", "--"]


def _ending(code: int) -> str:
    if code < 0 or code > 128:
        number = -code if code < 0 else code - 128
        return f"ended by {signal.Signals(number).name}, perhaps for a limit on what it may use"
    return f"it ended with status {code}"
