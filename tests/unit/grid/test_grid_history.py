"""What was decided of a grid so far: a line for its making, and for each change since."""

from random import Random

from applying_world import RECORD, grown, spec_of, to_apply
from negotiating import ADMIN, NOW, C
from organisation import Organisation

from protocol.grid.history import history, line_of
from protocol.grid.record import GridRecord, LeaseChange, Register
from protocol.grid.steps import Extend, Remove, apply
from protocol.sim.people import Person
from protocol.terms.limits import PAST_MOST
from protocol.trust.order import Action
from protocol.wire.codec import encode


def said(record: GridRecord) -> list[tuple[int, str, str]]:
    return [(past.epoch, past.action, past.said) for past in history(record)]


def changed(record: GridRecord) -> GridRecord:
    """Its lease is longer by a minute, and web-2 is gone."""
    longer = ADMIN.order(Action.LEASE, record.id, NOW, body=encode(LeaseChange(60)))
    gone = ADMIN.order(Action.TERMINATE, record.id, NOW, workspace="web-2")
    register = apply(Extend(record.id, longer), Register(record), NOW)
    register = apply(Remove(record.id, "web-2", gone), register, NOW)
    assert register.record is not None
    return register.record


SINCE = [(2, "lease", "+1 min"), (3, "terminate", "-web-2")]


def test_each_order_since_it_was_made_has_a_line() -> None:
    assert said(RECORD) == [(1, "up", "")]
    assert said(changed(RECORD)) == [(1, "up", ""), *SINCE]
    (made,) = history(RECORD)
    assert (made.at_s, made.by) == (NOW, "s1")


def test_what_was_folded_is_still_told_and_in_its_epoch() -> None:
    before = changed(RECORD)
    now = grown(to_apply(spec_of(3), before), {"web-2": C, "web-3": C}, before)
    assert said(now) == [(1, "up", ""), *SINCE, (4, "apply", "+2 web")]
    assert said(changed(now))[-2:] == [(5, "lease", "+1 min"), (6, "terminate", "-web-2")]


def test_no_more_is_told_than_there_is_room_for() -> None:
    record = RECORD
    for number in range(PAST_MOST + 3):
        size = spec_of(2, cpus_milli=100 + number)
        record = grown(to_apply(size, record), {}, record)
    told = history(record)
    assert len(told) == PAST_MOST
    assert (told[0].epoch, told[-1].epoch) == (5, PAST_MOST + 4)


def test_a_members_order_is_by_the_member_and_a_vos_by_the_vo() -> None:
    star = Organisation("star", from_s=NOW - 1000, until_s=NOW + 1_000_000)
    own = star.grant("", audience=star.signer.key)
    for signer, grants, by in (
        (star.key_of("kate"), star.grant("kate"), "kate"),
        (star.signer, own, "star"),
    ):
        order = Person(signer, (), grants, Random(1), lambda: (C,)).up(spec_of(1), NOW)
        assert line_of(order, 1, "").by == by
