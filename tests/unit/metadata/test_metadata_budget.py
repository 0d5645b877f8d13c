"""Budgets: each guest has its own, and nobody can make us remember without end."""

from overlayd.metadata.budget import ROWS_MOST, Budget


def test_a_burst_then_so_many_a_second_and_each_its_own() -> None:
    now = [100.0]
    budget = Budget(3.0, 2.0, lambda: now[0])
    assert [budget.take("a") for _ in range(5)] == [True, True, True, False, False]
    assert budget.take("b")
    now[0] += 1.0
    assert [budget.take("a") for _ in range(3)] == [True, True, False]
    now[0] += 1000.0
    assert [budget.take("a") for _ in range(4)] == [True, True, True, False]


def test_what_is_remembered_is_bounded() -> None:
    budget = Budget(1.0, 0.0, lambda: 0.0)
    assert budget.take("first")
    assert not budget.take("first")
    for n in range(ROWS_MOST):
        budget.take(n)
    assert budget.take("first"), "forgotten"
