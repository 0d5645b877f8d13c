"""A lease's life at a host: it begins in time, warns, ends, is kept, and is deleted."""

from random import Random

import msgspec
import pytest
from deciding import decided, declining, extending, lapsing, proposed, read_register
from negotiating import ADMIN, AUTHORITY, MIB, NOW, ROOM, A, B, committed, record_of, shop

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum
from protocol.capacity.timetable import Window
from protocol.contract.messages import Act, ActReply
from protocol.contract.outcomes import AuditLease, NoticeDue, Propose
from protocol.grid.lifecycle import Phase, Power, Status, Wanted
from protocol.grid.model import LeaseTerms, OnExpiry
from protocol.grid.record import GridRecord, GridState, LeaseChange, extension_id, grid_id
from protocol.hosting.lease import Lease, LeaseStage, next_change_s, stage_of, yielded
from protocol.hosting.leases import Leases
from protocol.hosting.taking_up import Promise
from protocol.terms.effects import Effect, Note, Persist, Realise, Send
from protocol.terms.ids import RequestId
from protocol.trust.order import Action
from protocol.trust.signing import Untrusted
from protocol.wire.codec import encode

START, FOR = NOW + 3600.0, 1000
TERMS = LeaseTerms(start_s=START, grace_s=500, warn_s=(300, 100))
ORDER = ADMIN.up(shop(2, lease=TERMS, lease_s=FOR), NOW)
GRID = grid_id(ORDER)
RECORD = record_of(ORDER, {"web-1": A, "web-2": B}, start_s=START)
END, DELETED = START + FOR, START + FOR + 500


