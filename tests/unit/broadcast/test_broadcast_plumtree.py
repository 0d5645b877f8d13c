"""The tree, as a conversation: push, announce, prune, graft."""

from random import Random

from protocol.broadcast.messages import Announce, Graft, Prune, Version, version_of
from protocol.broadcast.plumtree import Plumtree
from protocol.sim.keys import SimSigner
from protocol.terms.effects import Deadline, Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import ANNOUNCE_AFTER_S, GRAFT_AFTER_S, PUSH_APART_S
from protocol.trust.record import Record, SignedRecord, sign_record

A, B, C = PeerId("a"), PeerId("b"), PeerId("c")
OWNER = SimSigner("owner")


def news(sequence: int = 1, name: str = "") -> tuple[SignedRecord, Version]:
    record = Record(OWNER.key, "advert", name, 1, sequence, b"", 60.0)
    return sign_record(record, OWNER), version_of(record)


def grown() -> Plumtree:
    """`a` and `b` eager, `c` lazy."""
    tree = Plumtree(Random(1))
    for peer in (A, B, C):
        tree.neighbour_up(peer)
    tree.pruned(C)
    return tree


def test_news_goes_to_the_eager_now_and_to_the_lazy_as_a_word_in_a_moment() -> None:
    tree = grown()
    signed, version = news()
    tree.push(signed, version, A, 5.0)
    assert tree.pop_pushes(5.0) == {B: [signed]}
    assert tree.pop_pushes(5.0) == {}
    due = tree.next_deadline()
    assert due is not None
    assert due.why == "announce"
    first_s, last_s = ANNOUNCE_AFTER_S
    assert 5.0 + first_s <= due.at_s <= 5.0 + last_s
    assert tree.tick(5.0 + first_s / 2) == []
    assert tree.tick(due.at_s) == [Send(C, Announce((version,)))]
    assert tree.next_deadline() is None


def test_words_are_gathered_and_only_the_newest_of_a_key_is_said() -> None:
    tree = grown()
    for sequence, name in ((1, ""), (2, ""), (1, "other")):
        tree.push(*news(sequence, name), A, 5.0)
    assert tree.tick(6.0) == [Send(C, Announce((news(2)[1], news(1, "other")[1])))]


def test_of_two_that_are_lazy_to_each_other_only_the_first_announces() -> None:
    tree = grown()
    for sequence, name in ((2, ""), (1, "other"), (1, "third")):
        tree.push(*news(sequence, name), A, 5.0)
    tree.known_by(C, [news(1)[1], news(1, "other")[1]])
    assert tree.tick(6.0) == [Send(C, Announce((news(2)[1], news(1, "third")[1])))]
    tree.push(*news(3), A, 7.0)
    tree.known_by(C, [news(3)[1]])
    assert tree.tick(8.0) == [], "nothing is left to say"


def test_where_it_came_from_is_told_nothing() -> None:
    tree = grown()
    tree.push(*news(), C, 5.0)
    assert tree.tick(6.0) == []


def test_what_a_neighbour_announced_is_not_announced_to_it() -> None:
    tree = grown()
    tree.announced(C, [news()[1]], 1.0)
    tree.push(*news(), A, 1.1)
    assert tree.next_deadline() is None


def test_who_pushes_old_news_is_pruned_once() -> None:
    tree = grown()
    assert tree.stale(A) == [Send(A, Prune())]
    assert tree.stale(A) == []
    tree.push(*news(), None, 0.0)
    assert tree.pop_pushes(0.0) == {B: [news()[0]]}


def test_a_lazy_one_that_was_first_becomes_eager() -> None:
    tree = grown()
    tree.fresh(C)
    assert tree.neighbours == [A, B, C]
    tree.push(*news(), None, 0.0)
    assert list(tree.pop_pushes(0.0)) == [A, B, C]


