"""Every message as a member could send it that means harm: made of its type, of what is true, and of not."""

import types
import typing
from collections.abc import Callable, Iterator
from random import Random
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from golden import examples

from protocol.node.events import Arrived, Event, Garbled
from protocol.node.messages import Message
from protocol.terms.ids import PeerId
from protocol.wire.codec import Malformed, encode, pack_plain, to_plain
from protocol.wire.envelope import pack, unpack
from protocol.wire.limits import MAX_FRAME_BYTES
from protocol.wire.versions import SPOKEN

CAUSE = "vector"
FLIPS = 12
WHOLE = (0, -1, 1, 1 << 31, (1 << 63) - 1, -(1 << 63), (1 << 64) - 1)
REAL = (0.0, -1.0, 1e18, -1e18, 1e308, -1e308, 5e-324)
TEXTS = ("", "x" * 65536, "\x00\r\n\x1b[2J", "../../../etc/passwd", "\u202e\ud7ff\uffff")
BYTES = (b"", b"\xff" * 64, b"\x80" * 4096, bytes(range(256)))
TRUE_AT_MOST = 3
"""So many true values of one type stand in for each field of that type."""

Truth = Callable[[Any, str], list[Any]]
"""What is true of the world and has that type, for a field of that name; none if nothing is known of it."""


def arrived(sender: PeerId, frame: bytes) -> Event:
    """The event by which a daemon hears a frame."""
    try:
        cause, message = unpack(frame, Message)
    except Malformed as error:
        return Garbled(sender, error.reason)
    return Arrived(sender, message, cause, len(frame))


def hostile_frames(kind: type[msgspec.Struct], truth: Truth, dice: Random) -> Iterator[bytes]:
    """Frames of one type of message. Some are no message at all."""
    for message in (examples.example(kind), *truthful(kind, truth)):
        frame = pack(message, CAUSE)
        yield frame
        yield frame
        yield from _flipped(frame, dice)
        for plain in _bent(to_plain(message)):
            yield from _framed(plain)


def hostile_bytes(kind: type[msgspec.Struct], truth: Truth, dice: Random) -> Iterator[bytes]:
    """What stands as bytes in a message or record, and should be of that type. Some are not."""
    for value in (examples.example(kind), *truthful(kind, truth)):
        data = encode(value)
        yield data
        yield from _flipped(data, dice)
        for plain in _bent(to_plain(value)):
            try:
                yield pack_plain(plain)
            except (ValueError, OverflowError, UnicodeEncodeError):
                continue
    yield from BYTES


def truthful(kind: type[msgspec.Struct], truth: Truth) -> Iterator[msgspec.Struct]:
    """Messages of that type made of what is true, as far as it is known, and of examples where it is not."""
    hints = get_type_hints(kind, include_extras=True)
    made = {name: value_of(hints[name], name, truth) for name in kind.__struct_fields__}
    for turn in range(TRUE_AT_MOST):
        yield kind(**{name: values[turn % len(values)] for name, values in made.items()})


def value_of(hint: Any, name: str, truth: Truth, deep: int = 0) -> list[Any]:
    """Values of that type, at least one: the true ones, or what is made of true ones."""
    if known := truth(hint, name):
        return known[:TRUE_AT_MOST]
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return value_of(args[0], name, truth, deep)
    if origin in (typing.Union, types.UnionType):
        missing = (type(None), msgspec.UnsetType)
        return [v for a in args if a not in missing for v in value_of(a, name, truth, deep)]
    if origin is tuple and args[-1:] == (...,):
        return [tuple(value_of(args[0], name, truth, deep))]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct) and deep < 4:
        hints = get_type_hints(hint, include_extras=True)
        fields = {f: value_of(hints[f], f, truth, deep + 1) for f in hint.__struct_fields__}
        try:
            return [hint(**{f: values[0] for f, values in fields.items()})]
        except TypeError:
            return [examples.example(hint, name)]
    return [examples.example(hint, name)]


def _bent(plain: Any) -> Iterator[Any]:
    """The value with another in the place of each of its parts, one at a time."""
    for path in list(paths(plain)):
        for value in _instead(at_path(plain, path)):
            yield with_at(plain, path, value)


def _framed(plain: Any) -> Iterator[bytes]:
    try:
        frame = pack_plain([SPOKEN.newest, CAUSE, plain])
    except (ValueError, OverflowError, UnicodeEncodeError):
        return
    if len(frame) <= MAX_FRAME_BYTES:
        yield frame


def _flipped(frame: bytes, dice: Random) -> Iterator[bytes]:
    """The frame with one bit turned, or two."""
    for turn in range(FLIPS):
        changed = bytearray(frame)
        for _ in range(1 + turn % 2):
            changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
        yield bytes(changed)
    yield frame[: len(frame) // 2]


def paths(plain: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the parts of a plain value are, but for its type."""
    if path and path != ("type",):
        yield path
    if isinstance(plain, dict):
        for key, item in plain.items():
            yield from paths(item, (*path, key))
    elif isinstance(plain, list | tuple):
        for place, item in enumerate(plain[:4]):
            yield from paths(item, (*path, place))


def at_path(plain: Any, path: tuple[Any, ...]) -> Any:
    """What is at one place."""
    for step in path:
        plain = plain[step]
    return plain


def with_at(plain: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at one place."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(plain, dict):
        return {**plain, step: with_at(plain[step], rest, value)}
    copy = list(plain)
    copy[step] = with_at(copy[step], rest, value)
    return copy


def _instead(value: Any) -> tuple[Any, ...]:
    """What else could stand there: of the same type, but far from what anybody means; and of another type."""
    match value:
        case bool():
            return (not value, 7, None)
        case int():
            return (*WHOLE, value + 1, value - 1, None)
        case float():
            return (*REAL, None)
        case str():
            return (*TEXTS, value[:-1], None)
        case bytes():
            return (*BYTES, value[:-1], value + b"\x00", None)
        case list() | tuple():
            many = list(value) * (2000 // max(1, len(value)))
            return ([], list(value) * 2, many if len(str(value)) < 400 else [], None)
        case dict():
            return ({}, None)
        case _:
            return (0, "")
