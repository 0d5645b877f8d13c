"""Time beyond a lease's end: promised once, used up by the record that says so, given back if voted down."""

import msgspec
import pytest
from negotiating import ADMIN, AUTHORITY, NOW, REQUEST, RIVAL, ROOM, A, record_of, shop

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum
from protocol.capacity.timetable import Window
from protocol.contract.messages import LeaseAsk
from protocol.grid.lifecycle import Wanted
from protocol.grid.model import LeaseTerms
from protocol.grid.record import (
    GridRecord,
    GridState,
    LeaseChange,
    Register,
    Void,
    extension_id,
    grid_id,
)
from protocol.hosting.extension import Extension
from protocol.hosting.lease import UNWARNED, Lease, Pending
from protocol.hosting.lease_book import LeaseBook
from protocol.terms.effects import Note
from protocol.terms.limits import CLEAR_S, HOLD_S
from protocol.terms.quantities import format_moment
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode

TERMS = LeaseTerms(grace_s=500)
END = NOW + 1000.0
ORDER = ADMIN.up(shop(1, lease=TERMS, lease_s=1000), NOW)
RECORD = record_of(ORDER, {"web-1": A})
LEASE = Lease(RECORD, (Wanted("web-1"),), lease_until_s=END, made_s=NOW, terms=TERMS)


def longer(by_s: int, action: Action = Action.LEASE) -> SignedOrder:
    return ADMIN.order(action, RECORD.id, NOW, body=encode(LeaseChange(by_s)))


HOUR, DAY = longer(3600), longer(86_400)


def after(*orders: SignedOrder, extra_s: int) -> GridRecord:
    """The record with those changes."""
    return msgspec.structs.replace(RECORD, epoch=2, extra_s=extra_s, changes=orders)


class One:
    """One host that carries LEASE."""

    def __init__(self) -> None:
        self.ledger = Ledger(ROOM, NOW)
        self.book = LeaseBook(self.ledger, AUTHORITY, {}, NOW)
        self.book.change(LEASE)
        self.extension = Extension(self.book.bookings, AUTHORITY)

    def promise(
        self, order: SignedOrder, row: Lease | None = LEASE, now: float = NOW
    ) -> tuple[Lease | None, str]:
        return self.extension.promise(row, LeaseAsk(REQUEST, grid_id(ORDER), order), now)

    def busy_at(self, at_s: float) -> bool:
        """Whether anything is taken then."""
        return self.ledger.room.at(at_s) != ROOM

    def others(self, from_s: float) -> None:
        """From then on everything is somebody else's."""
        self.ledger.enter(("other", "a"), Quantum(3800), Window(from_s, from_s + 9e6, 0.0))


# -- promised


def test_a_promise_takes_the_room_and_stands_for_as_long_as_a_hold() -> None:
    one = One()
    row, why = one.promise(HOUR, now=NOW + 5)
    assert why == ""
    assert row is not None
    assert row.pending == (Pending(extension_id(HOUR), 3600, NOW + 5 + HOLD_S),)
    assert row.lease_until_s == END, "that is for the stewards to decide"
    assert one.busy_at(END + 3600 + CLEAR_S - 1)
    assert not one.busy_at(END + 3600 + CLEAR_S)


def test_it_is_promised_once_however_often_it_is_asked_for() -> None:
    one = One()
    row, _ = one.promise(HOUR)
    assert one.promise(HOUR, row, NOW + 1) == (None, "")
    both, why = one.promise(DAY, row, NOW + 1)
    assert why == ""
    assert both is not None
    assert [pending.by_s for pending in both.pending] == [3600, 86_400]
    assert one.promise(DAY, both, NOW + 2) == (None, "")


def test_a_second_more_is_more() -> None:
    row, why = One().promise(longer(1))
    assert why == ""
    assert row is not None
    assert row.pending[0].by_s == 1


@pytest.mark.parametrize("action", [Action.PAUSE, Action.DOWN])
def test_only_an_order_about_a_lease_extends_one(action: Action) -> None:
    assert One().promise(longer(60, action)) == (None, "the order does not extend a lease")


def test_to_shorten_a_lease_needs_no_promise() -> None:
    assert One().promise(longer(-1)) == (None, "the order does not extend a lease")


@pytest.mark.parametrize(
    ("order", "why"),
    [
        pytest.param(
            RIVAL.order(Action.LEASE, RECORD.id, NOW, body=encode(LeaseChange(60))),
            "wrong-role: shop belongs to site s1's admin, not to site s2's admin",
            id="not-the-owner",
        ),
        pytest.param(
            longer(0), "bad-shape: a lease is changed by a second to a year", id="by-nothing"
        ),
    ],
)
def test_an_order_that_is_not_believed_is_answered_with_its_rule(
    order: SignedOrder, why: str
) -> None:
    assert One().promise(order) == (None, why)


def test_what_is_not_here_or_is_being_deleted_is_not_extended() -> None:
    one = One()
    gone = (None, "one of its hosts does not carry it any more")
    assert one.promise(HOUR, row=None) == gone
    deleting = (None, "it is being deleted already")
    down = msgspec.structs.replace(RECORD, state=GridState.DOWN)
    assert one.promise(HOUR, msgspec.structs.replace(LEASE, record=down)) == deleting
    kept = msgspec.structs.replace(LEASE, made_s=NOW - 1400, lease_until_s=NOW - 400)
    assert one.promise(HOUR, kept, NOW)[1] == "", "it ended, and is kept"
    assert one.promise(HOUR, kept, kept.kept_until_s) == deleting


