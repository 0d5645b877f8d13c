"""The ranges of numbers and the lengths of text that others may send, as types of fields.

What is beyond is malformed where it arrives. So sums of what is stored fit in 64 bits, all times can be
printed, nothing is divided by nothing, and no text moves a person's cursor. A host keeps to them when it speaks
of itself: who is beyond would not be heard.
"""

from typing import Annotated

from msgspec import Meta

AMOUNT_MOST = 1 << 60
"""An exbibyte: beyond any host, and sixteen of them, or a sum that ends here, fit in 64 bits."""
NUMBER_MOST = (1 << 63) - 1
MOMENT_MOST_S = 1e12
"""The year 33658. A clock that was never set, or was set wrong, is still within it."""

Amount = Annotated[int, Meta(ge=-AMOUNT_MOST, le=AMOUNT_MOST)]
"""Bytes, thousandths of cpus, devices, places in a file. Less than nothing where something is marked so."""
Size = Annotated[int, Meta(ge=0, le=AMOUNT_MOST)]
"""Bytes of what is there."""
Count = Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]
"""How many, or which one of a few."""
Number = Annotated[int, Meta(ge=0, le=NUMBER_MOST)]
"""What only rises: incarnations, sequences, epochs."""
NumberOrNone = Annotated[int, Meta(ge=-1, le=NUMBER_MOST)]
"""The same, or -1."""
Moment = Annotated[float, Meta(ge=-MOMENT_MOST_S, le=MOMENT_MOST_S)]
"""Unix seconds, or seconds between two moments."""
WholeSeconds = Annotated[int, Meta(ge=-(1 << 40), le=1 << 40)]
"""The same, in whole seconds."""
RATE_LEAST, RATE_MOST = 1.0, 1e15
BytesPerSecond = Annotated[float, Meta(ge=RATE_LEAST, le=RATE_MOST)]
"""A rate. At least one byte a second, since it is divided by."""

PORT_MOST = 65_535
Port = Annotated[int, Meta(ge=1, le=PORT_MOST)]
"""Of TCP or UDP."""

SHOWN = r"\A[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]*\Z"
"""Text that is only seen: no control characters, no line ends, nothing that turns the direction of writing."""
LINE_MOST = 1024

Name = Annotated[str, Meta(max_length=128, pattern=SHOWN)]
"""A name, a key or an id. The longest are names of records."""
Place = Annotated[str, Meta(max_length=261, pattern=SHOWN)]
"""HOST:PORT, or an address. A DNS name has at most 253 characters."""
Line = Annotated[str, Meta(max_length=LINE_MOST, pattern=SHOWN)]
"""A line for people."""


def shown(text: str, most: int = LINE_MOST) -> str:
    """Any text as a line that is within `Line`: of at most so many characters, each of them seen."""
    return "".join(c if c.isprintable() else "?" for c in text[:most])


SAID_MOST = 4096
Said = Annotated[str, Meta(max_length=SAID_MOST)]
"""What a host answers to people, in a few lines; `cut` before it is said."""


def cut(text: str) -> str:
    """As much of a text as may be said."""
    return text if len(text) <= SAID_MOST else f"{text[: SAID_MOST - 3]}..."
