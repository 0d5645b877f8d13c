"""From the commit to the answer: which hosts have the contract, what is up, and when the person is told."""

import msgspec
import negotiating
import pytest
from deciding import decided
from negotiating import ADMIN, NOW, REQUEST, A, Around, B, C, record_of, said, shop

from protocol.contract.messages import DecidedAck
from protocol.contract.notices import Notice
from protocol.grid.lifecycle import Phase, Status
from protocol.grid.record import GridRecord, GridState
from protocol.membership.liveness import Health
from protocol.requesting.building import Building
from protocol.requesting.request import RequestState
from protocol.requesting.silence import Silence
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import (
    AUDIT_EVERY_S,
    BUILD_S,
    DECIDED_EVERY_S,
    READY_HEARD_S,
    READY_LATE_S,
)

ORDER = ADMIN.up(shop(2), NOW)
RECORD = record_of(ORDER, {"web-1": A, "web-2": B})
LATER = msgspec.structs.replace(RECORD, start_s=NOW + 3600)


class Told:
    """A grid that was just decided, and its request's story."""

    def __init__(self, record: GridRecord = RECORD, asked: int = 2) -> None:
        self.story: list[str] = []
        self.around = Around()
        self.building = Building(
            REQUEST, decided(record), record, shop(2), asked, self._tell, self.around, NOW
        )

    def _tell(self, now: float, text: str) -> None:
        self.story.append(text)

    def acknowledged(self, *peers: PeerId) -> RequestState | None:
        grid = self.building.record.id
        verdict = None
        for peer in peers:
            verdict = self.building.acknowledged(peer, DecidedAck(grid, 1), NOW)
        return None if verdict is None else verdict.state


def notice(
    peer: PeerId,
    phase: Phase,
    record: GridRecord = RECORD,
    detail: str = "",
    *,
    final: bool = False,
) -> Notice:
    mine = tuple(Status(n, phase, detail, NOW, final=final) for n in record.on(peer))
    return negotiating.notice(record, mine)


def test_hosts_are_told_until_they_have_it() -> None:
    told = Told()
    assert said(told.building.announce()) == [("alpha", "Decided"), ("beta", "Decided")]
    assert told.acknowledged(A) is None
    assert said(told.building.announce()) == [("beta", "Decided")]
    assert told.building.next_s(NOW) == NOW + DECIDED_EVERY_S
    assert told.acknowledged(B) is None
    assert told.building.announce() == []
    assert told.story == ["every host has the contract"]
    assert told.building.next_s(NOW) == NOW + AUDIT_EVERY_S


def test_a_job_that_has_switched_itself_off_is_waited_for_no_longer() -> None:
    told = Told()
    told.acknowledged(A, B)
    assert told.building.noticed(A, notice(A, Phase.OFF, final=True), NOW) is None
    verdict = told.building.noticed(B, notice(B, Phase.READY), NOW)
    assert verdict is not None
    assert verdict.lines == ["shop is up: 2 workspaces; 1 switched itself off"]


def test_word_of_another_grid_or_another_host_is_nothing() -> None:
    told = Told()
    other = DecidedAck(GridId("other.1"), 1)
    assert told.building.acknowledged(A, other, NOW) is None
    assert told.acknowledged(C) is None
    assert len(told.building.announce()) == 2
    foreign = msgspec.structs.replace(notice(A, Phase.GONE), grid=GridId("other.1"))
    down = msgspec.structs.replace(foreign, state=GridState.DOWN)
    assert told.building.noticed(A, down, NOW) is None


def test_it_is_up_when_every_workspace_is() -> None:
    told = Told()
    assert told.building.noticed(A, notice(A, Phase.BOOTING), NOW) is None
    assert told.building.noticed(A, notice(A, Phase.BOOTING, detail="slow"), NOW) is None
    assert told.building.noticed(A, notice(A, Phase.READY), NOW) is None
    assert told.building.noticed(B, notice(B, Phase.RUNNING), NOW) is None, "it may still answer"
    verdict = told.building.noticed(B, notice(B, Phase.RUNNING, final=True), NOW)
    assert told.story == ["web-1 booting", "web-1 ready", "web-2 running"], "each phase once"
    assert verdict is not None
    assert (verdict.state, verdict.lines) == (RequestState.DONE, ["shop is up: 2 workspaces"])


@pytest.mark.parametrize("phase", [Phase.PAUSED, Phase.SUSPENDED])
def test_what_a_person_has_stopped_meanwhile_is_not_waited_for(phase: Phase) -> None:
    told = Told()
    told.building.noticed(A, notice(A, phase), NOW)
    verdict = told.building.noticed(B, notice(B, Phase.READY), NOW)
    assert verdict is not None
    assert verdict.state is RequestState.DONE


