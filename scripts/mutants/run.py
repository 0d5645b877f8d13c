"""How a mutant is judged: its room's unit tests run against it, each mutant in a child of its own.

The parent imports once what the tests import from elsewhere, and nothing of this checkout. A child is a fork
of it: it makes one change in the tree that the parent parsed, has the import system serve that tree, and runs
pytest. First, one child runs all tests as they are and notes which test runs which lines, so that a mutant
meets only tests that reach it.

Hypothesis draws the same examples each time, so a mutant that only a lucky draw finds survives.
"""

import ast
import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, settings

from mutants.operators import Mutant

if TYPE_CHECKING:
    from _typeshed import TraceFunction

MEMORY = 2 << 30
"""How many bytes a child may have beyond its parent's, since a mutant may collect for ever."""
BROKEN = 70
"""A child's status when it could not make the mutant, which is a fault of this program."""
QUIET = ["-x", "-q", "-p", "no:cacheprovider"]


class Unfit(Exception):
    """The tests cannot judge, because they fail as things are or there are none."""


@dataclass(frozen=True)
class Site:
    """One mutant, in its file."""

    path: Path
    """Relative to the checkout."""
    tree: ast.Module
    mutant: Mutant


@dataclass(frozen=True)
class Suite:
    """What the tests do as things are."""

    paths: list[str]
    reach: dict[str, set[tuple[str, int]]]
    """For each test, the lines that it runs, each as (absolute path, line)."""
    imports: set[tuple[str, int]]
    """Lines that run before any test does."""
    seconds: dict[str, float]
    """How long each test takes; `""` has the time for all else."""

    def touching(self, top: Path, site: Site) -> list[str] | None:
        """The tests that may notice `site`; None if that is all of them."""
        lines = {(str(top / site.path), line) for line in site.mutant.lines}
        if lines & self.imports:
            return None
        return [test for test, ran in self.reach.items() if lines & ran]

    def limit(self, tests: list[str] | None) -> float:
        """After how many seconds a child that runs `tests` hangs, with room for a busy machine."""
        chosen = self.reach if tests is None else tests
        return 2 + 5 * (self.seconds[""] + sum(self.seconds[test] for test in chosen))


class _Watch:
    """Notes, for each test, the lines of some files that it runs."""

    def __init__(self, files: set[str]) -> None:
        self._files = files
        self.imports: set[tuple[str, int]] = set()
        self._lines = self.imports
        self.reach: dict[str, set[tuple[str, int]]] = {}
        self.seconds: dict[str, float] = {}

    def call(self, frame: FrameType, event: str, arg: object) -> "TraceFunction | None":
        return self._line if frame.f_code.co_filename in self._files else None

    def _line(self, frame: FrameType, event: str, arg: object) -> "TraceFunction | None":
        if event == "line":
            self._lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._lines = self.reach[item.nodeid] = set()
        began = time.monotonic()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.monotonic() - began


class _Only:
    """Runs only some tests. Hypothesis does not look for a smaller failure, since any failure is enough."""

    def __init__(self, tests: list[str] | None) -> None:
        self._tests = None if tests is None else set(tests)

    def pytest_sessionstart(self) -> None:
        settings.register_profile(
            "mutants",
            settings(),
            phases=(Phase.explicit, Phase.generate),
            database=None,
            derandomize=True,
        )
        settings.load_profile("mutants")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._tests is not None:
            items[:] = [item for item in items if item.nodeid in self._tests]


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        return self._code


class _Finder(MetaPathFinder):
    """Serves one module from code that is given, in place of its file."""

    def __init__(self, path: Path, code: CodeType) -> None:
        parts = path.with_suffix("").parts
        self._name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        self._path = str(path.absolute())
        self._code = code

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        loader = _Loader(fullname, self._path, self._code)
        return spec_from_file_location(fullname, self._path, loader=loader)


