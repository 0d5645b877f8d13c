"""Rows are tried in a life that nobody hears of, and stay as they are."""

from random import Random

import pytest
from one_peer import NOW, identity

from protocol.node.trial import lives
from protocol.peering.announcer import begun_anew


@pytest.mark.parametrize("table", ["steward", "grid", "hold"])
def test_rows_that_make_no_sense_cannot_be_lived_with(table: str) -> None:
    rows = begun_anew(NOW, "0" * 16)
    assert lives(identity("h1"), rows, Random(1), NOW)
    bad = {**rows, table: {"a": b"no such thing"}}
    before = {each: dict(of) for each, of in bad.items()}
    assert not lives(identity("h1"), bad, Random(1), NOW)
    assert bad == before
