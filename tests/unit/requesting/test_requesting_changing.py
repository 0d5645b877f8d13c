"""down, terminate, pause and restart as conversations with stewards and hosts."""

import msgspec
import pytest
from deciding import committing, proposed
from negotiating import ADMIN, AUTHORITY, NAMES, NOW, A, B, C, committed, record_of, said, shop

from protocol.contract.messages import ActReply, DecidedAck
from protocol.contract.notices import Notice, placement
from protocol.contract.outcomes import Propose
from protocol.grid.lifecycle import Phase, Status
from protocol.grid.limits import STOP_WITHIN_S_MAX
from protocol.grid.record import GridRecord, GridState, grid_id
from protocol.membership.liveness import Health
from protocol.requesting.acting import Acting
from protocol.requesting.changing import Changing
from protocol.requesting.request import RequestState
from protocol.requesting.silence import Silence
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import ACT_WITHIN_S, DECIDED_EVERY_S, SILENT_WITHIN_S
from protocol.trust.order import Action, SignedOrder

ORDER = ADMIN.up(shop(2), NOW)
RECORD = record_of(ORDER, {"web-1": A, "web-2": B})
UP = committed(RECORD)
AGO_S = 125.0


class Hears:
    """Who is heard: all hosts but the `silent`, which fell silent two minutes ago."""

    def __init__(self, *silent: PeerId) -> None:
        self.silent = silent

    def name(self, peer: PeerId) -> str:
        return NAMES[peer]

    def silence(self, peer: PeerId, now: float) -> Silence | None:
        return Silence(Health.DEAD, NOW - AGO_S) if peer in self.silent else None


def notice(
    peer: PeerId,
    phase: Phase = Phase.READY,
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
    hears: Hears | None = None,
    *,
    undecided: SignedOrder | None = None,
) -> tuple[Changing, Propose]:
    signed = ADMIN.order(action, RECORD.id, NOW, workspace=workspace)
    checked = AUTHORITY.order(signed, NOW, True)
    hearing = hears or Hears()
    change = Changing(RequestId("r"), checked, signed, notice(A), hearing, NOW, undecided)
    (proposal,) = change.start(NOW)
    assert isinstance(proposal, Propose)
    assert proposal.stewards == (A, B, C)
    return change, proposal


def test_down() -> None:
    change, proposal = changing()
    value = proposed(proposal, UP)
    record = value.register.record
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


def test_down_says_which_guests_shut_down_and_waits_for_them() -> None:
    change, proposal = changing()
    change.settled(proposed(proposal, UP), NOW)
    change.noticed(A, notice(A, Phase.GONE, GridState.DOWN, 2), NOW + 1)
    asked = notice(B, Phase.ENDING, GridState.DOWN, 2)
    mine = tuple(
        msgspec.structs.replace(s, detail="asked to shut down", within_s=600) for s in asked.mine
    )
    for _ in range(2):
        change.noticed(B, msgspec.structs.replace(asked, mine=mine), NOW + 1)
    lines = [line.text for line in change.view().story]
    assert lines.count("web-2: asked to shut down") == 1
    change.tick(NOW + 1 + STOP_WITHIN_S_MAX)
    assert change.running, "as long as a guest may take"
    change.noticed(B, notice(B, Phase.GONE, GridState.DOWN, 2), NOW + 2 + STOP_WITHIN_S_MAX)
    assert change.view().answer == ("shop is gone",)


def test_a_restart_waits_for_a_guest_that_shuts_down() -> None:
    signed = ADMIN.order(Action.RESTART, RECORD.id, NOW, workspace="web-1")
    checked = AUTHORITY.order(signed, NOW, True)
    act = Acting(RequestId("r"), checked, signed, notice(A), {"web-1": 1}, Hears(), NOW)
    act.start(NOW)
    act.replied(A, ActReply(RequestId("r"), "web-1", ""), NOW)
    asked = notice(A, Phase.ENDING, boot=2)
    mine = tuple(
        msgspec.structs.replace(s, detail="asked to shut down", within_s=600) for s in asked.mine
    )
    act.noticed(A, msgspec.structs.replace(asked, mine=mine), NOW + 1)
    assert "web-1: asked to shut down" in [line.text for line in act.view().story]
    act.tick(NOW + STOP_WITHIN_S_MAX)
    assert act.running
    act.noticed(A, notice(A, Phase.READY, boot=2), NOW + STOP_WITHIN_S_MAX)
    assert act.view().answer == ("shop/web-1: restart done",)


