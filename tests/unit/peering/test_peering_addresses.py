"""Where peers are found: written in batches, bounded, and what a start begins with."""

from random import Random

from protocol.membership.membership import Membership
from protocol.membership.messages import Contact
from protocol.membership.presence import Known
from protocol.peering.addresses import PASSIVE, SELF, TABLE, Addresses, saved
from protocol.terms.effects import Effect, Persist, Untidied
from protocol.terms.ids import PeerId
from protocol.terms.limits import ADDRESSES, ADDRESSES_SAVED_AFTER_S, PASSIVE_SAVED_EVERY_S

ME = Contact(PeerId("me"), "uc", "10.0.0.1:1")


def known(number: int, address: str = "") -> Known:
    peer = PeerId(f"p{number}")
    return Known(peer, f"h{number}", "uc", address or f"10.0.1.{number}:1", 1, False, 1e9)


def book(rows: dict[str, dict[str, bytes]] | None = None) -> tuple[Membership, Addresses]:
    membership = Membership(ME, Random(1), (), 0.0)
    return membership, Addresses(membership, rows or {}, 0.0)


def written(effects: list[Effect]) -> dict[str, bytes | None]:
    rows: dict[str, bytes | None] = {}
    for effect in effects:
        assert isinstance(effect, Persist)
        assert effect.otherwise == Untidied(), "a full disk is no reason to end"
        rows |= {row.key: row.value for row in effect.rows if row.table == TABLE}
    return rows


def test_many_newcomers_are_one_write() -> None:
    _, addresses = book()
    for number in range(50):
        addresses.alive(known(number), 1.0)
    assert addresses.next_deadline().at_s == 1.0 + ADDRESSES_SAVED_AFTER_S
    assert addresses.tick(1.0) == []
    effects = addresses.tick(1.0 + ADDRESSES_SAVED_AFTER_S)
    assert len(effects) == 1
    assert len(written(effects)) == 50
    addresses.alive(known(3), 10.0)
    assert addresses.tick(20.0) == [], "it is on disk already"


def test_the_oldest_make_room() -> None:
    _, addresses = book()
    for number in range(ADDRESSES + 2):
        addresses.alive(known(number), 1.0)
    rows = written(addresses.tick(1.0 + ADDRESSES_SAVED_AFTER_S))
    assert [key for key, value in rows.items() if value is None] == ["p0", "p1"]


def test_a_start_knows_what_was_written() -> None:
    rows = {TABLE: {"p1": b"10.0.1.1:1", "p0": b"10.0.1.0:1"}}
    assert [c.peer for c in saved(rows)] == ["p0", "p1"]
    membership, addresses = book()
    membership.view.passive.add(Contact(PeerId("p7"), "uc", "10.0.1.7:1"))
    (effect,) = addresses.tick(PASSIVE_SAVED_EVERY_S)
    assert isinstance(effect, Persist)
    (row,) = effect.rows
    assert (row.table, row.key) == (SELF, PASSIVE)
    assert row.value is not None
    again, _ = book({SELF: {PASSIVE: row.value}})
    assert PeerId("p7") in again.view.passive
    assert again.address(PeerId("p7")) == "10.0.1.7:1"


def test_who_is_no_member_is_forgotten() -> None:
    _, addresses = book({TABLE: {"p1": b"10.0.1.1:1"}})
    assert written(addresses.forget(PeerId("p1"))) == {"p1": None}
    assert addresses.forget(PeerId("p1")) == []
