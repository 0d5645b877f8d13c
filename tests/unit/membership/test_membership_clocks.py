"""A clock that is off is found by the median of the neighbours, and only beyond the bound."""

import pytest

from protocol.membership.clocks import clock_fault, offset_of
from protocol.membership.links import Links
from protocol.membership.messages import Hello
from protocol.terms.ids import PeerId
from protocol.trust.record import SignedRecord

A = PeerId("a" * 64)


def test_the_middle_of_the_wait() -> None:
    assert offset_of(sent_s=100.0, at_s=130.1, now=100.2) == pytest.approx(30.0)
    assert offset_of(sent_s=100.0, at_s=100.1, now=100.2) == pytest.approx(0.0)


def test_the_median_decides() -> None:
    assert clock_fault([]) == ""
    assert clock_fault([0.2, -0.2, 0.9]) == ""
    assert clock_fault([3600.0, 0.1, -0.1]) == "", "one other is wrong, not we"
    assert clock_fault([-3600.0, -3600.1, 0.0]).startswith(
        "its clock is 1 h ahead of the median of 3 neighbours"
    )
    assert "30 s behind the median of 1 neighbour;" in clock_fault([30.0])


def test_samples_are_smoothed_and_jumps_believed() -> None:
    links = Links()
    links.up(A, Hello(SignedRecord(b"", b"")), 0.0)
    links.introduce(A, 0.0)
    assert links.offsets() == []
    links.compared(A, 5.0, 99.0)
    assert links.offsets() == [], "it was too long under way"
    links.compared(A, 0.1, 0.4)
    links.compared(A, 0.1, 0.0)
    assert links.offsets() == [pytest.approx(0.3)]
    links.compared(A, 0.1, -3600.0)
    assert links.offsets() == [-3600.0], "that clock was set"
