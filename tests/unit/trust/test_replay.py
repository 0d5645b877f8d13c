"""No order is carried out twice, also after a restart, whatever else comes in between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.terms.ids import KeyId
from protocol.trust.certificate import Principal, Role
from protocol.trust.order import Action, CheckedOrder, Order
from protocol.trust.replay import SeenOrders
from protocol.trust.signing import Reason, Untrusted

WHO = Principal(KeyId("00" * 32), Role.SITE, "ams", "ams", 1e9)


def checked(name: str, issued_at_s: float, valid_s: float = 60.0) -> CheckedOrder:
    order = Order(Action.DOWN, "grid", issued_at_s, valid_s, nonce=f"nonce {name}")
    return CheckedOrder(order=order, principal=WHO, id=name)


def test_a_second_time_is_a_replay() -> None:
    seen = SeenOrders()
    seen.admit(checked("a", 0), now_s=0)
    seen.admit(checked("b", 0), now_s=0)
    with pytest.raises(Untrusted) as error:
        seen.admit(checked("a", 0), now_s=60)
    assert error.value.reason is Reason.REPLAYED
    assert "a" in seen


def test_it_is_forgotten_when_it_cannot_be_fresh() -> None:
    seen = SeenOrders()
    seen.admit(checked("a", 0), now_s=0)
    seen.forget_stale(60)
    assert "a" in seen
    seen.forget_stale(60.001)
    assert "a" not in seen
    assert len(seen) == 0


def test_when_full_new_ones_wait_and_none_is_forgotten() -> None:
    seen = SeenOrders(limit=2)
    seen.admit(checked("a", 0), now_s=0)
    seen.admit(checked("b", 10), now_s=10)
    with pytest.raises(Untrusted, match="try in 49 s") as error:
        seen.admit(checked("c", 11), now_s=11)
    assert error.value.reason is Reason.OVERLOADED
    assert "a" in seen
    seen.admit(checked("c", 61), now_s=61)


def test_a_restart_forgets_nothing() -> None:
    seen = SeenOrders()
    for n in range(5):
        seen.admit(checked(f"o{n}", n), now_s=n)
    again = SeenOrders.load(seen.dump())
    assert again.dump() == seen.dump()
    with pytest.raises(Untrusted):
        again.admit(checked("o3", 3), now_s=10)
    assert len(SeenOrders.load(seen.dump(), limit=2)) == 2


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 30)), max_size=60))
def test_no_order_is_admitted_twice_while_fresh(steps: list[tuple[int, int]]) -> None:
    """Against a plain memory of everything."""
    seen, now_s, admitted = SeenOrders(limit=5), 0.0, dict[str, float]()
    for number, wait_s in steps:
        now_s += wait_s
        order = checked(f"o{number}", issued_at_s=number * 10.0)
        try:
            seen.admit(order, now_s)
        except Untrusted as error:
            fresh = [until for until in admitted.values() if until >= now_s]
            again = error.reason is Reason.REPLAYED
            assert again == (admitted.get(order.id, -1.0) >= now_s)
            assert again or len(fresh) == 5
        else:
            assert admitted.get(order.id, -1.0) < now_s
            admitted[order.id] = order.fresh_until_s
        seen.check()
