"""One thing wrong with a grid, and the few ways of saying it."""

from collections.abc import Sequence
from difflib import get_close_matches

import msgspec

Path = tuple[str | int, ...]
"""Fields and positions from the grid inwards: `("clusters", 1, "memory_bytes")`."""


class Problem(msgspec.Struct, frozen=True):
    """Where it is, what was found there, and what is allowed."""

    path: Path
    message: str

    def __str__(self) -> str:
        where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in self.path)
        return f"{where.removeprefix('.') or 'grid'}: {self.message}"


def quoted(text: str) -> str:
    """`text` in quotes, without control characters, at most 60 long: it may come from a stranger."""
    short = text if len(text) <= 60 else f"{text[:57]}..."
    return '"' + "".join(c if c.isprintable() else "?" for c in short) + '"'


def listed(names: Sequence[str], most: int = 8) -> str:
    """`a, b and c`, or the first few and how many more."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def unknown(kind: str, name: str, known: Sequence[str]) -> str:
    """What to say of a name that is not defined: the nearest that is defined, else all that are."""
    near = get_close_matches(name[:64], known, n=1)
    if near:
        return f'found {quoted(name)}, which is no {kind}; did you mean "{near[0]}"?'
    if known:
        there = "there is" if len(known) == 1 else "there are"
        return f"found {quoted(name)}, which is no {kind}; {there} {listed(known)}"
    return f"found {quoted(name)}, which is no {kind}; none is defined"
