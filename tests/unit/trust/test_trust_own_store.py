"""A store's id: made once, kept with it, and never the same again once others remember more."""

from random import Random

import pytest

from protocol.terms.effects import Note, Persist, Row
from protocol.trust.own_store import OwnStore

MADE = "00000000000000aa"


def store(kept: bytes | None = None) -> OwnStore:
    rows = {} if kept is None else {"store": kept}
    return OwnStore("h1", rows, MADE, Random(1))


def test_a_new_store_is_to_be_saved_once() -> None:
    new = store()
    assert new.id == MADE
    assert new.unsaved() == (Row("self", "store", MADE.encode()),)
    assert new.unsaved() == ()


def test_what_is_kept_is_kept_and_said_to_the_disk_once_a_life() -> None:
    """A store that begins anew is given the id that it is to write."""
    old = store(b"0123456789abcdef")
    assert old.unsaved() == (Row("self", "store", b"0123456789abcdef"),)
    assert (old.id, old.unsaved()) == ("0123456789abcdef", ())
    assert not old.pop_renewed()


@pytest.mark.parametrize("kept", [b"", b"short", b"\xff" * 16, b"0123456789ABCDEF"])
def test_a_row_that_makes_no_sense_is_no_id(kept: bytes) -> None:
    assert store(kept).id == MADE


def test_each_renewal_is_another_id_and_on_disk_first() -> None:
    one = store()
    seen = {one.id}
    for _ in range(5):
        kept, note = one.renew("a reason")
        assert kept == Persist((Row("self", "store", one.id.encode()),))
        assert isinstance(note, Note)
        assert "a reason" in note.detail
        assert one.pop_renewed()
        assert not one.pop_renewed()
        seen.add(one.id)
    assert len(seen) == 6


def test_what_was_forgotten_leaves_a_mark_that_rises_and_is_this_stores() -> None:
    one = store(b"0123456789abcdef")
    assert one.forgotten_s == 0.0
    (row,) = one.forgot(20.5)
    assert (row.table, row.key) == ("self", "forgotten")
    assert row.value is not None
    assert one.forgot(20.5) == one.forgot(3.0) == ()
    kept = {"store": b"0123456789abcdef", "forgotten": row.value}
    assert OwnStore("h1", kept, MADE, Random(1)).forgotten_s == 20.5
    another = kept | {"store": b"f" * 16}
    assert OwnStore("h1", another, MADE, Random(1)).forgotten_s == 0.0
    one.renew("a reason")
    assert one.forgotten_s == 0.0, "who forgot it is another store"


@pytest.mark.parametrize("mark", [b"x", b"0123456789abcdef", b"0123456789abcdef nan", b"\xff 1.0"])
def test_a_mark_that_cannot_be_read_may_be_any(mark: bytes) -> None:
    kept = {"store": b"0123456789abcdef", "forgotten": mark}
    assert OwnStore("h1", kept, MADE, Random(1)).forgotten_s == float("inf")
