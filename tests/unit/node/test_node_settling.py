"""What came of a change of a register goes to the side whose purpose it was."""

from typing import Any

import pytest

from protocol.contract.outcomes import AuditLease, ConfirmGrid, NoticeDue
from protocol.node.settling import settled
from protocol.register.asking import Settled, Unsettled
from protocol.terms.ids import GridId

NOW = 1000.0


class Side:
    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def settled(self, *heard: Any) -> tuple[list[Any], list[Any]]:
        self.heard.append(("settled", *heard))
        return [], [NoticeDue(GridId("g"))]

    def unsettled(self, *heard: Any) -> tuple[list[Any], list[Any]]:
        self.heard.append(("unsettled", *heard))
        return [], []


HOSTS, PEOPLES = AuditLease(GridId("g")), ConfirmGrid(GridId("g"), 1)


@pytest.mark.parametrize(
    ("outcome", "host", "requester"),
    [
        (Settled(HOSTS, None), [("settled", HOSTS, None, NOW)], []),
        (Unsettled(HOSTS, "silence"), [("unsettled", HOSTS, NOW)], []),
        (Settled(PEOPLES, None), [], [("settled", PEOPLES, None, NOW)]),
        (Unsettled(PEOPLES, "silence"), [], [("unsettled", PEOPLES, "silence", NOW)]),
    ],
)
def test_one_side_hears_of_it_and_only_that(outcome: Any, host: Any, requester: Any) -> None:
    its, theirs = Side(), Side()
    answer = settled(its, theirs, outcome, NOW)  # type: ignore[arg-type]  # stand-ins
    assert (its.heard, theirs.heard) == (host, requester)
    assert bool(answer[1]) is isinstance(outcome, Settled)
