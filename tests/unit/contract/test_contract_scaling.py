"""What room made of a grid is believed by everybody, and what nobody granted, or below min, by nobody."""

from collections.abc import Callable

import msgspec
import pytest
from applying_world import grant, regranted
from deciding import certificate
from elastic_world import ORDER, RECORD, by_room, elastic, to_apply
from negotiating import ADMIN, AUTHORITY, NOW, A, B, C, HostKey, record_of

from protocol.grid.asked import sign_asked
from protocol.grid.elastic import attempt_at
from protocol.grid.next_epoch import Added, applied_to
from protocol.grid.record import (
    Assignment,
    GridRecord,
    GridState,
    HostRef,
    Register,
    Word,
    apply_terms,
    grid_id,
    order_part,
)
from protocol.grid.steps import Apply, Decline, Remove, Rescale, apply
from protocol.terms.ids import PeerId
from protocol.trust.order import Action, SignedOrder, read_order
from protocol.trust.signing import Untrusted
from protocol.wire.codec import encode

KEY, D = order_part(RECORD.id), PeerId("d" * 64)
MORE = by_room(RECORD, {"web-4": C})
LESS = by_room(RECORD, go=("web-3",))


def after(record: GridRecord, before: GridRecord, asker: PeerId = A) -> GridRecord:
    """What a steward makes of a proposal."""
    register = AUTHORITY.follows(ORDER, Register(before), Rescale(record), asker, NOW + 1)
    assert register.record is not None
    return register.record


def believed(record: GridRecord, before: GridRecord) -> None:
    """By its steward, by acceptors, by hosts that had the record before, and by those that had none."""
    assert after(record, before) == record
    by_itself(record)
    AUTHORITY.vouch(record, before, NOW)


def by_itself(record: GridRecord) -> None:
    assert AUTHORITY.judges(KEY, encode(Register(record))).record == record
    assert AUTHORITY.decision(certificate(Register(record))).register.record == record
    AUTHORITY.vouch(record, None, NOW)


def test_what_came_and_what_went_is_believed() -> None:
    believed(MORE, RECORD)
    believed(LESS, RECORD)
    believed(by_room(MORE, go=("web-4",)), MORE)
    believed(by_room(by_room(MORE, go=("web-4",)), {"web-4": A}), by_room(MORE, go=("web-4",)))


def test_also_by_a_host_that_missed_epochs() -> None:
    then = by_room(by_room(MORE, go=("web-4",)), {"web-4": A, "web-5": B})
    AUTHORITY.vouch(then, RECORD, NOW)
    AUTHORITY.vouch(then, MORE, NOW)


def test_beside_orders_before_and_after() -> None:
    gone = ADMIN.order(Action.TERMINATE, RECORD.id, NOW, workspace="web-3")
    then = apply(Remove(RECORD.id, "web-3", gone), Register(MORE), NOW).record
    assert then is not None
    by_itself(then)
    believed(by_room(then, {"web-5": B}), then)
    order = to_apply(elastic(8), then)
    terms = apply_terms(read_order(order))
    changed = applied_to(then, elastic(), order, terms, Added(grid_id(order, 0, "r")))
    register = AUTHORITY.follows(ORDER, Register(then), Apply(changed), A, NOW + 1)
    assert register.record == changed
    by_itself(changed)
    larger = by_room(changed, {"web-3": A, "web-8": B})
    believed(larger, changed)
    AUTHORITY.vouch(larger, then, NOW)
    AUTHORITY.vouch(larger, RECORD, NOW)
    down = msgspec.structs.replace(
        larger, epoch=larger.epoch + 1, state=GridState.DOWN, changes=(*larger.changes, _down())
    )
    AUTHORITY.vouch(down, larger, NOW)
    by_itself(down)


def _down() -> SignedOrder:
    return ADMIN.order(Action.DOWN, RECORD.id, NOW)


def forged(**changed: object) -> GridRecord:
    return msgspec.structs.replace(MORE, **changed)  # type: ignore[arg-type]


def room(record: GridRecord, **changed: object) -> GridRecord:
    assert record.scaled is not None
    return msgspec.structs.replace(record, room=msgspec.structs.replace(record.scaled, **changed))  # type: ignore[arg-type]


def beyond_count() -> GridRecord:
    more = by_room(RECORD, {"web-4": C})
    named = (*more.assignments[:3], Assignment("web-6", C))
    return regranted(msgspec.structs.replace(more, assignments=named), C, workspaces=("web-6",))


def below_min() -> GridRecord:
    return by_room(LESS, go=("web-2",))


def terminated_comes_back() -> GridRecord:
    gone = ADMIN.order(Action.TERMINATE, RECORD.id, NOW, workspace="web-3")
    then = apply(Remove(RECORD.id, "web-3", gone), Register(RECORD), NOW).record
    assert then is not None
    return by_room(then, {"web-3": C})


def not_granted() -> GridRecord:
    return forged(assignments=(*RECORD.assignments, Assignment("web-4", A)), grants=RECORD.grants)


