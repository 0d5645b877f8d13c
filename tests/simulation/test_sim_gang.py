"""A request of a market, and dice that draw nothing."""

from random import Random

from protocol.requesting.request import StoryLine
from protocol.sim.experiments.gang import BestFit, GangRequest


def test_who_takes_the_very_best_draws_only_pauses() -> None:
    best = BestFit(Random(1))
    assert best.random() == 0.0
    assert best.choice("abc") == "a"
    assert best.sample("abc", 2) == ["a", "b"]
    assert best.uniform(1.0, 2.0) == Random(1).uniform(1.0, 2.0)
    assert BestFit(Random(2)).getrandbits(32) == Random(2).getrandbits(32)


def test_a_request_was_committed_at_once_if_it_took_one_round() -> None:
    once, again = (StoryLine(0.0, f"round {n}: asking 2 hosts to hold") for n in (1, 2))
    made = GangRequest("g", 2, 0.0, committed_s=1.0, story=(once,))
    assert made.at_once
    assert not GangRequest("g", 2, 0.0, story=(once,)).at_once
    assert not GangRequest("g", 2, 0.0, committed_s=1.0, story=(once, again)).at_once
