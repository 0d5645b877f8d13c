"""The host's contracts: taken only if held, on disk before they are acknowledged, ended only by order."""

from random import Random

import msgspec
import pytest
from deciding import decided, ending, read_register
from negotiating import ADMIN, AUTHORITY, NOW, RIVAL, ROOM, A, B, committed, record_of, shop

from protocol.capacity.ledger import Ledger
from protocol.contract.messages import Act, ActReply, DecidedAck
from protocol.contract.outcomes import AuditLease, NoticeDue, Propose
from protocol.grid.lifecycle import Phase, Power, Status, Wanted
from protocol.grid.record import GridRecord, GridState, grid_id
from protocol.hosting.holds import TABLE as HELD
from protocol.hosting.lease_book import TABLE
from protocol.hosting.leases import Leases
from protocol.hosting.taking_up import Promise
from protocol.placement.fit import quantum_of
from protocol.terms.effects import Effect, Persist, Realise, Send
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import AUDIT_EVERY_S
from protocol.trust.order import Action, SignedOrder
from protocol.trust.signing import Untrusted
from protocol.trust.used import TABLE as USED

ORDER = ADMIN.up(shop(2), NOW)
GRID = grid_id(ORDER)
RECORD = record_of(ORDER, {"web-1": A, "web-2": B})
DOWN = ADMIN.order(Action.DOWN, GRID, NOW)


def host(rows: dict[str, bytes] | None = None) -> tuple[Leases, Ledger]:
    ledger = Ledger(ROOM, NOW)
    return Leases(A, ledger, AUTHORITY, Random(1), rows or {}, NOW), ledger


def later(record: GridRecord, order: SignedOrder) -> GridRecord:
    """The record after that order to take it down."""
    made = read_register(ending(record.id, order)(committed(record))).record
    assert made is not None
    return made


def carrying() -> tuple[Leases, Ledger]:
    leases, ledger = host()
    known, _, _ = leases.decided(decided(RECORD), Promise(("web-1",)), NOW)
    assert known
    leases.check()
    return leases, ledger


def wanted(leases: Leases) -> dict[str, Power]:
    row = leases.row(GRID)
    return {w.workspace: w.power for w in row.wanted} if row is not None else {}


def act(leases: Leases, action: Action, workspace: str = "", now: float = NOW) -> list[Effect]:
    order = ADMIN.order(action, GRID, now, workspace=workspace)
    effects, _ = leases.act(B, Act(RequestId("r"), GRID, order), now)
    return effects


def problem(effects: list[Effect]) -> str:
    (found,) = [e.message for e in effects if isinstance(e, Send)]
    assert isinstance(found, ActReply)
    return found.problem


def test_a_hold_becomes_a_contract_in_one_write() -> None:
    leases, _ = host()
    known, effects, outcomes = leases.decided(decided(RECORD), Promise(("web-1",)), NOW)
    assert known
    save = effects[0]
    assert isinstance(save, Persist)
    assert save.otherwise is None, "memory must not be ahead of the disk"
    assert [(row.table, row.value is None) for row in save.rows] == [
        (TABLE, False),
        (HELD, True),
        (USED, False),
    ]
    assert [e for e in effects if isinstance(e, Realise)] == [Realise(GRID, GRID)]
    assert NoticeDue(GRID) in outcomes
    assert wanted(leases) == {"web-1": Power.RUNNING}


def test_nothing_is_done_on_somebodys_word() -> None:
    leases, ledger = host()
    assert leases.decided(decided(RECORD), Promise(), NOW) == (False, [], [])
    assert leases.decided(decided(RECORD), Promise(("web-2",)), NOW) == (False, [], [])
    assert len(ledger) == 0


def test_told_again_it_only_acknowledges() -> None:
    leases, _ = carrying()
    assert leases.decided(decided(RECORD), Promise(), NOW) == (True, [], [])
    assert leases.acknowledge(B, RECORD) == [Send(B, DecidedAck(GRID, 1), GRID)]


