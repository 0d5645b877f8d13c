"""Genuine messages with something in them changed: a field, a bit, or what stands as bytes inside of them."""

from random import Random
from typing import Any

from protocol.node.messages import Message
from protocol.wire.codec import Malformed, pack_plain, to_plain, unpack_plain
from protocol.wire.envelope import pack
from protocol.wire.limits import MAX_FRAME_BYTES
from protocol.wire.versions import SPOKEN

_WHOLE = (0, -1, 1, 7, 1 << 31, 1 << 48, (1 << 63) - 1, -(1 << 63))
_REAL = (0.0, -1.0, 1e9, 1e18, -1e18, 1e308, 5e-324)
_TEXTS = ("", "x" * 4096, "\x00\r\n\x1b[2J", "../../etc/passwd", "\u202e\uffff", "0" * 20)
_DEEP = 4
"""How many bytes inside of bytes are looked into."""


def bent(message: Message, dice: Random) -> bytes:
    """The message's frame with one thing changed, or a few."""
    plain: Any = to_plain(message)
    for _ in range(dice.choice((1, 1, 2, 3))):
        plain = _changed(plain, dice, _DEEP)
    try:
        frame = pack_plain([SPOKEN.newest, "", plain])
    except (ValueError, OverflowError, UnicodeEncodeError):
        frame = b""
    return frame if 0 < len(frame) <= MAX_FRAME_BYTES else _flipped(pack(message, ""), dice)


def _changed(plain: Any, dice: Random, deep: int) -> Any:
    """A plain value with one part of it changed; never what says of which type it is."""
    match plain:
        case dict() if keys := [key for key in plain if key != "type"]:
            key = dice.choice(keys)
            return {**plain, key: _changed(plain[key], dice, deep)}
        case list() | tuple() if plain and dice.random() < 0.8:
            copy = list(plain)
            at = dice.randrange(len(copy))
            copy[at] = _changed(copy[at], dice, deep)
            return copy
        case bytes() if plain and deep and dice.random() < 0.7:
            return _bytes(plain, dice, deep - 1)
        case _:
            return _instead(plain, dice)


def _bytes(data: bytes, dice: Random, deep: int) -> bytes:
    """What is inside, changed; or the bytes, if nothing readable is."""
    try:
        inside = unpack_plain(data)
    except Malformed:
        return _flipped(data, dice)
    if not isinstance(inside, dict | list):
        return _flipped(data, dice)
    try:
        return pack_plain(_changed(inside, dice, deep))
    except (ValueError, OverflowError, UnicodeEncodeError):
        return _flipped(data, dice)


def _instead(value: Any, dice: Random) -> Any:
    """What else could stand there: of the same type, but far from what anybody means; or of another."""
    if dice.random() < 0.1:
        return dice.choice((None, 7, "", b"", [], {}))
    match value:
        case bool():
            return not value
        case int():
            return dice.choice((*_WHOLE, value + 1, value - 1))
        case float():
            return dice.choice((*_REAL, value + 60.0))
        case str():
            return dice.choice((*_TEXTS, value[:-1], value[::-1]))
        case bytes():
            return dice.choice((b"", b"\xc1", dice.randbytes(64), value[:-1], value + b"\x00"))
        case list() | tuple():
            return dice.choice(([], list(value) * 2, list(value)[::-1]))
        case _:
            return dice.choice((0, "", {}))


def _flipped(data: bytes, dice: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.randint(1, 3)):
        if changed:
            changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)
