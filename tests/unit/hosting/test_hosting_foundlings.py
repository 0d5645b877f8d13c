"""What a host finds and does not remember: it stays, it counts, and its stewards say what becomes of it."""

from random import Random

import msgspec
import pytest
from deciding import decided, decision, ending, lapsing, read_register, voiding
from hosting_world import EACH, GRID, ORDER, ROOM, One, notes
from negotiating import (
    ADMIN,
    AUTHORITY,
    FEDERATION,
    MIB,
    NOW,
    RIVAL,
    A,
    B,
    C,
    committed,
    record_of,
    shop,
)

from protocol.capacity.quantum import Quantum
from protocol.contract.messages import Decided, DecidedAck
from protocol.contract.notices import Notice, notice_of, placement
from protocol.contract.outcomes import AskFoundling, AuditLease, Propose
from protocol.grid.decision import Decision
from protocol.grid.lifecycle import Power, Wanted
from protocol.grid.record import GridRecord, GridState, Register, grid_id, order_part
from protocol.hosting.events import Cleared, Found
from protocol.hosting.keepsake import keepsake_of
from protocol.hosting.lease import Lease
from protocol.hosting.lease_book import TABLE as CARRIED
from protocol.sim.people import Admin
from protocol.terms.effects import Effect, Realise, Send
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import FOUNDLING_ASK_MOST_S, FOUNDLINGS
from protocol.trust.order import Action

MACHINE = Found(
    grid=GRID, what="machine ovl-1", workspace="web-1", detail="runs", power=Power.RUNNING, boot=3,
    cpus_milli=500, memory_bytes=128 * MIB,
)  # fmt: skip
DOWN = ADMIN.order(Action.DOWN, GRID, NOW)


class Lost(One):
    """A host that carried a grid, and has lost its disk since. Its machines run on."""

    def __init__(self, stewards: tuple[PeerId, ...] = (A, B, C)) -> None:
        super().__init__()
        self.order = ORDER
        if stewards != (A, B, C):
            self.order = Admin(FEDERATION, "s1", Random(1), lambda: stewards).up(shop(1), NOW)
        self.grid = grid_id(self.order)
        self.holds(self.order)
        self.before = self.record()
        self.hears(Decided(decided(self.before).certificate))
        (self.lease,) = self.host.leases.rows()
        self.rows = {}
        self.start(NOW + 10)

    def record(self, order: object = ORDER) -> GridRecord:
        return record_of(self.order, {"web-1": self.me})

    def finds(
        self, thing: Found = MACHINE, lease: Lease | None = None, kept: bool = True
    ) -> list[Effect]:
        """The shell finds a machine, and what it keeps of its lease."""
        keepsake = keepsake_of(lease or self.lease) if kept else b""
        event = msgspec.structs.replace(thing, keepsake=keepsake, grid=self.grid)
        return self.keep(self.host.handle(event, NOW + 10))

    def asks(self, now: float = NOW + 12) -> list[Propose]:
        """Whom it asks by then."""
        self.keep(self.host.tick(now))
        asked = [o for o in self.outcomes if isinstance(o, Propose)]
        assert all(isinstance(p.purpose, AskFoundling | AuditLease) for p in asked)
        return [p for p in asked if isinstance(p.purpose, AskFoundling)]

    def hears_of(self, value: Decision | None, now: float = NOW + 13) -> list[Effect]:
        """Its stewards' word."""
        return self.keep(self.host.settled(AskFoundling(self.grid), value, now))

    @property
    def why(self) -> str:
        """What is shown of it."""
        (row,) = self.host.foundlings.rows()
        return row.why


def test_a_machine_that_nobody_remembers_is_kept_counted_and_told() -> None:
    lost = Lost()
    assert lost.host.ledger.free == ROOM
    effects = lost.finds()
    assert notes(effects) == [("grid.unknown", "machine ovl-1 runs is unknown to this host: kept")]
    assert lost.host.ledger.free == ROOM - EACH, "its room is not given away twice"
    assert not any(isinstance(effect, Realise) for effect in effects)
    assert lost.finds() == [], "found again, it is told once"
    assert lost.host.ledger.free == ROOM - EACH


