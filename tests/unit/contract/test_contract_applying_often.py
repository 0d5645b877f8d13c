"""Grids that are changed again and again: each record is believed by everybody, whatever they have missed."""

from random import Random

import msgspec
import pytest
from applying_world import GIB, RECORD, grown, spec_of, to_apply
from negotiating import ADMIN, AUTHORITY, NOW, A, B, C

from protocol.grid.apply import delta
from protocol.grid.apply_faults import apply_faults
from protocol.grid.history import history
from protocol.grid.record import GridRecord, LeaseChange, Register, order_part
from protocol.grid.steps import Apply, Extend, Remove, Step, apply
from protocol.grid.volumes import TerminateTerms, kept_volumes, pinned, volumes_at
from protocol.trust.order import Action
from protocol.wire.codec import encode

KEY = order_part(RECORD.id)
STEPS, SEEDS = 9, 24


def applied(record: GridRecord, dice: Random, at_s: float) -> Step | None:
    """Another file; None if the grid cannot become that."""
    old = AUTHORITY.spec(record.standing)
    sizes = [volume.size_bytes // GIB for volume in old.volumes]
    spec = spec_of(
        dice.randint(1, 6),
        db=dice.random() < 0.7,
        data_gib=max([*sizes, dice.randint(1, 3)]),
        memory_bytes=dice.choice((1, 2)) * GIB,
    )
    without = ("web-1",) if dice.random() < 0.2 else ()
    placed, volumes = record.placed, volumes_at(record, old)
    if apply_faults(old, spec, placed, volumes, without):
        return None
    added, pins = delta(tuple(placed), old, spec, without).added, pinned(volumes, spec)
    where = {name: pins.get(name) or dice.choice((A, B, C)) for name in added}
    return Apply(grown(to_apply(spec, record, without, at_s=at_s), where, record))


def stepped(record: GridRecord, dice: Random, at_s: float) -> Step | None:
    """Something that its owner orders next."""
    names = [a.workspace for a in record.assignments]
    match dice.choice(("apply", "apply", "terminate", "lease")):
        case "apply":
            return applied(record, dice, at_s)
        case "terminate" if len(names) > 1:
            name, body = dice.choice(names), encode(TerminateTerms(dice.random() < 0.5))
            order = ADMIN.order(Action.TERMINATE, record.id, at_s, workspace=name, body=body)
            return Remove(record.id, name, order)
        case _:
            by_s = dice.choice((-60, 60))
            order = ADMIN.order(Action.LEASE, record.id, at_s, body=encode(LeaseChange(by_s)))
            return Extend(record.id, order)


def addresses(record: GridRecord) -> dict[str, str]:
    there = {a.workspace for a in record.assignments}
    return {c.workspace: c.address for c in AUTHORITY.cards(record) if c.workspace in there}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_its_owner_orders_is_believed_by_all_and_touches_nothing_else(seed: int) -> None:
    dice, known, now = Random(seed), [RECORD], NOW
    while len(known) <= STEPS:
        now += 1.0
        record, step = known[-1], stepped(known[-1], dice, now)
        if step is None:
            continue
        after = AUTHORITY.follows(record.order, Register(record), step, A, now).record
        assert after is not None
        assert (after, after.epoch) == (
            apply(step, Register(record), now).record,
            record.epoch + 1,
        )
        assert AUTHORITY.judges(KEY, encode(Register(after))).record == after
        AUTHORITY.vouch(after, None, now)
        for missed in known:
            AUTHORITY.vouch(after, missed, now)
        unharmed(record, after, step)
        known.append(after)
    assert [past.epoch for past in history(known[-1])] == list(range(1, STEPS + 2))


def unharmed(before: GridRecord, after: GridRecord, step: Step) -> None:
    """Who is in both is where it was, by its old address, and no volume is lost that nobody ended."""
    hosts = after.placed
    were = before.placed
    stays = [name for name in were if name in hosts]
    assert [hosts[name] for name in stays] == [were[name] for name in stays]
    assert [addresses(after)[n] for n in stays] == [addresses(before)[n] for n in stays]
    used = list(addresses(after).values())
    assert len(used) == len(set(used))
    if isinstance(step, Apply):
        old, new = (AUTHORITY.spec(record.standing) for record in (before, after))
        at = {kept.volume: kept.host for kept in volumes_at(after, new)}
        for kept in volumes_at(before, old):
            assert at[kept.volume] == kept.host
            assert kept.volume in kept_volumes(after, new)


def test_a_record_does_not_grow_with_the_changes_of_its_grid() -> None:
    record = grown(to_apply(spec_of(3)), {"web-3": C})
    first = len(encode(msgspec.structs.replace(record)))
    for count in (2, 3) * 30:
        where = {"web-3": C} if count == 3 else {}
        record = grown(to_apply(spec_of(count), record), where, record)
    assert len(encode(record)) < 2 * first + 4096
