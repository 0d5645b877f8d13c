"""What carried grids take of the ledger: all of a row or nothing new of it, and only tried when only asked."""

import msgspec
from negotiating import ADMIN, AUTHORITY, MIB, NOW, A, record_of, shop

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum
from protocol.capacity.timetable import Window
from protocol.grid.lifecycle import Phase, Power, Status, Wanted
from protocol.grid.model import LeaseTerms
from protocol.grid.record import grid_id
from protocol.hosting.bookings import Bookings, Statuses
from protocol.hosting.lease import Lease, Pending
from protocol.terms.ids import GridId
from protocol.terms.limits import CLEAR_S

ORDER = ADMIN.up(shop(2, lease=LeaseTerms(grace_s=500), lease_s=1000), NOW)
GRID = grid_id(ORDER)
END = NOW + 1000.0
NAMES = ("web-1", "web-2")
LEASE = Lease(
    record_of(ORDER, dict.fromkeys(NAMES, A)),
    tuple(Wanted(name) for name in NAMES),
    lease_until_s=END,
    made_s=NOW,
    terms=LeaseTerms(grace_s=500),
)
EACH = Quantum(500, 128 * MIB, 0)
SAVED_BYTES = 144 * MIB
"""What one of them takes of the disk when its memory is saved."""


class One:
    """A host's ledger, and what was told of LEASE's workspaces."""

    def __init__(self, room: Quantum) -> None:
        self.ledger = Ledger(room, NOW)
        self.told: Statuses = {}
        self.bookings = Bookings(self.ledger, AUTHORITY, self.told)

    def tell(self, name: str, phase: Phase) -> None:
        self.told.setdefault(GRID, {})[name] = Status(name, phase)

    def entered(self) -> list[object]:
        return [(self.ledger.spans((GRID, n)), self.ledger.yields((GRID, n))) for n in NAMES]

    def short(self, row: Lease, power: Power, *names: str) -> str:
        """What is missing to have those so."""
        after = {name: Wanted(name, power) for name in names}
        return self.bookings.short(row, after, NOW)


def resting(one: One, *names: str) -> Lease:
    """LEASE where those are suspended, and their memory is on disk."""
    for name in names:
        one.tell(name, Phase.SUSPENDED)
    wanted = tuple(Wanted(n, Power.SUSPENDED if n in names else Power.RUNNING) for n in NAMES)
    row = msgspec.structs.replace(LEASE, wanted=wanted)
    one.bookings.enter(row)
    return row


# -- entered


def test_a_row_is_entered_whatever_room_there_is() -> None:
    one = One(EACH)
    one.bookings.enter(LEASE)
    assert one.ledger.free == Quantum() - EACH, "what is promised is promised"


def test_where_not_all_of_it_fits_nothing_is_changed() -> None:
    one = One(EACH + EACH)
    one.bookings.enter(LEASE)
    before = one.entered()
    later = ("other", "a")
    one.ledger.enter(later, EACH, Window(END + CLEAR_S, END + 9000, 0.0))
    longer = msgspec.structs.replace(LEASE, lease_until_s=END + 60)
    assert not one.bookings.fits(longer), "only one of the two fits"
    assert one.entered() == before
    one.ledger.strike(later)
    assert one.bookings.fits(longer)
    assert one.ledger.room.at(END + CLEAR_S + 59) == Quantum()
    assert one.ledger.room.at(END + CLEAR_S + 60) == EACH + EACH


def test_what_yields_always_fits() -> None:
    one = One(EACH)
    row = msgspec.structs.replace(LEASE, yields=True)
    assert one.bookings.fits(row)
    yields = one.ledger.yields((GRID, "web-2"))
    assert yields is not None
    assert yields.group == (GRID, "web")
    assert one.ledger.free.cpus_milli == EACH.cpus_milli, "it runs when there is room for both"


def test_time_that_is_promised_is_entered_as_if_it_were_decided() -> None:
    """It ended and was stopped, but its owner asked for more: that it can run again is promised."""
    one = One(EACH + EACH)
    for name in NAMES:
        one.tell(name, Phase.EXPIRED)
    one.ledger.advance(END)
    one.bookings.enter(LEASE)
    assert one.ledger.free == EACH + EACH
    pending = (Pending(GridId("x"), 30, NOW), Pending(GridId("y"), 30, NOW))
    longer = msgspec.structs.replace(LEASE, pending=pending)
    assert one.bookings.fits(longer)
    assert one.ledger.room.at(END + 60 + CLEAR_S - 1) == Quantum()
    assert one.ledger.room.at(END + 60 + CLEAR_S) == EACH + EACH


# -- tried


def test_each_that_is_suspended_needs_disk_beside_the_others() -> None:
    one = One(msgspec.structs.replace(EACH + EACH, disk_bytes=2 * SAVED_BYTES - 1))
    one.bookings.enter(LEASE)
    before = one.entered()
    assert one.short(LEASE, Power.SUSPENDED, "web-1") == ""
    assert one.short(LEASE, Power.SUSPENDED, "web-2") == ""
    why = "web-2 needs 144 MiB of disk for its memory, 144 MiB are free here"
    assert one.short(LEASE, Power.SUSPENDED, *NAMES) == why
    assert one.entered() == before, "it was only asked"
    one = One(msgspec.structs.replace(EACH + EACH, disk_bytes=2 * SAVED_BYTES))
    one.bookings.enter(LEASE)
    assert one.short(LEASE, Power.SUSPENDED, *NAMES) == ""
    assert one.ledger.free.disk_bytes == 2 * SAVED_BYTES, "still"


def test_each_that_is_restored_needs_cpus_and_memory_until_its_lease_ends() -> None:
    one = One(msgspec.structs.replace(EACH + EACH, disk_bytes=2 * SAVED_BYTES))
    row = resting(one, *NAMES)
    assert one.ledger.free == EACH + EACH
    assert one.short(row, Power.RUNNING, *NAMES) == ""
    one.ledger.enter(("other", "a"), Quantum(501), Window(NOW + 10, NOW + 20, 0.0))
    assert one.short(row, Power.RUNNING, "web-1") == (
        "web-1 needs 0.5 cpus, 128 MiB; free here until its lease ends: 0.499 cpus, 256 MiB"
    )


def test_what_yields_lacks_nothing() -> None:
    one = One(EACH)
    row = msgspec.structs.replace(LEASE, yields=True)
    one.bookings.enter(row)
    assert one.short(row, Power.SUSPENDED, *NAMES) == ""
