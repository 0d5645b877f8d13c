"""Which files a peer must have, may give to whom, and must keep: by its leases, registers and requests."""

import msgspec
from one_peer import ADMIN, NOW, Alone, started

from protocol.grid.record import ApplyTerms, GridRecord, GridState, Register, order_part
from protocol.hosting.events import Found
from protocol.node.attachments import GridsFiles
from protocol.node.node import Node
from protocol.node.snapshot import PeerView
from protocol.requesting.events import OrderGiven
from protocol.sim.people import grid_spec
from protocol.terms.ids import GridId, RequestId, digest_of
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode

DIGEST = digest_of(b"#!/bin/sh\n")


def order(name: str = "shop") -> SignedOrder:
    spec = grid_spec(name, 1)
    clusters = tuple(msgspec.structs.replace(c, user_data=DIGEST) for c in spec.clusters)
    return ADMIN.up(msgspec.structs.replace(spec, clusters=clusters), NOW)


def carried() -> tuple[Node, str]:
    """A peer that carries a grid with a file, is its steward, and was asked for it."""
    alone = Alone(started())
    alone.feed(OrderGiven(RequestId("up"), order()))
    alone.until(lambda: alone.peer.host.leases.rows() != [], 5.0)
    (row,) = alone.peer.host.leases.rows()
    return alone.peer, order_part(row.record.id)


def test_who_carries_a_grid_needs_its_files_and_may_give_them_to_the_others() -> None:
    peer, key = carried()
    view = PeerView(peer)
    (files,) = view.files()
    assert (files.key, files.digests, files.readers) == (key, (DIGEST,), (peer.me,))
    assert view.readers(key, DIGEST) == (peer.me,)
    assert view.readers(key, "0" * 64) == ()
    assert view.readers("f" * 20, DIGEST) == ()
    assert [given.key for given in view.given_files()] == [key]
    assert key in view.file_keys()


def test_the_files_of_what_a_grid_was_before_its_last_change_are_kept_for_the_way_back() -> None:
    alone = Alone(started())
    alone.feed(OrderGiven(RequestId("up"), order()))
    leases = alone.peer.host.leases
    alone.until(lambda: leases.rows() != [], 5.0)
    (row,) = leases.rows()
    plain = ApplyTerms(grid_spec("shop", 1), row.record.epoch)
    change = ADMIN.order(Action.APPLY, row.record.id, NOW, body=encode(plain))
    alone.feed(OrderGiven(RequestId("apply"), change))
    alone.until(lambda: leases.rows()[0].record.epoch == 2, 10.0)
    key = order_part(row.record.id)
    view = PeerView(alone.peer)
    (files,) = view.files()
    assert (files.named, files.digests) == ((), (DIGEST,))
    assert view.readers(key, DIGEST) == (alone.peer.me,)
    assert key in view.file_keys()
    steward = started()
    ((_, register),) = alone.peer.registers.acceptor.values()
    assert register.record is not None
    (kept,) = GridsFiles(steward.host, Steward(register.record), steward.requester).needed()
    assert (kept.key, kept.digests) == (key, (DIGEST,))


class Steward:
    """The registers of a steward, as far as their files matter."""

    def __init__(self, *records: GridRecord) -> None:
        self.records = records

    def values(self) -> list[tuple[str, Register]]:
        return [(str(number), Register(record)) for number, record in enumerate(self.records)]


def test_a_steward_needs_them_until_the_record_is_down() -> None:
    peer, key = carried()
    ((_, register),) = peer.registers.acceptor.values()
    assert register.record is not None
    empty, steward = started(), Steward()
    files = GridsFiles(empty.host, steward, empty.requester)
    assert files.needed() == []
    steward.records = (register.record,)
    assert [each.key for each in files.needed()] == [key]
    steward.records = (msgspec.structs.replace(register.record, state=GridState.DOWN),)
    assert files.needed() == []
    assert files.keys() == set()


def test_what_was_read_of_a_register_is_forgotten_with_it() -> None:
    peer, _ = carried()
    ((_, register),) = peer.registers.acceptor.values()
    assert register.record is not None
    empty, steward = started(), Steward(register.record)
    files = GridsFiles(empty.host, steward, empty.requester)
    assert len(files.needed()) == len(files._read) == 1
    steward.records = ()
    assert files.needed() == []
    assert files._read == {}


def test_a_record_that_takes_another_orders_id_is_no_way_to_its_files() -> None:
    """A member writes a register with a grid whose id begins like another's, and itself as its host."""
    peer, key = carried()
    ((_, register),) = peer.registers.acceptor.values()
    record = register.record
    assert record is not None
    for forged in (
        msgspec.structs.replace(record, order=order("mine")),
        msgspec.structs.replace(record, id="."),
        msgspec.structs.replace(record, order=msgspec.structs.replace(record.order, payload=b"x")),
    ):
        empty = started()
        files = GridsFiles(empty.host, Steward(forged), empty.requester)
        assert files.readers(key, DIGEST) == ()


def test_what_a_host_found_and_does_not_remember_keeps_its_files() -> None:
    alone = Alone(started())
    alone.feed(Found(GridId("0123456789abcdef0123.0-abcdef"), "machine ovl-1", "n-1"))
    assert PeerView(alone.peer).file_keys() == {"0123456789abcdef0123"}
    assert PeerView(alone.peer).readers("0123456789abcdef0123", DIGEST) == ()
