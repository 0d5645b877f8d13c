"""Each has an allowance of its own, and nobody can make us remember without end."""

from protocol.terms.allowance import Allowance


def test_a_burst_then_so_many_a_second_and_each_its_own() -> None:
    budget = Allowance(3.0, 2.0, 10)
    assert [budget.take("a", 100.0) for _ in range(5)] == [True, True, True, False, False]
    assert budget.take("b", 100.0)
    assert [budget.take("a", 101.0) for _ in range(3)] == [True, True, False]
    assert [budget.take("a", 1101.0) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_steps_back_gives_nothing() -> None:
    budget = Allowance(1.0, 1.0, 10)
    assert budget.take("a", 100.0)
    assert not budget.take("a", 90.0)


def test_what_is_remembered_is_bounded() -> None:
    budget = Allowance(1.0, 0.0, 10)
    assert budget.take("first", 0.0)
    assert not budget.take("first", 0.0)
    for n in range(10):
        budget.take(n, 0.0)
    assert len(budget) == 10
    assert budget.take("first", 0.0), "forgotten"