def test_a_whole_grid_is_paused_though_one_of_it_is_off() -> None:
    signed = ADMIN.order(Action.PAUSE, RECORD.id, NOW)
    checked = AUTHORITY.order(signed, NOW, True)
    act = Acting(RequestId("r"), checked, signed, notice(A), {}, Hears(), NOW)
    act.start(NOW)
    for peer, phase in ((A, Phase.PAUSED), (B, Phase.OFF)):
        act.replied(peer, ActReply(RequestId("r"), "", ""), NOW)
        act.noticed(peer, notice(peer, phase), NOW + 1)
    assert act.view().state is RequestState.DONE


def test_down_while_a_host_is_away() -> None:
    change, proposal = changing(hears=Hears(B))
    change.settled(proposed(proposal, UP), NOW)
    change.noticed(A, notice(A, Phase.GONE, GridState.DOWN, 2), NOW + 1)
    assert change.view().state is RequestState.DONE
    assert change.view().answer == (
        "shop is going; host beta (web-2) was not heard for 2 min",
        "  what is left on it is cleared when it is back",
    )


def test_terminate_one() -> None:
    change, proposal = changing(Action.TERMINATE, "web-2")
    change.settled(proposed(proposal, UP), NOW)
    change.noticed(A, notice(A, epoch=2), NOW + 1)
    change.noticed(B, notice(B, Phase.GONE, epoch=2), NOW + 1)
    assert change.view().answer == ("shop/web-2 is gone",)


def test_terminate_of_a_workspace_on_a_host_that_is_not_heard() -> None:
    """The stewards decide it; the host clears up when it is back."""
    change, proposal = changing(Action.TERMINATE, "web-2", Hears(B))
    change.settled(proposed(proposal, UP), NOW)
    change.acknowledged(A, DecidedAck(RECORD.id, 2))
    assert said(change.tick(NOW + DECIDED_EVERY_S)) == []
    assert change.view().state is RequestState.DONE
    assert change.view().answer == (
        "shop/web-2 is going; host beta (web-2) was not heard for 2 min",
        "  what is left on it is cleared when it is back",
    )


def test_stewards_away() -> None:
    change, _ = changing(hears=Hears(B, C))
    change.unsettled("1 of 3 stewards answered, 2 needed", NOW)
    change.tick(NOW + SILENT_WITHIN_S)
    change.tick(NOW + ACT_WITHIN_S)
    assert change.view().answer == (
        "cannot down shop now: 1 of 3 stewards answered, 2 needed",
        "  steward beta was not heard for 2 min, steward gamma was not heard for 2 min",
        "  would work: the same again when one of beta and gamma is back",
    )


def test_stewards_that_are_heard_and_did_not_answer() -> None:
    change, _ = changing()
    change.unsettled("1 of 3 stewards answered, 2 needed", NOW)
    change.tick(NOW + SILENT_WITHIN_S)
    change.tick(NOW + ACT_WITHIN_S)
    assert change.view().answer[1:] == (
        "  would work: the same again in a moment; all its stewards are heard",
    )


def test_the_grid_went_meanwhile() -> None:
    change, _ = changing()
    other = committed(record_of(ADMIN.up(shop(1), NOW), {"web-1": C}))
    change.settled(other, NOW)
    assert change.view().answer == ("shop is not a grid any more",)


def test_stopped_before_the_stewards_decided() -> None:
    """Whichever comes first, the commit or this, the grid is not up afterwards."""
    change, proposal = changing(undecided=ORDER)
    stopped = proposed(proposal)
    assert stopped.register.is_void(grid_id(ORDER))
    late = committing(RECORD)(stopped)
    assert late.register == stopped.register, "the commit comes too late"
    assert change.settled(stopped, NOW) == []
    assert change.view().state is RequestState.DONE
    assert change.view().answer == (
        "shop was still being placed; that is stopped and nothing is left",
    )


