"""nftables tables, by the `nft` program: one transaction per table, text in, text out.

nft prints a ruleset differently from how it was written. So what it printed right after it loaded ours is
kept beside the text. As long as it prints the same, ours is in force. A rule that somebody else changed shows.

The kernel counts the changes of its ruleset. By that count we know that nobody else wrote between our text
and its print. And to list tables takes a process, so the tables of all networks are listed together, and
again only when that count has changed.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import msgspec

from netns import program, saved
from netns.failures import NetnsError
from netns.kernel import rtnetlink
from netns.resources import Filter

_GET_GENERATION = 10 << 8 | 16  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN
_GENERATION_ID = 1
_TRIES = 5


class _Applied(msgspec.Struct, frozen=True):
    ruleset: str
    printed: str


class Listing:
    """What nft prints of each table of ours, by family and name. It belongs to one network namespace."""

    def __init__(self) -> None:
        self._generation: int | None = None
        self._tables: dict[str, str] = {}

    def tables(self) -> dict[str, str]:
        """The printed text by table, as of now. Raises NetnsError or OSError if it cannot be told."""
        now = generation()  # before the listing: what changes meanwhile is listed again
        if now != self._generation:
            found: dict[str, str] = {}
            for family in ("bridge", "inet", "ip"):
                found |= _split(program.run(["nft", "-s", "list", "ruleset", family]))
            self._tables, self._generation = found, now
        return self._tables


def observe(table: str, directory: Path, printed: str | None) -> Filter | None:
    """The table; None if there is none. Its ruleset is empty if it is not what we loaded.

    `printed` is what nft prints of it, None if there is none.
    """
    if printed is None:
        return None
    applied = saved.read(_path(directory, table), _Applied)
    return Filter(table, applied.ruleset if applied and applied.printed == printed else "")


def printed(table: str) -> str | None:
    """What nft prints of one table, `FAMILY NAME`; None if there is none."""
    status, out, _ = program.attempt(["nft", "-s", "list", "table", *table.split()])
    return dict(_split(out)).get(table) if status == 0 else None


def load(wanted: Filter, directory: Path) -> None:
    """Puts the table in force, in place of the one that is there. Raises NetnsError if that fails."""
    said = put(wanted.table, wanted.ruleset)
    saved.write(_path(directory, wanted.table), _Applied(wanted.ruleset, said))


def put(table: str, ruleset: str) -> str:
    """Puts a table in force by its whole text. Answers what nft prints of it. Raises NetnsError."""
    for _ in range(_TRIES):
        before = generation()
        program.run(["nft", "-f", "-"], text=ruleset)
        said = printed(table)
        if said is not None and generation() == before + 1:
            return said
    raise NetnsError(f"somebody else changed this host's rules meanwhile, {_TRIES} times in a row")


def delete(table: str, directory: Path) -> None:
    """Takes the table away, and forgets what it was."""
    drop(table)
    _path(directory, table).unlink(missing_ok=True)


def drop(table: str) -> None:
    """Takes the table away. It is no error if there is none."""
    if printed(table) is not None:
        program.run(["nft", "delete", "table", *table.split()])


def generation() -> int:
    """The kernel's count of the changes of the calling thread's rules."""
    with rtnetlink.open_socket(rtnetlink.NETLINK_NETFILTER) as handle:
        said = rtnetlink.ask(handle, _GET_GENERATION, bytes(4))
    return int(struct.unpack("!I", rtnetlink.attributes(said, 4)[_GENERATION_ID])[0])


def _split(listed: str) -> Iterator[tuple[str, str]]:
    """(`FAMILY NAME`, text) of each table that nft printed. A table ends with a brace at the margin."""
    lines: list[str] = []
    for line in listed.splitlines():
        if line.startswith("table "):
            lines = []
        lines.append(line)
        if line == "}":
            _, family, name, *_ = lines[0].split()
            yield f"{family} {name}", "\n".join(lines)


def _path(directory: Path, table: str) -> Path:
    family, _, _ = table.partition(" ")
    return directory / ("filter.json" if family == "bridge" else f"filter-{family}.json")
