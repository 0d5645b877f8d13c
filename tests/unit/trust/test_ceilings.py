"""Ceilings are compared one by one; none is as much as there is."""

import pytest

from protocol.trust.ceilings import NO_CEILINGS, Ceilings


@pytest.mark.parametrize("field", Ceilings.__struct_fields__)
def test_what_is_higher_or_missing_is_beyond(field: str) -> None:
    ten, eleven = Ceilings(**{field: 10}), Ceilings(**{field: 11})
    assert eleven.beyond(ten) == NO_CEILINGS.beyond(ten) == (field,)
    assert ten.beyond(ten) == ten.beyond(eleven) == ten.beyond(NO_CEILINGS) == ()


def test_only_limits_are_said() -> None:
    assert list(Ceilings(memory_bytes=0, workspaces=3).limits()) == [
        ("memory_bytes", 0),
        ("workspaces", 3),
    ]
    assert list(NO_CEILINGS.limits()) == []