def granted_by_another() -> GridRecord:
    return forged(grants=(*RECORD.grants, grant(RECORD, A, ["web-4"], MORE.scaled.attempt)))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "record",
    [beyond_count, below_min, terminated_comes_back, not_granted, granted_by_another],
)
def test_nobody_believes_what_the_order_does_not_allow(record: Callable[[], GridRecord]) -> None:
    """Not even acceptors that know nothing of the grid."""
    with pytest.raises(Untrusted):
        AUTHORITY.judges(KEY, encode(Register(record())))
    with pytest.raises(Untrusted):
        AUTHORITY.vouch(record(), None, NOW)


def shrunk_without_a_word() -> GridRecord:
    """With the grant that B gave when it carried less."""
    early = by_room(RECORD, go=("web-3",))
    grown = by_room(early, {"web-3": B})
    return by_room(
        msgspec.structs.replace(grown, grants=early.grants, epoch=4, assignments=early.assignments)
    )


def host_forgotten() -> GridRecord:
    left = by_room(MORE, go=("web-4",))
    return msgspec.structs.replace(left, hosts=left.hosts[:2], grants=left.grants[:2])


def old_grant() -> GridRecord:
    """C granted `web-4` for epoch 2, and it is used for epoch 4."""
    gone = by_room(MORE, go=("web-4",))
    grants = tuple(MORE.grants[2] if g.host == C else g for g in gone.grants)
    again = by_room(gone, {"web-5": A})
    placed = (*gone.assignments, Assignment("web-4", C), Assignment("web-5", A))
    mixed = tuple(g if g.host != C else grants[2] for g in again.grants)
    return msgspec.structs.replace(again, grants=mixed, assignments=placed)


@pytest.mark.parametrize(
    ("record", "before"),
    [
        (lambda: old_grant(), lambda: by_room(MORE, go=("web-4",))),
        (lambda: host_forgotten(), lambda: MORE),
        (lambda: room(MORE, steps=2), lambda: RECORD),
        (lambda: forged(epoch=3), lambda: RECORD),
        (lambda: forged(start_s=5.0), lambda: RECORD),
        (lambda: forged(hosts=(HostRef(A, "else", "s1"), *MORE.hosts[1:])), lambda: RECORD),
        (lambda: msgspec.structs.replace(RECORD, epoch=3), lambda: MORE),
        (lambda: room(MORE, attempt=attempt_at(MORE, "x")), lambda: RECORD),
    ],
)
def test_a_host_that_has_the_grid_believes_only_what_its_hosts_said_since(
    record: Callable[[], GridRecord], before: Callable[[], GridRecord]
) -> None:
    with pytest.raises(Untrusted):
        AUTHORITY.vouch(record(), before(), NOW)


def uncalled() -> GridRecord:
    """C comes by its own word."""
    assert MORE.scaled is not None
    attempt = MORE.scaled.attempt
    return room(MORE, words=(Word(C, C, attempt, sign_asked(HostKey(C), attempt, C)),))


def called_by_its_like() -> GridRecord:
    """C and D come together, and each says that the other called it."""
    both = by_room(RECORD, {"web-4": C, "web-5": D})
    assert both.scaled is not None
    attempt = both.scaled.attempt
    pairs = ((C, D), (D, C))
    words = tuple(Word(p, by, attempt, sign_asked(HostKey(by), attempt, p)) for p, by in pairs)
    return room(both, words=words)


def another_attempts_word() -> GridRecord:
    assert MORE.scaled is not None
    attempt = attempt_at(RECORD, "other")
    return room(MORE, words=(Word(C, A, attempt, sign_asked(HostKey(A), attempt, C)),))


def unsigned() -> GridRecord:
    assert MORE.scaled is not None
    return room(MORE, words=(Word(C, A, MORE.scaled.attempt, b"x" * 64),))


def nothing_changed() -> GridRecord:
    """Only the epoch, so that what the owner orders is out of date."""
    return by_room(RECORD)


@pytest.mark.parametrize(
    "record", [nothing_changed, uncalled, called_by_its_like, another_attempts_word, unsigned]
)
def test_nobody_joins_a_grid_that_none_of_its_hosts_called(
    record: Callable[[], GridRecord],
) -> None:
    with pytest.raises(Untrusted):
        AUTHORITY.vouch(record(), RECORD, NOW)


def test_a_steward_takes_it_from_a_carrier_alone() -> None:
    with pytest.raises(Untrusted, match="only who carries a grid"):
        after(MORE, RECORD, C)
    with pytest.raises(Untrusted, match="only who carries"):
        AUTHORITY.entitles(ORDER, RECORD, (), Rescale(MORE), C, "s3")


def test_who_was_asked_for_room_by_a_carrier_votes_against_it_and_nobody_else() -> None:
    order = ADMIN.up(elastic(), NOW, via=B)
    record = record_of(order, {"web-1": A, "web-2": B})
    attempt = attempt_at(record, "a")
    word = sign_asked(HostKey(A), attempt, C)
    vote = Decline(record.id, attempt, order, word, A)
    after = AUTHORITY.follows(order, Register(record), vote, C, NOW)
    assert after.is_declined(attempt)
    for wrong in (
        msgspec.structs.replace(vote, asked=b"nothing"),
        msgspec.structs.replace(vote, by=C, asked=sign_asked(HostKey(C), attempt, C)),
    ):
        with pytest.raises(Untrusted):
            AUTHORITY.follows(order, Register(record), wrong, C, NOW)


def test_an_order_of_another_epoch_does_nothing() -> None:
    assert after(MORE, LESS) == LESS
