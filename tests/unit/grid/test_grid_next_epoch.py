"""The record of a grid after an order was applied to it: what stays stays, all else follows from the order."""

from applying_world import GIB, RECORD, grown, spec_of, to_apply
from negotiating import ADMIN, NAMES, NOW, A, B, C

from protocol.grid.grant import read_grant
from protocol.grid.record import KeptVolume, LeaseChange, Register
from protocol.grid.steps import Extend, Remove, apply
from protocol.grid.volumes import TerminateTerms, kept_volumes
from protocol.trust.order import Action
from protocol.wire.codec import encode


def test_hosts_that_carry_nothing_are_dropped_and_new_ones_come_last() -> None:
    record = grown(to_apply(spec_of(3)), {"web-3": C})
    assert [host.name for host in record.hosts] == [NAMES[A], NAMES[B], NAMES[C]]
    less = grown(to_apply(spec_of(3), record, without=("web-1",)), {}, record)
    assert [host.peer for host in less.hosts] == [B, C]
    assert [grant.host for grant in less.grants] == [B, C]


def test_a_host_that_is_not_asked_keeps_its_grant() -> None:
    record = grown(to_apply(spec_of(3)), {"web-3": C})
    assert [bool(read_grant(grant).change) for grant in record.grants] == [False, False, True]
    assert record.grants[:2] == RECORD.grants


def test_a_volume_stays_where_it_is_though_the_file_has_it_no_more() -> None:
    record = grown(to_apply(spec_of(db=False)), {})
    kept = (KeptVolume("data", B, GIB, "db-1"),)
    assert record.applied is not None
    assert record.applied.volumes == kept
    assert kept_volumes(record, spec_of(db=False)) == ("data",)
    alone = grown(to_apply(spec_of(db=False), without=("web-2",)), {})
    assert [host.peer for host in alone.hosts] == [A, B], "it has the volume"


def test_a_volume_whose_end_was_ordered_is_gone_until_a_file_has_it_again() -> None:
    terms = encode(TerminateTerms(delete_volumes=True))
    order = ADMIN.order(Action.TERMINATE, RECORD.id, NOW, workspace="db-1", body=terms)
    before = apply(Remove(RECORD.id, "db-1", order), Register(RECORD), NOW).record
    assert before is not None
    gone = grown(to_apply(spec_of(db=False), before), {}, before)
    assert gone.applied is not None
    assert (gone.applied.volumes, gone.changes, gone.applied.folded) == ((), (order,), 1)
    again = grown(to_apply(spec_of(), gone), {"db-1": A}, gone)
    assert kept_volumes(again, spec_of()) == ("data",)


def test_of_the_orders_before_those_stay_that_its_lease_follows_from() -> None:
    longer = ADMIN.order(Action.LEASE, RECORD.id, NOW, body=encode(LeaseChange(60)))
    gone = ADMIN.order(Action.TERMINATE, RECORD.id, NOW, workspace="web-1")
    register = apply(Extend(RECORD.id, longer), Register(RECORD), NOW)
    before = apply(Remove(RECORD.id, "web-1", gone), register, NOW).record
    assert before is not None
    record = grown(to_apply(spec_of(), before), {"web-1": C}, before)
    assert (record.epoch, record.changes, record.extra_s) == (4, (longer,), 60)
