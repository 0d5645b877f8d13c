"""Orders are believed when a site's key signed them, in time; replays are noticed."""

from typing import Any

import msgspec
import pytest

from protocol.sim.keys import SimFederation, SimSigner, SimVerifier
from protocol.terms.limits import QUEUE_S
from protocol.trust.certificate import CLOCK_TOLERANCE_S, Chain
from protocol.trust.order import (
    DOMAIN,
    MAX_VALID_S,
    Action,
    CheckedOrder,
    Order,
    SignedOrder,
    check_order,
    order_id,
    sign_order,
)
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import encode
from protocol.wire.limits import MAX_ORDER_BYTES

NOW_S = 2000.0
OURS = SimFederation("ours", from_s=1000.0, until_s=9000.0)
OTHER = SimFederation("other", from_s=1000.0, until_s=9000.0)
SITE, CHAIN = OURS.site("ams"), OURS.site_chain("ams")
UP = Order(
    action=Action.UP,
    grid="star",
    issued_at_s=NOW_S,
    valid_s=60.0,
    nonce="0123456789abcdef",
    body=b"\x00grid",
)


def signed(order: Order = UP, signer: SimSigner = SITE, chain: Chain = CHAIN) -> SignedOrder:
    """Also what no honest person would sign."""
    payload = encode(order)
    return SignedOrder(payload=payload, signature=signer.sign(DOMAIN, payload), chain=chain)


def check(order: SignedOrder, now_s: float = NOW_S, *, fresh: bool = True) -> CheckedOrder:
    return check_order(order, OURS.key, now_s, SimVerifier(), fresh=fresh)


def but(**changes: Any) -> SignedOrder:
    return signed(msgspec.structs.replace(UP, **changes))


def test_what_a_site_admin_asks_is_believed() -> None:
    order = sign_order(UP, SITE, CHAIN)
    checked = check(order)
    assert checked.order == UP
    assert (checked.principal.site, checked.principal.key) == ("ams", SITE.key)
    assert checked.id == order_id(order)
    assert checked.fresh_until_s == NOW_S + 60


def test_another_nonce_is_another_order() -> None:
    assert order_id(but(nonce="another nonce")) != order_id(signed())


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (signed(signer=OURS.site("fra")), Reason.BAD_SIGNATURE),
        (
            msgspec.structs.replace(signed(), payload=but(grid="other").payload),
            Reason.BAD_SIGNATURE,
        ),
        (signed(signer=OTHER.site("ams"), chain=OTHER.site_chain("ams")), Reason.WRONG_FEDERATION),
        (signed(chain=()), Reason.BROKEN_CHAIN),
        (
            signed(signer=OURS.host("ams", "h1"), chain=OURS.host_chain("ams", "h1")),
            Reason.WRONG_ROLE,
        ),
        (but(issued_at_s=NOW_S + CLOCK_TOLERANCE_S + 1), Reason.NOT_YET_VALID),
        (but(issued_at_s=NOW_S - 61), Reason.EXPIRED),
        (but(valid_s=QUEUE_S + 1), Reason.MALFORMED),
        (but(action=Action.DOWN, valid_s=MAX_VALID_S + 1), Reason.MALFORMED),
        (but(valid_s=0.0), Reason.MALFORMED),
        (but(valid_s=-5.0), Reason.MALFORMED),
        (but(issued_at_s=float("nan")), Reason.MALFORMED),
        (but(valid_s=float("nan")), Reason.MALFORMED),
        (but(issued_at_s=float("-inf")), Reason.MALFORMED),
        (but(grid=""), Reason.MALFORMED),
        (but(grid="x" * 64), Reason.MALFORMED),
        (but(grid="a\x1b[2J"), Reason.MALFORMED),
        (but(workspace="w\n"), Reason.MALFORMED),
        (but(nonce="short"), Reason.MALFORMED),
        (but(action="dance"), Reason.MALFORMED),
        (but(body=b"x" * MAX_ORDER_BYTES), Reason.MALFORMED),
        (SignedOrder(payload=b"\xc1", signature=b"", chain=CHAIN), Reason.MALFORMED),
    ],
    ids=range(22),
)
def test_each_fault_has_its_reason(order: SignedOrder, reason: Reason) -> None:
    with pytest.raises(Untrusted) as error:
        check(order)
    assert error.value.reason is reason


def test_a_kept_order_stands_as_long_as_its_certificate() -> None:
    order = signed()
    with pytest.raises(Untrusted, match="sign it again"):
        check(order, NOW_S + 3600)
    assert check(order, NOW_S + 3600, fresh=False).order == UP
    with pytest.raises(Untrusted, match="expired"):
        check(order, 9001.0, fresh=False)


def test_an_order_is_fresh_up_to_the_last_instant() -> None:
    assert check(signed(), NOW_S + 60).order == UP
    with pytest.raises(Untrusted):
        check(signed(), NOW_S + 60.001)


def test_a_signature_is_no_good_in_another_domain() -> None:
    order = msgspec.structs.replace(signed(), signature=SITE.sign("record", signed().payload))
    with pytest.raises(Untrusted, match="bad-signature"):
        check(order)


@pytest.mark.parametrize("changes", [{"valid_s": QUEUE_S + 1}, {"grid": ""}, {"nonce": "x"}])
def test_what_would_be_refused_is_not_signed(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="order:"):
        sign_order(msgspec.structs.replace(UP, **changes), SITE, CHAIN)
