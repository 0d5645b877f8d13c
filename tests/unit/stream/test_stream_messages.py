"""What a stranger may put into a stream's messages is bounded where it is read."""

import pytest

from protocol.node.messages import FAMILIES, Message
from protocol.stream.limits import STREAM_PIECE_BYTES
from protocol.stream.messages import (
    ConnectBody,
    StreamClose,
    StreamCredit,
    StreamData,
    StreamOpen,
    Why,
)
from protocol.terms.ids import PeerId
from protocol.trust.order import SignedOrder
from protocol.wire.codec import Malformed, decode, encode
from protocol.wire.envelope import pack, unpack

ORDER = SignedOrder(b"an order", b"", ())
GOOD = (
    StreamOpen("s", ORDER),
    StreamData("s", True, 1 << 40, b"x" * STREAM_PIECE_BYTES, last=True),
    StreamCredit("s", False, 7, 1 << 20, gap=True),
    StreamClose("s", True, Why.ENDED, "its lease ended"),
)


@pytest.mark.parametrize("message", GOOD, ids=lambda m: type(m).__name__)
def test_messages_of_a_stream_are_bulk_and_travel_in_a_frame(message: Message) -> None:
    assert unpack(pack(message, "cause"), Message) == ("cause", message)
    assert FAMILIES[type(message)] == "bulk"


@pytest.mark.parametrize(
    "message",
    [
        StreamData("s", True, 0, b"x" * (STREAM_PIECE_BYTES + 1)),
        StreamData("s", True, -1, b""),
        StreamData("s", True, 1 << 63, b""),
        StreamData("s" * 33, True, 0, b""),
        StreamData("", True, 0, b""),
        StreamCredit("s", True, -1, 0),
        StreamCredit("s", True, 0, 1 << 63),
        StreamClose("s", True, Why.RESET, "x" * 301),
    ],
    ids=range(8),
)
def test_what_is_out_of_its_bounds_is_no_message(message: Message) -> None:
    with pytest.raises(Malformed):
        unpack(pack(message, ""), Message)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_is_none_is_no_order(port: int) -> None:
    with pytest.raises(Malformed):
        decode(encode(ConnectBody(port, PeerId("p"))), ConnectBody)
