"""Every number that others send has a range, and what people read is one line that shows what it is."""

from typing import Annotated, get_args

import msgspec
import pytest
from msgspec import inspect

from protocol.capacity.advert import Advert
from protocol.contract.notices import Notice
from protocol.grid.record import GridRecord
from protocol.membership.messages import Presence, Suspicion
from protocol.node.messages import Message
from protocol.node.site_summaries import Summary
from protocol.peering.news import News
from protocol.terms.ranges import AMOUNT_MOST, LINE_MOST, Amount, Line, Moment, shown
from protocol.trust.certificate import Certificate
from protocol.trust.order import Order
from protocol.trust.revocation import Revocation
from protocol.wire.codec import Malformed, convert

BODIES = (Presence, Suspicion, Advert, Notice, News, Summary, Revocation)
SIGNED = (Certificate, Order, GridRecord)
"""A Record and a GridSpec have checks of their own, which name the rule that is broken."""


def unbounded(type_: inspect.Type, where: str, seen: dict[type, None]) -> list[str]:
    """The numbers in a type, and in all that is in it, that may be of any size."""
    match type_:
        case inspect.IntType() | inspect.FloatType():
            low = type_.ge is None and type_.gt is None
            return [where] if low or (type_.le is None and type_.lt is None) else []
        case inspect.StructType(cls=cls, fields=fields):
            if cls in seen:
                return []
            seen[cls] = None
            inside = [(f.type, f"{cls.__name__}.{f.name}") for f in fields]
        case inspect.UnionType(types=types) | inspect.TupleType(item_types=types):
            inside = [(each, where) for each in types]
        case inspect.VarTupleType(item_type=each) | inspect.ListType(item_type=each):
            inside = [(each, where)]
        case inspect.DictType(key_type=key, value_type=value):
            inside = [(key, where), (value, where)]
        case _:
            inside = []
    return [found for each, at in inside for found in unbounded(each, at, seen)]


@pytest.mark.parametrize(
    "kind", [*get_args(Message), *BODIES, *SIGNED], ids=lambda kind: kind.__name__
)
def test_every_number_that_others_send_has_a_range(kind: type) -> None:
    assert unbounded(inspect.type_info(kind), kind.__name__, {}) == []


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (Amount, AMOUNT_MOST + 1),
        (Amount, -AMOUNT_MOST - 1),
        (Moment, 1e300),
        (Moment, -1e13),
        (Line, "two\nlines"),
        (Line, "\x1b[2Jcleared"),
        (Line, "turned \u202eround"),
        (Line, "a line end at last\n"),
        (Line, "x" * (LINE_MOST + 1)),
    ],
)
def test_what_is_beyond_is_malformed(type_: type, value: str | float) -> None:
    with pytest.raises(Malformed):
        convert(value, type_)


@pytest.mark.parametrize(
    "text", ["", "plain", "ünïcödé 日本", "a\tb\nc", "\x1b[2J\u202e", "x" * 5000]
)
def test_any_text_can_be_said_as_a_line(text: str) -> None:
    line = shown(text)
    assert convert(line, Line) == line
    assert len(line) <= LINE_MOST
    assert shown(line) == line


def test_a_range_is_part_of_a_type_and_costs_no_call() -> None:
    class Thing(msgspec.Struct, frozen=True):
        size: Amount
        other: Annotated[int, msgspec.Meta(ge=0)] = 0

    assert convert({"size": 5}, Thing) == Thing(5)
