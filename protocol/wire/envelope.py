"""The frame: `[version, cause, message]`, one MessagePack value.

The message is a tagged struct of a closed union. Each room defines its own messages and the node
composes the union, so the union is an argument here. The two peers agree on the version of a frame
(versions.py). A frame of a version this peer does not speak is not looked into, because even the shape
of its message is unknown; unless it is a greeting, which all versions read alike.
"""

from typing import Any

import msgspec

from protocol.wire.codec import (
    Malformed,
    MalformedReason,
    convert,
    pack_plain,
    to_plain,
    unpack_plain,
)
from protocol.wire.limits import MAX_CAUSE_CHARACTERS, MAX_FRAME_BYTES
from protocol.wire.versions import GREETING, GREETINGS, SPOKEN, Span


def pack(message: msgspec.Struct, cause: str, version: int = SPOKEN.newest) -> bytes:
    """A frame. Raises ValueError if it breaks a limit we would hold a sender to: that is a bug of ours."""
    if len(cause) > MAX_CAUSE_CHARACTERS:
        raise ValueError(f"a cause of {len(cause)} characters, at most {MAX_CAUSE_CHARACTERS}")
    frame = pack_plain([version, cause, to_plain(message)])
    if len(frame) > MAX_FRAME_BYTES:
        kind = type(message).__name__
        raise ValueError(f"a {kind} of {len(frame)} bytes, a frame has at most {MAX_FRAME_BYTES}")
    return frame


def unpack(data: bytes, union: Any, spoken: Span = SPOKEN) -> tuple[str, Any]:
    """Cause and message, the message one of `union`. Raises Malformed, which says why it was dropped.

    Annotate the result where it is used (`message: Message`): mypy does not take a union for a `type[T]`.
    """
    frame = unpack_plain(data)
    if not isinstance(frame, list) or len(frame) < 2 or type(frame[0]) is not int:
        raise Malformed(MalformedReason.BAD_SHAPE, "not [version, cause, message]")
    if frame[0] not in spoken and not _greets(frame):
        raise Malformed(MalformedReason.UNKNOWN_VERSION, f"{frame[0]}; this peer speaks {spoken}")
    if len(frame) != 3 or not isinstance(frame[1], str):
        raise Malformed(MalformedReason.BAD_SHAPE, "not [version, cause, message]")
    _, cause, message = frame
    if len(cause) > MAX_CAUSE_CHARACTERS:
        raise Malformed(
            MalformedReason.BAD_SHAPE, f"a cause of more than {MAX_CAUSE_CHARACTERS} characters"
        )
    return cause, convert(message, union)


def _greets(frame: list[Any]) -> bool:
    """Whether it is a frame that any two versions understand."""
    return (
        frame[0] == GREETING
        and len(frame) == 3
        and isinstance(frame[2], dict)
        and frame[2].get("type") in GREETINGS
    )
