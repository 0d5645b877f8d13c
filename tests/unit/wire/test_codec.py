"""Whatever is said comes back; whatever is wrong is Malformed with the right reason."""

import itertools
import math
from contextlib import suppress
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.wire.codec import Malformed, MalformedReason, _whole, convert, decode, encode
from protocol.wire.limits import MAX_DEPTH, MAX_FIELDS, MAX_ITEMS, MAX_TEXT_BYTES

R = MalformedReason


class Leaf(msgspec.Struct, frozen=True):
    number: int
    text: str = ""


class Tree(msgspec.Struct, frozen=True):
    data: bytes = b""
    share: float = 0.0
    flag: bool = False
    why: MalformedReason | None = None
    leaves: tuple[Leaf, ...] = ()
    counts: dict[str, int] = {}
    by_number: dict[int, bytes] = {}


leaves = st.builds(Leaf, number=st.integers(-(2**63), 2**63 - 1), text=st.text())
trees = st.builds(
    Tree,
    data=st.binary(),
    share=st.floats(allow_nan=False, allow_infinity=False),
    flag=st.booleans(),
    why=st.none() | st.sampled_from(MalformedReason),
    leaves=st.lists(leaves, max_size=5).map(tuple),
    counts=st.dictionaries(st.text(max_size=9), st.integers(0, 2**64 - 1), max_size=5),
    by_number=st.dictionaries(st.integers(0, 2**32), st.binary(max_size=9), max_size=5),
)


def believe(data: bytes) -> None:
    """Decodes; anything but a tree or Malformed fails the test."""
    with suppress(Malformed):
        assert isinstance(decode(data, Tree), Tree)


@given(trees)
def test_what_is_said_comes_back(tree: Tree) -> None:
    assert decode(encode(tree), Tree) == tree


@given(trees)
def test_the_same_value_is_the_same_bytes(tree: Tree) -> None:
    assert encode(decode(encode(tree), Tree)) == encode(tree)


@given(trees, st.data())
def test_cut_short_is_never_believed(tree: Tree, data: st.DataObject) -> None:
    whole = encode(tree)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(Malformed) as error:
        decode(whole[:cut], Tree)
    assert error.value.reason is R.TRUNCATED


@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_or_malformed(noise: bytes) -> None:
    believe(noise)


@given(trees, st.data())
def test_a_changed_byte_is_a_value_or_malformed(tree: Tree, data: st.DataObject) -> None:
    raw = bytearray(encode(tree))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    believe(bytes(raw))


def nested(depth: int) -> bytes:
    return b"\x91" * depth + b"\x01"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", R.TRUNCATED),
        (b"\xc1", R.GARBAGE),
        (b"\x80\x80", R.GARBAGE),
        (b"\xa1\xff", R.GARBAGE),
        (b"\x81\x90\x01", R.GARBAGE),
        (b"\x81\x01\x01", R.GARBAGE),
        (nested(MAX_DEPTH), R.BAD_SHAPE),
        (nested(MAX_DEPTH + 1), R.NESTED),
        (nested(900), R.NESTED),
        (nested(100_000), R.NESTED),
        (b"\x81\xa1a" * 40 + b"\x01", R.NESTED),
        (b"\xdd\xff\xff\xff\xff", R.OVERSIZED),
        (b"\xdf\xff\xff\xff\xff", R.OVERSIZED),
        (b"\xdb\xff\xff\xff\xff", R.TRUNCATED),
        (b"\xc6\xff\xff\xff\xff", R.TRUNCATED),
        (msgpack.packb(msgpack.Timestamp(1, 1)), R.OVERSIZED),
        (msgpack.packb(msgpack.ExtType(7, b"abcd")), R.OVERSIZED),
        (b"\xc7\x00\x07", R.GARBAGE),
        (msgpack.packb({"leaves": [0] * (MAX_ITEMS + 1)}), R.OVERSIZED),
        (msgpack.packb({"many": [[0] * 256] * 1024}), R.OVERSIZED),
        (msgpack.packb({str(n): 0 for n in range(MAX_FIELDS + 1)}), R.OVERSIZED),
        (msgpack.packb({"x": "x" * (MAX_TEXT_BYTES + 1)}), R.OVERSIZED),
        (b"\0" * (1 << 21), R.OVERSIZED),
        (msgpack.packb({"share": math.nan}), R.BAD_SHAPE),
        (msgpack.packb({"unknown": math.inf}), R.BAD_SHAPE),
        (msgpack.packb({"flag": 1}), R.BAD_SHAPE),
        (msgpack.packb({"data": "YWJj"}), R.BAD_SHAPE),
        (msgpack.packb({"leaves": [{}]}), R.BAD_SHAPE),
        (msgpack.packb({"leaves": [{"number": "1"}]}), R.BAD_SHAPE),
        (msgpack.packb({"leaves": [{"number": 1.0}]}), R.BAD_SHAPE),
        (msgpack.packb({"why": "no such reason"}), R.BAD_SHAPE),
        (msgpack.packb([]), R.BAD_SHAPE),
        (msgpack.packb(None), R.BAD_SHAPE),
    ],
    ids=itertools.count(),
)
def test_each_fault_has_its_reason(data: bytes, reason: MalformedReason) -> None:
    with pytest.raises(Malformed) as error:
        decode(data, Tree)
    assert error.value.reason is reason
    assert len(error.value.detail) <= 200


