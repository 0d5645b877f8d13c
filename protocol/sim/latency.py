"""How far sites are from each other: drawn at random, or read from a file of measured figures."""

import tomllib
from pathlib import Path
from random import Random

import msgspec

LOCAL_S = 0.0005
NEAR_S, FAR_S = 0.010, 0.075
"""The least and the most from one site to another, one way, in seconds; within a site it is LOCAL_S."""
_MOST_MS = 60_000.0
EXAMPLE = """\
sites = ["chicago", "geneva", "tokyo"]
one_way_ms = [    # from the row's site to the column's
    [0.5,  48,  75],
    [ 48, 0.5, 110],
    [ 75, 118, 0.5],
]
"""


class Latencies(msgspec.Struct, frozen=True):
    """The names of sites, and the seconds one way from each to each."""

    sites: tuple[str, ...]
    one_way_s: dict[tuple[str, str], float]


class Unreadable(Exception):
    """A file of latencies makes no sense. The text says where, and what would."""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    sites: list[str]
    one_way_ms: list[list[float]]


def drawn(sites: int, dice: Random) -> Latencies:
    """Sites s1, s2, ... at random distances, the same both ways."""
    names = tuple(f"s{i + 1}" for i in range(sites))
    one_way_s = {(name, name): LOCAL_S for name in names}
    for a in names:
        for b in names:
            if a < b:
                one_way_s[a, b] = one_way_s[b, a] = dice.uniform(NEAR_S, FAR_S)
    return Latencies(names, one_way_s)


def read(path: str) -> Latencies:
    """Latencies from a TOML file, as EXAMPLE shows. Raises Unreadable."""
    try:
        plain = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        file = msgspec.convert(plain, _File, strict=False)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Unreadable(f"{path}: {error}; it should look like\n{EXAMPLE}") from None
    names, rows = tuple(file.sites), file.one_way_ms
    if not names or len(set(names)) != len(names):
        raise Unreadable(f"{path}: sites: {list(names)}; each site once, and at least one")
    for name, row in zip(names, rows, strict=False):
        if len(row) != len(names):
            raise Unreadable(f"{path}: {name}: {len(row)} figures for {len(names)} sites")
        for to, figure in zip(names, row, strict=True):
            if not 0.0 < figure <= _MOST_MS:
                raise Unreadable(f"{path}: {name} to {to}: {figure} ms; more than 0, at most 60000")
    if len(rows) != len(names):
        raise Unreadable(f"{path}: one_way_ms: {len(rows)} rows for {len(names)} sites")
    return Latencies(
        names,
        {(a, b): rows[i][j] / 1000.0 for i, a in enumerate(names) for j, b in enumerate(names)},
    )
