"""Only a grid's owner may change it, by an order about that grid. Each refusal names its rule."""

import pytest
from negotiating import ADMIN, AUTHORITY, NOW, RIVAL, A, record_of, shop

from protocol.contract.permitting import permit
from protocol.trust.order import Action, SignedOrder
from protocol.trust.signing import Reason, Untrusted

RECORD = record_of(ADMIN.up(shop(1), NOW), {"web-1": A})


@pytest.mark.parametrize("named", [RECORD.name, RECORD.id])
def test_its_owner_may_by_name_and_by_id(named: str) -> None:
    order = ADMIN.order(Action.PAUSE, named, NOW, workspace="web-1")
    checked = AUTHORITY.change(order, RECORD, NOW)
    assert (checked.order.action, checked.order.workspace) == (Action.PAUSE, "web-1")
    assert checked.principal.key == RECORD.owner


@pytest.mark.parametrize(
    ("order", "reason", "why"),
    [
        pytest.param(
            RIVAL.order(Action.PAUSE, "shop", NOW),
            Reason.WRONG_ROLE,
            "shop belongs to another site's admin than s2's",
            id="another-admin",
        ),
        pytest.param(
            ADMIN.order(Action.PAUSE, "other", NOW),
            Reason.MALFORMED,
            "an order about other, not shop",
            id="another-grid",
        ),
    ],
)
def test_nobody_else_and_about_nothing_else(order: SignedOrder, reason: Reason, why: str) -> None:
    checked = AUTHORITY.order(order, NOW, fresh=True)
    with pytest.raises(Untrusted) as refused:
        permit(checked, RECORD)
    assert (refused.value.reason, refused.value.detail) == (reason, why)
    with pytest.raises(Untrusted) as again:
        AUTHORITY.change(order, RECORD, NOW)
    assert again.value.detail == why


def test_a_change_is_asked_for_freshly() -> None:
    with pytest.raises(Untrusted, match=r"^expired: .*sign it again"):
        AUTHORITY.change(ADMIN.order(Action.PAUSE, "shop", NOW - 601), RECORD, NOW)
