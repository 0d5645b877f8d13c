"""What follows from reports of the shell, words of stewards and the time: each once, and the write first."""

from random import Random

import msgspec
import pytest
from deciding import decided, proposed
from negotiating import (
    ADMIN,
    AUTHORITY,
    MIB,
    NOW,
    REQUEST,
    RIVAL,
    ROOM,
    A,
    B,
    committed,
    record_of,
    shop,
)

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum
from protocol.capacity.timetable import Window
from protocol.contract.messages import LeaseAsk, LeaseReply
from protocol.contract.outcomes import NoticeDue, Outcome, Propose, RoomChanged
from protocol.grid.lifecycle import Phase, Power, Status
from protocol.grid.model import LeaseTerms, Mount, VolumeSpec
from protocol.grid.record import GridRecord, GridState, LeaseChange, extension_id, grid_id
from protocol.grid.steps import Decline
from protocol.grid.volumes import TerminateTerms
from protocol.hosting.events import Happened
from protocol.hosting.lease import Lease
from protocol.hosting.lease_book import TABLE
from protocol.hosting.leases import Leases
from protocol.hosting.taking_up import Promise
from protocol.terms.effects import Deadline, Effect, Note, Persist, Realise, Row, Send
from protocol.terms.ids import GridId
from protocol.terms.limits import HOLD_S, YIELD_EARLY_S
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import decode, encode

ORDER = ADMIN.up(shop(2), NOW)
GRID = grid_id(ORDER)
RECORD = record_of(ORDER, {"web-1": A, "web-2": A})
DOWN = msgspec.structs.replace(
    RECORD, epoch=2, state=GridState.DOWN, changes=(ADMIN.order(Action.DOWN, GRID, NOW),)
)
EACH = Quantum(500, 128 * MIB, 0)


def carrying(record: GridRecord = RECORD, room: Quantum = ROOM) -> tuple[Leases, Ledger]:
    ledger = Ledger(room, NOW)
    leases = Leases(A, ledger, AUTHORITY, Random(1), {}, NOW)
    assert leases.decided(decided(record), Promise(record.on(A)), NOW)[0]
    return leases, ledger


def test_what_happened_to_a_machine_is_told_by_its_grids_name() -> None:
    leases, _ = carrying()
    ended = Happened(GRID, "web-1", "machine.ended", "powered off from inside")
    note = Note("machine.ended", "shop/web-1", "powered off from inside", GRID)
    assert leases.happened(ended) == ([note], [])
    whole = Happened(GRID, "", "network.mended", "its rules were gone")
    assert leases.happened(whole) == ([Note("network.mended", "shop", whole.detail, GRID)], [])
    unknown = Happened(GridId("g.0"), "web-1", "machine.ended", "")
    assert leases.happened(unknown)[0] == [Note("machine.ended", "g.0/web-1", "", "g.0")]


def row_of(leases: Leases, grid: GridId = GRID) -> Lease:
    row = leases.row(grid)
    assert row is not None
    return row


def reports(
    leases: Leases, phase: Phase, name: str = "web-1", grid: GridId = GRID, since_s: float = NOW
) -> tuple[list[Effect], list[Outcome]]:
    answer = leases.progress(grid, Status(name, phase, "", since_s))
    leases.check()
    return answer


def phase_note(phase: Phase, name: str = "web-1") -> Note:
    return Note("workspace.phase", f"shop/{name}", str(phase), GRID)


# -- where workspaces are


def test_what_was_decided_is_held_until_the_shell_reports() -> None:
    leases, _ = carrying()
    held = [Status(name, Phase.HELD, "", NOW) for name in ("web-1", "web-2")]
    assert leases.statuses(GRID) == tuple(held)
    assert leases.statuses(GridId("other")) == ()


def test_a_report_is_told_and_not_written() -> None:
    leases, _ = carrying()
    answer = reports(leases, Phase.BOOTING)
    assert answer == ([phase_note(Phase.BOOTING)], [NoticeDue(GRID)])
    assert reports(leases, Phase.BOOTING, since_s=NOW + 9) == ([], []), "that is no news"
    assert [s.since_s for s in leases.statuses(GRID)] == [NOW, NOW]
    again = leases.progress(GRID, Status("web-1", Phase.BOOTING, "still", NOW))
    assert again[0] == [Note("workspace.phase", "shop/web-1", "booting still", GRID)]


