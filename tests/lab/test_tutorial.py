"""Tutorials in examples/ are run as they stand."""

from pathlib import Path

import pytest
from federation.tutorial import copied, fits, steps

WITHIN_S = 60


@pytest.mark.timeout(WITHIN_S + 30)
def test_the_tutorial_of_a_federation_is_true(folder: Path) -> None:
    with copied("federation", folder) as (shell, todo):
        for step in todo:
            shell.follow(step)


def test_what_a_tutorial_says_is_compared() -> None:
    (one, other) = steps(
        "```console\n$ true\na ... c\n...\nz\n```\n```console refused\n$ false\n```\n"
    )
    assert (one.command, one.refused) == ("true", False)
    assert (other.command, other.said, other.refused) == ("false", "", True)
    assert fits(one.said, "a b c\nd\ne\nz\n")
    assert fits(one.said, "a b c\nz\n")
    assert not fits(one.said, "a b\nz\n")
    assert not fits(one.said, "a b c\nz\nmore\n")
    assert not fits(other.said, "something\n")
