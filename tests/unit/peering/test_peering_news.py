"""Lines for the people of every host: taken, spread, told once, bounded."""

import pytest

from protocol.node.events import NewsGiven
from protocol.peering.news import KIND, MAX_TEXT_CHARACTERS, problem
from protocol.sim.world import World
from protocol.terms.limits import NEWS_SLOTS


def told(world: World) -> list[int]:
    return [peer.notes["news"] for peer in world.peers]


def test_everybody_is_told_once() -> None:
    world = World(5, 5, 2)
    world.start_all()
    world.run(5.0)
    world.peers[3].feed(NewsGiven("uc is down at 18:00"))
    assert world.run_until(lambda: told(world) == [1] * 5, 5.0)
    world.run(20.0)
    assert told(world) == [1] * 5


def test_only_the_last_few_are_kept() -> None:
    world = World(6, 2, 1)
    world.start_all()
    world.run(5.0)
    for number in range(NEWS_SLOTS + 10):
        world.peers[0].feed(NewsGiven(f"line {number}"))
        # More than are kept, told at once, would leave in one frame, and only the last ones.
        world.run(0.01)
    node = world.peers[1].node
    assert node is not None
    world.run(10.0)
    assert len(node.broadcast.directory.of_kind(KIND)) == NEWS_SLOTS
    assert told(world)[1] == NEWS_SLOTS + 10


def test_what_an_earlier_life_told_is_taken_back_and_not_told_again() -> None:
    world = World(7, 3, 1)
    world.start_all()
    world.run(5.0)
    world.peers[1].feed(NewsGiven("hello"))
    world.run(5.0)
    world.peers[1].crash()
    world.run(2.0)
    world.peers[1].start()
    world.run(30.0)
    assert [told(world)[0], told(world)[2]] == [1, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing to tell"),
        ("  ", "nothing to tell"),
        ("two\nlines", "cannot be printed"),
        ("x" * (MAX_TEXT_CHARACTERS + 1), "at most 1024"),
    ],
)
def test_a_line_is_a_line(text: str, said: str) -> None:
    assert said in problem(text)


def test_a_line_that_is_none_is_not_sent() -> None:
    world = World(8, 2, 1)
    world.start_all()
    world.run(5.0)
    world.peers[0].feed(NewsGiven("a\x07bell"))
    world.run(5.0)
    assert told(world) == [0, 0]
