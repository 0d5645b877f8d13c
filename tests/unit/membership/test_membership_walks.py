"""Walks as conversations: a newcomer is brought around, contacts are swapped along the way they came."""

from random import Random

from protocol.membership.messages import Contact, ForwardJoin, Shuffle, ShuffleReply
from protocol.membership.view import View
from protocol.membership.walks import Walks
from protocol.terms.effects import Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    JOIN_HOPS,
    JOIN_PASSIVE_AT,
    JOINS_AT_ONCE,
    JOINS_PER_S,
    SHUFFLE_EVERY_S,
    SHUFFLE_HOPS,
    SHUFFLED,
    WALKS,
)

ME, NEW = PeerId("me"), Contact(PeerId("new"), "here", "new:1")
ALIVE = {PeerId(f"p{i}"): "here" for i in range(20)}


def contact(peer: str) -> Contact:
    return Contact(PeerId(peer), "here", f"{peer}:1")


def standing(*neighbours: str) -> tuple[View, Walks]:
    view = View(ME, "here", Random(1))
    for peer in neighbours:
        view.add(contact(peer), ALIVE)
    return view, Walks(ME, view, Random(1), 0.0)


def test_a_newcomer_is_sent_around_and_given_contacts() -> None:
    view, walks = standing("p1", "p2")
    view.passive.add(contact("p3"))
    effects = walks.joined(NEW, [contact("p1"), contact("p2")])
    assert effects[:2] == [
        Send(PeerId("p1"), ForwardJoin(NEW, JOIN_HOPS)),
        Send(PeerId("p2"), ForwardJoin(NEW, JOIN_HOPS)),
    ]
    assert effects[2:] == [
        Send(NEW.peer, ShuffleReply("", (contact("p1"), contact("p2"), contact("p3"))))
    ]


def test_a_walk_goes_on_to_another_and_leaves_the_newcomer_in_one_passive_view() -> None:
    view, walks = standing("p1", "p2")
    effects, ends = walks.forward_join(PeerId("p1"), ForwardJoin(NEW, JOIN_HOPS))
    assert (effects, ends) == ([Send(PeerId("p2"), ForwardJoin(NEW, JOIN_HOPS - 1))], False)
    assert NEW.peer not in view.passive
    walks.forward_join(PeerId("p1"), ForwardJoin(NEW, JOIN_PASSIVE_AT))
    assert NEW.peer in view.passive


def test_a_walk_ends_where_its_hops_do_or_nobody_is_left() -> None:
    _, walks = standing("p1", "p2")
    assert walks.forward_join(PeerId("p1"), ForwardJoin(NEW, 0)) == ([], True)
    view, walks = standing("p1")
    assert walks.forward_join(PeerId("p1"), ForwardJoin(NEW, JOIN_HOPS)) == ([], True)
    assert NEW.peer in view.passive


def test_one_that_is_a_neighbour_already_needs_no_walk() -> None:
    _, walks = standing("p1", "new")
    assert walks.forward_join(PeerId("p1"), ForwardJoin(NEW, 0)) == ([], False)


def test_newcomers_are_taken_at_a_bounded_rate() -> None:
    _, walks = standing()
    assert [walks.may_take(1.0) for _ in range(JOINS_AT_ONCE + 2)] == [True] * JOINS_AT_ONCE + [
        False,
        False,
    ]
    assert walks.may_take(1.0 + 1.01 / JOINS_PER_S)
    assert not walks.may_take(1.0 + 1.02 / JOINS_PER_S)


def test_a_shuffle_is_answered_the_way_it_came() -> None:
    start, begin = standing("mid")
    for number in range(4):
        start.passive.add(contact(f"s{number}"))
    middle, pass_on = standing("start", "end")
    end, finish = standing("mid")
    for number in range(4):
        end.passive.add(contact(f"e{number}"))
    me = contact("start")
    (sent,) = begin.tick(me, [contact("mid")], 2 * SHUFFLE_EVERY_S)
    assert isinstance(sent, Send)
    assert isinstance(sent.message, Shuffle)
    assert sent.message.contacts[0] == me
    assert len(sent.message.contacts) <= SHUFFLED
    shuffle = Shuffle(sent.message.walk, sent.message.contacts, 1)
    (onward,) = pass_on.shuffle(PeerId("start"), shuffle, [], 100.0)
    assert isinstance(onward, Send)
    assert onward.peer == PeerId("end")
    assert isinstance(onward.message, Shuffle)
    (answer,) = finish.shuffle(PeerId("mid"), onward.message, [contact("mid")], 100.0)
    assert isinstance(answer, Send)
    assert isinstance(answer.message, ShuffleReply)
    assert PeerId("s1") in end.passive
    (back,) = pass_on.shuffle_reply(answer.message, False)
    assert isinstance(back, Send)
    assert back.peer == PeerId("start")
    assert begin.shuffle_reply(answer.message, False) == []
    assert PeerId("e1") in start.passive
    assert pass_on.shuffle_reply(answer.message, False) == [], "the way back is used once"
    assert len(middle.passive) == 0


def test_contacts_nobody_asked_for_are_not_taken_but_by_a_newcomer() -> None:
    view, walks = standing("p1")
    walks.shuffle_reply(ShuffleReply("", (contact("evil"),)), False)
    walks.shuffle_reply(ShuffleReply("guess", (contact("evil"),)), True)
    assert PeerId("evil") not in view.passive
    walks.shuffle_reply(ShuffleReply("", (contact("friend"),)), True)
    assert PeerId("friend") in view.passive


def test_walks_under_way_are_bounded() -> None:
    _, walks = standing("p1", "p2")
    for number in range(WALKS + 5):
        passed = walks.shuffle(PeerId("p1"), Shuffle(f"w{number}", (), SHUFFLE_HOPS), [], 1.0)
        assert bool(passed) is (number < WALKS)
    walks.check()
