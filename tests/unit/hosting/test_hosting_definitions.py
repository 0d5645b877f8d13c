"""What each workspace of a lease is: as its grid has it now, or as it was until its turn or its end."""

import msgspec
from changing_host import Changing, sized
from hosting_world import GRID
from negotiating import AUTHORITY, MIB, shop

from protocol.capacity.quantum import Quantum
from protocol.grid.apply import Manner
from protocol.grid.expand import STATE_MORE_BYTES, workspaces
from protocol.grid.lifecycle import Power, Wanted
from protocol.grid.model import DeviceCount
from protocol.hosting.definitions import booked_of, growth, larger, members_of, only
from protocol.hosting.lease import Behind

(SMALL,) = workspaces(sized(shop(1), memory_bytes=64 * MIB, cpus_milli=900))
(LARGE,) = workspaces(sized(shop(1), memory_bytes=256 * MIB, cpus_milli=100))


def test_what_waits_for_its_turn_is_what_it_was_and_booked_as_large_as_it_will_be() -> None:
    one = Changing()
    one.up()
    behind = (Behind(SMALL, Manner.REBUILD),)
    row = msgspec.structs.replace(one.row(GRID), behind=behind)
    assert members_of(AUTHORITY, row)["web-1"] == SMALL
    booked = booked_of(AUTHORITY, row)["web-1"]
    assert (booked.memory_bytes, booked.cpus_milli) == (128 * MIB, 900)
    lacking = msgspec.structs.replace(row, lacks=("web-1",))
    assert booked_of(AUTHORITY, lacking)["web-1"] == SMALL


def test_there_is_room_for_being_either() -> None:
    two = msgspec.structs.replace(SMALL, devices=(DeviceCount("gpu", 2),))
    one = msgspec.structs.replace(LARGE, devices=(DeviceCount("fpga", 1), DeviceCount("gpu", 1)))
    both = larger(two, one)
    assert (both.cpus_milli, both.memory_bytes) == (900, 256 * MIB)
    assert both.devices == (DeviceCount("fpga", 1), DeviceCount("gpu", 2))


def test_what_grows_takes_only_what_it_grows_by() -> None:
    assert growth(SMALL, LARGE) == Quantum(0, 192 * MIB, 0)
    assert growth(LARGE, SMALL) == Quantum(800)
    assert growth(SMALL, SMALL) == Quantum()
    rated = {"disk_bytes_s": 50 * MIB, "disk_operations_s": 500}
    fast = msgspec.structs.replace(SMALL, **rated)
    assert growth(SMALL, fast) == Quantum(**rated)
    assert growth(fast, SMALL) == Quantum()
    assert larger(fast, SMALL) == fast


def test_a_saved_one_takes_more_disk_for_a_larger_memory() -> None:
    assert growth(SMALL, LARGE, saved=True) == Quantum(0, 192 * MIB, 192 * MIB)
    assert STATE_MORE_BYTES > 0


def test_what_is_gone_or_goes_as_it_is_is_not_kept() -> None:
    one = Changing()
    one.up()
    row = msgspec.structs.replace(
        one.row(GRID),
        leaving=(msgspec.structs.replace(SMALL, name="web-9"),),
        behind=(Behind(SMALL, Manner.RESTART),),
    )
    assert only(row).leaving == ()
    assert only(row).behind == row.behind
    ends = msgspec.structs.replace(row, wanted=(Wanted("web-1", Power.GONE),))
    assert only(ends).behind == ()
