"""What came of joining: what is remembered, what is told and how often, and what a person reads."""

import pytest

from protocol.membership.messages import Contact
from protocol.peering.joining import Joining, State
from protocol.terms.effects import Note
from protocol.terms.ids import PeerId
from protocol.terms.limits import JOIN_NAG_S, JOIN_TOLD_EVERY_S, TRIED_OTHERS
from protocol.terms.problem import Trouble

FIRST, SECOND = PeerId("a" * 64), PeerId("b" * 64)
JOINS = (Contact(FIRST, "", "10.0.0.1:7946"), Contact(SECOND, "", "10.0.0.2:7946"))


class World:
    """A Joining, and who is connected."""

    def __init__(self, joins: tuple[Contact, ...] = JOINS) -> None:
        self.connected: list[PeerId] = []
        self.joining = Joining(
            joins,
            lambda peer: peer in self.connected,
            lambda: len(self.connected),
            lambda peer: f"h-{peer[:1]}",
        )

    def failed(self, why: Trouble, now: float, peer: PeerId = FIRST) -> list[str]:
        effects = self.joining.failed(peer, f"10.0.0.{1 + (peer != FIRST)}:7946", why, now)
        return [f"{e.kind} {e.subject}: {e.detail}" for e in effects if isinstance(e, Note)]


@pytest.mark.parametrize(
    ("address", "why", "said"),
    [
        ("uc-1.example.org:1", Trouble.NO_NAME, "there is no name uc-1.example.org; uc-1.example.org in DNS"),
        ("uc-1.example.org:1", Trouble.NO_DNS, "nobody answered what uc-1.example.org stands for;"),
        ("uc-1.example.org:1", Trouble.NAME_ASTRAY, "uc-1.example.org stands for no address"),
        ("[2001:db8::7]:1", Trouble.NO_ROUTE, "the network does not lead there by IPv6"),
        ("192.0.2.7:1", Trouble.NO_ROUTE, "the network does not lead there, or"),
    ],
)  # fmt: skip
def test_a_name_that_leads_nowhere_and_a_way_that_is_not_there_are_named(
    address: str, why: Trouble, said: str
) -> None:
    (note,) = World().joining.failed(FIRST, address, why, 0.0)
    assert isinstance(note, Note)
    assert note.detail.startswith(said)


def test_a_peer_that_reached_nobody_says_what_it_tried_what_came_back_and_what_would_help() -> None:
    world = World()
    assert world.joining.state() is State.JOINING
    (none_yet,) = world.joining.problems(0.0)
    assert "nothing has come back so far" in none_yet.what
    (told,) = world.failed(Trouble.REFUSED, 1.0)
    assert told.startswith(
        "overlay.unreached 10.0.0.1:7946: nobody listens there (connection refused); overlayd running"
    )
    world.failed(Trouble.OTHER_KEY, 2.0, SECOND)
    what, first, second = world.joining.problems(3.0)
    assert what.kind == first.kind == second.kind == "overlay"
    assert what.what.startswith("nobody was reached yet")
    assert first.what == "10.0.0.1:7946: nobody listens there (connection refused)"
    assert second.what.startswith("10.0.0.2:7946: somebody answers there, but with another key")
    assert "KEY in `join`" in second.would_work
    assert [(row.times, row.age_s) for row in world.joining.tried(3.0)] == [(1, 2.0), (1, 1.0)]


def test_the_log_hears_of_a_change_and_now_and_then_but_not_of_each_try() -> None:
    world = World()
    assert len(world.failed(Trouble.REFUSED, 0.0)) == 1
    assert [world.failed(Trouble.REFUSED, 2.0 * i) for i in range(1, 500)] == [[]] * 499
    assert len(world.failed(Trouble.NO_ANSWER, 1000.0)) == 1
    for flap in range(100):
        now = 1000.0 + flap * JOIN_TOLD_EVERY_S / 100
        why = (Trouble.REFUSED, Trouble.NO_ANSWER)[flap % 2]
        assert not world.failed(why, now), "one that changes all the time is told seldom, too"
    now = 1000.0 + JOIN_NAG_S
    assert len(world.failed(Trouble.NO_ANSWER, now)) == 1


def test_who_was_told_that_it_failed_is_told_that_it_works_and_a_lost_overlay_is_named() -> None:
    world = World()
    assert world.joining.reached(FIRST, 0.0) == [], "what works at once is no news"
    world.failed(Trouble.REFUSED, 1.0)
    assert world.joining.state() is State.LOST
    assert "cut off" in world.joining.problems(1.0)[0].what
    world.connected.append(FIRST)
    (note,) = world.joining.reached(FIRST, 2.0)
    assert note == Note("overlay.reached", "10.0.0.1:7946", "h-a")
    assert world.joining.state() is State.JOINED
    assert not world.joining.problems(3.0)
    assert world.joining.tried(3.0)[0].said == ""


def test_a_first_host_that_is_to_join_nobody_is_well_alone() -> None:
    world = World(())
    assert world.joining.state() is State.ALONE
    assert not world.joining.problems(0.0)


def test_others_than_join_names_are_remembered_while_nobody_is_there_and_only_a_few() -> None:
    world = World(())
    others = [PeerId(f"{i:064x}") for i in range(3 * TRIED_OTHERS)]
    for other in others:
        world.joining.failed(other, "10.1.0.1:1", Trouble.NO_ANSWER, 0.0)
    assert [row.peer for row in world.joining.tried(0.0)] == others[-TRIED_OTHERS:]
    world.connected.append(others[-1])
    world.joining.reached(others[-1], 1.0)
    assert world.joining.failed(others[0], "10.1.0.1:1", Trouble.NO_ANSWER, 2.0) == []
    assert len(world.joining.tried(2.0)) == TRIED_OTHERS - 1


@pytest.mark.parametrize("why", list(Trouble))
def test_every_trouble_has_words_and_something_that_would_help(why: Trouble) -> None:
    world = World()
    world.failed(why, 0.0)
    (_, problem) = world.joining.problems(0.0)
    assert problem.would_work
    assert problem.what.isprintable()
