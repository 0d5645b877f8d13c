"""What was carried out is remembered on disk, once, for as long as it is fresh, and bounded for each owner."""

import pytest

from protocol.terms.effects import Row
from protocol.terms.ids import KeyId
from protocol.trust import used as module
from protocol.trust.certificate import CLOCK_TOLERANCE_S
from protocol.trust.order import Action, Order, SignedOrder
from protocol.trust.used import TABLE, UsedOrders
from protocol.wire.codec import encode

NOW = 1000.0
ANN, BOB = KeyId("a" * 64), KeyId("b" * 64)


def name(number: int) -> str:
    return f"{number:020x}"


def kept(rows: tuple[Row, ...], store: dict[str, bytes]) -> dict[str, bytes]:
    for row in rows:
        assert row.table == TABLE
        store.pop(row.key, None)
        if row.value is not None:
            store[row.key] = row.value
    return store


def test_an_order_is_remembered_by_the_digits_that_its_ids_begin_with() -> None:
    used = UsedOrders({}, NOW)
    assert name(1) not in used
    (row,) = used.add(f"{name(1)}{'f' * 44}", ANN, NOW + 600, NOW)
    assert (row.table, row.key) == (TABLE, name(1))
    for said in (name(1), f"{name(1)}.0-abcdef", f"{name(1)}{'f' * 44}"):
        assert said in used
    assert 1 not in used
    used.check()


def test_it_is_written_once_and_known_after_a_restart_until_it_is_fresh_by_no_clock() -> None:
    used, store = UsedOrders({}, NOW), dict[str, bytes]()
    kept(used.add(name(1), ANN, NOW + 600, NOW), store)
    assert used.add(name(1), ANN, NOW + 600, NOW) == ()
    assert used.add(name(1), ANN, NOW + 10, NOW) == (), "it is remembered longer already"
    assert len(used.add(name(1), ANN, NOW + 700, NOW)) == 1
    for at_s, there in ((NOW + 600, True), (NOW + 600 + CLOCK_TOLERANCE_S, False)):
        assert (name(1) in UsedOrders(store, at_s)) is there


def test_what_is_over_leaves_memory_and_disk_with_the_next_write_of_its_owner() -> None:
    used, store = UsedOrders({}, NOW), dict[str, bytes]()
    kept(used.add(name(1), ANN, NOW + 10, NOW), store)
    kept(used.add(name(2), BOB, NOW + 10, NOW), store)
    late_s = NOW + 11 + CLOCK_TOLERANCE_S
    kept(used.add(name(3), ANN, late_s + 10, late_s), store)
    assert (len(used), sorted(store)) == (2, [name(2), name(3)])
    again = UsedOrders({**store, name(4): b"?"}, late_s)
    assert len(again) == 1
    kept(again.add(name(5), BOB, late_s + 10, late_s), store)
    assert sorted(store) == [name(3), name(5)], "what was over at a start, as well"


def test_what_is_over_and_given_again_is_remembered_again() -> None:
    used, store = UsedOrders({}, NOW), dict[str, bytes]()
    kept(used.add(name(1), ANN, NOW + 10, NOW), store)
    late_s = NOW + 1000
    kept(UsedOrders(store, late_s).add(name(1), ANN, late_s + 10, late_s), store)
    assert name(1) in UsedOrders(store, late_s)


def test_an_owner_whose_room_is_used_up_is_refused_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "USED_ORDERS", 2)
    used = UsedOrders({}, NOW)
    for number in range(2):
        assert used.full(ANN, NOW) == ""
        used.add(name(number), ANN, NOW + 10, NOW)
    assert used.full(ANN, NOW).startswith("2 orders of its owner are remembered here")
    assert used.full(BOB, NOW) == ""
    assert used.full(ANN, NOW + 10 + CLOCK_TOLERANCE_S) == "", "those are over"


def test_an_order_is_used_for_as_long_as_it_is_fresh() -> None:
    order = Order(Action.PAUSE, "a-grid", NOW, 60.0, "0123456789")
    signed = SignedOrder(encode(order), b"", ())
    used = UsedOrders({}, NOW)
    (row,) = used.use(signed, ANN, NOW)
    assert row.value is not None
    for late_s, there in ((59.0, True), (61.0 + CLOCK_TOLERANCE_S, False)):
        assert (row.key in UsedOrders({row.key: row.value}, NOW + late_s)) is there