def test_a_smaller_limit_can_be_asked_for() -> None:
    data = encode(Tree(data=b"x" * 100))
    assert decode(data, Tree, limit_bytes=len(data)).data == b"x" * 100
    with pytest.raises(Malformed, match=f"{len(data)} bytes, at most 50"):
        decode(data, Tree, limit_bytes=50)


def test_unknown_fields_are_left_aside() -> None:
    data: Any = msgpack.packb({"flag": True, "of a later version": [1, {"a": b"b"}]})
    assert decode(data, Tree) == Tree(flag=True)


def test_an_integer_above_64_bits_is_a_bug_of_ours() -> None:
    with pytest.raises(OverflowError):
        encode(Leaf(number=2**64))


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    number: int
    leaf: Leaf | None = None
    leaves: tuple[Leaf, ...] = ()


class Say(msgspec.Struct, frozen=True, tag="say"):
    text: str


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "number", "leaf", "leaves", "text", "more"]),
            inner | st.sampled_from(["ask", "say", "shout"]),
            max_size=5,
        )
    ),
    max_leaves=9,
)
SHAPES = [Ask | Say, tuple[int, str], Ask | None]


def straight(plain: object, kind: Any) -> object:
    """What msgspec makes of it, or says is wrong with it, if it is asked for the union itself."""
    try:
        return msgspec.convert(plain, kind, builtin_types=(bytes,), str_keys=True)
    except msgspec.ValidationError as error:
        return str(error)[:200]


def through_codec(plain: object, kind: Any) -> object:
    try:
        return convert(plain, kind)
    except Malformed as error:
        return error.detail


@given(PLAIN, st.sampled_from(SHAPES))
def test_one_of_several_types_is_read_and_refused_in_the_same_words(
    plain: object, kind: Any
) -> None:
    assert through_codec(plain, kind) == straight(plain, kind)


@pytest.mark.parametrize(
    ("plain", "reason", "detail"),
    [
        ({"type": "shout"}, R.UNKNOWN_TYPE, "Invalid value 'shout' - at `$.type`"),
        ({}, R.UNKNOWN_TYPE, "Object missing required field `type`"),
        (7, R.BAD_SHAPE, "Expected `object`, got `int`"),
        ({"type": "say"}, R.BAD_SHAPE, "Object missing required field `text`"),
        (
            {"type": "ask", "number": 1, "leaves": [{"number": ""}]},
            R.BAD_SHAPE,
            "Expected `int`, got `str` - at `$.leaves[0].number`",
        ),
    ],
)
def test_what_is_wrong_with_a_message_is_said_as_of_itself(
    plain: object, reason: MalformedReason, detail: str
) -> None:
    with pytest.raises(Malformed) as error:
        convert(plain, Ask | Say)
    assert (error.value.reason, error.value.detail) == (reason, detail)


def test_a_union_is_learnt_once() -> None:
    convert({"type": "say", "text": ""}, Ask | Say)
    known = _whole.cache_info().misses
    for _ in range(3):
        assert convert({"type": "say", "text": "a"}, Ask | Say) == Say("a")
    assert _whole.cache_info().misses == known
