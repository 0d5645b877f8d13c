"""Two processes with one key, among others: each finds the other out, others name both, nobody else suffers."""

import pytest
from one_world import NAME, World

from protocol.peering.twin import Twin
from protocol.terms.limits import TWIN_ANSWERS_S, TWIN_LASTS_S, TWIN_SIGNS, TWINS_WATCHED

NOW = 1000.0


def test_a_process_that_answers_again_and_again_is_a_twin() -> None:
    twin = Twin("me")
    told = [twin.seen("other", "10.0.0.9:1", i, NOW) for i in range(10)]
    assert told.index(True) == TWIN_SIGNS - 1
    assert told.count(True) == 1
    assert (twin.lives(NOW), twin.address) == (True, "10.0.0.9:1")
    assert not twin.lives(NOW + TWIN_LASTS_S)


def test_an_earlier_life_on_a_disk_that_was_lost_is_none() -> None:
    twin = Twin("me")
    for _ in range(100):
        assert not twin.seen("before", "x", 7, NOW), "the same presence, from each neighbour"
        assert not twin.seen("before", "x", 8, NOW)
        assert not twin.seen("me", "x", 9, NOW)
        assert not twin.seen("", "x", 10, NOW)
    assert not twin.lives(NOW)


def test_many_processes_are_remembered_in_a_bounded_way() -> None:
    twin = Twin("me")
    assert not any(twin.seen(f"p{i}", "x", i, NOW) for i in range(1000))
    assert len(twin._newer) <= TWINS_WATCHED


def test_a_twin_is_answered_seldom_once_it_is_known() -> None:
    twin = Twin("me")
    twin.answered(NOW)
    assert twin.answers_s(NOW) == NOW, "an earlier life is answered at once"
    for i in range(TWIN_SIGNS):
        twin.seen("other", "x", i, NOW)
    assert twin.answers_s(NOW) == NOW + TWIN_ANSWERS_S
    assert twin.answers_s(NOW + 100) == NOW + 100


@pytest.fixture(scope="module")
def world() -> World:
    """Two processes of one key and three other peers, for three minutes."""
    made = World(others=3)
    made.run(180.0)
    return made


def test_each_of_the_two_and_all_others_name_both_with_what_would_help(world: World) -> None:
    for peer in (*world.twins, *world.others):
        problems = [p for p in peer.status().problems if p.kind == "key"]
        assert len(problems) >= 1, peer.name
        assert f"{NAME}-a:7000" in problems[0].what
        assert f"{NAME}-b:7000" in problems[0].what
        assert "host enrol" in problems[0].would_work
        assert [kind for kind, _ in peer.notes].count("peer.doubled") == 1, "told once"
    for twin in world.twins:
        said = [problem.what for problem in twin.status().problems]
        assert any(
            what.startswith("two processes use this host's key: this one at") for what in said
        )


def test_nobody_else_is_suspected(world: World) -> None:
    for peer in world.others:
        for other in world.others:
            if other is not peer:
                assert peer.health(other) == "alive"
        late = [note for at_s, note in peer.story if at_s > 60.0]
        names = {other.name for other in world.others}
        assert not [
            n for n in late if n.kind in ("peer.suspect", "peer.dead") and n.subject in names
        ]


def test_the_two_do_not_answer_each_other_as_fast_as_the_network_can(world: World) -> None:
    for twin in world.twins:
        assert twin.incarnation < 60, "in three minutes"
    assert world.said < 20_000, "messages in three minutes"


def test_when_one_ends_the_other_is_alone_and_well_again() -> None:
    world = World(others=2)
    world.run(60.0)
    world.end(world.twins[1])
    world.run(TWIN_LASTS_S + 60.0)
    for peer in (world.twins[0], *world.others):
        assert [p for p in peer.status().problems if p.kind == "key"] == []
    for peer in world.others:
        assert peer.health(world.twins[0]) == "alive"
