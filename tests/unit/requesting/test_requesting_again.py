"""A requester that was just started hears of others first, and looks for what an earlier life may have made."""

from random import Random

import pytest
from negotiating import (
    ADMIN,
    AUTHORITY,
    NAMES,
    NOW,
    REQUEST,
    RIVAL,
    A,
    Around,
    B,
    C,
    committed,
    record_of,
    said,
    shop,
)

from protocol.contract.outcomes import Propose
from protocol.requesting.placing import Placing
from protocol.requesting.request import RequestState
from protocol.requesting.steps import Look, Reason

ORDER = ADMIN.up(shop(), NOW - 10)
ASKED = [(name, "QuoteAsk") for name in NAMES.values()]
LINES = ("cannot make shop: there is no quote quote-1", "  would work: another")


def request(blind_s: float = 0.0) -> Placing:
    """A request at a peer that is blind for so long."""
    world = Around(blind_until_s=NOW + blind_s)
    deployment = AUTHORITY.deployment(ORDER, NOW, fresh=True)
    return Placing(REQUEST, deployment, ORDER, world, Random(3), NOW)


def looked(asked: Placing, lines: tuple[str, ...] = ()) -> None:
    """Checks that it reads the register before it asks any host."""
    reason = Reason.CANNOT_BEGIN if lines else Reason.GIVEN_BEFORE
    effects, (proposal,) = asked.begin(NOW, Look(reason, lines))
    assert (effects, asked.view().stage) == ([], "looking")
    assert isinstance(proposal, Propose)
    assert proposal.step is None
    assert proposal.stewards == (A, B, C)


def test_it_hears_of_others_first() -> None:
    asked = request(blind_s=1.0)
    assert asked.begin(NOW) == ([], [])
    now = NOW
    while asked.view().stage == "hearing":
        deadline = asked.next_deadline()
        assert deadline is not None
        now = deadline.at_s
        effects, _ = asked.tick(now)
    assert NOW + 1.0 <= now < NOW + 1.1
    assert said(effects) == ASKED


def test_cancelled_while_it_hears() -> None:
    asked = request(blind_s=1.0)
    asked.begin(NOW)
    assert asked.cancel(NOW) == []
    assert asked.view().state is RequestState.CANCELLED
    assert asked.tick(NOW + 2) == ([], [])


def test_what_the_stewards_do_not_have_is_begun() -> None:
    asked = request()
    looked(asked)
    effects, _ = asked.settled(None, NOW + 1)
    assert said(effects) == ASKED


def test_another_grid_of_that_name_is_up() -> None:
    asked = request()
    looked(asked)
    other = record_of(RIVAL.up(shop(3), NOW), {"web-1": A, "web-2": B, "web-3": C})
    effects, _ = asked.settled(committed(other), NOW + 1)
    assert effects == []
    assert asked.view().answer[1] == "  clusters.web.count: 2 in the file, 3 up"
    assert [difference.path for difference in asked.view().differs] == ["clusters.web.count"]


def test_stewards_that_do_not_answer_keep_nobody_waiting() -> None:
    asked = request()
    looked(asked)
    effects, _ = asked.unsettled("0 of 3 answered", NOW + 5)
    assert said(effects) == ASKED


def test_what_an_earlier_life_made_is_followed() -> None:
    asked = request()
    looked(asked, LINES)
    record = record_of(ORDER, {"web-1": A, "web-2": B})
    effects, _ = asked.settled(committed(record), NOW + 1)
    assert said(effects) == [("alpha", "Decided"), ("beta", "Decided")]
    assert asked.record == record
    shown = [
        (row.workspace, row.host, row.site, row.memory_bytes) for row in asked.view().placement
    ]
    memory_bytes = asked.deployment.workspaces[0].memory_bytes
    assert shown == [
        ("web-1", "alpha", "s1", memory_bytes),
        ("web-2", "beta", "s2", memory_bytes),
    ]


@pytest.mark.parametrize("answered", [False, True])
def test_what_cannot_be_begun_is_said(answered: bool) -> None:
    asked = request()
    looked(asked, LINES)
    effects, _ = asked.settled(None, NOW + 1) if answered else asked.unsettled("none", NOW + 1)
    assert effects == []
    assert asked.view().answer == LINES