def test_one_step_is_one_frame_with_the_newest_of_each_key() -> None:
    tree = grown()
    for sequence, name in ((1, ""), (2, ""), (1, "other")):
        tree.push(*news(sequence, name), A, 5.0)
    assert tree.pop_pushes(5.0) == {B: [news(2)[0], news(1, "other")[0]]}


def test_what_comes_behind_a_frame_waits_for_the_next() -> None:
    tree = grown()
    tree.push(*news(1), A, 5.0)
    tree.pop_pushes(5.0)
    for i, sequence in enumerate((2, 3)):
        tree.push(*news(sequence), A, 5.001 + i / 1000)
        tree.push(*news(sequence, "other"), A, 5.001 + i / 1000)
        assert tree.pop_pushes(5.001 + i / 1000) == {}
        assert tree.next_deadline() == Deadline(5.0 + PUSH_APART_S, "push")
    assert tree.pop_pushes(5.0 + PUSH_APART_S) == {B: [news(3)[0], news(3, "other")[0]]}
    due = tree.next_deadline()
    assert due is not None
    assert due.why == "announce"
    tree.push(*news(4), A, 6.0)
    assert tree.pop_pushes(6.0) == {B: [news(4)[0]]}, "after a pause it goes at once"


def test_what_a_neighbour_turns_out_to_have_is_not_pushed_to_it() -> None:
    tree = grown()
    tree.push(*news(1), A, 5.0)
    tree.pop_pushes(5.0)
    for name in ("one", "other"):
        tree.push(*news(2, name), A, 5.001)
    tree.known_by(B, [news(2, "one")[1], news(1, "other")[1]])
    assert tree.pop_pushes(6.0) == {B: [news(2, "other")[0]]}
    tree.push(*news(3), A, 6.001)
    tree.known_by(B, [news(3)[1]])
    assert tree.pop_pushes(7.0) == {}


def test_nothing_waits_for_a_neighbour_that_is_gone() -> None:
    tree = grown()
    tree.pruned(A)
    for sequence in (1, 2):
        tree.push(*news(sequence), None, 5.0)
        tree.pop_pushes(5.0)
    tree.neighbour_down(B)
    assert tree.pushes
    assert tree.pop_pushes(6.0) == {}
    assert not tree.pushes


def test_news_of_one_site_goes_only_to_who_keeps_it() -> None:
    tree = grown()
    tree.push(*news(), None, 5.0, lambda peer: peer == A)
    assert list(tree.pop_pushes(5.0)) == [A]
    assert tree.tick(6.0) == [], "nor is it announced to others"


def test_what_was_announced_and_did_not_come_is_grafted() -> None:
    tree = grown()
    tree.announced(C, [news()[1]], 1.0)
    tree.announced(A, [news()[1]], 1.1)
    assert tree.next_deadline() == Deadline(1.0 + GRAFT_AFTER_S, "graft")
    assert tree.tick(1.0 + GRAFT_AFTER_S) == [Send(C, Graft((news()[1],)))]
    assert tree.stale(C) == [Send(C, Prune())], "it is eager now"


def test_what_came_meanwhile_is_not_grafted() -> None:
    tree = grown()
    tree.announced(C, [news()[1]], 1.0)
    tree.push(*news(), A, 1.1)
    assert [e for e in tree.tick(2.0) if isinstance(e, Send) and isinstance(e.message, Graft)] == []


def test_a_newer_announcement_takes_the_place_of_an_older() -> None:
    tree = grown()
    tree.announced(C, [news(1)[1]], 1.0)
    tree.announced(A, [news(2)[1]], 1.2)
    assert tree.tick(1.0 + GRAFT_AFTER_S) == []
    assert tree.tick(1.2 + GRAFT_AFTER_S) == [Send(A, Graft((news(2)[1],)))]


def test_who_left_is_told_nothing_and_comes_back_eager() -> None:
    tree = grown()
    tree.push(*news(), None, 0.0)
    tree.neighbour_down(C)
    assert tree.tick(1.0) == []
    tree.neighbour_up(C)
    tree.check()
    assert tree.neighbours == [A, B, C]