def test_the_stewards_named_on_the_machine_are_asked() -> None:
    lost = Lost()
    lost.finds()
    (ask,) = lost.asks()
    assert ask == Propose(AskFoundling(GRID), order_part(GRID), (A, B, C), None, GRID)
    assert lost.asks() == [], "they are not asked again before they can have answered"


def test_what_is_up_is_taken_up_again_and_its_guest_goes_on() -> None:
    lost = Lost()
    lost.finds()
    lost.asks()
    effects = lost.hears_of(committed(lost.before))
    (row,) = lost.host.leases.rows()
    assert row.wanted == (Wanted("web-1", Power.RUNNING, 3),), "as it runs, it is not started again"
    assert (row.lease_until_s, row.made_s) == (lost.lease.lease_until_s, NOW)
    assert lost.host.foundlings.rows() == []
    assert lost.host.ledger.free == ROOM - EACH
    assert list(lost.rows[CARRIED]) == [GRID], "it is on disk again"
    assert Realise(GRID, GRID) in effects
    kinds = dict(notes(effects))
    assert kinds["grid.taken-up"] == "its stewards say epoch 1, up: carried again as they say"
    lost.start(NOW + 20)
    assert lost.finds() == [], "the next life remembers it"


def test_what_is_held_again_meanwhile_is_in_the_ledger_once_when_it_is_taken_up() -> None:
    """The order is real, and whoever heard it may ask for it again while it is fresh."""
    lost = Lost()
    lost.finds()
    lost.asks()
    assert lost.holds(lost.order, NOW + 12).held == ("web-1",)
    lost.hears_of(committed(lost.before))
    lost.host.check()
    assert (lost.host.holds.rows(), lost.host.ledger.free) == ([], ROOM - EACH)
    lost.start(NOW + 20)
    lost.host.check()
    assert (lost.host.holds.rows(), lost.host.ledger.free) == ([], ROOM - EACH)


def test_the_root_disk_that_its_machine_has_is_the_one_that_is_wanted() -> None:
    lost = Lost()
    lost.finds(msgspec.structs.replace(MACHINE, build=4))
    lost.asks()
    lost.hears_of(committed(lost.before))
    assert [w.build for w in lost.host.leases.wanted(GRID)] == [4]


def test_a_root_disk_of_a_later_build_is_not_left_for_another_from_the_image() -> None:
    lost = Lost()
    root = Found(GRID, "root disk web-1.4", "web-1", build=4, disk_bytes=MIB)
    lost.finds()
    lost.host.handle(root, NOW)
    lost.asks()
    lost.hears_of(committed(lost.before))
    assert lost.host.leases.wanted(GRID) == (Wanted("web-1", Power.RUNNING, 3, 4),)


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [(Power.PAUSED, Power.PAUSED), (Power.SUSPENDED, Power.SUSPENDED), (Power.OFF, Power.RUNNING)],
)
def test_it_is_taken_up_as_it_is(seen: Power, wanted: Power) -> None:
    """One that ended by itself was wanted to run, and is started again as ever."""
    lost = Lost()
    lost.finds(msgspec.structs.replace(MACHINE, power=seen))
    lost.asks()
    lost.hears_of(committed(lost.before))
    assert lost.host.leases.wanted(GRID) == (Wanted("web-1", wanted, 3),)


def test_what_its_owner_took_down_meanwhile_is_ended_by_the_stewards_word() -> None:
    lost = Lost()
    lost.finds()
    lost.asks()
    effects = lost.hears_of(ending(GRID, DOWN)(committed(lost.before)))
    assert lost.host.leases.wanted(GRID) == (Wanted("web-1", Power.GONE, 3),)
    assert dict(notes(effects))["grid.taken-up"].startswith("its stewards say epoch 2, down")


def test_a_record_that_places_it_elsewhere_is_not_believed() -> None:
    lost = Lost()
    lost.finds()
    lost.asks()
    moved = msgspec.structs.replace(record_of(ORDER, {"web-1": B}, epoch=2), stewards=(A, B, C))
    lost.hears_of(decision(Register(moved)))
    assert lost.host.leases.row(GRID) is None
    assert "vanished without an order" in lost.why or "other hosts" in lost.why


