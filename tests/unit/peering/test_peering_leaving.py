"""A host that is to be stopped for good: on its disk, and in what it says."""

import pytest

from protocol.peering.leaving import KEY, TABLE, is_leaving, row


@pytest.mark.parametrize("leaving", [True, False])
def test_it_is_as_it_was_said_last_also_after_a_restart(leaving: bool) -> None:
    said = row(leaving)
    rows = {said.table: {said.key: said.value} if said.value is not None else {}}
    assert is_leaving(rows) is leaving


def test_a_new_store_or_one_of_a_build_before_says_nothing() -> None:
    assert not is_leaving({})
    assert not is_leaving({TABLE: {"store": b"1"}})
    assert (row(True).table, row(True).key) == (TABLE, KEY)