def test_stopped_after_the_stewards_decided() -> None:
    change, proposal = changing(undecided=ORDER)
    value = proposed(proposal, UP)
    record = value.register.record
    assert record is not None
    assert record.state is GridState.DOWN
    assert said(change.settled(value, NOW)) == [("alpha", "Decided"), ("beta", "Decided")]


def acting(
    action: Action, workspace: str = "", hears: Hears | None = None
) -> tuple[Acting, SignedOrder]:
    signed = ADMIN.order(action, RECORD.id, NOW, workspace=workspace)
    checked = AUTHORITY.order(signed, NOW, True)
    boots = {"web-1": 1, "web-2": 1}
    hearing = hears or Hears()
    return Acting(RequestId("r"), checked, signed, notice(A), boots, hearing, NOW), signed


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


def test_a_host_says_no_with_what_would_work() -> None:
    request, _ = acting(Action.RESTART, "web-1")
    request.start(NOW)
    why = "its lease is over\n  would work: `overlayctl lease extend shop 1h`\n\n\n\nand so on"
    request.replied(A, ActReply(RequestId("r"), "web-1", why), NOW)
    assert request.view().answer == (
        "cannot restart shop: its lease is over",
        "  would work: `overlayctl lease extend shop 1h`",
        "",
    )


@pytest.mark.parametrize("phase", [Phase.EXPIRED, Phase.SUSPENDED])
def test_a_lease_that_ends_meanwhile_ends_the_wait(phase: Phase) -> None:
    request, _ = acting(Action.RESTART, "web-2")
    request.start(NOW)
    request.replied(B, ActReply(RequestId("r"), "web-2", ""), NOW)
    told = msgspec.structs.replace(notice(B, phase), ends_s=NOW + 60)
    request.noticed(B, told, NOW + 59)
    assert request.running, "it may be from before the lease was extended"
    request.noticed(B, told, NOW + 60)
    assert request.view().answer == (
        "cannot restart shop: its lease ended meanwhile",
        "  would work: `overlayctl lease extend shop 1h`",
    )


@pytest.mark.parametrize("answered", [0, 1])
def test_a_host_says_nothing(answered: int) -> None:
    request, _ = acting(Action.PAUSE)
    request.start(NOW)
    if answered:
        request.replied(A, ActReply(RequestId("r"), "", ""), NOW)
    request.tick(NOW + SILENT_WITHIN_S)
    assert request.running, "a host that is heard has longer"
    deadline = request.next_deadline()
    assert deadline is not None
    assert deadline.at_s == NOW + ACT_WITHIN_S
    request.tick(deadline.at_s)
    assert request.view().state is RequestState.FAILED
    hosts = ["host beta (web-2) does not answer"]
    if not answered:
        hosts.insert(0, "host alpha (web-1) does not answer")
    rest = "; the other hosts took it on" if answered else ""
    assert request.view().answer == (
        f"cannot pause shop now: {', '.join(hosts)}{rest}",
        "  would work: the same again; `overlayctl peers` shows when a host was heard last",
    )


@pytest.mark.parametrize("action", [Action.PAUSE, Action.RESUME, Action.SUSPEND, Action.RESTART])
def test_a_host_that_is_not_heard_is_named_with_what_would_work(action: Action) -> None:
    request, _ = acting(action, hears=Hears(B))
    request.start(NOW)
    request.replied(A, ActReply(RequestId("r"), "", ""), NOW)
    request.tick(NOW + SILENT_WITHIN_S)
    assert request.view().answer == (
        f"cannot {action} shop now: host beta (web-2) was not heard for 2 min; "
        "the other hosts took it on",
        "  would work: `overlayctl terminate shop/web-2` takes it out of the grid, then "
        f"{action} again; or wait until its host is back",
    )


def test_a_host_that_falls_silent_after_it_took_an_order_on() -> None:
    hears = Hears()
    request, _ = acting(Action.RESTART, "web-2", hears)
    request.start(NOW)
    request.replied(B, ActReply(RequestId("r"), "web-2", ""), NOW)
    hears.silent = (B,)
    deadline = request.next_deadline()
    assert deadline is not None
    request.tick(deadline.at_s)
    first, who, would = request.view().answer
    assert first == "web-2: restart was taken on but has not happened yet"
    assert who == "  host beta (web-2) was not heard for 4 min"
    assert would.startswith("  would work: `overlayctl terminate shop/web-2` takes it out")
