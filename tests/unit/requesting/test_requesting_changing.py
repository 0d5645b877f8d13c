"""down, terminate, pause and restart as conversations with stewards and hosts."""

from collections.abc import Callable

import pytest
from negotiating import ADMIN, AUTHORITY, NAMES, NOW, A, B, C, committed, record_of, said, shop

from protocol.contract.messages import ActReply, DecidedAck
from protocol.contract.notices import Notice, placement
from protocol.contract.outcomes import Propose
from protocol.grid.lifecycle import Phase, Status
from protocol.grid.record import GridRecord, GridState, grid_id, read_register
from protocol.requesting.acting import Acting
from protocol.requesting.changing import Changing
from protocol.requesting.request import RequestState
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import ACT_WITHIN_S, DECIDED_EVERY_S
from protocol.trust.order import Action, SignedOrder

ORDER = ADMIN.up(shop(2), NOW)
RECORD = record_of(ORDER, {"web-1": A, "web-2": B})
UP = committed(RECORD)
Alive = Callable[[PeerId], bool]


def notice(
    peer: PeerId,
    phase: Phase = Phase.REACHABLE,
    state: GridState = GridState.UP,
    epoch: int = 1,
    boot: int = 1,
    record: GridRecord = RECORD,
) -> Notice:
    return Notice(
        grid=record.id,
        name=record.name,
        owner=record.owner,
        owner_site=record.owner_site,
        epoch=epoch,
        state=state,
        stewards=record.stewards,
        placement=placement((a.workspace, a.host) for a in record.assignments),
        addresses=(),
        mine=tuple(Status(name, phase, boot=boot) for name in record.on(peer)),
        made_s=NOW,
        lease_s=60,
    )


def changing(
    action: Action = Action.DOWN,
    workspace: str = "",
    alive: Alive = lambda peer: True,
    *,
    undecided: bool = False,
) -> tuple[Changing, Propose]:
    signed = ADMIN.order(action, "shop", NOW, workspace=workspace)
    checked = AUTHORITY.order(signed, NOW, True)
    change = Changing(RequestId("r"), checked, signed, notice(A), alive, NOW, undecided)
    (proposal,) = change.start(NOW)
    assert isinstance(proposal, Propose)
    assert proposal.stewards == (A, B, C)
    return change, proposal


def test_down() -> None:
    change, proposal = changing()
    value = proposal.change(UP)
    record = read_register(value).record
    assert record is not None
    assert (record.state, record.epoch) == (GridState.DOWN, 2)
    assert said(change.settled(value, NOW)) == [("alpha", "Decided"), ("beta", "Decided")]
    change.acknowledged(A, DecidedAck(RECORD.id, 2))
    change.acknowledged(B, DecidedAck(RECORD.id, 1))
    assert said(change.tick(NOW + DECIDED_EVERY_S)) == [("beta", "Decided")], "1 is not 2"
    change.noticed(A, notice(A, Phase.GONE, GridState.DOWN, 2), NOW + 1)
    assert change.running
    change.noticed(B, notice(B, Phase.ENDING, GridState.DOWN, 2), NOW + 1)
    assert change.running
    change.noticed(B, notice(B, Phase.GONE, GridState.DOWN, 2), NOW + 2)
    assert change.view().answer == ("shop is gone",)


def test_down_while_a_host_is_away() -> None:
    change, proposal = changing(alive=lambda peer: peer != B)
    change.settled(proposal.change(UP), NOW)
    change.noticed(A, notice(A, Phase.GONE, GridState.DOWN, 2), NOW + 1)
    assert change.view().state is RequestState.DONE
    assert change.view().answer == (
        "shop is going; 1 host cannot be reached or is slow",
        "  what is left on it is cleared when it comes back",
    )


def test_terminate_one() -> None:
    change, proposal = changing(Action.TERMINATE, "web-2")
    change.settled(proposal.change(UP), NOW)
    change.noticed(A, notice(A, epoch=2), NOW + 1)
    change.noticed(B, notice(B, Phase.GONE, epoch=2), NOW + 1)
    assert change.view().answer == ("shop/web-2 is gone",)


