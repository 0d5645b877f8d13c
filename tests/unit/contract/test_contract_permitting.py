"""Only a grid's owner may change it, by an order about that grid. Each refusal names its rule."""

from random import Random

import pytest
from negotiating import ADMIN, AUTHORITY, FEDERATION, NOW, RIVAL, A, record_of, shop
from organisation import Organisation

from protocol.contract.authority import Authority
from protocol.contract.permitting import permit
from protocol.grid.record import order_part
from protocol.sim.keys import SimVerifier
from protocol.sim.people import Admin, Person
from protocol.trust.certificate import CLOCK_TOLERANCE_S
from protocol.trust.grants import Grants
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
    assert checked.owner.key == RECORD.owner


@pytest.mark.parametrize(
    ("order", "reason", "why"),
    [
        pytest.param(
            RIVAL.order(Action.PAUSE, RECORD.id, NOW),
            Reason.WRONG_ROLE,
            "shop belongs to site s1's admin, not to site s2's admin",
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


# -- within a virtual organisation

STAR = Organisation("star", from_s=NOW - 1000, until_s=NOW + 1_000_000)
LENT = Authority(FEDERATION.key, SimVerifier(), admitted=(STAR.signer.key,))
KATES = STAR.grant("kate")
TOOLS = STAR.grant("tool", under=KATES, by="kate")


def person(name: str, grants: Grants) -> Person:
    return Person(STAR.key_of(name), (), grants, Random(name), lambda: (A,))


OWN = Person(STAR.signer, (), STAR.grant("", audience=STAR.signer.key), Random(3), lambda: (A,))
TOOL, ANN = person("tool", TOOLS), person("ann", STAR.grant("ann"))
KATE_AT_HOME = person("laptop", STAR.grant("laptop", under=KATES, by="kate", login=True))
MADE = record_of(TOOL.up(shop(1), NOW), {"web-1": A})


@pytest.mark.parametrize("who", [TOOL, KATE_AT_HOME, OWN], ids=["itself", "who-granted", "the-vo"])
def test_who_ordered_a_grid_and_who_is_above_may_change_it(who: Person) -> None:
    checked = LENT.change(who.order(Action.PAUSE, MADE.id, NOW), MADE, NOW)
    assert checked.owner.key == MADE.owner == STAR.signer.key


def test_a_member_beside_and_one_below_may_not() -> None:
    by_kate = record_of(person("kate", KATES).up(shop(1), NOW), {"web-1": A})
    for who, record in ((ANN, MADE), (TOOL, by_kate)):
        with pytest.raises(Untrusted, match="ordered by another member of VO star") as refused:
            LENT.change(who.order(Action.PAUSE, record.id, NOW), record, NOW)
        assert refused.value.reason is Reason.NOT_GRANTED


def test_another_vo_of_the_same_name_ends_nothing() -> None:
    other = Organisation("star", from_s=NOW - 1000, until_s=NOW + 1_000_000)
    other.signer = other.key_of("liar")
    liar = Person(
        other.signer, (), other.grant("", audience=other.signer.key), Random(4), lambda: (A,)
    )
    both = Authority(FEDERATION.key, SimVerifier(), admitted=(STAR.signer.key, liar.signer.key))
    keys = f"of key {STAR.signer.key[:16]}, not to VO star of key {liar.signer.key[:16]}"
    with pytest.raises(Untrusted, match=f"belongs to VO star {keys}"):
        both.change(liar.order(Action.DOWN, MADE.id, NOW), MADE, NOW)


def test_nothing_is_begun_for_a_vo_that_no_site_lends_to() -> None:
    with pytest.raises(Untrusted, match="no site's policy names VO star") as refused:
        AUTHORITY.deployment(TOOL.up(shop(1), NOW), NOW, fresh=True)
    assert refused.value.reason is Reason.NOT_GRANTED
    assert AUTHORITY.deployment(TOOL.up(shop(1), NOW), NOW, fresh=False).owner == MADE.owner
