"""Orders are believed when a site's key signed them, in time."""

from typing import Any

import msgspec
import pytest
from organisation import Organisation

from protocol.sim.keys import SimFederation, SimSigner, SimVerifier
from protocol.terms.limits import QUEUE_S
from protocol.trust.certificate import CLOCK_TOLERANCE_S, Chain
from protocol.trust.grants import Grants
from protocol.trust.order import (
    DOMAIN,
    Action,
    CheckedOrder,
    Order,
    SignedOrder,
    check_order,
    claimed,
    order_id,
    sign_order,
)
from protocol.trust.signing import Reason, Untrusted
from protocol.trust.verbs import Verb
from protocol.wire.codec import encode, pack_plain, to_plain
from protocol.wire.limits import MAX_ORDER_BESIDE_GRID_BYTES, MAX_ORDER_BYTES

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
    """A signed order, even one that no honest person would sign."""
    payload = encode(order)
    return SignedOrder(payload=payload, signature=signer.sign(DOMAIN, payload), chain=chain)


def check(order: SignedOrder, now_s: float = NOW_S, *, fresh: bool = True) -> CheckedOrder:
    return check_order(order, OURS.key, now_s, SimVerifier(), fresh=fresh)


def but_order(**changes: Any) -> Order:
    return msgspec.structs.replace(UP, **changes)


def but(**changes: Any) -> SignedOrder:
    return signed(but_order(**changes))


def test_what_a_site_admin_asks_is_believed() -> None:
    order = sign_order(UP, SITE, CHAIN)
    checked = check(order)
    assert checked.order == UP
    assert (checked.owner.site, checked.owner.key) == ("ams", SITE.key)
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
        (but(valid_s=-5.0), Reason.MALFORMED),
        (but(issued_at_s=float("nan")), Reason.MALFORMED),
        (but(valid_s=float("nan")), Reason.MALFORMED),
        (but(issued_at_s=float("-inf")), Reason.MALFORMED),
        (but(grid="a\x1b[2J"), Reason.MALFORMED),
        (but(action="dance"), Reason.MALFORMED),
        (SignedOrder(payload=b"\xc1", signature=b"", chain=CHAIN), Reason.MALFORMED),
    ],
    ids=range(14),
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


def sized(size: int) -> Order:
    """An order whose payload has that many bytes."""
    body = b"x" * (size - len(encode(msgspec.structs.replace(UP, body=b"x" * 100_000))) + 100_000)
    return msgspec.structs.replace(UP, body=body)


AT_A_LIMIT: dict[str, dict[str, Any]] = {
    "valid for an hour as it waits for room": {"valid_s": QUEUE_S},
    "valid for ten minutes": {"action": Action.DOWN, "valid_s": 600.0},
    "valid for less than a second": {"valid_s": 0.5},
    "a name of one character": {"grid": "g"},
    "the longest names": {"grid": "g" * 63, "workspace": "w" * 63},
    "the shortest nonce": {"nonce": "n" * 8},
    "the longest nonce": {"nonce": "n" * 64},
    "stewards and the store of one": {"stewards": ("a", "b"), "stores": ("0" * 16, "")},
}
BEYOND: dict[str, tuple[dict[str, Any], str]] = {
    "waits too long": ({"valid_s": QUEUE_S + 1}, f"valid for {QUEUE_S + 1:.0f} s, at most"),
    "valid too long": (
        {"action": Action.DOWN, "valid_s": 601.0},
        "valid for 601 s, at most 600 s are accepted",
    ),
    "valid for no time": ({"valid_s": 0.0}, "valid for 0 s"),
    "no name": ({"grid": ""}, "a grid's name has 1 to 63"),
    "a long name": ({"grid": "g" * 64}, "a grid's name has 1 to 63"),
    "a long name of a workspace": ({"workspace": "w" * 64}, "a workspace's name has at most 63"),
    "an unprintable name": ({"workspace": "w\n"}, "unprintable"),
    "a short nonce": ({"nonce": "n" * 7}, "a nonce has 8 to 64"),
    "a long nonce": ({"nonce": "n" * 65}, "a nonce has 8 to 64"),
    "stores of nobody": ({"stores": ("0" * 16,)}, "for each steward, or for none"),
    "too few stores": (
        {"stewards": ("a", "b"), "stores": ("0" * 16,)},
        "for each steward, or for none",
    ),
    "no store's id": ({"stewards": ("a",), "stores": ("x" * 16,)}, "16 hexadecimal digits"),
}


@pytest.mark.parametrize("name", list(AT_A_LIMIT))
def test_up_to_its_limits_an_order_is_signed_and_believed(name: str) -> None:
    order = msgspec.structs.replace(UP, **AT_A_LIMIT[name])
    assert check(sign_order(order, SITE, CHAIN)).order == order


@pytest.mark.parametrize("name", list(BEYOND))
def test_beyond_a_limit_its_rule_is_named_to_the_signer_and_to_who_checks(name: str) -> None:
    changes, words = BEYOND[name]
    with pytest.raises(ValueError, match=words):
        sign_order(msgspec.structs.replace(UP, **changes), SITE, CHAIN)
    with pytest.raises(Untrusted, match=f"malformed: order: .*{words}"):
        check(but(**changes))


