"""A grid is what its owner's order to apply says, on the hosts that granted it; each refusal names its rule."""

from applying_world import ORDER, RECORD, grown, spec_of, to_apply
from deciding import certificate
from negotiating import ADMIN, AUTHORITY, NOW, A, B, C

from protocol.grid.record import (
    GridRecord,
    LeaseChange,
    Register,
    order_part,
)
from protocol.grid.steps import Apply, Extend, Lapse, Remove, apply
from protocol.grid.volumes import TerminateTerms
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode

KEY = order_part(RECORD.id)
MORE = to_apply(spec_of(3))
GROWN = grown(MORE, {"web-3": C})


def after(record: GridRecord, before: GridRecord = RECORD, now: float = NOW + 1) -> GridRecord:
    """What a steward makes of a proposal."""
    register = AUTHORITY.follows(ORDER, Register(before), Apply(record), A, now)
    assert register.record is not None
    return register.record


def by_itself(record: GridRecord) -> GridRecord:
    """What anybody makes of it who was never shown the grid: a steward's acceptor, a peer, a host."""
    value = encode(Register(record))
    judged = AUTHORITY.judges(KEY, value).record
    assert judged is not None
    assert AUTHORITY.decision(certificate(Register(record))).register.record == record
    AUTHORITY.vouch(record, None, NOW)
    return judged


def beside(record: GridRecord, before: GridRecord = RECORD, lapsed: bool = False) -> None:
    """What a host makes of it that carries the grid."""
    AUTHORITY.vouch(record, before, NOW, lapsed)


def about(action: Action, workspace: str = "", body: bytes = b"") -> SignedOrder:
    return ADMIN.order(action, RECORD.id, NOW, workspace=workspace, body=body)


LONGER = about(Action.LEASE, body=encode(LeaseChange(60)))
DELETE = encode(TerminateTerms(delete_volumes=True))


def stepped(record: GridRecord, *steps: Extend | Remove | Lapse) -> GridRecord:
    register = Register(record)
    for step in steps:
        register = apply(step, register, NOW)
    assert register.record is not None
    return register.record


def test_a_grid_grows_as_its_owner_orders() -> None:
    assert after(GROWN) == by_itself(GROWN) == GROWN
    beside(GROWN)
    assert [(a.workspace, a.host) for a in GROWN.assignments] == [
        ("web-1", A),
        ("web-2", B),
        ("web-3", C),
        ("db-1", B),
    ]
    assert (GROWN.epoch, GROWN.standing, GROWN.previous) == (2, MORE, ORDER)
    assert AUTHORITY.vouch(GROWN, None, NOW).spec == spec_of(3)


def test_who_stays_keeps_its_address_and_who_comes_gets_a_free_one() -> None:
    before = {card.workspace: card.address for card in AUTHORITY.cards(RECORD)}
    now = {card.workspace: card.address for card in AUTHORITY.cards(GROWN)}
    assert now == {**before, "web-3": "10.42.0.13"}


def test_a_grid_that_was_never_changed_is_written_as_ever() -> None:
    assert b"became" not in encode(RECORD)
    assert b"became" in encode(GROWN)
