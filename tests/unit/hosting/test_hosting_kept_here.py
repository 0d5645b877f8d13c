"""Volumes of a lease: told while they are kept, also when the grid has them no more."""

import msgspec
from changing_host import Changing, sized
from negotiating import ADMIN, MIB, NOW, shop

from protocol.grid.lifecycle import Phase, Power
from protocol.grid.model import GridSpec, Mount, VolumeSpec
from protocol.grid.record import GridRecord, GridState
from protocol.grid.volumes import TerminateTerms
from protocol.hosting.events import Progressed
from protocol.hosting.kept_here import keeps_of
from protocol.terms.ids import GridId
from protocol.trust.order import Action
from protocol.wire.codec import encode


def with_data(spec: GridSpec) -> GridSpec:
    mounted = sized(spec, mounts=(Mount("data", "/data"),))
    return msgspec.structs.replace(mounted, volumes=(VolumeSpec("data", 64 * MIB),))


def unmounted() -> tuple[Changing, GridRecord]:
    """A host whose `web-1` had a volume, and has it no more."""
    one = Changing(ADMIN.up(with_data(shop(1)), NOW))
    record = one.up()
    return one, one.changes(record, shop(1), "web-1")


def terminated(one: Changing, record: GridRecord, *, volumes: bool) -> GridId:
    body = encode(TerminateTerms(volumes))
    gone = ADMIN.order(Action.TERMINATE, record.id, NOW, workspace="web-1", body=body)
    one.decides(
        msgspec.structs.replace(
            record, epoch=record.epoch + 1, assignments=(), changes=(*record.changes, gone)
        )
    )
    one.keep(one.host.handle(Progressed(record.id, "web-1", Phase.GONE, "", 2), NOW))
    return record.id


def test_a_volume_that_is_not_mounted_any_more_stays_when_its_workspace_goes() -> None:
    one, record = unmounted()
    row = one.row(record.id)
    leases = one.host.leases
    assert keeps_of(row, "web-1", leases.members(row), leases.keeps(row), one.me)
    grid = terminated(one, record, volumes=False)
    assert [w.power for w in one.row(grid).wanted] == [Power.GONE]
    assert leases.volumes(one.row(grid)) == (("data", 64 * MIB, "web-1"),)
    one.start()
    one.host.check()


def test_it_goes_with_an_order_to_delete_it() -> None:
    one, record = unmounted()
    grid = terminated(one, record, volumes=True)
    assert one.row(grid).wanted == ()


def test_it_goes_when_the_grid_is_taken_down() -> None:
    one, record = unmounted()
    down = ADMIN.order(Action.DOWN, record.id, NOW)
    one.decides(msgspec.structs.replace(record, epoch=3, state=GridState.DOWN, changes=(down,)))
    row = one.row(record.id)
    leases = one.host.leases
    assert not keeps_of(row, "web-1", leases.members(row), leases.keeps(row), one.me)


def test_it_is_mounted_again_with_what_is_on_it() -> None:
    one, record = unmounted()
    free = one.host.ledger.free
    after = one.changes(record, with_data(shop(1)), "web-1")
    assert one.row(record.id).unused == ()
    assert one.host.leases.volumes(one.row(record.id)) == (("data", 64 * MIB, "web-1"),)
    assert one.host.ledger.free == free, "it had its room all the time"
    assert after.epoch == 3
