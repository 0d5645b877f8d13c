"""Who may have the files of an order: on disk before its grid is decided, and as long as there is one."""

import msgspec
from deciding import decided, voiding
from negotiating import ADMIN, NOW, B
from one_requester import Scene, notice_of

from protocol.contract.outcomes import CommitGrid, ConfirmGrid, Propose
from protocol.grid.record import GridState
from protocol.requesting.attached import TABLE, Attached
from protocol.sim.people import grid_spec
from protocol.terms.effects import Effect, Persist
from protocol.terms.ids import PeerId, digest_of
from protocol.terms.limits import ATTACHED_UNHEARD_S
from protocol.trust.order import SignedOrder
from protocol.wire.codec import decode

DIGEST = digest_of(b"#!/bin/sh\n")


def order(digest: str = DIGEST) -> SignedOrder:
    spec = grid_spec("star", 2)
    clusters = tuple(msgspec.structs.replace(c, user_data=digest) for c in spec.clusters)
    return ADMIN.up(msgspec.structs.replace(spec, clusters=clusters), NOW)


def rows(effects: list[Effect]) -> list[tuple[str, bytes | None]]:
    found = [row for e in effects if isinstance(e, Persist) for row in e.rows]
    return [(row.key, row.value) for row in found if row.table == TABLE]


def test_the_readers_are_on_disk_before_the_stewards_are_asked() -> None:
    scene = Scene()
    effects, (proposal,) = scene.hold_all(scene.holding("up", order()))
    ((key, value),) = rows(effects)
    assert value is not None
    said = decode(value, Attached)
    assert {digest for _, digest in said.named} == {DIGEST}
    record = scene.requester.requests.placing()[0].undecided
    assert record is not None
    assert key == record.id
    assert set(said.readers) == {*record.carriers(), *record.stewards}
    assert proposal is not None
    assert not scene.requester.is_made(record.id), "nobody is given anything before it is decided"


def test_a_grid_without_files_writes_nothing() -> None:
    scene = Scene()
    effects, _ = scene.hold_all(scene.holding("up", order("")))
    assert rows(effects) == []


def test_a_life_that_was_killed_while_committing_is_taken_up_by_the_next() -> None:
    scene = Scene()
    effects, _ = scene.hold_all(scene.holding("up", order()))
    ((key, value),) = rows(effects)
    assert value is not None
    record = scene.requester.requests.placing()[0].undecided
    assert record is not None
    again = Scene(rows={TABLE: {key: value}})
    again.requester.begin(NOW)
    assert not again.requester.is_made(record.id)
    again.notice(B, notice_of(record, B))
    assert again.requester.is_made(record.id)
    (kept,) = again.requester.attaching.rows()
    assert kept.grid == record.id


def test_it_ends_with_its_grid() -> None:
    scene = Scene()
    record = scene.building("up", order())
    scene.requester.begin(NOW)
    scene.notice(B, notice_of(record, B))
    scene.requester.tick(NOW + 10 * ATTACHED_UNHEARD_S)
    assert len(scene.requester.attaching.rows()) == 1, "somebody tells of it"
    liar = PeerId("f" * 64)
    lie = notice_of(record, liar, state=GridState.DOWN, epoch=2)
    scene.notice(liar, lie, confirmed=False)
    assert len(scene.requester.attaching.rows()) == 1, "who says so has nothing to do with it"
    (host, *_) = record.carriers()
    told = notice_of(record, host, state=GridState.DOWN, epoch=2)
    scene.notices.put(host, told, NOW)
    _, (look,) = scene.requester.noticed(host, told, NOW)
    assert len(scene.requester.attaching.rows()) == 1, "its stewards are asked first"
    assert isinstance(look, Propose)
    assert isinstance(look.purpose, ConfirmGrid)
    gone = msgspec.structs.replace(record, state=GridState.DOWN, epoch=2)
    scene.requester.settled(look.purpose, decided(gone), NOW)
    assert scene.requester.attaching.rows() == []
    assert rows(scene.requester.notes()) == [(record.id, None)]


def test_it_ends_with_a_grid_of_whose_end_this_host_has_the_decision() -> None:
    """It carried the grid itself, so what it tells of it is no news to it, and nobody is asked."""
    scene = Scene()
    record = scene.building("up", order())
    scene.requester.begin(NOW)
    (host, *_) = record.carriers()
    scene.notice(host, notice_of(record, host))
    assert len(scene.requester.attaching.rows()) == 1
    scene.notice(host, notice_of(record, host, state=GridState.DOWN, epoch=2))
    assert scene.requester.attaching.rows() == []
    assert rows(scene.requester.notes()) == [(record.id, None)]


def test_a_grid_of_which_nobody_tells_is_forgotten_but_not_at_once_after_a_start() -> None:
    scene = Scene()
    effects, _ = scene.hold_all(scene.holding("up", order()))
    ((key, value),) = rows(effects)
    assert value is not None
    late_s = NOW + 10 * ATTACHED_UNHEARD_S
    again = Scene(rows={TABLE: {key: value}})
    again.requester.begin(late_s)
    again.requester.tick(late_s + ATTACHED_UNHEARD_S - 1.0)
    assert len(again.requester.attaching.rows()) == 1
    again.requester.tick(late_s + ATTACHED_UNHEARD_S + 1.0)
    assert again.requester.attaching.rows() == []


def test_an_attempt_that_came_to_nothing_is_forgotten() -> None:
    scene = Scene()
    scene.requester.begin(NOW)
    proposal = scene.committing("up", order())
    scene.requester.notes()
    assert len(scene.requester.attaching.rows()) == 1, "it is being decided"
    record = scene.requester.requests.placing()[0].undecided
    assert record is not None
    scene.cancel("up")
    voided = voiding(record.id, NOW)(None)
    assert isinstance(proposal.purpose, CommitGrid)
    scene.requester.settled(proposal.purpose, voided, NOW)
    assert rows(scene.requester.notes()) == [(record.id, None)]
    assert scene.requester.attaching.rows() == []


def test_a_row_of_another_build_is_tidied_away() -> None:
    again = Scene(rows={TABLE: {"x": b"\xc1"}})
    again.requester.begin(NOW)
    assert again.requester.attaching.rows() == []
    assert rows(again.requester.notes()) == [("x", None)]
