"""Values as words for a person (ages, ids, lists), and text of strangers made harmless."""

import json
import re
import sys

from protocol.capacity.quantum import UNCOUNTED, Quantum
from protocol.terms.quantities import (
    cpus_in_words,
    format_byte_rate,
    format_duration,
    format_moment,
    format_operations,
    format_rate,
    format_size,
)

FRESH_S = 1.0
NAME = re.compile(r"(?:vo:)?[A-Za-z0-9][A-Za-z0-9._-]*")
"""What a name or an id looks like, or a VO's label, since it becomes part of a path in the API."""


def age(age_s: float, health: str = "") -> str:
    """How old news is: `4 s`, `now`, `never` if none came, `-` for this host's own."""
    if health == "self":
        return "-"
    if age_s < 0:
        return "never"
    return "now" if age_s < FRESH_S else format_duration(int(age_s))


def size_of(quantum: Quantum) -> str:
    """`2 cpus, 4 GiB, 20 GiB disk, 1 Gbit/s`; without disk and rates that are counted, `2 cpus, 4 GiB`."""
    parts = [cpus_in_words(quantum.cpus_milli), format_size(quantum.memory_bytes)]
    if quantum.disk_bytes:
        parts.append(f"{format_size(quantum.disk_bytes)} disk")
    if 0 < quantum.network_bits_s < UNCOUNTED // 2:
        parts.append(format_rate(quantum.network_bits_s))
    if 0 < quantum.disk_bytes_s < UNCOUNTED // 2:
        parts.append(format_byte_rate(quantum.disk_bytes_s))
    if 0 < quantum.disk_operations_s < UNCOUNTED // 2:
        parts.append(format_operations(quantum.disk_operations_s))
    return ", ".join(parts)


def elapsed(spent_s: float) -> str:
    """How long something takes so far, to the second: `12 s`, `3 min 05 s`, `2 h 07 min 09 s`."""
    minutes, seconds = divmod(max(0, int(spent_s)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min {seconds:02d} s"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def shapes(counts: tuple[tuple[str, int], ...]) -> str:
    """`12 x 0.25cpu/128M, 3 x 1cpu/1G`: the shapes of which at least one fits."""
    return ", ".join(f"{count} x {name}" for name, count in counts if count) or "none"


def moment(at_s: float, to_the_second: bool = False) -> str:
    """When something is: `2026-11-25 14:00 UTC`, as daemons, which may be anywhere, say it in their answers."""
    return format_moment(at_s, to_the_second)


def short(digest: str) -> str:
    """Enough of a digest to tell images apart, and to name one."""
    return digest[:12]


def safe_json(text: str) -> str:
    """JSON in which what a terminal would obey, or cannot show, is escaped: the values stay the same."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    unicode = shows("\u2026\u4e00")
    return "".join(
        c if c == "\n" or (c.isprintable() and (unicode or c.isascii())) else _escaped(c)
        for c in text
    )


def _escaped(char: str) -> str:
    return json.dumps(char)[1:-1] if ord(char) > 0xFFFF else f"\\u{ord(char):04x}"


def shows(text: str) -> bool:
    """Whether standard output can show a text."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def clean(text: str) -> str:
    """The text without control characters: it may come from a stranger, and terminals obey them."""
    return "".join(c if c.isprintable() else "?" for c in text)
