"""Rows of holds."""

import msgspec

from protocol.hosting.hold_row import HoldRow
from protocol.terms.ids import GridId, KeyId
from protocol.trust.order import SignedOrder
from protocol.wire.codec import decode, encode


def test_a_row_of_an_older_build_is_nobody_s_alone() -> None:
    row = HoldRow(
        GridId("g"), "k", KeyId("o"), "star", SignedOrder(b"", b"", ()), ("n-1",), (), (), 9.0
    )
    said = msgspec.msgpack.decode(encode(row))
    for later in ("requester", "plan", "owner_site", "yields", "window", "start_s"):
        del said[later]
    assert decode(encode(said), HoldRow) == row