def watched(top: Path, files: list[Path], tests: list[str], folder: Path) -> Suite:
    """Runs `tests` as things are and imports what they need from elsewhere. Raises Unfit if they fail.

    `folder` is for files that pass between the processes.
    """
    noted, log = folder / "suite.json", folder / "suite.log"
    # The sources that stay as they are, and the tests, are compiled once.
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(folder / "bytecode")

    def work() -> int:
        watch = _Watch({str(top / file) for file in files})
        began = time.monotonic()
        sys.settrace(watch.call)
        threading.settrace(watch.call)
        status = _tested(tests, None, folder, [watch])
        sys.settrace(None)
        spent = time.monotonic() - began - sum(watch.seconds.values())
        reach = {test: sorted(lines) for test, lines in watch.reach.items()}
        seconds = {**watch.seconds, "": spent}
        modules = [name for name, module in sys.modules.items() if _foreign(top, module)]
        noted.write_text(json.dumps([reach, sorted(watch.imports), seconds, modules]))
        return status

    status = os.waitstatus_to_exitcode(os.waitpid(_forked(work, log), 0)[1])
    if status != 0:
        raise Unfit(f"{log.read_text()}\nthe tests must pass before there is anything to notice")
    reach, imports, seconds, modules = json.loads(noted.read_text())
    for name in modules:
        with suppress(Exception):
            importlib.import_module(name)
    gc.freeze()  # a child need not look through what it shares
    lines = {test: {(path, line) for path, line in ran} for test, ran in reach.items()}
    return Suite(tests, lines, {(path, line) for path, line in imports}, seconds)


def _foreign(top: Path, module: object) -> bool:
    """Whether `module` is not of this checkout, and not a plugin that pytest itself must import."""
    file = getattr(module, "__file__", None)
    if file is None or "pytestplugin" in file:
        return False
    return bool(file.startswith(sys.prefix) or not file.startswith(f"{top}/"))


def _tested(tests: list[str], only: list[str] | None, folder: Path, plugins: list[object]) -> int:
    argv = [*QUIET, f"--basetemp={folder / str(os.getpid())}", *tests]
    return int(pytest.main(argv, plugins=[_Only(only), *plugins]))


def _forked(work: Callable[[], int], log: Path) -> int:
    """The id of a child that leads its own session and ends with the status that `work` answers."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 3
    try:
        os.setsid()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(out, stream)
        status = work()
        sys.stdout.flush()
    finally:
        os._exit(status)


@dataclass(frozen=True)
class _Running:
    site: Site
    pid: int
    until: float
    whole: bool
    """Whether all tests run, not only those that reach the mutant."""


def judged(
    top: Path, sites: list[Site], suite: Suite, jobs: int, folder: Path
) -> Iterator[tuple[Site, str | None]]:
    """Each site as it is judged, with why it survived, or None if it was noticed.

    A mutant that survives the tests that reach it meets all tests, since one test may find what another left
    in a cache.
    """
    waiting: deque[tuple[Site, bool]] = deque((site, False) for site in sites)
    running: dict[int, _Running] = {}
    poll = select.poll()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                site, whole = waiting.popleft()
                tests = None if whole else suite.touching(top, site)
                if tests == []:
                    yield site, "no test comes here"
                    continue
                judging = partial(_judging, site, suite, tests, folder)
                pid = _forked(judging, Path(os.devnull))
                until = time.monotonic() + suite.limit(tests)
                fd = os.pidfd_open(pid)
                whole = tests is None or len(tests) == len(suite.reach)
                running[fd] = _Running(site, pid, until, whole)
                poll.register(fd, select.POLLIN)
            rest = min((one.until for one in running.values()), default=0) - time.monotonic()
            ended = {fd for fd, _ in poll.poll(max(0, rest * 1000))} if running else set()
            for fd in [
                fd for fd, one in running.items() if fd in ended or one.until < time.monotonic()
            ]:
                poll.unregister(fd)
                one = running.pop(fd)
                os.close(fd)
                status = _reaped(one.pid)
                if status == BROKEN:
                    raise RuntimeError(f"cannot be made: {one.site.path}: {one.site.mutant.what}")
                if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
                    yield one.site, None
                elif one.whole:
                    yield one.site, "no test fails"
                else:
                    waiting.appendleft((one.site, True))
    finally:
        for one in running.values():
            _reaped(one.pid)


def _judging(site: Site, suite: Suite, tests: list[str] | None, folder: Path) -> int:
    """Makes the mutant and runs the tests against it, as a child does. Answers the child's status."""
    try:
        site.mutant.make()
        code = compile(site.tree, str(site.path.absolute()), "exec", dont_inherit=True)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        grown = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (grown, grown))
        sys.meta_path.insert(0, _Finder(site.path, code))
    except Exception:
        return BROKEN
    files = suite.paths if tests is None else sorted({test.split("::")[0] for test in tests})
    return _tested(files, tests, folder, [])


def _reaped(pid: int) -> int:
    """The status of a child that ended, or that is ended now with all that it started."""
    for kill in (os.killpg, os.kill):  # a child that only just began leads no group yet
        with suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
