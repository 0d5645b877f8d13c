"""Work that was found, or stands still, is not ended by a time that was never agreed for it."""

from random import Random

import msgspec
from deciding import (
    decided,
    decision,
    ending,
    extending,
    lapsing,
    read_register,
    removing,
)
from hosting_world import GRID, One
from negotiating import ADMIN, MIB, NOW, B, committed, notice, record_of, shop
from test_hosting_foundlings import Lost, told

from protocol.contract.messages import Decided
from protocol.contract.outcomes import AskFoundling
from protocol.grid.lifecycle import Power, Wanted
from protocol.grid.model import LeaseTerms, VolumeSpec
from protocol.grid.record import GridState, LeaseChange, Register, grid_id
from protocol.grid.steps import Decline
from protocol.hosting.auditing import Auditing
from protocol.hosting.events import Found
from protocol.hosting.lease import Lease, Pending
from protocol.hosting.lease_book import TABLE as CARRIED
from protocol.membership.clocks import SURE, ClockView
from protocol.terms.limits import HOLD_S
from protocol.trust.order import Action
from protocol.wire.codec import encode

YIELDS = ADMIN.up(shop(2, lease=LeaseTerms(best_effort=True), lease_s=1000), NOW)
UNHEARD = ClockView("no neighbour has told its time yet", theirs_s=None)
LONGER = ADMIN.order(Action.LEASE, GRID, NOW + 1, body=encode(LeaseChange(36000)))


def test_a_record_that_is_over_by_time_alone_is_not_believed_while_the_clock_does_not_count() -> (
    None
):
    lost = Lost()
    lost.finds()
    lost.around.view = UNHEARD
    after_s = lost.lease.kept_until_s + 100
    lost.asks(after_s)
    lost.hears_of(lapsing(GRID)(committed(lost.before)), after_s)
    assert "a record that is down without an order" in lost.why
    assert lost.host.leases.rows() == []


def test_a_lease_that_was_extended_after_its_machine_was_made_is_not_ended_at_once() -> None:
    """A lone steward lost its memory too: the machine keeps the lease as it was at its start."""
    lost = Lost((Lost().me,))
    lost.finds()
    after_s = lost.lease.lease_until_s + 10
    lost.asks(after_s)
    lost.hears_of(committed(lost.before), after_s)
    assert lost.host.leases.wanted(lost.grid)[0].power is Power.RUNNING
    lost.keep(lost.host.tick(after_s + 1))
    assert lost.host.leases.wanted(lost.grid)[0].power is Power.RUNNING


def test_a_lease_taken_up_by_the_stewards_record_alone_is_as_long_as_that_says() -> None:
    lost = Lost()
    lost.finds(kept=False)
    lost.host.foundlings.reminded(told(lost), NOW + 10)
    lost.asks()
    lost.hears_of(extending(GRID, LONGER)(committed(lost.before)))
    (row,) = lost.host.leases.rows()
    assert row.lease_until_s >= NOW + 36000


class Yielding(One):
    """A host with best-effort work that stands still, to make room."""

    def __init__(self) -> None:
        super().__init__()
        self.holds(YIELDS)
        self.hears(Decided(decided(record_of(YIELDS, {"web-1": self.me, "web-2": B})).certificate))
        (row,) = self.host.leases.rows()
        self.grid = row.record.id

    def row(self) -> Lease:
        (row,) = self.host.leases.rows()
        return row


def test_what_stands_still_is_not_over_when_somebody_says_so() -> None:
    one = Yielding()
    stands = msgspec.structs.replace(one.row(), yields=True, off=("web",), stopped_s=NOW + 10)
    one.rows[CARRIED] = {one.grid: encode(stands)}
    one.start(NOW + 20)
    over = read_register(lapsing(one.grid)(committed(one.row().record))).record
    assert over is not None
    one.hears(Decided(decided(over).certificate), stands.kept_until_s + 100)
    assert one.row().record.state is GridState.UP
    assert [w.power for w in one.row().wanted] == [Power.RUNNING]