def test_the_end_of_what_was_never_here_is_acknowledged() -> None:
    leases, _ = host()
    down = later(RECORD, DOWN)
    assert leases.decided(decided(down), Promise(), NOW) == (True, [], [])
    assert leases.acknowledge(B, down) == [Send(B, DecidedAck(GRID, 2), GRID)]


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        pytest.param(
            record_of(ORDER, {"web-1": A, "web-9": A}),
            "malformed: a record of workspaces nobody ordered",
            id="not-ordered",
        ),
        pytest.param(
            record_of(RIVAL.up(shop(2), NOW), {"web-1": A}, grid=GRID),
            "malformed: a record that is not about its own order",
            id="other-order",
        ),
        pytest.param(
            msgspec.structs.replace(RECORD, owner=RIVAL.signer.key),
            "malformed: a record that is not about its own order",
            id="other-owner",
        ),
        pytest.param(
            record_of(ORDER, {"web-1": A}),
            "malformed: a record with fewer than 2 of web",
            id="too-few",
        ),
        pytest.param(
            msgspec.structs.replace(
                RECORD, order=msgspec.structs.replace(ORDER, signature=b"x" * 32)
            ),
            "bad-signature: ",
            id="forged",
        ),
    ],
)
def test_a_record_without_authority_is_refused(record: GridRecord, rule: str) -> None:
    leases, ledger = host()
    with pytest.raises(Untrusted, match=f"^{rule}"):
        leases.decided(decided(record), Promise(("web-1", "web-9")), NOW)
    assert leases.rows() == []
    assert len(ledger) == 0


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        pytest.param((), "malformed: a record that is down without an order", id="no-down"),
        pytest.param(
            (RIVAL.order(Action.DOWN, GRID, NOW),),
            "wrong-role: shop belongs to site s1's admin, not to site s2's admin",
            id="rivals-down",
        ),
    ],
)
def test_a_grid_is_not_ended_without_authority(changes: tuple[SignedOrder, ...], rule: str) -> None:
    down = record_of(ORDER, {"web-1": A, "web-2": B}, None, 2, GridState.DOWN, changes)
    carrier, _ = carrying()
    with pytest.raises(Untrusted, match=f"^{rule}"):
        carrier.decided(decided(down), Promise(), NOW)
    assert wanted(carrier) == {"web-1": Power.RUNNING}
    holder, _ = host()
    with pytest.raises(Untrusted, match=f"^{rule}"):
        holder.decided(decided(down), Promise(("web-1",)), NOW)
    assert holder.decided(decided(down), Promise(), NOW) == (True, [], []), (
        "nothing here that it could end"
    )


def test_workspaces_do_not_vanish_without_an_order() -> None:
    leases, _ = carrying()
    less = msgspec.structs.replace(RECORD, assignments=RECORD.assignments[1:], epoch=2)
    with pytest.raises(Untrusted, match="web-1 vanished without an order"):
        leases.decided(decided(less), Promise(), NOW)
    ordered = ADMIN.order(Action.TERMINATE, GRID, NOW, workspace="web-1")
    fine = msgspec.structs.replace(less, changes=(ordered,))
    assert leases.decided(decided(fine), Promise(), NOW)[0]
    assert wanted(leases) == {"web-1": Power.GONE}


def test_down_then_gone_then_cleared() -> None:
    leases, ledger = carrying()
    leases.decided(decided(later(RECORD, DOWN)), Promise(), NOW + 1)
    assert wanted(leases) == {"web-1": Power.GONE}
    assert [s.phase for s in leases.statuses(GRID)] == [Phase.ENDING]
    assert len(ledger) == 1, "its room is free when it is gone, not when it is to go"
    assert leases.cleared(GRID) == ([], []), "not before it is gone"
    leases.progress(GRID, Status("web-1", Phase.GONE, since_s=NOW + 2))
    assert len(ledger) == 0
    effects, _ = leases.cleared(GRID)
    assert isinstance(effects[0], Persist)
    assert leases.row(GRID) is None
    assert leases.last(GRID) is not None, "to tell of it once more"
    leases.forget(GRID)
    assert leases.last(GRID) is None
    assert leases.statuses(GRID) == ()