def test_reports_of_what_is_not_carried_are_of_nobody() -> None:
    leases, _ = carrying()
    assert reports(leases, Phase.RUNNING, grid=GridId("other")) == ([], [])


@pytest.mark.parametrize("phase", [Phase.EXPIRED, Phase.SUSPENDED])
def test_what_rests_may_give_its_room_back(phase: Phase) -> None:
    leases, _ = carrying()
    assert reports(leases, phase) == ([phase_note(phase)], [NoticeDue(GRID), RoomChanged()])


def test_what_is_gone_is_off_the_disk_before_it_is_told() -> None:
    leases, ledger = carrying()
    leases.decided(decided(DOWN), Promise(), NOW)
    (save, note), outcomes = reports(leases, Phase.GONE)
    assert save == Persist((Row(TABLE, GRID, encode(row_of(leases))),))
    assert [w.workspace for w in row_of(leases).wanted] == ["web-2"]
    assert note == phase_note(Phase.GONE)
    assert outcomes == [NoticeDue(GRID), RoomChanged()]
    assert ROOM - ledger.free == EACH
    assert reports(leases, Phase.GONE) == ([], [])


def storing(delete: bool = False) -> tuple[Leases, Ledger]:
    """A host with web-1, which has 1 GiB of its own and a volume of 2 GiB, and was terminated."""
    (web,) = shop(1).clusters
    web = msgspec.structs.replace(web, mounts=(Mount("data", "/srv"),), scratch_bytes=1 << 30)
    spec = msgspec.structs.replace(shop(1), clusters=(web,), volumes=(VolumeSpec("data", 2 << 30),))
    record = record_of(ADMIN.up(spec, NOW), {"web-1": A})
    leases, ledger = carrying(record, ROOM + Quantum(disk_bytes=8 << 30))
    body = encode(TerminateTerms(delete_volumes=True)) if delete else b""
    order = ADMIN.order(Action.TERMINATE, record.id, NOW, workspace="web-1", body=body)
    less = msgspec.structs.replace(record, epoch=2, assignments=(), changes=(order,))
    assert leases.decided(decided(less), Promise(), NOW)[0]
    return leases, ledger


def test_a_volume_outlives_its_workspace_and_keeps_its_room_until_the_grid_is_down() -> None:
    leases, ledger = storing()
    (row,) = leases.rows()
    grid = row.record.id
    assert leases.keeps(row) == ("data",)
    reports(leases, Phase.GONE, grid=grid)
    (row,) = leases.rows()
    assert ledger.capacity - ledger.free == Quantum(disk_bytes=2 << 30)
    assert leases.volumes(row) == (("data", 2 << 30, "web-1"),)
    assert leases.cleared(grid) == ([], []), "its volume is left"
    down = msgspec.structs.replace(
        row.record,
        epoch=3,
        state=GridState.DOWN,
        changes=(*row.record.changes, ADMIN.order(Action.DOWN, row.record.id, NOW)),
    )
    assert Realise(grid, grid) in leases.decided(decided(down), Promise(), NOW)[1]
    assert leases.keeps(leases.rows()[0]) == ()
    reports(leases, Phase.GONE, grid=grid)
    leases.cleared(grid)
    assert leases.rows() == []
    assert ledger.free == ledger.capacity


def test_a_volume_that_was_ordered_deleted_leaves_with_its_workspace() -> None:
    leases, ledger = storing(delete=True)
    (row,) = leases.rows()
    assert leases.keeps(row) == ()
    reports(leases, Phase.GONE, grid=row.record.id)
    leases.cleared(row.record.id)
    assert leases.rows() == []
    assert ledger.free == ledger.capacity


