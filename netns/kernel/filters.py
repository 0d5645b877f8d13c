"""nftables tables, by the `nft` program: one transaction per table, text in, text out.

nft prints a ruleset differently from how it was written. So what it printed right after it loaded ours is
kept beside the text. As long as it prints the same, ours is in force. A rule that somebody else changed shows.
"""

from pathlib import Path

import msgspec

from netns import program, saved
from netns.resources import Filter


class _Applied(msgspec.Struct, frozen=True):
    ruleset: str
    printed: str


def observe(table: str, directory: Path) -> Filter | None:
    """The table; None if there is none. Its ruleset is empty if it is not what we loaded."""
    printed = _printed(table)
    if printed is None:
        return None
    applied = saved.read(_path(directory), _Applied)
    return Filter(table, applied.ruleset if applied and applied.printed == printed else "")


def load(wanted: Filter, directory: Path) -> None:
    """Puts the table in force, in place of the one that is there."""
    program.run(["nft", "-f", "-"], text=wanted.ruleset)
    saved.write(_path(directory), _Applied(wanted.ruleset, _printed(wanted.table) or ""))


def delete(table: str, directory: Path) -> None:
    if _printed(table) is not None:
        program.run(["nft", "delete", "table", "bridge", table])
    _path(directory).unlink(missing_ok=True)


def _printed(table: str) -> str | None:
    status, out, _ = program.attempt(["nft", "-s", "list", "table", "bridge", table])
    return out if status == 0 else None


def _path(directory: Path) -> Path:
    return directory / "filter.json"