def test_without_an_answer_it_stays_and_they_are_asked_again_ever_later() -> None:
    lost = Lost()
    lost.finds()
    now, pauses = NOW + 12, []
    for turn in range(12):
        assert len(lost.asks(now)) == 1, turn
        lost.keep(lost.host.unsettled(AskFoundling(GRID), now))
        deadline = lost.host.foundlings.next_deadline()
        assert deadline is not None
        pauses.append(deadline.at_s - now)
        now = deadline.at_s
    assert pauses[0] <= 2.0
    assert FOUNDLING_ASK_MOST_S / 2 <= pauses[-1] <= FOUNDLING_ASK_MOST_S
    assert lost.why == "too few of its stewards answer"
    assert lost.host.ledger.free == ROOM - EACH


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "its stewards know nothing of it"),
        (voiding(GRID, NOW)(None), "its stewards say it was voted down, and yet it was made"),
    ],
)
def test_stewards_that_lost_their_memory_too_end_nothing(value: bytes, why: str) -> None:
    lost = Lost()
    lost.finds()
    lost.asks()
    lost.hears_of(value)
    assert lost.why.startswith(why)
    assert lost.host.leases.rows() == []
    assert lost.host.ledger.free == ROOM - EACH
    again = [o.evidence for o in lost.outcomes if isinstance(o, Propose)]
    assert again == ([decided(lost.before).certificate] if value is None else [])


@pytest.mark.parametrize("others", [(), (B,)])
def test_stewards_of_whom_none_is_left_to_ask_are_given_back_what_the_machine_kept(
    others: tuple[PeerId, ...],
) -> None:
    me = One().me
    lost = Lost((me, *others))
    lost.finds()
    lost.asks()
    lost.hears_of(None)
    (restore,) = [o for o in lost.outcomes if isinstance(o, Propose)]
    assert (restore.purpose, restore.stewards) == (AskFoundling(lost.grid), (me, *others))
    assert restore.evidence == decided(lost.before).certificate
    lost.hears_of(decided(lost.before))
    assert lost.host.leases.wanted(lost.grid) == (Wanted("web-1", Power.RUNNING, 3),)


def lies(lost: Lost) -> list[tuple[bytes, str]]:
    """What a member that has no key of the owner's could say as a steward."""
    record = lost.before
    down = msgspec.structs.replace(record, epoch=2, state=GridState.DOWN)
    rivals = ending(GRID, RIVAL.order(Action.DOWN, GRID, NOW))(committed(record))
    other = record_of(RIVAL.up(shop(1), NOW), {"web-1": B}, epoch=9)
    vanished = msgspec.structs.replace(record, epoch=2, assignments=())
    longer = msgspec.structs.replace(record, epoch=2, extra_s=1000)
    return [
        (decision(Register(down)), "a record that is down without an order"),
        (lapsing(GRID)(committed(record)), "a record that is down without an order"),
        (rivals, "shop belongs to site s1's admin"),
        (decision(Register(vanished)), "vanished without an order"),
        (decision(Register(longer)), "a lease that nobody ordered so long"),
        (decision(Register(other)), "its stewards know another grid of its order"),
    ]


@pytest.mark.parametrize("lie", range(6))
@pytest.mark.parametrize("kept", [True, False])
def test_no_lie_ends_or_takes_up_what_was_found(lie: int, kept: bool) -> None:
    lost = Lost()
    lost.finds(kept=kept)
    if not kept:
        lost.host.foundlings.reminded(told(lost), NOW + 10)
    lost.asks()
    value, why = lies(lost)[lie]
    lost.hears_of(value)
    if not kept and "vanished" in why:
        why = "a record with fewer than"
    assert why in lost.why
    assert lost.host.leases.rows() == []
    lost.start(NOW + 30)
    lost.finds(kept=kept)
    assert lost.host.ledger.free == ROOM - EACH, "and after a restart"


def told(lost: Lost, **changes: object) -> Notice:
    """What this host told of the grid in its earlier life."""
    spec = AUTHORITY.deployment(ORDER, NOW, fresh=True).spec
    notice = msgspec.structs.replace(
        notice_of(lost.before, spec), made_s=NOW, ends_s=NOW + 900, kept_until_s=NOW + 900
    )
    return msgspec.structs.replace(notice, **changes)


