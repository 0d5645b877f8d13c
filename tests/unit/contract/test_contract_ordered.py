"""Grids are kept once they are read, and only so many of them."""

import msgspec
import pytest
from applying_world import RECORD, grown, spec_of, to_apply
from negotiating import ADMIN, NOW, A, C, record_of, shop

from protocol.contract import ordered as ordered_room
from protocol.contract.ordered import OrderedGrids, RecordCards, ordered
from protocol.grid.addresses import plan
from protocol.terms.limits import HOLD_S
from protocol.trust.order import read_order

UP = read_order(ADMIN.up(shop(2), NOW))
GRID = ordered(UP, shop(2), sensible=True)


def test_what_an_order_asks_for() -> None:
    assert [w.name for w in GRID.workspaces] == ["web-1", "web-2"]
    assert list(GRID.members) == ["web-1", "web-2"]
    assert GRID.members["web-2"] is GRID.workspaces[1]
    assert GRID.hold_s == HOLD_S
    held = read_order(ADMIN.hold(shop(2), 42.0, NOW))
    assert ordered(held, shop(2), sensible=False).hold_s == 42.0


def test_a_grid_is_found_by_its_orders_bytes() -> None:
    kept = OrderedGrids()
    assert kept.get(b"one") is None
    kept.put(b"one", GRID)
    assert kept.get(b"o" + b"ne") is GRID
    assert kept.get(b"two") is None


def test_the_oldest_go_when_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered_room, "ORDERS_READ_BYTES", 2 * (2 * 3 + 512 * 2))
    kept = OrderedGrids()
    for payload in (b"one", b"two", b"one", b"six"):
        kept.put(payload, GRID)
    assert [payload for payload in (b"one", b"two", b"six") if kept.get(payload)] == [
        b"one",
        b"six",
    ]


def test_one_that_is_too_large_is_kept_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered_room, "ORDERS_READ_BYTES", 1)
    kept = OrderedGrids()
    kept.put(b"one", GRID)
    assert kept.get(b"one") is GRID
    kept.put(b"two", GRID)
    assert kept.get(b"one") is None
    assert kept.get(b"two") is GRID


def test_addresses_are_counted_out_once_and_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, record = RecordCards(), record_of(ADMIN.up(shop(2), NOW), {"web-1": A, "web-2": A})
    cards = kept.of(record, shop(2))
    assert cards == plan(shop(2))
    assert kept.of(msgspec.structs.replace(record, epoch=9), shop(2)) is cards
    monkeypatch.setattr(ordered_room, "CARDS_KEPT", 3)
    other = record_of(ADMIN.up(shop(2), NOW + 1), {"web-1": A, "web-2": A})
    assert kept.of(other, shop(2)) == cards
    assert kept.of(record, shop(2)) is not cards


def test_of_a_grid_that_was_changed_the_record_says_who_has_which_address() -> None:
    kept, spec = RecordCards(), spec_of(3)
    before = kept.of(RECORD, spec_of())
    record = grown(to_apply(spec), {"web-3": C})
    cards = kept.of(record, spec)
    assert set(before) < set(cards)
    assert [card.address for card in cards if card.workspace == "web-3"] == ["10.42.0.13"]
    assert kept.of(record, spec) is cards
