"""Only a grid's owner may change it, by an order about that grid. Each refusal names its rule."""

from random import Random

import pytest
from negotiating import ADMIN, AUTHORITY, FEDERATION, NOW, RIVAL, A, record_of, shop

from protocol.contract.permitting import permit
from protocol.grid.record import order_part
from protocol.sim.people import Admin
from protocol.trust.certificate import CLOCK_TOLERANCE_S
from protocol.trust.order import Action, SignedOrder
from protocol.trust.signing import Reason, Untrusted

RECORD = record_of(ADMIN.up(shop(1), NOW), {"web-1": A})
NAMED = Admin(FEDERATION, "s1", Random(9)).order(Action.PAUSE, RECORD.name, NOW)
"""As a build before this one took it."""


@pytest.mark.parametrize("named", [RECORD.id, order_part(RECORD.id)])
def test_its_owner_may_by_its_id_or_that_of_its_order(named: str) -> None:
    order = ADMIN.order(Action.PAUSE, named, NOW, workspace="web-1")
    checked = AUTHORITY.change(order, RECORD, NOW)
    assert (checked.order.action, checked.order.workspace) == (Action.PAUSE, "web-1")
    assert checked.principal.key == RECORD.owner


@pytest.mark.parametrize(
    ("order", "reason", "why"),
    [
        pytest.param(
            RIVAL.order(Action.PAUSE, RECORD.id, NOW),
            Reason.WRONG_ROLE,
            "shop belongs to another site's admin than s2's",
            id="another-admin",
        ),
        pytest.param(
            ADMIN.order(Action.PAUSE, "elsewhere", NOW),
            Reason.MALFORMED,
            f"an order about elsewhere, not {RECORD.id}",
            id="another-grid",
        ),
        pytest.param(
            ADMIN.order(Action.PAUSE, f"{RECORD.id}-1", NOW),
            Reason.MALFORMED,
            f"an order about {RECORD.id}-1, not {RECORD.id}",
            id="another-attempt",
        ),
        pytest.param(
            NAMED, Reason.MALFORMED, f"an order about shop, not {RECORD.id}", id="only-its-name"
        ),
        pytest.param(
            ADMIN.order(Action.PAUSE, RECORD.id, NOW - CLOCK_TOLERANCE_S - 1),
            Reason.EXPIRED,
            "the order is older than the grid",
            id="older-than-the-grid",
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
        AUTHORITY.change(ADMIN.order(Action.PAUSE, RECORD.id, NOW - 601), RECORD, NOW)
