"""Values to bytes and back: MessagePack, bounded and strict. The only file that imports msgpack.

A stranger wrote what arrives. It is checked in this order, so that each check may rely on the ones
before it: size, syntax (with a bound on every length), depth and plain types, then shape against the
expected type. Whatever is wrong, there is one exception, `Malformed`, with a reason that is counted.

There are no extension types, no NaN and no infinity: a NaN would compare false with every deadline.
"""

import math
import re
from enum import StrEnum
from functools import cache
from typing import Any, Never, TypeVar

import msgpack
import msgspec

from protocol.wire.limits import (
    MAX_DEPTH,
    MAX_FIELDS,
    MAX_FRAME_BYTES,
    MAX_ITEMS,
    MAX_TEXT_BYTES,
    MAX_VALUES,
)

T = TypeVar("T")

_UNKNOWN_TAG = re.compile(
    r"Invalid value .* - at `\$\.\w+`|.*missing required field `type`$", re.DOTALL
)
_PLAIN = frozenset((type(None), bool, int, str, bytes))


class MalformedReason(StrEnum):
    """Why bytes were dropped; the label they are counted under."""

    OVERSIZED = "oversized"
    """The whole, or one of its parts, is above its limit."""
    GARBAGE = "garbage"
    """Not MessagePack, or more than one value."""
    TRUNCATED = "truncated"
    NESTED = "nested"
    """Deeper than MAX_DEPTH."""
    UNKNOWN_TYPE = "unknown-type"
    """A message type this peer does not know."""
    UNKNOWN_VERSION = "unknown-version"
    BAD_SHAPE = "bad-shape"
    """A field is missing, of another type, or out of its range."""


class Malformed(Exception):
    """What arrived breaks the rules. That is the peer's fault, never ours. No state was changed."""

    def __init__(self, reason: MalformedReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def encode(value: msgspec.Struct) -> bytes:
    """The bytes of a struct: a map of its fields, or a list of them for `array_like` ones.

    The same value gives the same bytes, as long as it holds no set. An integer above 64 bits raises
    OverflowError: that is a bug of ours.
    """
    return pack_plain(to_plain(value))


def decode(data: bytes, kind: type[T], *, limit_bytes: int = MAX_FRAME_BYTES) -> T:
    """The value in `data`, of exactly this type or union. Raises Malformed, which says what is wrong."""
    value: T = _read(data, kind, limit_bytes)
    return value


def _read(data: bytes, kind: Any, limit_bytes: int) -> Any:
    """What `decode` does, under a name of its own: a process that is thousands of peers puts a function here
    that remembers what equal bytes say (protocol/sim/doors.py)."""
    return convert(unpack_plain(data, limit_bytes=limit_bytes), kind)


def to_plain(value: object) -> Any:
    """`value` as maps with string keys, lists, strings, numbers and bytes."""
    return msgspec.to_builtins(value, builtin_types=(bytes,), str_keys=True)


def pack_plain(plain: object) -> bytes:
    """The bytes of a value that is plain already."""
    return bytes(msgpack.packb(plain, use_bin_type=True))


def unpack_plain(data: bytes, *, limit_bytes: int = MAX_FRAME_BYTES) -> Any:
    """The plain value in `data`, within every limit. Raises Malformed."""
    if len(data) > limit_bytes:
        raise Malformed(
            MalformedReason.OVERSIZED, f"{len(data)} bytes, at most {limit_bytes} are accepted"
        )
    try:
        plain = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            max_str_len=MAX_TEXT_BYTES,
            max_bin_len=limit_bytes,
            max_array_len=MAX_ITEMS,
            max_map_len=MAX_FIELDS,
            max_ext_len=0,
            ext_hook=_refuse_extension,
        )
    except Malformed:
        raise
    except msgpack.StackError:
        raise Malformed(MalformedReason.NESTED, "nested hundreds deep") from None
    except msgpack.ExtraData:
        raise Malformed(MalformedReason.GARBAGE, "more than one value") from None
    except msgpack.FormatError:
        raise Malformed(MalformedReason.GARBAGE, "not MessagePack") from None
    except (ValueError, TypeError) as error:
        raise Malformed(_syntax_reason(error), str(error)[:200]) from None
    _require_plain(plain)
    return plain


def convert(plain: object, kind: Any) -> Any:
    """A plain value as `kind`, strictly: no string passes for a number. Raises Malformed."""
    try:
        if isinstance(kind, type):
            return msgspec.convert(plain, kind, builtin_types=(bytes,), str_keys=True)
        whole = msgspec.convert([plain], _whole(kind), builtin_types=(bytes,), str_keys=True)
        return whole.value
    except msgspec.ValidationError as error:
        text = str(error).replace(" - at `$[0]`", "").replace("`$[0]", "`$")
        known = _UNKNOWN_TAG.match(text) is None
        reason = MalformedReason.BAD_SHAPE if known else MalformedReason.UNKNOWN_TYPE
        raise Malformed(reason, text[:200]) from None


@cache
def _whole(kind: Any) -> Any:
    """A list of one value of that union.

    msgspec learns a struct once, and a union each time that it is asked for one, which takes two hundred times
    as long as to convert a small message. There are as few unions as the program names.
    """
    return msgspec.defstruct("Whole", [("value", kind)], array_like=True)


def _syntax_reason(error: Exception) -> MalformedReason:
    """msgpack says everything with ValueError; tests pin its words."""
    text = str(error)
    if "incomplete" in text:
        return MalformedReason.TRUNCATED
    if "exceeds max_" in text:
        return MalformedReason.OVERSIZED
    return MalformedReason.GARBAGE


def _refuse_extension(code: int, data: bytes) -> Never:
    raise Malformed(MalformedReason.GARBAGE, f"extension type {code}, {len(data)} bytes")


def _require_plain(value: Any) -> None:
    """Checks depth, number of values, NaN and foreign types of what msgpack built, bounded in size already."""
    level, left = [value], MAX_VALUES
    for depth in range(MAX_DEPTH + 1):
        inside: list[Any] = []
        for item in level:
            kind = type(item)
            if kind in _PLAIN:
                continue
            if kind is float:
                if not math.isfinite(item):
                    raise Malformed(MalformedReason.BAD_SHAPE, "a number that is not finite")
                continue
            if kind is not dict and kind is not list:
                raise Malformed(MalformedReason.GARBAGE, f"a {kind.__name__}")
            if depth == MAX_DEPTH:
                raise Malformed(MalformedReason.NESTED, f"nested deeper than {MAX_DEPTH}")
            left -= len(item)
            if left < 0:
                raise Malformed(MalformedReason.OVERSIZED, f"more than {MAX_VALUES} values")
            inside += item.values() if kind is dict else item
        if not inside:
            return
        level = inside
