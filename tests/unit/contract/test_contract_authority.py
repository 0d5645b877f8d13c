"""The one thing both sides ask: what it believes now of orders, drafts and what was stored."""

import pytest
from negotiating import ADMIN, AUTHORITY, FEDERATION, NOW, A, record_of, shop

from protocol.contract.authority import Authority
from protocol.sim.keys import SimVerifier
from protocol.terms.limits import HOLD_S
from protocol.trust.order import Action
from protocol.trust.revocation import Certified
from protocol.trust.signing import Untrusted


def test_an_order_to_hold_can_be_held_and_not_brought_up() -> None:
    plan, up = ADMIN.hold(shop(2), 42.0, NOW), ADMIN.up(shop(2), NOW)
    held, made = (AUTHORITY.to_hold(order, NOW, fresh=True) for order in (plan, up))
    assert (held.hold_s, held.commits) == (42.0, False)
    assert (made.hold_s, made.commits) == (HOLD_S, True)
    assert made == AUTHORITY.deployment(up, NOW, fresh=True)
    with pytest.raises(Untrusted, match="an order to hold where up is needed"):
        AUTHORITY.deployment(plan, NOW, fresh=True)


def test_a_draft_has_no_order() -> None:
    draft = AUTHORITY.draft(shop(2), "s1")
    assert (draft.order, draft.owner, draft.owner_site, draft.name) == ("", "", "s1", "shop")
    assert [w.name for w in draft.workspaces] == ["web-1", "web-2"]


def test_what_is_stored_was_believed_and_is_read_however_old_it_is() -> None:
    old = ADMIN.up(shop(2), NOW - 86_400)
    with pytest.raises(Untrusted, match=r"^expired: "):
        AUTHORITY.deployment(old, NOW, fresh=True)
    assert list(AUTHORITY.remembered(old).members) == ["web-1", "web-2"]


def test_it_has_nothing_revoked_and_hears_of_what_is() -> None:
    order, change = ADMIN.up(shop(1), NOW), ADMIN.order(Action.PAUSE, "shop", NOW)
    record = record_of(order, {"web-1": A})
    revoked = dict[Certified, None]()
    authority = Authority(FEDERATION.key, SimVerifier(), revoked)
    for one in (authority, Authority(FEDERATION.key, SimVerifier())):
        assert one.order(order, NOW, fresh=True).owner.site == "s1"
        assert one.change(change, record, NOW).order.action is Action.PAUSE
        assert one.vouch(record, None, NOW).name == "shop"
    revoked[FEDERATION.key, ADMIN.signer.key[:16]] = None
    for asked in (
        lambda: authority.order(order, NOW, fresh=True),
        lambda: authority.to_hold(order, NOW, fresh=True),
        lambda: authority.change(change, record, NOW),
        lambda: authority.vouch(record, None, NOW),
    ):
        with pytest.raises(Untrusted, match=r"^revoked: "):
            asked()