def test_the_largest_order_is_signed_and_believed_and_no_larger_one() -> None:
    largest = sign_order(sized(MAX_ORDER_BYTES), SITE, CHAIN)
    assert len(largest.payload) == MAX_ORDER_BYTES
    assert check(largest).order == sized(MAX_ORDER_BYTES)
    with pytest.raises(ValueError, match=f"{MAX_ORDER_BYTES + 1} bytes, at most {MAX_ORDER_BYTES}"):
        sign_order(sized(MAX_ORDER_BYTES + 1), SITE, CHAIN)
    with pytest.raises(Untrusted, match="oversized"):
        check(signed(sized(MAX_ORDER_BYTES + 1)))


def padded(order: Order, size: int) -> SignedOrder:
    """The order with a field that nobody knows, of so many bytes."""
    payload = pack_plain(to_plain(order) | {"padding": b"x" * size})
    return SignedOrder(payload=payload, signature=SITE.sign(DOMAIN, payload), chain=CHAIN)


@pytest.mark.parametrize(
    "order",
    [
        padded(UP, MAX_ORDER_BESIDE_GRID_BYTES),
        padded(but_order(action=Action.DOWN), MAX_ORDER_BESIDE_GRID_BYTES),
        signed(but_order(action=Action.LEASE, body=b"x" * MAX_ORDER_BESIDE_GRID_BYTES)),
    ],
)
def test_an_order_is_not_padded(order: SignedOrder) -> None:
    with pytest.raises(Untrusted, match=f"at most {MAX_ORDER_BESIDE_GRID_BYTES} are accepted"):
        check(order)


def test_a_later_build_may_add_a_field_to_it() -> None:
    assert check(padded(UP, 1000)).order == UP


def test_an_order_may_come_from_a_clock_that_is_five_minutes_fast() -> None:
    assert check(but(issued_at_s=NOW_S + 300)).order.grid == "star"
    with pytest.raises(Untrusted) as error:
        check(but(issued_at_s=NOW_S + 301))
    assert str(error.value) == "not-yet-valid: issued 301 s in the future; check the clocks"


def test_an_order_that_is_too_old_says_by_how_much() -> None:
    with pytest.raises(Untrusted) as error:
        check(but(issued_at_s=NOW_S - 90))
    assert str(error.value) == "expired: issued 90 s ago, valid for 60 s; sign it again"


# -- orders of virtual organisations

STAR = Organisation("star", from_s=1000.0, until_s=9000.0)
KATE, KATES = STAR.key_of("kate"), STAR.grant("kate", verbs=(Verb.DEPLOY, Verb.DELEGATE))


def given(order: Order = UP, signer: SimSigner = KATE, grants: Grants = KATES) -> SignedOrder:
    """A member's order."""
    return sign_order(order, signer, grants=grants)


def test_what_a_member_asks_is_the_vos() -> None:
    owner = check(given()).owner
    assert (owner.key, owner.label, owner.member) == (STAR.signer.key, "vo:star", "kate")
    assert owner.line == claimed(given()).line == (STAR.signer.key, KATE.key)
    assert claimed(signed()).line == check(signed()).owner.line == (SITE.key,)


def test_a_login_signs_for_who_logged_in() -> None:
    grants = STAR.grant("laptop", under=KATES, by="kate", login=True)
    order = given(signer=STAR.key_of("laptop"), grants=grants)
    assert check(order).owner.by == claimed(order).line[-1] == KATE.key


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        pytest.param(given(signer=STAR.key_of("thief")), Reason.BAD_SIGNATURE, id="stolen-chain"),
        pytest.param(
            msgspec.structs.replace(given(), payload=given(but_order(grid="mine")).payload),
            Reason.BAD_SIGNATURE,
            id="altered-on-its-way",
        ),
        pytest.param(
            msgspec.structs.replace(given(), grants=STAR.grant("kate")[:0]),
            Reason.BROKEN_CHAIN,
            id="without-its-grants",
        ),
        pytest.param(
            msgspec.structs.replace(given(), grants=STAR.grant("kate", serial="0" * 16)),
            Reason.BROKEN_CHAIN,
            id="under-another-grant-of-the-key",
        ),
        pytest.param(
            sign_order(but_order(grant="0" * 64), SITE, CHAIN),
            Reason.BROKEN_CHAIN,
            id="a-site-under-a-grant",
        ),
        pytest.param(
            msgspec.structs.replace(given(), chain=CHAIN), Reason.BROKEN_CHAIN, id="with-both"
        ),
        pytest.param(
            given(but_order(action=Action.PAUSE, grid="star")),
            Reason.NOT_GRANTED,
            id="another-verb",
        ),
        pytest.param(
            given(grants=STAR.grant("kate", not_after_s=NOW_S)), Reason.EXPIRED, id="ended"
        ),
    ],
)
def test_each_way_a_members_order_is_refused(order: SignedOrder, reason: Reason) -> None:
    with pytest.raises(Untrusted) as refused:
        check(order)
    assert refused.value.reason is reason
