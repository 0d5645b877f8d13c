"""What stewards refuse of a change is known before, and ends nobody's request later than it must."""

from random import Random

from negotiating import AUTHORITY, FEDERATION, NOW, A, B, C, record_of, shop

from protocol.grid.steps import Decline
from protocol.requesting.refused_change import VotesAgainst, not_permitted
from protocol.sim.people import Admin
from protocol.trust.order import read_order

OWNER = Admin(FEDERATION, "s1", Random(7), lambda: (A, B, C))
OTHER = Admin(FEDERATION, "s2", Random(8), lambda: (A, B, C))
RECORD = record_of(OWNER.up(shop(2), NOW), {"web-1": B, "web-2": C})
ORDER = OWNER.apply(shop(3), 1, NOW)


def test_what_its_owner_ordered_is_permitted() -> None:
    assert not_permitted(AUTHORITY, ORDER, RECORD) == []


def test_what_another_owner_ordered_is_not_and_no_clock_would_help() -> None:
    OTHER.up(shop(2), NOW)
    (line,) = not_permitted(AUTHORITY, OTHER.apply(shop(3), 1, NOW), RECORD)
    assert line.startswith("cannot change shop: ")


def test_while_an_order_may_begin_only_a_vote_ends_it() -> None:
    votes, until_s = VotesAgainst(), read_order(ORDER).fresh_until_s
    for now in (NOW, until_s, until_s + 60):
        assert isinstance(votes.next(RECORD.id, RECORD.id, ORDER, now), Decline)
    asked = [votes.next(RECORD.id, RECORD.id, ORDER, until_s + 1000) for _ in range(4)]
    assert [step is None for step in asked] == [True, False, True, False]