def test_acted_on_once() -> None:
    leases, _ = carrying()
    order = ADMIN.order(Action.RESTART, GRID, NOW, workspace="web-1")
    for boot in (2, 2):
        effects, _ = leases.act(B, Act(RequestId("r"), GRID, order), NOW)
        assert problem(effects) == ""
        row = leases.row(GRID)
        assert row is not None
        assert row.wanted == (Wanted("web-1", Power.RUNNING, boot),)
    again = ADMIN.order(Action.RESTART, GRID, NOW, workspace="web-1")
    leases.act(B, Act(RequestId("r"), GRID, again), NOW)
    row = leases.row(GRID)
    assert row is not None
    assert row.wanted[0].boot == 3


def test_actions_and_what_they_mean() -> None:
    leases, _ = carrying()
    assert problem(act(leases, Action.PAUSE)) == ""
    assert wanted(leases) == {"web-1": Power.PAUSED}
    assert problem(act(leases, Action.RESUME, "web-1")) == ""
    assert wanted(leases) == {"web-1": Power.RUNNING}
    assert problem(act(leases, Action.PAUSE, "web-2")) == "this host does not carry web-2"


def test_who_may_not_act() -> None:
    leases, _ = carrying()
    for order, why in (
        (RIVAL.order(Action.PAUSE, GRID, NOW), "not to site s2's admin"),
        (ADMIN.order(Action.PAUSE, "elsewhere", NOW), "an order about elsewhere, not "),
        (ADMIN.order(Action.PAUSE, GRID, NOW - 700), "sign it again"),
        (
            msgspec.structs.replace(ADMIN.order(Action.PAUSE, GRID, NOW), signature=b"x" * 32),
            "bad-signature",
        ),
    ):
        effects, _ = leases.act(B, Act(RequestId("r"), GRID, order), NOW)
        assert why in problem(effects)
    assert wanted(leases) == {"web-1": Power.RUNNING}


def test_what_goes_is_not_paused() -> None:
    leases, _ = carrying()
    leases.decided(decided(later(RECORD, DOWN)), Promise(), NOW)
    assert problem(act(leases, Action.PAUSE)) == "web-1 is wanted gone: pause does not apply"


def test_the_lease_ends() -> None:
    leases, ledger = carrying()
    row = leases.row(GRID)
    assert row is not None
    ledger.advance(row.lease_until_s)
    effects, _ = leases.tick(row.lease_until_s)
    assert [w.power for w in leases.wanted(GRID)] == [Power.OFF]
    assert [e for e in effects if isinstance(e, Realise)]
    assert ledger.free != ROOM, "its room is free when it is stopped, not when it is to be"
    leases.progress(GRID, Status("web-1", Phase.EXPIRED, "", row.lease_until_s))
    assert ledger.free == ROOM, "cpus and memory are free, it has no disk"
    leases.check()


def test_found_on_disk() -> None:
    leases, _ = host()
    _, effects, _ = leases.decided(decided(RECORD), Promise(("web-1",)), NOW)
    save = effects[0]
    assert isinstance(save, Persist)
    value = save.rows[0].value
    assert value is not None
    again, ledger = host({GRID: value})
    again.check()
    deployment = AUTHORITY.deployment(ORDER, NOW, fresh=True)
    assert ROOM - ledger.free == quantum_of(deployment.workspaces[0])
    deadline = again.next_deadline()
    assert deadline is not None
    assert deadline.at_s <= NOW + 5.0, "it asks the stewards soon: it may have missed something"


def test_asks_the_stewards_now_and_then_and_when_others_know_more() -> None:
    leases, _ = carrying()
    assert leases.tick(NOW + 1)[1] == []
    leases.noticed(B, GRID, 1, NOW + 1)
    assert leases.tick(NOW + 1)[1] == []
    leases.noticed(PeerId("stranger"), GRID, 9, NOW + 1)
    assert leases.tick(NOW + 1)[1] == []
    leases.noticed(B, GRID, 2, NOW + 1)
    (audit,) = leases.tick(NOW + 1)[1]
    assert isinstance(audit, Propose)
    assert audit.purpose == AuditLease(GRID)
    assert audit.step is None, "it changes nothing"
    assert leases.tick(NOW + 2)[1] == []
    assert len(leases.tick(NOW + 2 + AUDIT_EVERY_S * 1.2)[1]) == 1


def test_the_stewards_word() -> None:
    leases, _ = carrying()
    down = ending(GRID, DOWN)(committed(RECORD))
    leases.audited(GRID, down, NOW)
    assert wanted(leases) == {"web-1": Power.GONE}