class Host:
    """The leases of host A, and its store."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.start(NOW)

    def start(self, now: float) -> None:
        self.ledger = Ledger(ROOM, now)
        self.leases = Leases(A, self.ledger, AUTHORITY, Random(1), dict(self.rows), now)

    def take(self, record: GridRecord, now: float) -> list[Effect]:
        window = Window(START, END + 60, DELETED + 60)
        known, effects, _ = self.leases.decided(decided(record), Promise(("web-1",), window), now)
        assert known
        return self.keep(effects)

    def tick(self, now: float) -> list[Effect]:
        self.ledger.advance(now)
        effects, outcomes = self.leases.tick(now)
        self.proposed = [o for o in outcomes if isinstance(o, Propose)]
        self.noticed = NoticeDue(GRID) in outcomes
        self.leases.check()
        self.ledger.check()
        return self.keep(effects)

    def keep(self, effects: list[Effect]) -> list[Effect]:
        for effect in effects:
            for row in effect.rows if isinstance(effect, Persist) else ():
                if row.table == "grid" and row.value is not None:
                    self.rows[row.key] = row.value
        return effects

    def power(self) -> Power:
        (wanted,) = self.leases.wanted(GRID)
        return wanted.power


def carrying(now: float = NOW) -> Host:
    host = Host()
    host.take(RECORD, now)
    return host


def notes(effects: list[Effect]) -> list[str]:
    return [e.kind for e in effects if isinstance(e, Note) and e.kind != "grid.decided"]


def test_a_reservation_waits_for_its_time() -> None:
    host = carrying()
    assert host.leases.not_yet(GRID) == "starts at 1970-01-12 14:46 UTC"
    assert host.ledger.free == ROOM, "until then the room is others'"
    assert host.ledger.room.at(START).memory_bytes == ROOM.memory_bytes - (128 << 20)
    deadline = host.leases.next_deadline()
    assert deadline is not None
    assert deadline.at_s < START, "the stewards are asked meanwhile"
    assert notes(host.tick(START - 1)) == []
    effects = host.tick(START)
    assert notes(effects) == ["lease.started"]
    assert Realise(GRID, GRID) in effects
    assert host.noticed
    assert host.leases.not_yet(GRID) == ""
    assert host.power() is Power.RUNNING


def test_it_warns_once_each_time_and_remembers() -> None:
    host = carrying()
    host.tick(START)
    assert notes(host.tick(END - 301)) == []
    assert notes(host.tick(END - 300)) == ["lease.warning"]
    assert notes(host.tick(END - 299)) == []
    host.start(END - 200)
    assert notes(host.tick(END - 200)) == [], "it was said before the restart"
    assert notes(host.tick(END - 50)) == ["lease.warning"]
    assert notes(host.tick(END - 40)) == []


def test_it_ends_and_what_is_left_is_kept_and_deleted() -> None:
    host = carrying()
    host.tick(START)
    assert notes(host.tick(END)) == ["lease.ended"]
    assert host.power() is Power.OFF
    host.leases.progress(GRID, Status("web-1", Phase.EXPIRED, "", END))
    assert host.ledger.free == ROOM
    host.tick(DELETED - 1)
    states = [proposed(p, committed(RECORD)).register.record for p in host.proposed]
    assert [record.state for record in states if record] == [GridState.UP] * len(states)
    assert notes(host.tick(DELETED)) == ["lease.lapsed"]
    host.tick(DELETED + 2)
    (propose,) = host.proposed
    value = proposed(propose, committed(RECORD))
    record = value.register.record
    assert record is not None
    assert record.state is GridState.DOWN
    host.keep(host.leases.audited(GRID, value, DELETED + 3)[0])
    assert host.power() is Power.GONE


def test_a_restart_finds_it_as_the_time_has_it() -> None:
    host = carrying()
    for now, power, waits in (
        (START - 10, Power.RUNNING, True),
        (START + 10, Power.RUNNING, False),
        (END + 10, Power.OFF, False),
        (DELETED + 10, Power.OFF, False),
    ):
        host.start(now)
        assert host.power() is power
        assert bool(host.leases.not_yet(GRID)) == waits
        host.tick(now)


def test_the_end_is_proposed_again_until_the_stewards_answer() -> None:
    host = carrying()
    host.start(DELETED + 1000)
    host.tick(DELETED + 1000)
    host.tick(DELETED + 1010)
    assert [p.purpose for p in host.proposed] == [AuditLease(GRID)]
    host.tick(DELETED + 1100)
    assert [p.purpose for p in host.proposed] == [AuditLease(GRID)]
    made = proposed(host.proposed[0], committed(RECORD)).register.record
    assert made is not None
    assert made.state is GridState.DOWN


def test_nobody_ends_it_before_its_time() -> None:
    host = carrying()
    ended = read_register(lapsing(GRID)(committed(RECORD))).record
    assert ended is not None
    with pytest.raises(Untrusted, match="down without an order"):
        host.take(ended, DELETED - 60)
    host.take(ended, DELETED - 1)
    assert host.power() is Power.GONE, "clocks may differ by seconds"


def test_a_record_begins_when_it_was_ordered() -> None:
    host = Host()
    for start_s in (0.0, START - 600, START + 600):
        with pytest.raises(Untrusted, match="begins at another time"):
            host.take(msgspec.structs.replace(RECORD, start_s=start_s), NOW)


def test_a_deadline_begins_whenever_it_ends_in_time() -> None:
    terms = LeaseTerms(before_s=NOW + 5000, grace_s=0)
    order = ADMIN.up(shop(1, lease=terms, lease_s=FOR), NOW)
    for start_s, fine in ((NOW, True), (NOW + 4000, True), (NOW + 4001, False), (0.0, False)):
        record = record_of(order, {"web-1": A}, start_s=start_s)
        if fine:
            AUTHORITY.vouch(record, None, NOW)
        else:
            with pytest.raises(Untrusted, match="too late to end before its deadline"):
                AUTHORITY.vouch(record, None, NOW)


def test_a_host_that_learns_late_ends_with_what_it_held() -> None:
    order = ADMIN.up(shop(1, lease_s=FOR), NOW)
    record = record_of(order, {"web-1": A})
    host = Host()
    window = Window(NOW, NOW + FOR + 60, NOW + FOR + 86460)
    host.leases.decided(decided(record), Promise(("web-1",), window), NOW + 500)
    row = host.leases.row(record.id)
    assert row is not None
    assert row.lease_until_s == NOW + FOR + 30, "others may have been promised what comes after"


def test_what_is_deleted_at_its_end_has_no_grace() -> None:
    terms = LeaseTerms(start_s=START, on_expiry=OnExpiry.DELETE, grace_s=0)
    order = ADMIN.up(shop(1, lease=terms, lease_s=FOR), NOW)
    record = record_of(order, {"web-1": A}, start_s=START)
    host = Host()
    host.take(record, NOW)
    host.tick(START)
    assert notes(host.tick(END)) == ["lease.lapsed"]
    host.tick(END + 2)
    assert [p.purpose for p in host.proposed][:1] == [AuditLease(record.id)]


def acted(host: Host, action: Action, now: float) -> str:
    """What the host answers."""
    order = ADMIN.order(action, GRID, now)
    effects, _ = host.leases.act(B, Act(RequestId("r"), GRID, order), now)
    host.keep(effects)
    host.ledger.check()
    (reply,) = [e.message for e in effects if isinstance(e, Send)]
    assert isinstance(reply, ActReply)
    return reply.problem


def rich() -> Host:
    """A host with disk, in the middle of its lease."""
    host = carrying()
    host.ledger.resize(Quantum(4000, 1024 * MIB, 1024 * MIB))
    host.tick(START)
    host.tick(START + 1)
    return host


def test_suspended_it_gives_its_cpus_and_memory_back_and_takes_disk() -> None:
    host = rich()
    assert acted(host, Action.SUSPEND, START + 2) == ""
    assert host.power() is Power.SUSPENDED
    assert host.ledger.free == Quantum(3500, 896 * MIB, 880 * MIB), "both, while it is being saved"
    host.leases.progress(GRID, Status("web-1", Phase.SUSPENDED, "", START + 4))
    assert host.ledger.free == Quantum(4000, 1024 * MIB, 880 * MIB)
    host.start(START + 10)
    assert host.power() is Power.SUSPENDED, "it was on disk before it was said"
    host.ledger.resize(Quantum(4000, 1024 * MIB, 1024 * MIB))
    assert acted(host, Action.RESTORE, START + 11) == ""
    assert host.power() is Power.RUNNING


def test_without_disk_for_its_memory_it_is_not_suspended() -> None:
    host = carrying()
    host.tick(START)
    problem = acted(host, Action.SUSPEND, START + 2)
    assert problem == "web-1 needs 144 MiB of disk for its memory, 0 B are free here"
    assert host.power() is Power.RUNNING


def test_without_room_until_its_end_it_is_not_restored() -> None:
    host = rich()
    acted(host, Action.SUSPEND, START + 2)
    host.leases.progress(GRID, Status("web-1", Phase.SUSPENDED, "", START + 4))
    host.ledger.enter(("other", "a"), Quantum(3800, 0, 0), Window(START + 100, START + 200, 0))
    said = acted(host, Action.RESTORE, START + 11)
    assert said == "web-1 needs 0.5 cpus, 128 MiB; free here until its lease ends: 0.2 cpus, 1 GiB"
    host.tick(END)
    assert host.power() is Power.SUSPENDED, "what was suspended is kept so"
    over = acted(host, Action.RESTORE, END + 1)
    assert over.startswith("its lease is over since ")
    assert over.endswith("\n  would work: `overlayctl lease extend shop 1h`, then restore again")


def test_a_lease_that_saves_has_the_disk_from_the_beginning() -> None:
    terms = LeaseTerms(start_s=START, on_expiry=OnExpiry.SUSPEND, grace_s=500)
    order = ADMIN.up(shop(1, lease=terms, lease_s=FOR), NOW)
    (workspace,) = AUTHORITY.deployment(order, NOW, fresh=True).workspaces
    assert workspace.disk_bytes == 144 * MIB
    record = record_of(order, {"web-1": A}, start_s=START)
    host = Host()
    host.ledger.resize(Quantum(4000, 1024 * MIB, 1024 * MIB))
    host.take(record, NOW)
    host.tick(START)
    host.tick(END)
    (wanted,) = host.leases.wanted(record.id)
    assert wanted.power is Power.SUSPENDED
    host.leases.progress(record.id, Status("web-1", Phase.SUSPENDED, "", END + 5))
    assert host.ledger.free == Quantum(4000, 1024 * MIB, 880 * MIB)


def test_a_record_extends_no_more_than_was_ordered() -> None:
    host = carrying()
    order = ADMIN.order(Action.LEASE, GRID, NOW, body=encode(LeaseChange(100)))
    longer = read_register(extending(GRID, order)(committed(RECORD))).record
    assert longer is not None
    with pytest.raises(Untrusted, match="a lease that nobody ordered so long"):
        host.take(msgspec.structs.replace(longer, extra_s=200), NOW)
    host.take(longer, NOW)
    row = host.leases.row(GRID)
    assert row is not None
    assert row.lease_until_s == END + 100


def test_what_was_not_promised_and_does_not_fit_is_not_honoured() -> None:
    host = carrying()
    host.ledger.enter(("other", "a"), Quantum(3800, 0, 0), Window(END + 60, END + 600, 0))
    order = ADMIN.order(Action.LEASE, GRID, NOW, body=encode(LeaseChange(100)))
    longer = read_register(extending(GRID, order)(committed(RECORD))).record
    assert longer is not None
    host.take(longer, NOW)
    row = host.leases.row(GRID)
    assert row is not None
    assert row.lease_until_s == END, "its owner asked the stewards only"
    host.tick(NOW + 1)


def test_an_extension_counts_once_and_not_after_it_was_voted_down() -> None:
    order = ADMIN.order(Action.LEASE, GRID, NOW, body=encode(LeaseChange(100)))
    once = extending(GRID, order)(committed(RECORD))
    assert extending(GRID, order)(once).register == once.register
    down = declining(GRID, extension_id(order), NOW)(committed(RECORD))
    assert extending(GRID, order)(down).register == down.register
    made = once.register.record
    assert made is not None
    assert made.extra_s == 100


def test_what_made_room_stays_suspended_until_its_host_is_probed_and_has_heard_of_others() -> None:
    order = ADMIN.up(shop(1, lease=LeaseTerms(best_effort=True), lease_s=FOR), NOW)
    record = record_of(order, {"web-1": A})
    row = Lease(
        record,
        (Wanted("web-1"),),
        NOW + FOR,
        NOW,
        terms=LeaseTerms(best_effort=True),
        off=("web",),
        stopped_s=NOW + 1,
        yields=True,
    )
    for capacity, at_s, power in (
        (Quantum(), NOW + 60, Power.SUSPENDED),
        (Quantum(4000, 1 << 30, 1 << 30), NOW + 12, Power.SUSPENDED),
        (Quantum(4000, 1 << 30, 1 << 30), NOW + 60, Power.RUNNING),
    ):
        ledger = Ledger(capacity, NOW + 10)
        leases = Leases(A, ledger, AUTHORITY, Random(1), {record.id: encode(row)}, NOW + 10)
        ledger.resize(capacity)
        ledger.advance(at_s)
        leases.tick(at_s)
        assert [w.power for w in leases.wanted(record.id)] == [power], (capacity, at_s)


def test_time_stands_still_while_suspended_and_while_restored() -> None:
    order = ADMIN.up(shop(2, lease=LeaseTerms(best_effort=True), lease_s=FOR), NOW)
    record = record_of(order, {"web-1": A, "web-2": A})
    row = Lease(
        record,
        (Wanted("web-1"), Wanted("web-2")),
        NOW + FOR,
        NOW,
        terms=LeaseTerms(best_effort=True),
        yields=True,
    )
    off = yielded(row, ("web",), NOW + 900, 10.0)
    assert off.lease_until_s == row.lease_until_s
    assert stage_of(off, NOW + 5000) is LeaseStage.CURRENT
    assert next_change_s(off, LeaseStage.CURRENT) is None, (
        "nothing is due: it would be due over and over"
    )
    on = yielded(off, (), NOW + 5000, 10.0)
    assert on.lease_until_s == NOW + 5000 + 100 + 10
    assert next_change_s(on, LeaseStage.CURRENT) == on.lease_until_s

    ledger = Ledger(Quantum(0, 1 << 30, 1 << 30), NOW + 950)
    leases = Leases(A, ledger, AUTHORITY, Random(1), {record.id: encode(off)}, NOW + 950)
    less = msgspec.structs.replace(
        record,
        assignments=record.assignments[:1],
        epoch=2,
        changes=(ADMIN.order(Action.TERMINATE, record.id, NOW, workspace="web-2"),),
    )
    assert leases.decided(decided(less), Promise(), NOW + 950)[0]
    changed = leases.row(record.id)
    assert changed is not None
    assert (changed.off, changed.stopped_s) == (off.off, off.stopped_s), "also when it is changed"