def test_fewer_than_were_asked_for_is_said() -> None:
    told = Told(asked=3)
    told.building.noticed(A, notice(A, Phase.READY), NOW)
    verdict = told.building.noticed(B, notice(B, Phase.READY), NOW)
    assert verdict is not None
    assert verdict.lines == ["shop is up: 2 workspaces, 3 were asked for"]


@pytest.mark.parametrize("first", ["contract", "word"])
def test_a_reservation_stands_when_all_have_it_on_disk_and_have_told_of_it(first: str) -> None:
    told = Told(LATER)
    if first == "contract":
        assert told.acknowledged(A, B) is None
        assert told.building.noticed(A, notice(A, Phase.HELD, LATER), NOW) is None
        verdict = told.building.noticed(B, notice(B, Phase.HELD, LATER), NOW)
        assert verdict is not None
        state = verdict.state
        assert verdict.lines[0].startswith("shop is reserved: 2 workspaces from ")
    else:
        for peer in (A, B):
            assert told.building.noticed(peer, notice(peer, Phase.HELD, LATER), NOW) is None
        assert told.acknowledged(A) is None
        found = told.acknowledged(B)
        assert found is not None
        state = found
    assert state is RequestState.DONE


def test_a_later_epoch_has_fewer_workspaces() -> None:
    left = msgspec.structs.replace(RECORD, epoch=2, assignments=RECORD.assignments[:1])
    told = Told()
    assert told.building.noticed(A, notice(A, Phase.READY, left), NOW) is None
    assert told.building.audit_due(NOW), "a host says so, and its stewards are asked"
    verdict = told.building.audited(decided(left))
    assert verdict is not None
    assert verdict.lines == ["shop is up: 1 workspace, 2 were asked for"]


def test_the_stewards_are_asked_now_and_then_since_a_host_may_tell_nothing() -> None:
    told = Told()
    assert not told.building.audit_due(NOW + AUDIT_EVERY_S - 0.1)
    assert told.building.audit_due(NOW + AUDIT_EVERY_S)
    assert not told.building.audit_due(NOW + AUDIT_EVERY_S)
    assert told.building.audited(decided(RECORD)) is None
    told.building.noticed(A, notice(A, Phase.READY), NOW)
    left = msgspec.structs.replace(RECORD, epoch=2, assignments=RECORD.assignments[:1])
    verdict = told.building.audited(decided(left))
    assert verdict is not None
    assert verdict.state is RequestState.DONE


GONE = msgspec.structs.replace(RECORD, state=GridState.DOWN, epoch=2)


def test_taken_down_by_what_the_stewards_have() -> None:
    verdict = Told().building.audited(decided(GONE))
    assert verdict is not None
    assert verdict.state is RequestState.CANCELLED
    assert verdict.lines == ["shop was taken down meanwhile"]


def test_a_host_that_tells_of_its_end_has_the_stewards_asked_and_ends_nothing() -> None:
    told = Told()
    assert told.building.noticed(A, notice(A, Phase.GONE, GONE), NOW) is None
    assert told.building.audit_due(NOW)
    assert told.building.audited(decided(RECORD)) is None, "it lied"
    assert told.building.noticed(A, notice(A, Phase.GONE, GONE), NOW + 1) is None
    assert not told.building.audit_due(NOW + 1), "it is not asked at every word of it"
    assert told.building.audit_due(NOW + 5)


def test_a_workspace_that_fails_again_and_again_is_told_once_for_each_reason() -> None:
    told = Told()
    for _ in range(3):
        told.building.noticed(A, notice(A, Phase.BOOTING, detail="again, after: no cgroups"), NOW)
        told.building.noticed(A, notice(A, Phase.FAILED, detail="no cgroups"), NOW)
    told.building.noticed(A, notice(A, Phase.NETWORK), NOW)
    told.building.noticed(A, notice(A, Phase.FAILED, detail="no emulator"), NOW)
    told.building.noticed(A, notice(A, Phase.BOOTING), NOW)
    told.building.noticed(A, notice(A, Phase.RUNNING), NOW)
    told.building.noticed(A, notice(A, Phase.BOOTING, detail="once more"), NOW)
    assert told.story == [
        "web-1 booting again, after: no cgroups",
        "web-1 failed no cgroups",
        "web-1 failed no emulator",
        "web-1 running",
        "web-1 booting once more",
    ]