def test_a_host_that_only_keeps_a_volume_does_not_end_the_grid() -> None:
    """Nobody asks it for an extension, so it cannot know when the lease is over."""
    leases, _ = storing()
    (row,) = leases.rows()
    reports(leases, Phase.GONE, grid=row.record.id)
    _, outcomes = leases.tick(row.kept_until_s + 60)
    after = [proposed(o, committed(row.record)) for o in outcomes if isinstance(o, Propose)]
    assert after, "it asks the stewards"
    assert {one.register.record for one in after} == {row.record}, "but proposes nothing"


@pytest.mark.parametrize("phase", [Phase.EXPIRED, Phase.SUSPENDED, Phase.GONE])
def test_what_waits_for_room_is_looked_at_when_some_is_left(phase: Phase) -> None:
    leases, _ = carrying(room=EACH + EACH)
    other = msgspec.structs.replace(shop(1), name="other")
    later = record_of(ADMIN.up(other, NOW), {"web-1": A})
    for name in ("web-1", "web-2"):
        reports(leases, Phase.RUNNING, name)
    leases.decided(decided(DOWN), Promise(), NOW)
    leases.decided(decided(later), Promise(("web-1",)), NOW)
    assert leases.not_yet(later.id) == "waits for shop/web-1 to leave its room"
    looks = Realise(later.id, GRID)
    assert looks not in reports(leases, Phase.ENDING)[0], "it takes room yet"
    effects, _ = reports(leases, phase)
    assert effects[-1] == looks
    assert leases.not_yet(later.id) == ""
    assert looks not in reports(leases, Phase.GONE, "web-2")[0], "it does not wait any more"


def test_what_is_cleared_is_forgotten() -> None:
    leases, _ = carrying()
    leases.preemption.heard(GRID, B, ("web",))
    leases.decided(decided(DOWN), Promise(), NOW)
    reports(leases, Phase.GONE, "web-1")
    assert leases.cleared(GRID) == ([], []), "one is there yet"
    reports(leases, Phase.GONE, "web-2")
    note = Note("grid.cleared", "shop", "nothing of it is left here", GRID)
    answer = leases.cleared(GRID)
    assert answer == (
        [Persist((Row(TABLE, GRID, None),)), note],
        [NoticeDue(GRID), RoomChanged()],
    )
    assert leases.next_deadline() is None, "nobody is asked about it"
    assert leases.preemption.off(GRID) == ()
    assert leases.cleared(GRID) == ([], [])


def test_what_is_to_be_here_is_not_cleared_though_it_is_gone() -> None:
    leases, _ = carrying()
    for name in ("web-1", "web-2"):
        reports(leases, Phase.GONE, name)
    assert [wanted.workspace for wanted in row_of(leases).wanted] == ["web-1", "web-2"]
    assert leases.cleared(GRID) == ([], []), "its record still places it here"


# -- the stewards' word


def test_a_register_without_a_record_or_of_what_is_not_carried_says_nothing() -> None:
    leases, _ = carrying()
    _, (again,) = leases.audited(GRID, None, NOW)
    assert isinstance(again, Propose)
    assert again.evidence == decided(RECORD).certificate, "they are given back what they lost"
    other = decided(record_of(ADMIN.up(shop(2), NOW + 5), {"web-1": B, "web-2": B}))
    (note,), _ = leases.audited(GRID, other, NOW)
    assert isinstance(note, Note)
    assert leases.audited(GridId("other"), committed(RECORD), NOW) == ([], [])
    assert leases.audited(GRID, committed(RECORD), NOW) == ([], []), "it is known"


def longer(by_s: int) -> SignedOrder:
    return ADMIN.order(Action.LEASE, GRID, NOW, body=encode(LeaseChange(by_s)))


def lengthen(leases: Leases, order: SignedOrder, now: float) -> tuple[list[Effect], list[Outcome]]:
    answer = leases.lengthen(B, LeaseAsk(REQUEST, GRID, order), now)
    leases.check()
    return answer


