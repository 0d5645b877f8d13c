"""Who is asked before its plug is pulled, and who is not: that follows from the orders."""

import msgspec
import pytest
from negotiating import ADMIN, NOW, A, record_of, shop

from protocol.grid.model import ImageRef
from protocol.grid.record import GridState
from protocol.grid.stopping import (
    RebuildTerms,
    StopTerms,
    is_cut_off,
    rebuild_terms,
    stop_terms,
)
from protocol.trust.order import Action, SignedOrder, read_order
from protocol.wire.codec import Malformed, encode

RECORD = record_of(ADMIN.up(shop(2), NOW), {"web-1": A, "web-2": A})
AT_ONCE = encode(StopTerms(at_once=True))


def down(body: bytes = b"") -> SignedOrder:
    return ADMIN.order(Action.DOWN, RECORD.id, NOW, body=body)


def test_a_guest_is_asked_unless_its_order_says_otherwise() -> None:
    terminated = ADMIN.order(Action.TERMINATE, RECORD.id, NOW, workspace="web-1")
    record = msgspec.structs.replace(RECORD, changes=(terminated,))
    assert [is_cut_off(record, name) for name in ("web-1", "web-2")] == [True, False]
    for body, cut in ((b"", False), (AT_ONCE, True), (b"\xff", False)):
        ended = msgspec.structs.replace(RECORD, state=GridState.DOWN, changes=(down(body),))
        assert is_cut_off(ended, "web-2") is cut
        assert is_cut_off(RECORD, "web-2", halted=down(body)) is cut
    assert not is_cut_off(RECORD, "web-1"), "its lease ended"


def test_what_an_order_says_and_what_it_says_without_a_body() -> None:
    image = ImageRef("debian", "d" * 64)
    order = ADMIN.order(Action.REBUILD, RECORD.id, NOW, body=encode(RebuildTerms(image, True)))
    assert rebuild_terms(read_order(order)) == RebuildTerms(image, True)
    plain = read_order(ADMIN.order(Action.REBUILD, RECORD.id, NOW))
    assert (rebuild_terms(plain), stop_terms(plain)) == (RebuildTerms(), StopTerms())
    broken = read_order(ADMIN.order(Action.REBUILD, RECORD.id, NOW, body=b"\xff"))
    for read in (rebuild_terms, stop_terms):
        with pytest.raises(Malformed):
            read(broken)
