"""The active view: everybody below twelve, a few above, few of them far, nobody asked twice in a round."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from protocol.membership.messages import Contact
from protocol.membership.view import View
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    ACTIVE_REMOTE,
    ACTIVE_VIEW,
    ASK_MOST_S,
    FULL_MESH_BELOW,
    NEEDY_BELOW,
    REDIAL_EVERY_S,
    SETTLE_S,
)

ME = PeerId("me")


def peers(near: int, far: int) -> dict[PeerId, str]:
    return {
        **{PeerId(f"near-{i}"): "here" for i in range(near)},
        **{PeerId(f"far-{i}"): f"there-{i % 3}" for i in range(far)},
    }


def is_far(peer: PeerId) -> bool:
    return peer.startswith("far")


def contact(peer: PeerId, alive: dict[PeerId, str]) -> Contact:
    return Contact(peer, alive[peer], f"{peer}:1")


def seeing(alive: dict[PeerId, str], seed: int = 1) -> View:
    """A view whose passive contacts are these."""
    view = View(ME, "here", Random(seed))
    for peer in alive:
        view.passive.add(contact(peer, alive))
    return view


def test_a_few_all_watch_each_other() -> None:
    alive = peers(4, 6)
    view = seeing(alive)
    assert view.asks_for(alive, 1.0) == list(alive)
    for peer, site in alive.items():
        assert view.wants(peer, site, False, alive)
        assert view.add(contact(peer, alive), alive) == []
    assert view.next_deadline(alive) is None
    assert len(alive) + 1 < FULL_MESH_BELOW


def test_many_have_a_few_neighbours_half_of_them_far() -> None:
    alive = peers(14, 14)
    asks = seeing(alive).asks_for(alive, 1.0)
    assert len(asks) == ACTIVE_VIEW
    assert sum(is_far(p) for p in asks) == ACTIVE_REMOTE


def test_who_was_asked_is_waited_for() -> None:
    """A peer that looks again because of some news asks no others while answers are on their way."""
    alive = peers(14, 14)
    view = seeing(alive)
    asks = view.asks_for(alive, 1.0)
    view.hurry()
    assert view.asks_for(alive, 1.1) == []
    view.answered(asks[0])
    view.hurry()
    assert len(view.asks_for(alive, 1.2)) == 1


def test_each_is_tried_once_a_round_and_rounds_begin_again() -> None:
    alive = peers(14, 0)
    view = seeing(alive)
    asked: list[PeerId] = []
    now = 0.0
    while len(asked) < len(alive):
        now += 2 * REDIAL_EVERY_S
        asks = view.asks_for(alive, now)
        assert asks
        assert not [p for p in asks if p in asked]
        asked += asks
    assert view.asks_for(alive, now + 2 * REDIAL_EVERY_S)


def test_who_has_some_neighbours_and_is_refused_asks_ever_more_seldom() -> None:
    alive = peers(14, 14)
    view = seeing(alive)
    for peer in list(alive)[:NEEDY_BELOW]:
        view.add(contact(peer, alive), alive)
    rounds = [now for now in range(600) if view.asks_for(alive, float(now))]
    assert len(rounds) < 18
    assert ASK_MOST_S * 0.7 < rounds[-1] - rounds[-2] < ASK_MOST_S * 1.3
    view.add(contact(PeerId("near-9"), alive), alive)
    again = rounds[-1] + ASK_MOST_S * 1.3
    assert view.asks_for(alive, again)
    assert view.asks_for(alive, again + 2 * REDIAL_EVERY_S), (
        "somebody agreed: it is worth asking again"
    )
    needy = seeing(alive)
    assert len([now for now in range(60) if needy.asks_for(alive, float(now))]) > 20


def test_a_newcomer_lets_others_find_it_first() -> None:
    alive = peers(14, 0)
    view = seeing(alive)
    view.settle(5.0)
    view.hurry()
    assert view.asks_for(alive, 5.5) == []
    deadline = view.next_deadline(alive)
    assert deadline is not None
    assert deadline.at_s == 5.0 + SETTLE_S
    assert view.asks_for(alive, deadline.at_s)


def test_who_is_lost_is_not_asked_again() -> None:
    alive = peers(12, 0)
    view = seeing(alive)
    for peer in list(alive)[1:]:
        view.lost(peer)
    assert view.asks_for(alive, 1.0) == [PeerId("near-0")]
    view.lost(PeerId("near-0"))
    assert view.next_deadline(alive) is None, "there is nobody to ask"


def test_one_without_neighbours_at_other_sites_looks_for_one_though_it_has_enough() -> None:
    alive = peers(14, 4)
    view = seeing(alive)
    for peer in [p for p in alive if not is_far(p)][:ACTIVE_VIEW]:
        view.add(contact(peer, alive), alive)
    (asked,) = view.asks_for(alive, 1.0)
    assert is_far(asked)
    assert view.is_urgent(asked)
    view.add(contact(asked, alive), alive)
    assert view.asks_for(alive, 100.0) == []


def test_far_ones_that_are_urgent_make_room_among_the_far() -> None:
    alive = peers(20, 20)
    view = seeing({})
    for number in range(10):
        peer = PeerId(f"far-{number}")
        assert view.wants(peer, alive[peer], True, alive)
        view.add(contact(peer, alive), alive)
    assert sum(is_far(p) for p in view.neighbours) == ACTIVE_REMOTE + 1


def test_a_full_view_refuses_but_not_the_needy() -> None:
    alive = peers(20, 20)
    view = seeing({})
    for peer in list(alive)[:ACTIVE_VIEW]:
        view.add(contact(peer, alive), alive)
    assert not view.wants(PeerId("near-19"), "here", False, alive)
    assert view.wants(PeerId("near-19"), "here", True, alive)
    assert view.wants(PeerId("near-0"), "here", False, alive), "it is one already"


@given(st.lists(st.tuples(st.integers(0, 39), st.booleans())), st.integers())
def test_the_view_is_bounded_and_so_are_its_far_ones(
    picks: list[tuple[int, bool]], seed: int
) -> None:
    alive = peers(20, 20)
    names = list(alive)
    view = seeing({}, seed)
    for pick, goes in picks:
        peer = names[pick]
        if goes and view.remove(peer):
            view.passive.add(contact(peer, alive))
        elif view.wants(peer, alive[peer], pick % 3 == 0, alive) and not view.is_neighbour(peer):
            evicted = view.add(contact(peer, alive), alive)
            assert peer not in evicted
        view.check()
        assert len(view.neighbours) <= ACTIVE_VIEW + 1
        assert sum(is_far(p) for p in view.neighbours) <= ACTIVE_VIEW + 1
