"""Every type of message, kind of record and action of an order is attacked, or is on a list that only shrinks.

tests/adversary/test_every_message.py says each in every hostile shape, unless it is on the list: what is there
can still do harm. A part that cures one takes it off, and lowers MOST.
"""

from pathlib import Path
from typing import get_args

from golden.vectors import BODIES, tag_of

from protocol.node.messages import Message
from protocol.trust.order import Action

UNATTACKED = Path(__file__).with_name("unattacked.txt")
"""What is not attacked yet, one a line, sorted: a type of message, `record KIND`, or `order ACTION`."""
MOST = 0
"""How many lines the list may have. It may only become less."""


def listed() -> list[str]:
    return UNATTACKED.read_text().splitlines()


def all_there_are() -> list[str]:
    messages = [tag_of(kind) for kind in get_args(Message)]
    records = [f"record {kind}" for kind in BODIES]
    return [*messages, *records, *(f"order {action}" for action in Action)]


def test_what_is_listed_exists_and_the_list_is_sorted() -> None:
    assert [name for name in listed() if name not in all_there_are()] == [], "gone: take it off"
    assert listed() == sorted(set(listed()))


def test_the_list_only_shrinks() -> None:
    assert len(listed()) <= MOST, "attack it, and cure what is found"
    assert len(listed()) == MOST, f"{UNATTACKED.name} has become shorter: so may MOST"
