"""A host that was set back, or lost its disk, while its grid was changed: it ends up as the record says."""

from changing_host import Changing, sized, to_apply
from deciding import decided
from hosting_world import GRID, ROOM
from negotiating import MIB, NOW, shop

from protocol.capacity.quantum import Quantum
from protocol.contract.outcomes import AskFoundling, AuditLease, VoidHold
from protocol.grid.lifecycle import Power, Wanted
from protocol.grid.model import ImageRef
from protocol.hosting.events import Found
from protocol.hosting.keepsake import keepsake_of

OTHER = ImageRef("debian", "d" * 64)
CHANGED = sized(shop(2), image=OTHER)
AS_CHANGED = (Wanted("web-1", boot=2, build=2), Wanted("web-2"))


def test_a_host_that_was_set_back_to_an_older_epoch_counts_the_same_starts() -> None:
    one = Changing()
    record = one.up()
    old = {table: dict(rows) for table, rows in one.rows.items()}
    after = one.changes(record, CHANGED, "web-1", "web-2")
    assert one.row().wanted == AS_CHANGED
    one.rows = old
    one.start(NOW + 10)
    one.keep(one.host.settled(AuditLease(GRID), decided(after), NOW + 12))
    assert one.row().wanted == AS_CHANGED, "so what runs as that is not started again"
    assert one.host.ledger.free == ROOM - Quantum(1000, 256 * MIB)


def found(one: Changing, keepsake: bytes, boot: int, build: int) -> None:
    event = Found(
        grid=GRID, what="machine ovl-1", workspace="web-1", detail="runs", power=Power.RUNNING,
        boot=boot, build=build, cpus_milli=500, memory_bytes=128 * MIB, keepsake=keepsake,
    )  # fmt: skip
    one.keep(one.host.handle(event, NOW + 10))


def test_what_was_added_before_the_disk_was_lost_is_taken_up_if_there_is_room() -> None:
    one = Changing()
    record = one.up()
    keepsake = keepsake_of(one.row())
    after = one.changes(record, shop(2), "web-1", "web-2")
    one.rows = {}
    one.start(NOW + 10)
    found(one, keepsake, 1, 1)
    one.keep(one.host.settled(AskFoundling(GRID), decided(after), NOW + 12))
    assert one.row().record == after
    assert one.row().wanted == (Wanted("web-1"), Wanted("web-2"))
    one.start(NOW + 20)
    one.host.check()


def test_a_machine_that_was_changed_before_the_disk_was_lost_goes_on() -> None:
    one = Changing()
    after = one.changes(one.up(), CHANGED, "web-1", "web-2")
    keepsake = keepsake_of(one.row())
    one.rows = {}
    one.start(NOW + 10)
    found(one, keepsake, 2, 2)
    one.keep(one.host.settled(AskFoundling(GRID), decided(after), NOW + 12))
    assert one.row().wanted == AS_CHANGED


def test_a_hold_for_a_change_is_not_taken_for_what_is_unknown() -> None:
    one = Changing()
    record = one.up()
    keepsake = keepsake_of(one.row())
    one.rows = {}
    one.start(NOW + 10)
    found(one, keepsake, 1, 1)
    reply = one.hold(record, to_apply(shop(2)), "web-1", "web-2", now=NOW + 11)
    assert reply.held == ()
    assert "is unknown; its stewards are asked" in reply.refused[0][1].detail


def test_what_is_held_for_a_change_keeps_its_room_while_what_is_there_is_unknown() -> None:
    one = Changing()
    record = one.up()
    keepsake = keepsake_of(one.row())
    change = to_apply(shop(2))
    reply = one.hold(record, change, "web-1", "web-2")
    assert reply.grant is not None
    after = one.applied(record, change, {"web-2": one.me}, (reply.grant,))
    one.rows = {"hold": one.rows["hold"]}
    one.start(NOW + 10)
    found(one, keepsake, 1, 1)
    (hold,) = one.host.holds.rows()
    one.keep(one.host.settled(VoidHold(hold.grid), decided(after), NOW + 12))
    assert one.host.holds.rows() == [hold]
    one.keep(one.host.settled(AskFoundling(GRID), decided(after), NOW + 13))
    one.keep(one.host.settled(VoidHold(hold.grid), decided(after), NOW + 14))
    assert one.host.holds.rows() == []
    assert one.row().wanted == (Wanted("web-1"), Wanted("web-2"))
    assert one.host.ledger.free == ROOM - Quantum(1000, 256 * MIB)
