"""Contacts to fall back on: bounded, near and far alike, and back after a restart."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from protocol.membership.messages import Contact
from protocol.membership.passive import Passive
from protocol.terms.ids import PeerId
from protocol.terms.limits import PASSIVE_VIEW

ME = PeerId("me")


def contact(number: int, site: str = "here") -> Contact:
    return Contact(PeerId(f"{site}-{number}"), site, f"10.0.0.{number}:1")


def filled(near: int, far: int) -> Passive:
    passive = Passive(ME, "here", Random(1))
    for number in range(near):
        passive.add(contact(number))
    for number in range(far):
        passive.add(contact(number, "there"))
    return passive


def test_near_and_far_have_half_each_when_there_are_enough() -> None:
    for passive in (filled(100, 100), filled(200, 20)):
        far = sum(c.site == "there" for c in passive.contacts())
        assert (len(passive), far) == (PASSIVE_VIEW, PASSIVE_VIEW // 2)
    assert len(filled(100, 0)) == PASSIVE_VIEW
    assert sum(c.site == "there" for c in filled(100, 3).contacts()) == 3


def test_the_newest_address_counts() -> None:
    passive = filled(2, 0)
    moved = Contact(contact(0).peer, "here", "10.9.9.9:1")
    passive.add(moved)
    assert passive.get(moved.peer) == moved
    assert len(passive) == 2


def test_nobody_is_its_own_contact() -> None:
    passive = filled(0, 0)
    passive.add(Contact(ME, "here", "10.0.0.1:1"))
    assert len(passive) == 0


def test_it_comes_back_from_the_store() -> None:
    passive = filled(20, 20)
    again = Passive(ME, "here", Random(2))
    again.load(passive.dump())
    assert again.contacts() == passive.contacts()
    again.check()
    damaged = Passive(ME, "here", Random(2))
    damaged.load(b"\xc1nonsense")
    assert len(damaged) == 0


@given(st.lists(st.tuples(st.integers(0, 60), st.booleans(), st.booleans())), st.integers())
def test_it_is_bounded_whatever_comes(steps: list[tuple[int, bool, bool]], seed: int) -> None:
    passive = Passive(ME, "here", Random(seed))
    for number, far, goes in steps:
        one = contact(number, "there" if far else "here")
        if goes:
            passive.discard(one.peer)
        else:
            passive.add(one)
            assert one.peer in passive
        passive.check()
        assert len(passive.some(7)) == min(7, len(passive))
