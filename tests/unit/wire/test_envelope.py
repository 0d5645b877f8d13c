"""The frame: version, cause, message."""

from typing import Any

import msgpack
import msgspec
import pytest

from protocol.wire.codec import Malformed, MalformedReason
from protocol.wire.envelope import pack, unpack
from protocol.wire.limits import MAX_CAUSE_CHARACTERS, MAX_FRAME_BYTES
from protocol.wire.versions import GREETING, SPOKEN, Span, agreed

VERSION = SPOKEN.newest

R = MalformedReason


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    number: int


class Tell(msgspec.Struct, frozen=True, tag="tell"):
    body: bytes
    about: Ask | None = None


class Greet(msgspec.Struct, frozen=True, tag="hello"):
    newest: int


class Refuse(msgspec.Struct, frozen=True, tag="unwelcome"):
    reason: str


Message = Ask | Tell | Greet | Refuse


@pytest.mark.parametrize("message", [Ask(number=3), Tell(body=b"\0\xff", about=Ask(number=-1))])
def test_a_frame_comes_back(message: Message) -> None:
    assert unpack(pack(message, "cause-1"), Message) == ("cause-1", message)


def test_a_frame_is_one_small_value() -> None:
    assert msgpack.unpackb(pack(Ask(number=3), "c")) == [VERSION, "c", {"type": "ask", "number": 3}]


@pytest.mark.parametrize(
    ("plain", "reason"),
    [
        ([VERSION, "c", {"type": "dance", "number": 3}], R.UNKNOWN_TYPE),
        ([VERSION, "c", {"type": "a\nb"}], R.UNKNOWN_TYPE),
        ([VERSION, "c", {"number": 3}], R.UNKNOWN_TYPE),
        ([VERSION + 1, "c", {"type": "ask", "number": 3}], R.UNKNOWN_VERSION),
        ([VERSION + 1, "of another shape"], R.UNKNOWN_VERSION),
        ([VERSION + 1, "c", {"type": "hello", "newest": 3}], R.UNKNOWN_VERSION),
        ([GREETING, "c", {"type": "ask", "number": 3}], R.UNKNOWN_VERSION),
        ([GREETING, "c", {"type": ["hello"]}], R.UNKNOWN_VERSION),
        ([GREETING, "c", ["hello"]], R.UNKNOWN_VERSION),
        ([GREETING, "of another shape"], R.UNKNOWN_VERSION),
        ([GREETING, "c", {"type": "hello", "newest": "3"}], R.BAD_SHAPE),
        ([GREETING, 7, {"type": "hello", "newest": 3}], R.BAD_SHAPE),
        ([0, "c", {}], R.UNKNOWN_VERSION),
        ([True, "c", {"type": "ask", "number": 3}], R.BAD_SHAPE),
        (["1", "c", {"type": "ask", "number": 3}], R.BAD_SHAPE),
        ([VERSION, 7, {"type": "ask", "number": 3}], R.BAD_SHAPE),
        ([VERSION, b"c", {"type": "ask", "number": 3}], R.BAD_SHAPE),
        ([VERSION, "c"], R.BAD_SHAPE),
        ([VERSION, "c", {"type": "ask", "number": 3}, 1], R.BAD_SHAPE),
        ([VERSION, "c" * (MAX_CAUSE_CHARACTERS + 1), {"type": "ask", "number": 3}], R.BAD_SHAPE),
        ([VERSION, "c", None], R.BAD_SHAPE),
        ([VERSION, "c", {"type": "ask", "number": "3"}], R.BAD_SHAPE),
        ([VERSION, "c", {"type": "tell", "body": b"", "about": {"type": "x"}}], R.BAD_SHAPE),
        ({"version": 1}, R.BAD_SHAPE),
        ([], R.BAD_SHAPE),
        (1, R.BAD_SHAPE),
    ],
)
def test_each_fault_has_its_reason(plain: Any, reason: MalformedReason) -> None:
    with pytest.raises(Malformed) as error:
        unpack(msgpack.packb(plain), Message)
    assert error.value.reason is reason


def test_a_frame_above_the_limit_is_neither_made_nor_read() -> None:
    with pytest.raises(ValueError, match="a Tell of"):
        pack(Tell(body=b"x" * MAX_FRAME_BYTES), "c")
    with pytest.raises(Malformed) as error:
        unpack(b"\x00" * (MAX_FRAME_BYTES + 1), Message)
    assert error.value.reason is R.OVERSIZED


def test_a_frame_of_any_spoken_version_is_read() -> None:
    frame = pack(Ask(number=3), "c", 3)
    assert unpack(frame, Message, Span(2, 4)) == ("c", Ask(number=3))
    with pytest.raises(Malformed, match="3; this peer speaks version 2") as error:
        unpack(frame, Message)
    assert error.value.reason is R.UNKNOWN_VERSION


@pytest.mark.parametrize("greeting", [Greet(newest=1), Refuse(reason="unknown-version")])
def test_a_greeting_is_read_by_who_no_longer_speaks_its_version(greeting: Message) -> None:
    assert GREETING not in SPOKEN
    assert unpack(pack(greeting, "c", GREETING), Message) == ("c", greeting)
    assert unpack(pack(Ask(number=3), "c", GREETING), Message, Span(1, 4)) == ("c", Ask(number=3))


@pytest.mark.parametrize(
    ("mine", "theirs", "version"),
    [
        (Span(1, 1), Span(1, 1), 1),
        (Span(1, 1), Span(1, 2), 1),
        (Span(1, 3), Span(2, 5), 3),
        (Span(2, 5), Span(1, 3), 3),
        (Span(1, 1), Span(2, 2), None),
        (Span(3, 4), Span(1, 2), None),
        (Span(1, 2), Span(4, 3), None),
    ],
)
def test_the_newest_both_speak(mine: Span, theirs: Span, version: int | None) -> None:
    assert agreed(mine, theirs) == version
    assert agreed(theirs, mine) == version


def test_a_long_cause_is_a_bug_of_ours() -> None:
    with pytest.raises(ValueError, match="a cause of"):
        pack(Ask(number=1), "c" * (MAX_CAUSE_CHARACTERS + 1))