def test_nothing_begins_to_stand_still_by_a_clock_that_does_not_count() -> None:
    one = Yielding()
    row = msgspec.structs.replace(one.row(), yields=True)
    one.rows[CARRIED] = {one.grid: encode(row)}
    one.start(NOW + 20)
    one.around.view = UNHEARD
    lacks = msgspec.structs.replace(notice(row.record, ()), hindered=("web",))
    one.keep((one.host.noticed(B, lacks, NOW + 20), []))
    assert one.row().stopped_s == 0.0
    one.around.view = SURE
    one.keep(one.host.tick(NOW + 21))
    assert one.row().off == ("web",), "it follows when the clock counts"


def test_a_grid_that_was_made_by_older_rules_is_still_its_owners_to_end() -> None:
    """A volume named `seed` was allowed once. Nobody may order such a grid now, and the one here goes on."""
    one, spec = One(), shop(1)
    order = ADMIN.up(msgspec.structs.replace(spec, volumes=(VolumeSpec("seed", MIB),)), NOW)
    grid = grid_id(order)
    like = record_of(ADMIN.up(spec, NOW), {"web-1": one.me}, grid)
    record = msgspec.structs.replace(like, order=order)
    lease = Lease(record, (Wanted("web-1"),), NOW + 1000, NOW)
    one.rows[CARRIED] = {grid: encode(lease)}
    one.start(NOW + 10)
    ended = ending(grid, ADMIN.order(Action.DOWN, grid, NOW + 11))(decision(Register(record)))
    down = ended.register.record
    assert down is not None
    one.hears(Decided(decided(down).certificate), NOW + 12)
    assert one.host.leases.wanted(grid) == (Wanted("web-1", Power.GONE),)
    assert One().holds(order, NOW + 12).held == ()


def test_an_extension_is_not_voted_down_by_a_clock_that_does_not_count() -> None:
    auditing = Auditing(Random(1))
    auditing.started(GRID, NOW)
    record = Lost().before
    promised = Lease(record, (), NOW + 9, NOW, pending=(Pending(GRID, 60, NOW - 1),))
    asked = [auditing.due(promised, NOW + n, sure=False) for n in range(3 * int(HOLD_S))]
    assert not any(ask and isinstance(ask.step, Decline) for ask in asked)
    assert auditing.next_deadline([promised]).at_s > NOW + 2 * HOLD_S  # type: ignore[union-attr]
    vote = auditing.due(promised, NOW + 5 * HOLD_S)
    assert vote is not None
    assert vote.step == Decline(GRID, GRID)


def test_a_promise_of_an_earlier_life_is_not_forgotten_by_a_clock_that_does_not_count() -> None:
    lost = Lost()
    lost.around.view = UNHEARD
    notice = told(lost)
    after_s = notice.kept_until_s + 100
    assert lost.host.foundlings.reminded(notice, after_s)
    for turn in range(3):
        lost.keep(lost.host.tick(after_s + 60 * turn))
        lost.keep(lost.host.unsettled(AskFoundling(GRID), after_s + 60 * turn))
    assert lost.host.foundlings.row(GRID) is not None
    lost.around.view = SURE
    lost.keep(lost.host.tick(after_s + 600))
    assert lost.host.foundlings.row(GRID) is None


def test_best_effort_work_whose_time_stood_still_is_not_ended_at_once() -> None:
    """Only this host knew how long it stood still, and its memory is lost."""
    lost = Lost()
    lost.finds(lease=msgspec.structs.replace(lost.lease, yields=True))
    after_s = lost.lease.lease_until_s + 10
    lost.asks(after_s)
    lost.hears_of(committed(lost.before), after_s)
    assert lost.host.leases.wanted(GRID)[0].power is Power.RUNNING


def test_a_volume_whose_workspace_was_terminated_before_the_memory_was_lost_is_kept_and_counted() -> (
    None
):
    lost = Lost()
    lost.finds(Found(GRID, "disk shop.data", disk_bytes=MIB), kept=False)
    lost.host.foundlings.reminded(told(lost), NOW + 10)
    lost.asks()
    order = ADMIN.order(Action.TERMINATE, GRID, NOW + 1, workspace="web-1")
    lost.hears_of(removing(GRID, "web-1", order)(committed(lost.before)))
    (row,) = lost.host.leases.rows()
    assert row.wanted == (Wanted("web-1", Power.GONE),), "so its volumes have a place in the ledger"
