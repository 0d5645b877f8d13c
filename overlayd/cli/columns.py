"""Which columns of a table a terminal of some width has room for, and how wide each may be.

A row that wraps in each of its columns cannot be read. So the columns that matter least are left out, names are
shortened before they are broken, and only columns of words are wrapped, between words.
"""

from collections.abc import Sequence

import msgspec
from rich.cells import cell_len

TEXTS = (
    "health",
    "phase",
    "phases",
    "lease",
    "address",
    "hosts",
    "labels, devices",
    "answer",
    "detail",
    "wireguard",
)
"""Columns of several words: they may be wrapped."""

SENTENCES = ("answer", "detail")
"""Columns that go below their rows where they have little room beside."""

_TEXT_LEAST, _SENTENCE_LEAST, _NAME_LEAST = 24, 40, 8
_CUT = ".."
_GAP = 2

Table = dict[str, list[str]]
"""The cells of each column."""


class Fitted(msgspec.Struct, frozen=True):
    """What is shown of a table: no more than one line's width, with two blanks between columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[int, ...]
    left_out: tuple[str, ...]
    below: tuple[str, ...] = ()
    """A sentence for each row, to be shown below it; empty if there are none."""


def fitted(
    columns: Sequence[str], rows: Sequence[Sequence[str]], wide: int, spare: Sequence[str] = ()
) -> Fitted:
    """The table in `wide` characters. Of `spare`, columns are left out, the first of them first."""
    cells: Table = {name: [row[i] for row in rows] for i, name in enumerate(columns)}
    below: tuple[str, ...] = ()
    if columns[-1] in SENTENCES and _needed(cells) > wide:
        below = tuple(cells.pop(columns[-1]))
    kept = _kept(cells, wide, [name for name in spare if name in cells])
    widths = _widths(kept, wide)
    for name in kept:
        if name not in TEXTS:
            kept[name] = [_cut(cell, widths[name]) for cell in kept[name]]
    return Fitted(
        columns=tuple(_cut(name, widths[name]) for name in kept),
        rows=tuple(zip(*kept.values(), strict=True)),
        widths=tuple(widths.values()),
        left_out=tuple(n for n in columns if n not in kept and not (below and n in SENTENCES)),
        below=below,
    )


def _kept(cells: Table, wide: int, spare: Sequence[str]) -> Table:
    """The columns that are shown: all if they fit, or those that matter most, and what fits beside them."""
    out: list[str] = []

    def without(names: Sequence[str]) -> Table:
        return {name: column for name, column in cells.items() if name not in names}

    for name in spare:
        if _needed(without(out)) <= wide:
            break
        out.append(name)
    for name in reversed(out[:]):
        if _needed(without([other for other in out if other != name])) <= wide:
            out.remove(name)
    return without(out)


def _needed(cells: Table) -> int:
    """The width that the table takes at least, if no name is cut."""
    least = [_least(name, column) for name, column in cells.items()]
    return sum(least) + _GAP * (len(least) - 1)


def _natural(name: str, cells: Sequence[str]) -> int:
    return max(cell_len(text) for text in (name, *cells))


def _least(name: str, cells: Sequence[str]) -> int:
    """A column's width at least: of a name all of it, of a text enough to read it."""
    natural = _natural(name, cells)
    if name in SENTENCES:
        return min(natural, _SENTENCE_LEAST)
    if name in TEXTS:
        return min(natural, max(_TEXT_LEAST, _longest_word(name, cells)))
    return natural


def _longest_word(name: str, cells: Sequence[str]) -> int:
    return max(cell_len(word) for text in (name, *cells) for word in text.split(" "))


def _widths(cells: Table, wide: int) -> dict[str, int]:
    """Each column's width. What is too much is taken from the texts first; what is left is theirs."""
    widths = {name: _least(name, column) for name, column in cells.items()}
    room = wide - _GAP * (len(widths) - 1)
    words = {n: _longest_word(n, c) if n in TEXTS else widths[n] for n, c in cells.items()}
    for least in (words, dict.fromkeys(cells, _NAME_LEAST)):
        while sum(widths.values()) > room:
            wider = [name for name in widths if widths[name] > least[name]]
            if not wider:
                break
            widths[max(wider, key=lambda name: widths[name])] -= 1
    for name, column in cells.items():
        if name in TEXTS:
            more = min(_natural(name, column) - widths[name], room - sum(widths.values()))
            widths[name] += max(0, more)
    return widths


def _cut(text: str, width: int) -> str:
    """The text in so many characters; what was cut off it is marked."""
    if cell_len(text) <= width:
        return text
    while text and cell_len(text) + len(_CUT) > width:
        text = text[:-1]
    return f"{text}{_CUT}"