def test_stewards_away() -> None:
    change, _ = changing()
    change.unsettled("1 of 3 stewards answered, 2 needed", NOW + 14)
    assert change.view().answer[0] == "cannot down shop now: 1 of 3 stewards answered, 2 needed"


def test_the_grid_went_meanwhile() -> None:
    change, _ = changing()
    other = committed(record_of(ADMIN.up(shop(1), NOW), {"web-1": C}))
    change.settled(other, NOW)
    assert change.view().answer == ("shop is not a grid any more",)


def test_stopped_before_the_stewards_decided() -> None:
    """Whichever comes first, the commit or this, the grid is not up afterwards."""
    change, proposal = changing(undecided=True)
    stopped = proposal.change(b"")
    assert read_register(stopped).is_void(grid_id(ORDER))
    assert committed(RECORD, stopped) == stopped, "the commit comes too late"
    assert change.settled(stopped, NOW) == []
    assert change.view().state is RequestState.DONE
    assert change.view().answer == (
        "shop was still being placed; that is stopped and nothing is left",
    )


def test_stopped_after_the_stewards_decided() -> None:
    change, proposal = changing(undecided=True)
    value = proposal.change(UP)
    record = read_register(value).record
    assert record is not None
    assert record.state is GridState.DOWN
    assert said(change.settled(value, NOW)) == [("alpha", "Decided"), ("beta", "Decided")]


def acting(action: Action, workspace: str = "") -> tuple[Acting, SignedOrder]:
    signed = ADMIN.order(action, "shop", NOW, workspace=workspace)
    checked = AUTHORITY.order(signed, NOW, True)
    boots = {"web-1": 1, "web-2": 1}
    return Acting(RequestId("r"), checked, signed, notice(A), boots, NOW), signed


def test_pause_all() -> None:
    request, _ = acting(Action.PAUSE)
    assert said(request.start(NOW)) == [("alpha", "Act"), ("beta", "Act")]
    request.noticed(A, notice(A, Phase.PAUSED), NOW)
    assert request.running, "who has not answered may speak of before"
    for peer in (A, B):
        request.replied(peer, ActReply(RequestId("r"), "", ""), NOW)
        request.noticed(peer, notice(peer, Phase.PAUSED), NOW)
    assert request.view().answer == ("shop: pause done",)


def test_restart_is_another_boot() -> None:
    request, _ = acting(Action.RESTART, "web-2")
    assert said(request.start(NOW)) == [("beta", "Act")]
    request.replied(B, ActReply(RequestId("r"), "web-2", ""), NOW)
    request.noticed(B, notice(B), NOW)
    assert request.running, "that is the start before"
    request.noticed(B, notice(B, boot=2), NOW)
    assert request.view().answer == ("shop/web-2: restart done",)


def test_a_host_says_no() -> None:
    request, _ = acting(Action.RESUME, "web-1")
    request.start(NOW)
    request.replied(A, ActReply(RequestId("r"), "web-1", "web-1 is wanted off"), NOW)
    assert request.view().answer == ("cannot resume shop: web-1 is wanted off",)


@pytest.mark.parametrize("answered", [0, 1])
def test_a_host_says_nothing(answered: int) -> None:
    request, _ = acting(Action.PAUSE)
    request.start(NOW)
    if answered:
        request.replied(A, ActReply(RequestId("r"), "", ""), NOW)
    deadline = request.next_deadline()
    assert deadline is not None
    assert deadline.at_s >= NOW + ACT_WITHIN_S
    request.tick(deadline.at_s)
    assert request.view().state is RequestState.FAILED
    left = 2 - answered
    hosts = "1 host does" if left == 1 else f"{left} hosts do"
    assert request.view().answer[0] == f"cannot pause shop now: {hosts} not answer"
    assert len(NAMES) == 3
