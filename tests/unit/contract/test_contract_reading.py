"""Which orders to bring up, or only to hold, are believed, and what they say. Each refusal names its rule."""

from collections.abc import Callable
from random import Random

import msgspec
import pytest
from negotiating import ADMIN, FEDERATION, NOW, RIVAL, shop

from protocol.contract.reading import Reading, draft
from protocol.grid.model import GridSpec, LeaseTerms
from protocol.grid.record import HoldTerms, grid_id, name_key, order_part
from protocol.sim.keys import SimFederation, SimVerifier
from protocol.sim.people import Admin
from protocol.terms.limits import HOLD_S
from protocol.trust.order import MAX_VALID_S, Action, SignedOrder
from protocol.trust.revocation import Certified
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import encode

WAITS = LeaseTerms(best_effort=True)


def reading(revoked: tuple[Certified, ...] = ()) -> Reading:
    return Reading(FEDERATION.key, SimVerifier(), revoked)


def up(spec: GridSpec, name: str = "shop", valid_s: float = MAX_VALID_S) -> SignedOrder:
    return ADMIN.order(Action.UP, name, NOW, body=encode(spec), valid_s=valid_s)


def test_an_order_to_bring_up() -> None:
    order = ADMIN.up(shop(2), NOW - 5)
    found = reading().deployment(order, NOW, fresh=True)
    assert found.order == order_part(grid_id(order))
    assert (found.name, found.owner, found.owner_site) == ("shop", ADMIN.signer.key, "s1")
    assert found.key == name_key(ADMIN.signer.key, "shop")
    assert found.spec == shop(2)
    assert [w.name for w in found.workspaces] == ["web-1", "web-2"]
    assert (found.hold_s, found.commits, found.issued_at_s) == (HOLD_S, True, NOW - 5)


def test_an_order_only_to_hold_makes_no_grid() -> None:
    order = ADMIN.hold(shop(2), 60.0, NOW)
    held = reading().to_hold(order, NOW, fresh=True)
    assert (held.hold_s, held.commits) == (60.0, False)
    with pytest.raises(Untrusted, match="malformed: an order to hold where up is needed"):
        reading().deployment(order, NOW, fresh=True)


def test_a_draft_is_nobodys_order() -> None:
    found = draft(shop(2), "s3")
    assert (found.order, found.owner, found.owner_site, found.issued_at_s) == ("", "", "s3", 0.0)
    assert [w.name for w in found.workspaces] == ["web-1", "web-2"]
    with pytest.raises(Untrusted, match="malformed: ") as refused:
        draft(shop(0), "s3")
    assert refused.value.reason is Reason.MALFORMED


BAD: dict[str, tuple[Callable[[], SignedOrder], str]] = {
    "another-action": (
        lambda: ADMIN.order(Action.DOWN, "shop", NOW),
        "malformed: an order to down where up is needed",
    ),
    "no-grid": (
        lambda: ADMIN.order(Action.UP, "shop", NOW, body=b"no grid"),
        "malformed: the grid in the order: ",
    ),
    "held-too-long": (
        lambda: ADMIN.order(Action.HOLD, "shop", NOW, body=encode(HoldTerms(shop(2), 1e6))),
        "malformed: the grid in the order: .*a plan is held for 10 to 600 s",
    ),
    "another-name": (
        lambda: up(shop(2), name="other"),
        "malformed: the order names another grid than it contains",
    ),
    "no-sense": (lambda: up(shop(0)), "malformed: the grid in the order: "),
    "valid-too-long": (
        lambda: up(shop(2), valid_s=MAX_VALID_S + 1),
        "malformed: an order valid for 601 s; only best effort may wait so long",
    ),
    "another-federation": (
        lambda: Admin(SimFederation("other", from_s=NOW - 9, until_s=NOW + 9), "s1", Random(3)).up(
            shop(2), NOW
        ),
        "wrong-federation: ",
    ),
    "forged": (
        lambda: msgspec.structs.replace(ADMIN.up(shop(2), NOW), signature=b"x" * 32),
        "bad-signature: ",
    ),
    "another-chain": (
        lambda: msgspec.structs.replace(ADMIN.up(shop(2), NOW), chain=RIVAL.chain),
        "bad-signature: ",
    ),
    "too-old": (lambda: ADMIN.up(shop(2), NOW - 601), "expired: .*sign it again"),
    "from-the-future": (lambda: ADMIN.up(shop(2), NOW + 600), "not-yet-valid: "),
}


@pytest.mark.parametrize(("make", "rule"), BAD.values(), ids=BAD)
def test_what_is_not_believed(make: Callable[[], SignedOrder], rule: str) -> None:
    with pytest.raises(Untrusted, match=f"^{rule}"):
        reading().to_hold(make(), NOW, fresh=True)


def test_best_effort_may_wait_longer() -> None:
    order = up(shop(2, lease=WAITS), valid_s=MAX_VALID_S + 1)
    assert reading().deployment(order, NOW + MAX_VALID_S + 1, fresh=True).commits


def test_kept_in_a_record_its_age_does_not_count() -> None:
    order, read = ADMIN.up(shop(2), NOW), reading()
    assert read.deployment(order, NOW + 3600, fresh=False).name == "shop"
    with pytest.raises(Untrusted, match=r"^expired: "):
        read.deployment(order, NOW + 3600, fresh=True)


def test_what_was_read_once_is_checked_each_time() -> None:
    order, revoked = ADMIN.up(shop(2), NOW), dict[Certified, None]()
    read = Reading(FEDERATION.key, SimVerifier(), revoked)
    assert read.deployment(order, NOW, fresh=True).name == "shop"
    with pytest.raises(Untrusted, match=r"^bad-signature: "):
        read.deployment(msgspec.structs.replace(order, signature=b"x" * 32), NOW, fresh=True)
    revoked[FEDERATION.key, ADMIN.signer.key[:16]] = None
    with pytest.raises(Untrusted, match=r"^revoked: "):
        read.deployment(order, NOW, fresh=True)


def test_a_grid_is_read_once_whoever_asks() -> None:
    order, read = ADMIN.up(shop(2), NOW), reading()
    spec = read.deployment(order, NOW, fresh=True).spec
    assert read.deployment(order, NOW + 1, fresh=False).spec is spec
    assert read.remembered(order).spec is spec
    assert read.remembered(order) is read.remembered(order)
    assert list(read.remembered(order).members) == ["web-1", "web-2"]


def test_an_order_from_the_store_is_read_once_however_often_it_is_needed() -> None:
    order, read = ADMIN.up(shop(2), NOW), reading()
    assert read.remembered(order) is read.remembered(order)
    assert read.remembered(order) is not reading().remembered(order)


def test_what_only_this_peers_store_vouches_for_is_checked_before_it_is_believed() -> None:
    """A grid that makes no sense to this build was stored by an earlier one. It goes on; no new one is made."""
    order, read = up(shop(0)), reading()
    assert read.remembered(order).workspaces == ()
    with pytest.raises(Untrusted, match=r"^malformed: the grid in the order: "):
        read.deployment(order, NOW, fresh=True)
    sound = ADMIN.up(shop(2), NOW)
    assert not read.remembered(sound).sensible
    read.deployment(sound, NOW, fresh=True)
    assert read.remembered(sound).sensible
