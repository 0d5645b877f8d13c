"""What room may make of an elastic grid, and what it makes of the record."""

import msgspec
from applying_world import spec_of, to_apply
from elastic_world import ORDER, RECORD, by_room, elastic
from negotiating import ADMIN, AUTHORITY, NOW, A, B, C, record_of

from protocol.grid.apply import delta
from protocol.grid.check import problems
from protocol.grid.elastic import (
    attempt_at,
    by_room_alone,
    is_attempt_at,
    missing,
    spare,
)
from protocol.grid.history import history
from protocol.grid.model import GridSpec, LeaseTerms, Mount, VolumeSpec
from protocol.grid.next_epoch import Added, applied_to
from protocol.grid.record import Register, apply_terms, grid_id, terminated, was_decided
from protocol.grid.steps import Decline, Remove, Rescale, apply
from protocol.trust.order import Action, read_order

SPEC = elastic()


def without_web(name: str) -> Register:
    gone = ADMIN.order(Action.TERMINATE, RECORD.id, NOW, workspace=name)
    return apply(Remove(RECORD.id, name, gone), Register(RECORD), NOW)


def said(spec: GridSpec) -> list[str]:
    return [str(problem) for problem in problems(spec)]


def test_a_file_says_what_would_work() -> None:
    (cluster,) = SPEC.clusters
    assert said(SPEC) == []
    firm = msgspec.structs.replace(SPEC, lease=LeaseTerms())
    assert "write lease: {best-effort: true}, or leave elastic out" in said(firm)[0]
    assert "write a min below count, 5, or leave elastic out" in said(elastic(5, 5))[0]
    mounts = msgspec.structs.replace(cluster, mounts=(Mount("data", "/srv"),))
    volumes = (VolumeSpec("data", 1 << 30),)
    mounted = msgspec.structs.replace(SPEC, clusters=(mounts,), volumes=volumes)
    assert any("volumes, which stay on their hosts" in line for line in said(mounted))


def test_what_is_missing_is_neither_terminated_nor_left_out() -> None:
    assert missing(RECORD, SPEC) == ("web-4", "web-5")
    after = without_web("web-3").record
    assert after is not None
    assert terminated(after) == ("web-3",)
    assert missing(after, SPEC) == ("web-4", "web-5")
    assert missing(record_of(ADMIN.up(spec_of(3, db=False), NOW), {"web-1": A}), spec_of(3)) == ()


def test_the_newest_beyond_min_may_go() -> None:
    assert spare(RECORD, SPEC) == ("web-3",)
    assert spare(by_room(RECORD, {"web-5": C}), SPEC) == ("web-5", "web-3")
    assert spare(by_room(RECORD, go=("web-3",)), SPEC) == ()


def test_an_attempt_is_for_one_epoch() -> None:
    attempt = attempt_at(RECORD, "me")
    assert is_attempt_at(attempt, ORDER, 1)
    assert not is_attempt_at(attempt, ORDER, 2)
    assert not is_attempt_at(attempt, to_apply(SPEC), 1)


def test_the_next_epoch_has_what_came_and_tells_of_it() -> None:
    more = by_room(RECORD, {"web-4": C})
    assert [a.workspace for a in more.assignments] == ["web-1", "web-2", "web-3", "web-4"]
    assert (more.epoch, more.steps_by_room) == (2, 1)
    less = by_room(more, go=("web-4",))
    assert [host.peer for host in less.hosts] == [A, B, C], "its word that it carries nothing"
    lines = [(line.epoch, line.action, line.by, line.said) for line in history(less)]
    assert lines[1:] == [
        (2, "elastic", "room that came", "+web-4"),
        (3, "elastic", "room that came", "-web-4"),
    ]


def test_orders_and_room_are_told_of_in_their_order() -> None:
    gone = ADMIN.order(Action.TERMINATE, RECORD.id, NOW, workspace="web-3")
    more = by_room(RECORD, {"web-4": C})
    then = apply(Remove(RECORD.id, "web-3", gone), Register(more), NOW).record
    assert then is not None
    again = by_room(then, {"web-5": C})
    assert [line.epoch for line in history(again)] == [1, 2, 3, 4]
    assert [line.said for line in history(again)] == ["", "+web-4", "-web-3", "+web-5"]
    order = to_apply(elastic(4), again)
    spec = apply_terms(read_order(order))
    changed = applied_to(again, SPEC, order, spec, Added(grid_id(order, 0, "r")))
    assert changed.scaled is None
    assert [line.epoch for line in history(changed)] == [1, 2, 3, 4, 5]
    assert by_room_alone(history(more), 1)
    assert not by_room_alone(history(again), 1)
    assert not by_room_alone(history(again), 4)


def test_a_register_takes_one_change_of_an_epoch() -> None:
    more, other = by_room(RECORD, {"web-4": C}), by_room(RECORD, {"web-5": C}, by="second")
    register = apply(Rescale(more), Register(RECORD), NOW)
    assert register.record == more
    assert apply(Rescale(other), register, NOW) == register
    assert more.scaled is not None
    assert other.scaled is not None
    assert was_decided(more, more.scaled.attempt)
    assert not was_decided(more, other.scaled.attempt)
    declined = apply(Decline(RECORD.id, more.scaled.attempt), Register(RECORD), NOW)
    assert apply(Rescale(more), declined, NOW) == declined


def test_an_order_brings_of_an_elastic_cluster_no_more_than_its_min() -> None:
    there = ("web-1", "web-2", "web-3")
    assert delta(there, SPEC, elastic(8)).added == ()
    assert delta(there, SPEC, elastic(8, 5)).added == ("web-4", "web-5")
    assert delta(there, SPEC, elastic(3, 2), ("web-1",)).added == ()
    assert delta(there, SPEC, elastic(3, 2), ("web-1",)).gone == ("web-1",)
    assert delta(("web-1",), SPEC, elastic(3, 2), ("web-2",)).added == ("web-3",)
    assert AUTHORITY.spec(ORDER) == SPEC