def test_time_is_promised_on_disk_then_said() -> None:
    leases, _ = carrying()
    order = longer(60)
    said = Send(B, LeaseReply(REQUEST, ""), REQUEST)
    (save, reply), outcomes = lengthen(leases, order, NOW)
    assert isinstance(save, Persist)
    assert save.rows[0].value is not None
    assert [p.by_s for p in decode(save.rows[0].value, Lease).pending] == [60]
    assert (reply, outcomes) == (said, [RoomChanged()])
    assert lengthen(leases, order, NOW + 1) == ([said], []), "asking twice is asking once"
    rivals = RIVAL.order(Action.LEASE, GRID, NOW, body=encode(LeaseChange(60)))
    why = "wrong-role: shop belongs to site s1's admin, not to site s2's admin"
    refused = Send(B, LeaseReply(REQUEST, why), REQUEST)
    assert lengthen(leases, rivals, NOW) == ([refused], [])


def test_time_that_is_voted_down_is_given_back_and_the_next_asked_about_in_its_turn() -> None:
    leases, _ = carrying()
    first, second = longer(60), longer(600)
    lengthen(leases, first, NOW)
    lengthen(leases, second, NOW + 2)
    assert leases.next_deadline() == Deadline(NOW + HOLD_S, "extension")
    _, (vote,) = leases.tick(NOW + HOLD_S)
    assert isinstance(vote, Propose)
    value = proposed(vote, committed(RECORD))
    assert vote.step == Decline(GRID, extension_id(first))
    (save,), outcomes = leases.audited(GRID, value, NOW + HOLD_S)
    assert isinstance(save, Persist)
    assert save.rows[0] == Row(TABLE, GRID, encode(row_of(leases)))
    assert [row.key for row in save.rows[1:]] == [extension_id(first)]
    assert outcomes == [RoomChanged()]
    said = "this order was voted down; sign it again"
    assert said in str(lengthen(leases, first, NOW + HOLD_S)), "it promises nothing again"
    assert [p.by_s for p in row_of(leases).pending] == [600]
    assert leases.next_deadline() == Deadline(NOW + 2 + HOLD_S, "extension")
    assert leases.audited(GRID, value, NOW + HOLD_S) == ([], [])


# -- making room


def yielding() -> tuple[Leases, Ledger]:
    """Best-effort work that must be saved, as of NOW + 100, for a reservation."""
    order = ADMIN.up(shop(2, lease=LeaseTerms(best_effort=True)), NOW)
    record = record_of(order, {"web-1": A, "web-2": A})
    ledger = Ledger(msgspec.structs.replace(ROOM, disk_bytes=4096 * MIB), NOW)
    leases = Leases(A, ledger, AUTHORITY, Random(1), {}, NOW)
    leases.decided(decided(record), Promise(record.on(A), yields=True), NOW)
    save_s = 2 * 128 * MIB / (32 * MIB)
    start_s = NOW + 100 + save_s + YIELD_EARLY_S
    ledger.enter(("exam", "a"), Quantum(4000), Window(start_s, start_s + 60, 0.0))
    return leases, ledger


def test_best_effort_work_makes_room_in_time_and_all_are_told() -> None:
    leases, ledger = yielding()
    (row,) = leases.rows()
    for now in (NOW + 6, NOW + 99.9):
        ledger.advance(now)
        leases.tick(now)
    assert leases.next_deadline() == Deadline(NOW + 100, "making room")
    ledger.advance(NOW + 100)
    effects, outcomes = leases.tick(NOW + 100)
    grid = row.record.id
    assert [type(effect) for effect in effects] == [Persist, Note, Realise]
    assert outcomes == [NoticeDue(grid), NoticeDue(grid), RoomChanged()]
    assert [w.power for w in leases.wanted(grid)] == [Power.SUSPENDED] * 2
    assert leases.preemption.hindered(grid) == ("web",)
    effects, outcomes = leases.tick(NOW + 100)
    assert (effects, outcomes) == ([], []), "once"


def test_where_nothing_must_go_nothing_is_due_for_it() -> None:
    leases, ledger = yielding()
    ledger.strike(("exam", "a"))
    deadline = leases.next_deadline()
    assert deadline is not None
    assert deadline.why == "audit"


def test_what_is_not_in_the_ledger_is_a_fault() -> None:
    leases, ledger = carrying()
    leases.check()
    ledger.strike((GRID, "web-1"))
    with pytest.raises(AssertionError):
        leases.check()