def test_its_own_notice_that_others_still_hold_says_whom_to_ask() -> None:
    """So does a host find again what has no machine here: what it has promised for later, or has saved."""
    lost = Lost()
    assert lost.host.foundlings.reminded(told(lost), NOW + 10)
    (ask,) = lost.asks()
    assert (ask.stewards, ask.register) == ((A, B, C), order_part(GRID))
    lost.hears_of(committed(lost.before))
    (row,) = lost.host.leases.rows()
    assert (row.wanted, row.lease_until_s, row.made_s) == ((Wanted("web-1"),), NOW + 900, NOW)


def test_a_machine_without_a_keepsake_is_taken_up_by_that_notice_in_the_start_it_is_in() -> None:
    lost = Lost()
    lost.finds(kept=False)
    assert lost.asks() == []
    assert lost.why == "nothing says who its stewards are"
    lost.host.foundlings.reminded(told(lost), NOW + 10)
    assert len(lost.asks()) == 1
    lost.hears_of(committed(lost.before))
    assert lost.host.leases.wanted(GRID) == (Wanted("web-1", Power.RUNNING, 3),)


def test_what_the_machine_keeps_is_asked_about_at_once_though_the_stewards_were_asked_before() -> (
    None
):
    lost = Lost()
    lost.host.foundlings.reminded(told(lost), NOW + 5)
    lost.asks(NOW + 6)
    lost.hears_of(None, NOW + 7)
    assert lost.asks(NOW + 7.1) == []
    lost.finds()
    assert len(lost.asks(NOW + 11)) == 1


def test_a_machine_without_a_keepsake_is_ended_by_its_owners_order_too() -> None:
    lost = Lost()
    lost.finds(kept=False)
    lost.host.foundlings.reminded(told(lost), NOW + 10)
    lost.asks()
    lost.hears_of(ending(GRID, DOWN)(committed(lost.before)))
    assert lost.host.leases.wanted(GRID) == (Wanted("web-1", Power.GONE, 3),)


@pytest.mark.parametrize(
    "changes",
    [
        {"placement": placement([("web-1", B)])},
        {"state": GridState.DOWN},
        {"kept_until_s": NOW + 9},
    ],
)
def test_an_old_notice_of_what_is_over_is_taken_back(changes: dict[str, object]) -> None:
    lost = Lost()
    assert not lost.host.foundlings.reminded(told(lost, **changes), NOW + 10)
    assert lost.host.foundlings.rows() == []


def test_a_notice_of_what_is_carried_is_taken_back_as_ever() -> None:
    one = One()
    record = one.leases()
    spec = AUTHORITY.deployment(ORDER, NOW, fresh=True).spec
    assert not one.host.foundlings.reminded(notice_of(record, spec), NOW)


def test_a_promise_without_a_machine_is_forgotten_when_its_time_is_over() -> None:
    lost = Lost()
    lost.host.foundlings.reminded(told(lost), NOW + 10)
    lost.asks()
    lost.keep(lost.host.unsettled(AskFoundling(GRID), NOW + 20))
    assert lost.asks(NOW + 1000) == []
    assert lost.host.foundlings.rows() == []


def test_a_decision_that_somebody_sends_makes_it_ask_at_once_and_is_not_believed() -> None:
    lost = Lost()
    lost.finds()
    lost.asks()
    lost.keep(lost.host.unsettled(AskFoundling(GRID), NOW + 12))
    down = read_register(ending(GRID, DOWN)(committed(lost.before))).record
    assert down is not None
    effects = lost.hears(Decided(decided(down).certificate), NOW + 12.01)
    acks = [e for e in effects if isinstance(e, Send) and isinstance(e.message, DecidedAck)]
    assert acks == [], "it has done nothing yet that it could acknowledge"
    assert lost.host.leases.rows() == []
    assert len(lost.asks(NOW + 12.02)) == 1


def test_its_name_and_its_networks_are_taken() -> None:
    lost = Lost()
    lost.finds()
    reply = lost.holds(ADMIN.up(shop(1), NOW + 5))
    (refused,) = reply.refused
    assert "a grid named shop is here already" in refused[1].detail


def test_disks_of_an_unknown_grid_are_counted_and_go_with_it() -> None:
    lost = Lost()
    disk = Found(grid=GRID, what="disk data", detail="of 16 MiB", disk_bytes=16 * MIB)
    lost.finds()
    lost.finds(disk, kept=False)
    assert lost.host.ledger.free == ROOM - EACH - Quantum(disk_bytes=16 * MIB)
    lost.asks()
    lost.hears_of(ending(GRID, DOWN)(committed(lost.before)))
    lost.keep(lost.host.handle(Cleared(GRID), NOW + 14))
    assert lost.host.foundlings.rows() == []


