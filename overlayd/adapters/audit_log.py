"""The audit log in a folder: files of lines, the oldest of which are removed, and the newest head beside them.

    DIR/from-0000000000000001     lines of JSON, the first with that number
    DIR/head                      the number and the digest of a line that is on the disk

What `add` is given is in the file before it returns, with a head behind it, and flushed. A write that fails
leaves the file as it was.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from overlayd.adapters.flushing import flush
from overlayd.ports.audit import AuditFault
from overlayd.telemetry.lines import shown
from protocol.policy.audit import (
    LINE_BYTES,
    Chain,
    Kind,
    Report,
    follow,
    head,
    origin,
    read_line,
    verify,
)
from protocol.terms.effects import Audit
from protocol.terms.ids import digest_of
from protocol.trust.signing import Signer, Verifier

T = TypeVar("T")

FILE_BYTES, FILES_MOST = 16 << 20, 16
"""How long a file becomes, and how many are kept: about 400,000 decisions."""
_FROM, _HEAD = "from-", "head"
_HEALED_CHARACTERS = 200


class DirectoryAuditLog:
    """The AuditLog port on a folder of its own."""

    def __init__(
        self,
        directory: Path,
        signer: Signer,
        verifier: Verifier,
        file_bytes: int = FILE_BYTES,
        files_most: int = FILES_MOST,
    ) -> None:
        self._directory, self._signer, self._verifier = directory, signer, verifier
        self._file_bytes, self._files_most = file_bytes, files_most
        self._end = origin(signer.key)
        self._unwritten, self._opened, self._fault = 0, False, ""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit")

    @property
    def fault(self) -> str:
        """As the disk said it."""
        return self._fault

    @property
    def end(self) -> Chain:
        """The last line."""
        return self._end

    async def open(self, at_s: float) -> None:
        """Reads the last file."""
        await self._written(lambda: self._open(at_s))

    async def add(self, decisions: Sequence[tuple[float, Audit]]) -> None:
        """Appends the lines with a head, and flushes."""
        await self._written(lambda: self._add(decisions))

    async def lines(self, after: int, most: int) -> list[bytes]:
        """Reads the files that may have them."""
        return await self._run(lambda: self._lines(after, most))

    async def examine(self) -> Report:
        """Checks it against the head that is beside it."""
        return await self._run(
            lambda: verify(self._every(), self._signer.key, self._verifier, self._known_head())
        )

    async def close(self) -> None:
        """What was begun is written."""
        await asyncio.to_thread(self._thread.shutdown)

    async def _written(self, work: Callable[[], None]) -> None:
        try:
            await self._run(work)
        except AuditFault as error:
            self._fault = str(error)
            raise
        self._fault = ""

    # -- in the thread

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except OSError as error:
            raise AuditFault(f"the audit log in {self._directory}: {error}") from error

    def _open(self, at_s: float) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        torn = self._heal()
        self._end = self._found()
        said: list[tuple[Kind, str, int]] = []
        if torn:
            text = shown(torn[:_HEALED_CHARACTERS].decode("utf-8", "replace"))
            what = f"{len(torn)} bytes that were no whole line were cut off here: {text}"
            said.append((Kind.HEALED, what, len(torn)))
        for known in self._known_head():
            if known not in (self._end, self._at(known.n)):
                what = f"line {known.n} was on the disk, and is not here any more"
                said.append((Kind.MISSING, what, known.n))
        said.append((Kind.BEGUN, "the daemon was started", 0))
        lines, end = [], self._end
        for kind, text, count in said:
            line, end = follow(end, kind, at_s, text=text, count=count)
            lines.append(line)
        self._write(lines, end, at_s)
        self._opened = True

    def _add(self, decisions: Sequence[tuple[float, Audit]]) -> None:
        try:
            if not self._opened:
                self._open(decisions[0][0])
            self._append(decisions)
        except OSError:
            self._unwritten += len(decisions)
            raise
        self._unwritten = 0

    def _append(self, decisions: Sequence[tuple[float, Audit]]) -> None:
        lines, end, at_s = [], self._end, 0.0
        if self._unwritten:
            text = f"the disk did not take {self._unwritten} lines before this one"
            line, end = follow(
                end, Kind.UNWRITTEN, decisions[0][0], text=text, count=self._unwritten
            )
            lines.append(line)
        for at_s, order in decisions:
            line, end = follow(end, Kind.ORDER, at_s, order=order)
            lines.append(line)
        self._write(lines, end, at_s)

    def _write(self, lines: list[bytes], end: Chain, at_s: float) -> None:
        """Appends lines and a head to the newest file, or to a new one if that is full: all, or nothing."""
        files = self._files()
        path = files[-1] if files else self._file(1)
        if files and path.stat().st_size >= self._file_bytes:
            dropped = files[: max(0, len(files) + 1 - self._files_most)]
            kept = files[len(dropped) :]
            if dropped:
                last = _first(kept[0]) - 1
                text = f"lines up to {last} are removed, to bound the log"
                line, end = follow(end, Kind.DROPPED, at_s, text=text, count=last)
                lines.append(line)
            path = self._file(self._end.n + 1)
        else:
            dropped = []
        signed, end = head(end, at_s, self._signer)
        data = b"".join(line + b"\n" for line in (*lines, signed))
        is_new = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            before = os.fstat(descriptor).st_size
            try:
                if os.write(descriptor, data) < len(data):
                    raise OSError("no room on the disk")
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)
        if is_new:
            flush(self._directory)
        self._end = end
        self._keep_head(end)
        for old in dropped:
            old.unlink()

    def _keep_head(self, end: Chain) -> None:
        """Not flushed: what it says is on the disk, and an older one is as true."""
        fresh = self._directory / f"{_HEAD}.new"
        fresh.write_text(f"{end.n} {end.digest}\n")
        fresh.replace(self._directory / _HEAD)

    def _known_head(self) -> tuple[Chain, ...]:
        try:
            n, digest = (self._directory / _HEAD).read_text().split()
            return (Chain(int(n), digest),)
        except (FileNotFoundError, ValueError):
            return ()

    def _heal(self) -> bytes:
        """Cuts what is no whole line off the newest file. Answers it."""
        for path in self._files()[-1:]:
            torn = _tail(path)[1]
            if torn:
                os.truncate(path, path.stat().st_size - len(torn))
                flush(path)
            return torn
        return b""

    def _found(self) -> Chain:
        """Where the log ends, by its last line; one that cannot be read has the next number all the same."""
        for path in reversed(self._files()):
            if last := _tail(path)[0]:
                return Chain(_number(path, last), digest_of(last))
        return origin(self._signer.key)

    def _at(self, n: int) -> Chain:
        found = self._lines(n - 1, 1)
        return Chain(n, digest_of(found[0]) if found else "")

    def _lines(self, after: int, most: int) -> list[bytes]:
        found: list[bytes] = []
        files = self._files()
        for path, following in zip(files, [*files[1:], None], strict=False):
            if following is not None and _first(following) <= after + 1:
                continue
            for n, line in _numbered(path):
                if n > after:
                    found.append(line)
                if len(found) >= most:
                    return found
        return found

    def _every(self) -> Iterator[bytes]:
        for path in self._files():
            yield from _lines_of(path)

    def _files(self) -> list[Path]:
        return sorted(self._directory.glob(f"{_FROM}*"))

    def _file(self, first: int) -> Path:
        return self._directory / f"{_FROM}{first:016d}"


def _first(path: Path) -> int:
    return int(path.name.removeprefix(_FROM))


def _tail(path: Path) -> tuple[bytes, bytes]:
    """The last whole line of a file, and what is behind it, each without its end."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 4 * LINE_BYTES))
        *whole, rest = file.read().split(b"\n")
    return whole[-1] if whole else b"", rest


def _number(path: Path, last: bytes) -> int:
    """Of the last line of a file."""
    try:
        return read_line(last).n
    except ValueError:
        return deque(_numbered(path), maxlen=1)[0][0]


def _numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their numbers; one that cannot be read has the next number."""
    n = _first(path) - 1
    for line in _lines_of(path):
        try:
            n = read_line(line).n
        except ValueError:
            n += 1
        yield n, line


def _lines_of(path: Path) -> Iterator[bytes]:
    """The whole lines of a file, without their ends; of one that is too long only a part."""
    with path.open("rb") as file:
        while line := file.readline(LINE_BYTES + 2):
            yield line.removesuffix(b"\n")
