"""A host that carries a grid is shown that other stewards keep it: what it keeps, tells, and refuses."""

from random import Random

import msgspec
import pytest
from deciding import closed, decided, decision, handed_over
from negotiating import ADMIN, AUTHORITY, FEDERATION, NOW, ROOM, A, B, C, record_of, shop

from protocol.capacity.ledger import Ledger
from protocol.contract.outcomes import AuditLease, NoticeDue, Propose
from protocol.grid.record import GridState, Register
from protocol.hosting.handing_over import waits_for
from protocol.hosting.keepsake import keepsake_of, read_keepsake
from protocol.hosting.lease import Lease
from protocol.hosting.lease_book import TABLE
from protocol.hosting.leases import Leases
from protocol.hosting.taking_up import Promise
from protocol.sim.people import Admin
from protocol.terms.effects import Note, Persist
from protocol.terms.ids import PeerId
from protocol.terms.limits import AUDIT_EVERY_S
from protocol.trust.order import Action
from protocol.trust.signing import Untrusted

ORDER = ADMIN.up(shop(2), NOW)
RECORD = record_of(ORDER, {"web-1": A, "web-2": B})
MADE = Register(RECORD)
D, E = PeerId("d" * 64), PeerId("e" * 64)
ONCE = handed_over(MADE, C, D)
TWICE = handed_over(ONCE, B, E)
FORK = handed_over(MADE, C, E)


def carrying() -> tuple[Leases, dict[str, bytes]]:
    leases, rows = Leases(A, Ledger(ROOM, NOW), AUTHORITY, Random(1), {}, NOW), dict[str, bytes]()
    _, effects, _ = leases.decided(decided(RECORD), Promise(("web-1",)), NOW)
    keep(rows, effects)
    return leases, rows


def keep(rows: dict[str, bytes], effects: list) -> None:  # type: ignore[type-arg]
    for effect in effects:
        for row in effect.rows if isinstance(effect, Persist) else ():
            if row.table == TABLE and row.value is not None:
                rows[row.key] = row.value


def row_of(leases: Leases) -> Lease:
    row = leases.row(RECORD.id)
    assert row is not None
    return row


def down(register: Register) -> Register:
    order = ADMIN.order(Action.DOWN, RECORD.id, NOW)
    record = msgspec.structs.replace(RECORD, epoch=2, state=GridState.DOWN, changes=(order,))
    return msgspec.structs.replace(register, record=record)


def test_it_keeps_who_they_are_now_and_tells_everybody_once() -> None:
    leases, rows = carrying()
    for register, stewards in [(ONCE, (A, B, D)), (TWICE, (A, E, D))]:
        known, effects, outcomes = leases.decided(decision(register), Promise(), NOW)
        assert known
        assert NoticeDue(RECORD.id) in outcomes
        assert [e.kind for e in effects if isinstance(e, Note)] == ["grid.stewards"]
        keep(rows, effects)
        assert row_of(leases).stewards == stewards
        assert leases.decided(decision(register), Promise(), NOW) == (True, [], [])
    again = Leases(A, Ledger(ROOM, NOW), AUTHORITY, Random(1), rows, NOW)
    assert row_of(again).stewards == (A, E, D), "after a restart too"
    certificate = row_of(again).certificate
    assert certificate is not None
    assert AUTHORITY.decision(certificate).register == TWICE


def test_what_is_closed_names_the_heirs_already() -> None:
    leases, _ = carrying()
    leases.decided(decision(closed(MADE, C, D)), Promise(), NOW)
    assert row_of(leases).stewards == (A, B, D)
    assert leases.decided(decision(ONCE), Promise(), NOW) == (True, [], []), "nothing new"


def test_it_asks_them_from_then_on_and_so_does_the_machine() -> None:
    leases, _ = carrying()
    _, outcomes = leases.audited(RECORD.id, decision(ONCE), NOW)
    assert NoticeDue(RECORD.id) in outcomes
    _, asked = leases.tick(NOW + 2 * AUDIT_EVERY_S)
    (propose,) = [o for o in asked if isinstance(o, Propose)]
    assert (propose.purpose, propose.stewards) == (AuditLease(RECORD.id), (A, B, D))
    kept = read_keepsake(keepsake_of(row_of(leases)))
    assert kept is not None
    assert kept.stewards == (A, B, D)


def test_what_the_stewards_of_before_decided_before_is_old_and_no_more() -> None:
    leases, _ = carrying()
    leases.decided(decision(ONCE), Promise(), NOW)
    assert leases.decided(decided(RECORD), Promise(), NOW) == (True, [], [])
    assert row_of(leases).stewards == (A, B, D)


@pytest.mark.parametrize(
    "register",
    [
        pytest.param(down(MADE), id="a newer record of stewards that were replaced"),
        pytest.param(FORK, id="another successor"),
        pytest.param(down(FORK), id="another successor's newer record"),
        pytest.param(closed(MADE, C, E), id="another successor's beginning"),
    ],
)
def test_other_stewards_than_are_known_are_not_believed(register: Register) -> None:
    leases, rows = carrying()
    _, effects, _ = leases.decided(decision(ONCE), Promise(), NOW)
    keep(rows, effects)
    for at in (leases, Leases(A, Ledger(ROOM, NOW), AUTHORITY, Random(1), rows, NOW)):
        with pytest.raises(Untrusted):
            at.decided(decision(register), Promise(), NOW)
        with pytest.raises(Untrusted):
            at.audited(RECORD.id, decision(register), NOW)
        assert row_of(at).stewards == (A, B, D)
        assert row_of(at).record == RECORD


def test_what_the_heirs_decide_is_done() -> None:
    leases, _ = carrying()
    known, _, _ = leases.decided(decision(down(TWICE)), Promise(), NOW)
    assert known
    assert row_of(leases).record.state is GridState.DOWN
    assert row_of(leases).stewards == (A, E, D)


def test_what_its_owner_ordered_down_waits_for_stewards_only_if_its_order_names_some() -> None:
    leases, _ = carrying()
    row = row_of(leases)
    assert waits_for(row) == "waits for 2 of 3 stewards"
    older = Admin(FEDERATION, "s1", Random(3)).up(shop(2), NOW)
    record = msgspec.structs.replace(RECORD, order=older)
    made_by_older = msgspec.structs.replace(row, record=record)
    assert waits_for(made_by_older) == "ended here by that order alone"