def test_what_is_not_up_in_time_is_named_with_where_it_is() -> None:
    told = Told()
    told.building.noticed(A, notice(A, Phase.READY), NOW)
    told.building.noticed(B, notice(B, Phase.IMAGE, detail="40 %"), NOW)
    assert told.building.overdue(NOW + BUILD_S - 0.1) is None
    verdict = told.building.overdue(NOW + BUILD_S)
    assert verdict is not None
    assert verdict.state is RequestState.FAILED
    assert verdict.lines[:2] == [
        "shop is made, but not all of it is up after 10 min",
        "  web-2 on beta: image 40 %",
    ]


def test_a_guest_is_waited_for_as_long_as_its_host_gives_it_to_be_ready() -> None:
    told = Told()
    told.building.noticed(A, notice(A, Phase.READY), NOW)
    told.building.noticed(B, notice(B, Phase.BOOTING), NOW + 500)
    assert told.building.overdue(NOW + 500 + BUILD_S - 0.1) is None, "it has time for its next step"
    told.building.noticed(B, notice(B, Phase.REACHABLE), NOW + 1000)
    told.building.noticed(B, notice(B, Phase.RUNNING, detail="does not answer"), NOW + 1100)
    told.building.noticed(B, notice(B, Phase.REACHABLE), NOW + 1200)
    late_s = NOW + 1000 + READY_LATE_S + READY_HEARD_S
    assert told.building.overdue(late_s - 0.1) is None
    assert told.building.next_s(late_s - 1) <= late_s
    verdict = told.building.overdue(late_s)
    assert verdict is not None
    assert verdict.lines[0] == "shop is made, but not all of it is up after 33 min"


def test_a_step_that_is_taken_again_gives_no_more_time() -> None:
    told = Told()
    told.building.noticed(A, notice(A, Phase.READY), NOW)
    told.building.noticed(B, notice(B, Phase.BOOTING), NOW + 100)
    for at_s in (200, 300, 400):
        told.building.noticed(B, notice(B, Phase.FAILED, detail="no emulator"), NOW + at_s)
        told.building.noticed(B, notice(B, Phase.IMAGE, detail=str(at_s)), NOW + at_s + 10)
        told.building.noticed(B, notice(B, Phase.BOOTING), NOW + at_s + 20)
    assert told.building.overdue(NOW + 100 + BUILD_S) is not None


def test_an_image_that_keeps_coming_is_waited_for() -> None:
    told = Told()
    told.building.noticed(A, notice(A, Phase.READY), NOW)
    told.building.noticed(B, notice(B, Phase.IMAGE, detail="3 %"), NOW)
    told.building.noticed(B, notice(B, Phase.IMAGE, detail="4 %"), NOW + BUILD_S - 1)
    assert told.building.overdue(NOW + 2 * BUILD_S - 1.1) is None
    assert told.building.overdue(NOW + 2 * BUILD_S - 1) is not None


def test_a_guest_that_says_its_first_boot_failed_is_named_until_it_is_mended() -> None:
    told = Told()
    assert told.building.troubles() == ()
    told.building.noticed(A, notice(A, Phase.REACHABLE), NOW)
    assert told.building.troubles() == (), "it may say that it is ready"
    said = "its guest says: scripts_user"
    failed = notice(B, Phase.REACHABLE, detail=said, final=True)
    assert told.building.noticed(B, failed, NOW) is None
    assert told.building.troubles() == (
        "shop is made, but the first boot of web-2 failed",
        f"  web-2 on beta: {said}",
        "  would work: mend its user-data, then `overlayctl down shop` and `up` again; "
        "`overlayctl ssh shop/web-2` looks at what there is",
    )
    told.building.noticed(B, notice(B, Phase.READY), NOW)
    assert told.building.troubles() == ()


def test_what_is_on_a_host_that_is_not_heard_is_lost_whatever_it_told_last() -> None:
    told = Told()
    told.building.noticed(A, notice(A, Phase.IMAGE, detail="40 %"), NOW)
    told.building.noticed(B, notice(B, Phase.READY), NOW)
    told.around.silent[B] = Silence(Health.DEAD, NOW + BUILD_S - 125)
    verdict = told.building.overdue(NOW + BUILD_S)
    assert verdict is not None
    assert verdict.lines == [
        "shop is made, but not all of it is up after 10 min",
        "  web-1 on alpha: image 40 %",
        "  web-2 on beta: lost last ready 2 min ago",
        "  would work: `overlayctl terminate shop/web-2` takes it out of the grid; "
        "or wait until its host is back",
    ]
