"""Choices against the optimum: HiGHS solves small instances whole, and no choice is 5 % worse."""

from statistics import median

import pytest
from benches.placement import Gap, against_oracle

WORST = 0.05
"""A share of the objective (quality.py): the number placed, then the degree to which preferences are met."""


@pytest.fixture(scope="module")
def gaps() -> list[Gap]:
    """A fixed set: ten kinds of rules, five instances of each, at most eight hosts."""
    return against_oracle(50, seed=5, most_hosts=8)


def test_no_choice_is_five_per_cent_worse_than_the_best(gaps: list[Gap]) -> None:
    assert len(gaps) >= 35, "most instances can be placed at all"
    assert [gap for gap in gaps if gap.value > WORST] == []


def test_most_choices_are_the_best(gaps: list[Gap]) -> None:
    assert median(gap.value for gap in gaps) < 1e-6
    assert sum(gap.value < 1e-6 for gap in gaps) >= 0.7 * len(gaps)
