"""What the two ends of a stream say to each other, and the body of the order that opens one.

A stream is named by the peer that asked for it and a *session*, which that peer chose. `back` says which end
speaks: two peers may each have asked the other, and one host may be both ends.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from protocol.stream.limits import STREAM_PIECE_BYTES
from protocol.terms.ids import PeerId
from protocol.trust.order import SignedOrder

SESSION_CHARACTERS = 32
DETAIL_CHARACTERS = 300

Session = Annotated[str, msgspec.Meta(min_length=1, max_length=SESSION_CHARACTERS)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=(1 << 62))]
"""Bytes since the stream began. The end of a direction counts as one more."""


class ConnectBody(msgspec.Struct, frozen=True):
    """The body of an order to connect: to which port of the workspace, and which peer may use the order.

    A peer that comes by an order of which it is not the `via` can open nothing with it.
    """

    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    via: PeerId


class Why(StrEnum):
    """Why a stream is over before both directions have ended."""

    REFUSED = "refused"
    """The order does not allow it, or does so no more."""
    BUSY = "busy"
    """A limit is reached."""
    UNREACHABLE = "unreachable"
    """The workspace does not run, has no network, or nobody listens at the port."""
    ENDED = "ended"
    """The workspace stopped, or its lease ended."""
    RESET = "reset"
    """What is beyond one of the ends closed the connection in the middle."""
    SILENT = "silent"
    """The other end has not been heard for too long."""
    UNKNOWN = "unknown"
    """The other end knows of no such stream: its process began anew, perhaps."""
    BROKEN = "broken"
    """The other end broke the rules."""


class StreamOpen(msgspec.Struct, frozen=True, tag="stream-open"):
    """Connect me to a port of one of your workspaces. The answer is a credit or a close."""

    session: Session
    order: SignedOrder


class StreamData(msgspec.Struct, frozen=True, tag="stream-data"):
    """Bytes from `offset` on. Without any, it asks for a credit. `last`: this direction ends after them."""

    session: Session
    back: bool
    offset: Offset
    data: Annotated[bytes, msgspec.Meta(max_length=STREAM_PIECE_BYTES)]
    last: bool = False


class StreamCredit(msgspec.Struct, frozen=True, tag="stream-credit"):
    """I have everything below `received`; what is below `limit` may be sent. It also shows that I am there.

    `gap`: something below what came last is missing, so send again from `received` on.
    """

    session: Session
    back: bool
    received: Offset
    limit: Offset
    gap: bool = False


class StreamClose(msgspec.Struct, frozen=True, tag="stream-close"):
    """The stream is over in both directions. It is not answered."""

    session: Session
    back: bool
    why: Why
    detail: Annotated[str, msgspec.Meta(max_length=DETAIL_CHARACTERS)] = ""
    """For people."""


Flow = StreamData | StreamCredit | StreamClose
"""What an open stream's ends say."""
StreamMessage = StreamOpen | Flow