def test_what_belongs_to_no_grid_that_could_be_named_is_counted() -> None:
    lost = Lost()
    lost.finds(Found(GridId(""), "process 4711", memory_bytes=128 * MIB), kept=False)
    assert lost.host.ledger.free == ROOM - Quantum(memory_bytes=128 * MIB)
    assert lost.asks() == []
    lost.host.foundlings.hurry(GridId(""), NOW)
    assert lost.asks() == []


def test_what_is_carried_is_not_found() -> None:
    one = One()
    one.leases()
    assert one.keep(one.host.handle(MACHINE, NOW)) == []
    assert one.host.foundlings.rows() == []


def test_so_many_are_kept_and_no_more() -> None:
    lost = Lost()
    for number in range(FOUNDLINGS + 1):
        lost.host.handle(Found(GridId(f"g.{number}"), "disk"), NOW)
    assert len(lost.host.foundlings.rows()) == FOUNDLINGS


def test_words_about_what_is_not_found_mean_nothing() -> None:
    lost = Lost()
    assert lost.hears_of(committed(lost.before)) == []
    assert lost.keep(lost.host.unsettled(AskFoundling(GRID), NOW)) == []
    lost.host.foundlings.hurry(GRID, NOW)
    assert lost.asks() == []


def test_two_machines_of_one_grid_are_one_foundling_and_the_later_keepsake_counts() -> None:
    lost = Lost()
    later = msgspec.structs.replace(lost.before, epoch=2)
    newer = msgspec.structs.replace(lost.lease, record=later)
    other = msgspec.structs.replace(MACHINE, what="machine ovl-2", workspace="web-2")
    lost.finds()
    lost.finds(other, newer)
    lost.finds(msgspec.structs.replace(other, what="machine ovl-3"))
    (row,) = lost.host.foundlings.rows()
    assert row.kept is not None
    assert row.kept.lease == newer
    assert len(row.things) == 3
    assert grid_id(ORDER) == row.grid


def gone(thing: Found) -> Found:
    return msgspec.structs.replace(thing, is_gone=True)


def test_what_ended_by_itself_takes_no_room_and_the_last_of_a_grid_is_the_end_of_it() -> None:
    lost = Lost()
    disk = Found(grid=GRID, what="disk data", disk_bytes=16 * MIB)
    lost.finds()
    lost.finds(disk, kept=False)
    effects = lost.keep(lost.host.handle(gone(MACHINE), NOW + 11))
    assert notes(effects) == [("grid.unknown", "machine ovl-1 is gone")]
    assert lost.host.ledger.free == ROOM - Quantum(disk_bytes=16 * MIB)
    assert lost.keep(lost.host.handle(gone(MACHINE), NOW + 11)) == []
    lost.keep(lost.host.handle(gone(disk), NOW + 11))
    assert (lost.host.foundlings.rows(), lost.host.ledger.free) == ([], ROOM)
    assert lost.keep(lost.host.handle(gone(disk), NOW + 11)) == []


def test_a_promise_outlives_the_machine_that_was_found_of_it() -> None:
    lost = Lost()
    lost.finds(kept=False)
    lost.host.foundlings.reminded(told(lost), NOW + 10)
    lost.keep(lost.host.handle(gone(MACHINE), NOW + 11))
    assert len(lost.asks()) == 1


def test_another_host_of_the_grid_gives_them_the_record_back_as_well() -> None:
    """Its audit finds the register empty: the steward that lost its disk was all there was."""
    one = One()
    one.holds()
    record = one.record()
    one.hears(Decided(decided(record).certificate))
    one.keep(one.host.settled(AuditLease(GRID), None, NOW + 1))
    (question,) = [o for o in one.outcomes if isinstance(o, Propose)]
    assert question.purpose == AuditLease(GRID)
    assert question.evidence == decided(record).certificate
    one.keep(one.host.settled(AuditLease(GRID), voiding(GRID, NOW)(None), NOW + 1))
    assert one.outcomes == []