def test_room_that_is_promised_to_others_is_not_promised_again() -> None:
    one = One()
    one.others(END + CLEAR_S + 3600)
    row, why = one.promise(HOUR)
    assert row is not None, "up to the very second"
    assert why == ""
    one = One()
    one.others(END + CLEAR_S + 3599)
    until = format_moment(END + 3600)
    assert one.promise(HOUR) == (None, f"a host has promised its room until {until}")
    assert one.ledger.room.at(END + CLEAR_S) == ROOM, "nothing of it is taken"
    assert one.promise(longer(3599))[1] == ""


# -- used up


def test_a_record_that_extends_uses_up_what_was_promised_for_it() -> None:
    one = One()
    row, _ = one.promise(HOUR)
    both, _ = one.promise(DAY, row)
    assert both is not None
    old = msgspec.structs.replace(both, warned_s=300.0)
    changed = msgspec.structs.replace(old, record=after(HOUR, extra_s=3600))
    found = one.extension.extended(old, changed)
    assert found.lease_until_s == END + 3600
    assert [pending.by_s for pending in found.pending] == [86_400], "the other is not decided"
    assert found.warned_s == UNWARNED, "of the new end it is warned again"


def test_each_change_counts_once() -> None:
    one = One()
    once = msgspec.structs.replace(
        LEASE, record=after(HOUR, extra_s=3600), lease_until_s=END + 3600
    )
    twice = msgspec.structs.replace(once, record=after(HOUR, DAY, extra_s=90_000))
    assert one.extension.extended(once, twice).lease_until_s == END + 90_000


def test_a_record_that_changes_no_time_changes_no_end() -> None:
    one = One()
    row, _ = one.promise(HOUR)
    assert row is not None
    old = msgspec.structs.replace(row, warned_s=300.0)
    same = one.extension.extended(old, msgspec.structs.replace(old, record=after(extra_s=0)))
    assert (same.lease_until_s, same.pending, same.warned_s) == (END, row.pending, 300.0)


def test_a_longer_lease_that_was_not_promised_is_honoured_if_there_is_room() -> None:
    one = One()
    changed = msgspec.structs.replace(LEASE, record=after(HOUR, extra_s=3600))
    assert one.extension.extended(LEASE, changed).lease_until_s == END + 3600
    one = One()
    one.others(END + CLEAR_S)
    assert one.extension.extended(LEASE, changed).lease_until_s == END, "it ends as before"


def test_what_was_not_promised_is_honoured_as_far_as_the_site_lends_it() -> None:
    """Whoever asks the stewards alone gets no more time than whoever asks the hosts."""
    one = One()
    shut = Extension(one.book.bookings, AUTHORITY, lasts=lambda row: row.record.extra_s < 3600)
    changed = msgspec.structs.replace(LEASE, record=after(HOUR, extra_s=3600))
    assert shut.extended(LEASE, changed).lease_until_s == END
    promised, _ = one.promise(HOUR)
    assert promised is not None
    kept = msgspec.structs.replace(promised, record=after(HOUR, extra_s=3600))
    assert shut.extended(promised, kept).lease_until_s == END + 3600, "a promise is kept"
    cut = longer(-400)
    shorter = msgspec.structs.replace(LEASE, record=after(cut, extra_s=-400))
    assert shut.extended(LEASE, shorter).lease_until_s == END - 400


def test_a_shorter_lease_is_honoured_whatever_room_there_is() -> None:
    one = One()
    one.others(NOW)
    cut = longer(-400)
    changed = msgspec.structs.replace(LEASE, record=after(cut, extra_s=-400))
    assert one.extension.extended(LEASE, changed).lease_until_s == END - 400


# -- given back


def test_what_was_voted_down_is_given_back() -> None:
    one = One()
    row, _ = one.promise(HOUR)
    both, _ = one.promise(DAY, row)
    assert both is not None
    register = Register(RECORD, 0, (Void(extension_id(HOUR), NOW + 9),))
    left = one.extension.let_go(both, register)
    assert left is not None
    assert [pending.by_s for pending in left.pending] == [86_400]
    assert one.extension.let_go(left, register) is None, "nothing more"
    assert one.extension.let_go(both, Register(RECORD)) is None
    assert one.extension.let_go(LEASE, register) is None
    assert one.extension.let_go(None, register) is None


def test_what_a_record_means_for_the_end_is_told() -> None:
    one = One()
    longer_row = msgspec.structs.replace(
        LEASE, record=after(HOUR, extra_s=3600), lease_until_s=END + 3600
    )
    until = format_moment(END + 3600)
    assert one.extension.told(LEASE, longer_row) == [
        Note("lease.changed", "shop", f"its lease ends {until} now", RECORD.id)
    ]
    assert one.extension.told(None, longer_row) == []
    assert one.extension.told(LEASE, LEASE) == []
    refused = msgspec.structs.replace(LEASE, record=after(HOUR, extra_s=3600))
    (note,) = one.extension.told(LEASE, refused)
    assert note.kind == "lease.refused"
    assert note.detail == (
        "not extended here, for the room is promised or its site forbids it;"
        f" it ends {format_moment(END)}"
    )


def test_only_a_refusal_of_its_owner_is_worth_a_word() -> None:
    """Else anybody could fill the story of somebody's grid."""
    one = One()
    one.others(END + CLEAR_S)
    ask = LeaseAsk(REQUEST, RECORD.id, HOUR)
    _, why = one.promise(HOUR)
    assert why
    assert one.extension.refused(LEASE, ask, why, NOW) == [
        Note("lease.refused", "shop", f"not extended: {why}", RECORD.id)
    ]
    assert one.extension.refused(LEASE, ask, "", NOW) == []
    rivals = RIVAL.order(Action.LEASE, RECORD.id, NOW, body=encode(LeaseChange(60)))
    _, why = one.promise(rivals)
    assert why
    assert one.extension.refused(LEASE, LeaseAsk(REQUEST, RECORD.id, rivals), why, NOW) == []
