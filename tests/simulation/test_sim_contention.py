"""Many ask for the same hosts at once. Requests are placed soon, and crashes leave nothing behind."""

import msgspec

from protocol.sim.experiments.contention import Load, contend

_SMALL = Load(hosts=24, load=0.8, life_s=10.0, seconds=12.0)


def test_at_80_percent_everybody_is_placed_soon() -> None:
    found = contend(3, _SMALL)
    assert len(found.survivors) > 15
    assert found.success == 1.0
    assert found.part_s(99) < 1.0
    assert found.leaked == 0


def test_requesters_that_die_while_holding_cost_little_and_leak_nothing() -> None:
    load = Load(hosts=24, load=0.8, life_s=30.0, seconds=20.0, crashes=0.15)
    found = contend(5, load)
    assert any(one.crashed for one in found.asked)
    assert found.success == 1.0
    assert found.leaked == 0
    assert 0 < found.orphaned < 0.2


def test_the_same_seed_is_the_same_run() -> None:
    small = Load(hosts=8, load=0.8, life_s=5.0, seconds=3.0)
    first, again, other = contend(1, small), contend(1, small), contend(2, small)
    assert first.took_s() == again.took_s()
    assert first.messages == again.messages != other.messages


_OVERLOADED = Load(
    hosts=40, slots=4, load=1.3, least=4, most=4, life_s=8.0, per_s=6.5, seconds=27.0,
    large=40, large_every_s=20.0,
)  # fmt: skip


def test_a_large_gang_gets_its_turn_among_small_ones_that_come_all_the_time() -> None:
    found = contend(1, _OVERLOADED)
    assert len(found.large) == 1
    assert found.had_turn == 1.0
    assert any("asked to keep room" in line.text for line in found.large[0].story)
    assert found.leaked == 0


def test_without_claims_it_would_wait_until_nobody_comes_any_more() -> None:
    found = contend(1, msgspec.structs.replace(_OVERLOADED, claims=False))
    assert found.had_turn == 0.0
    assert found.large[0].committed_s > found.ended_s
