"""Whether this host is to be stopped for good: its person said so, and may take it back.

What it has goes on as before. It says so in its presence, and takes nothing new. So the other stewards of what
it keeps hand its seats to other hosts while it is still there, and nobody gives it new ones. It is on disk: a
restart changes nothing.
"""

from collections.abc import Mapping

from protocol.terms.effects import Row

TABLE, KEY = "self", "leaving"


def is_leaving(rows: Mapping[str, Mapping[str, bytes]]) -> bool:
    """Whether this host leaves. `rows` is the whole store, by table."""
    return KEY in rows.get(TABLE, {})


def row(leaving: bool) -> Row:
    """What is to be on disk before it is said."""
    return Row(TABLE, KEY, b"1" if leaving else None)
