"""`down` where too few stewards answer goes to the hosts, and the person is told where it is stopped."""

import pytest
from deciding import committing
from msgspec import structs
from negotiating import ADMIN, AUTHORITY, NAMES, NOW, A, B, C, notice, record_of, said, shop

from protocol.contract.messages import ActReply
from protocol.contract.notices import Notice
from protocol.contract.outcomes import Outcome
from protocol.membership.liveness import Health
from protocol.requesting.changing import Changing
from protocol.requesting.request import RequestState
from protocol.requesting.silence import Silence
from protocol.terms.effects import Effect
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import ACT_WITHIN_S, SILENT_WITHIN_S
from protocol.trust.order import Action

REQUEST = RequestId("r")
RECORD = record_of(ADMIN.up(shop(2), NOW), {"web-1": A, "web-2": B})
NOTICE = structs.replace(notice(RECORD, ()), decision=b"d" * 32)
OLDER = structs.replace(NOTICE, decision=b"")
"""An older build made it: its hosts have no decision to show."""
WHY = "1 of 3 stewards answered, 2 needed"
CANNOT = f"cannot down shop now: {WHY}"


class Hears:
    def __init__(self, *silent: PeerId) -> None:
        self.silent = silent

    def name(self, peer: PeerId) -> str:
        return NAMES[peer]

    def silence(self, peer: PeerId, now: float) -> Silence | None:
        return Silence(Health.DEAD, NOW - 125) if peer in self.silent else None


def changing(
    *silent: PeerId, action: Action = Action.DOWN, workspace: str = "", about: Notice = NOTICE
) -> Changing:
    signed = ADMIN.order(action, RECORD.id, NOW, workspace=workspace)
    checked = AUTHORITY.order(signed, NOW, True)
    made = Changing(REQUEST, checked, signed, about, Hears(*silent), NOW)
    outcomes: list[Outcome] = made.start(NOW)
    assert len(outcomes) == 1, "the stewards are asked in any case"
    return made


def replied(change: Changing, peer: PeerId, problem: str = "") -> None:
    change.replied(peer, ActReply(REQUEST, "", problem), NOW + 1)


def to(effects: list[Effect]) -> list[tuple[str, str]]:
    return said(effects)


def test_hosts_are_told_at_once_where_too_few_stewards_are_heard() -> None:
    change = changing(B, C)
    assert to(change.at_once(NOW)) == [("alpha", "Act"), ("beta", "Act")]
    replied(change, A)
    change.tick(NOW + SILENT_WITHIN_S)
    assert change.running, "the stewards may still answer"
    assert to(change.unsettled(WHY, NOW + 14)) == []
    assert change.view().state is RequestState.DONE
    assert change.view().answer == (
        "shop is stopped on alpha; its end waits for 2 of 3 stewards",
        "  steward beta was not heard for 2 min, steward gamma was not heard for 2 min",
        "  its volumes are kept until then; nothing more is to be done",
        "  host beta (web-2) was not heard for 2 min; it is cleared there when they are decided",
    )


def test_hosts_are_told_when_the_stewards_did_not_answer_though_they_are_heard() -> None:
    change = changing()
    assert change.at_once(NOW) == []
    assert to(change.unsettled(WHY, NOW)) == [("alpha", "Act"), ("beta", "Act")]
    replied(change, A)
    assert change.running
    replied(change, B)
    assert change.view().answer[0] == (
        "shop is stopped on alpha and beta; its end waits for 2 of 3 stewards"
    )


def test_a_grid_of_an_older_build_waits_for_no_stewards() -> None:
    """No stewards decide of it: each of its hosts ends its part by the order itself."""
    change = changing(about=OLDER)
    change.unsettled(WHY, NOW)
    replied(change, A)
    change.tick(NOW + ACT_WITHIN_S)
    assert change.view().answer == (
        "shop is stopped on alpha, which ends it by itself: an older build made it",
        "  host beta (web-2) does not answer; give the same order again when it is back",
    )


def test_where_no_host_takes_it_on_nothing_is_done() -> None:
    change = changing()
    change.unsettled(WHY, NOW)
    replied(change, A, "the order is older than the grid")
    due = change.next_deadline()
    assert due is not None
    change.tick(due.at_s)
    change.tick(NOW + ACT_WITHIN_S)
    assert change.view().state is RequestState.FAILED
    assert change.view().answer[:2] == (CANNOT, "  host alpha: the order is older than the grid")


def test_stewards_that_decide_after_all_are_what_counts() -> None:
    change = changing(B, C)
    change.at_once(NOW)
    change.settled(committing(RECORD)(None), NOW + 1)
    replied(change, A)
    assert change.running
    assert change.stage == "hosts clear up"


@pytest.mark.parametrize("silent", [(), (B, C)])
def test_one_workspace_is_only_taken_out_by_the_stewards(silent: tuple[PeerId, ...]) -> None:
    change = changing(*silent, action=Action.TERMINATE, workspace="web-1")
    assert change.at_once(NOW) == []
    assert change.unsettled(WHY, NOW) == []
    assert change.view().answer[0] == f"cannot terminate shop now: {WHY}"
