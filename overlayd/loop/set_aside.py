"""Rows of the store that a peer cannot live with, found by trying: they are set aside, never a reason to stop.

A build that wrote a row, or a stranger that had it written, may have been wrong about what can be read. A node
is pure, so whether rows can be lived with is seen by beginning a life with them that nobody hears of
(protocol/node/trial.py).
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from overlayd.adapters.flushing import flush
from overlayd.ports.store import Tables
from protocol.node.kept import SELF
from protocol.terms.ids import digest_of

FOLDER = "set-aside"
RowKey = tuple[str, str]
"""The table of a row, and its key."""


def unsound(rows: Tables, lives: Callable[[Tables], bool]) -> list[RowKey]:
    """The rows without which the others can be lived with; none if all can. The peer's own go last.

    If it cannot be lived without any either, it is not the rows: none of them goes.
    """
    if lives(rows) or not lives({}):
        return []
    every = [(table, key) for table in sorted(rows) for key in sorted(rows[table])]
    every.sort(key=lambda row: row[0] != SELF)
    kept: Tables = {}
    bad: list[RowKey] = []
    chunks = [every]
    while chunks:
        chunk = chunks.pop()
        tried = _copy(kept)
        for table, key in chunk:
            tried.setdefault(table, {})[key] = rows[table][key]
        if lives(tried):
            kept = tried
        elif len(chunk) == 1:
            bad += chunk
        else:
            half = len(chunk) // 2
            chunks += [chunk[half:], chunk[:half]]
    return bad


async def keep_aside(state: Path, rows: Tables, bad: list[RowKey]) -> Path:
    """Writes the rows to files below `state`, where nobody reads them but people. Answers the folder.

    They are on the disk then, since the store loses them next.
    """
    folder = state / FOLDER

    def write() -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        for table, key in bad:
            name = f"{table}-{digest_of(key.encode('utf-8', 'replace'))[:20]}"
            named, kept = folder / f"{name}.key", folder / name
            named.write_text(key, encoding="utf-8", errors="replace")
            kept.write_bytes(rows[table][key])
            flush(named)
            flush(kept)
        flush(folder)
        flush(state)

    await asyncio.to_thread(write)
    return folder


def _copy(rows: Tables) -> Tables:
    return {table: dict(each) for table, each in rows.items()}
