"""Holds at their edges: which rule refuses with which words, how many, how long, and what is left of one."""

import msgspec
import pytest
from deciding import voiding
from negotiating import (
    ADMIN,
    AUTHORITY,
    MIB,
    NOW,
    ROOM,
    A,
    B,
    C,
    HostKey,
    claims,
    offer,
    record_of,
    shop,
)

from protocol.capacity.ledger import Ledger, Yields
from protocol.capacity.quantum import Quantum
from protocol.capacity.timetable import Occupancy, Window
from protocol.contract.messages import HoldAsk, HoldRelease, HoldReply
from protocol.contract.outcomes import Propose, RoomChanged
from protocol.grid.model import LeaseTerms, OnExpiry
from protocol.grid.record import GridState, grid_id, order_part
from protocol.grid.steps import Vote
from protocol.hosting import hold_conflicts as conflicts
from protocol.hosting.hold_replies import LAST_S, Granting
from protocol.hosting.hold_row import HoldRow
from protocol.hosting.holds import TABLE, Holds
from protocol.hosting.taken import Taken
from protocol.terms.effects import Deadline, Effect, Note, Persist, Row, Send, Untidied
from protocol.terms.ids import GridId
from protocol.terms.limits import CLEAR_S, HOLD_S, SLACK_S
from protocol.terms.refusal import Constraint, Refusal
from protocol.trust.order import SignedOrder
from protocol.wire.codec import convert, decode, encode, to_plain

ORDER = ADMIN.up(shop(3), NOW)
PLAN = ADMIN.hold(shop(3), 60.0, NOW)
START = NOW + 3600.0
LATER = ADMIN.up(shop(3, lease=LeaseTerms(start_s=START)), NOW)
FREE = Taken({}, {})


class Host:
    """One host's holds."""

    def __init__(self, rows: dict[str, bytes] | None = None, room: Quantum = ROOM) -> None:
        self.ledger = Ledger(room, NOW)
        self.offer = offer(A, room)
        self.holds = Holds(
            "alpha",
            self.ledger,
            AUTHORITY,
            claims(self.ledger),
            rows or {},
            NOW,
            Granting(HostKey(A)),
        )

    def asked(self, ask: HoldAsk, taken: Taken = FREE, now: float = NOW) -> list[Effect]:
        effects, _ = self.holds.ask(B, ask, taken, self.offer, now)
        self.holds.check()
        return effects

    def refused(
        self, ask: HoldAsk, taken: Taken = FREE, now: float = NOW
    ) -> tuple[Constraint, str]:
        """Why all of it is, which is noted as well."""
        reply, note = self.asked(ask, taken, now)
        assert isinstance(reply, Send)
        assert isinstance(reply.message, HoldReply)
        assert (reply.peer, reply.message.grid, reply.message.held) == (B, ask.grid, ())
        assert [name for name, _ in reply.message.refused] == list(ask.workspaces)
        ((_, why), *_) = reply.message.refused
        assert note == Note("hold.refused", ask.grid, f"{why.constraint}: {why.detail}")
        return why.constraint, why.detail

    def row(self, order: SignedOrder = ORDER) -> HoldRow:
        row = self.holds.row(grid_id(order))
        assert row is not None
        return row


def ask(
    *names: str,
    order: SignedOrder = ORDER,
    start_s: float = 0.0,
    instead: str = "",
) -> HoldAsk:
    return HoldAsk(grid_id(order), order, names, (("lan", 7),), HOLD_S, start_s, instead)


# -- refused, by which rule


def test_a_lease_that_can_no_longer_begin_in_time_is_not_held() -> None:
    stale_s = START + SLACK_S
    old = ADMIN.up(shop(3, lease=LeaseTerms(start_s=START)), stale_s)
    fine = Host().asked(ask("web-1", order=old, start_s=START), now=stale_s)
    assert len(fine) == 3
    refused = Host().refused(ask("web-1", "web-2", order=old, start_s=START), now=stale_s + 1)
    assert refused == (Constraint.TIME, "its start has passed")


def test_a_lease_begins_when_its_order_says() -> None:
    why = (Constraint.TIME, "it begins at another time than was ordered")
    assert Host().refused(ask("web-1", order=LATER)) == why
    assert Host().refused(ask("web-1", order=LATER, start_s=START + 1)) == why
    assert Host().refused(ask("web-1", start_s=NOW)) == why
    assert len(Host().asked(ask("web-1", order=LATER, start_s=START))) == 3


def test_a_host_whose_clock_is_off_holds_no_reservation() -> None:
    host = Host()
    no = Refusal(Constraint.CLOCK, "alpha", detail="30 s behind")
    host.offer = msgspec.structs.replace(host.offer, refused=no)
    refused = host.refused(ask("web-1", order=LATER, start_s=START))
    assert refused == (Constraint.CLOCK, "30 s behind")


def test_who_has_the_name_is_said_and_how() -> None:
    host = Host()
    host.asked(ask("web-1", order=PLAN))
    key, plan = f"{ADMIN.signer.key}/shop", grid_id(PLAN)
    other = GridId("other.0")
    for user, up, why in (
        (other, True, (Constraint.NAME, f"a grid named shop is here already, id {other}")),
        (other, False, (Constraint.CONTENDED, f"shop is held or being cleared, id {other}")),
        (plan, False, (Constraint.CONTENDED, f"shop is held as a plan, id {plan}")),
    ):
        assert host.refused(ask("web-1"), Taken({key: (user, up)}, {})) == why
    fresh = Host()
    fresh.asked(ask("web-1"))
    held = Taken({key: (grid_id(ORDER), False)}, {})
    again = ADMIN.up(shop(3), NOW + 1)
    why = (Constraint.CONTENDED, f"shop is held or being cleared, id {grid_id(ORDER)}")
    assert fresh.refused(ask("web-1", order=again), held) == why


def test_whose_the_network_id_is_is_said() -> None:
    other = GridId("other.0")
    refused = Host().refused(ask("web-1"), Taken({}, {7: other}))
    assert refused == (Constraint.NETWORK_ID, f"network lan: id 7 is used by grid {other}")


def test_a_host_carries_so_many_and_a_plan_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conflicts, "HOLDS_PER_HOST", 4)
    host = Host()
    for name in ("a", "b"):
        host.ledger.enter(("other", name), Quantum(1))
    full = (Constraint.LIMIT, "a host carries at most 4 workspaces")
    assert host.refused(ask("web-1", "web-2", "web-3")) == full
    host.asked(ask("web-1", "web-2", order=PLAN))
    plan = grid_id(PLAN)
    assert host.refused(ask("web-1"))[0] is Constraint.LIMIT
    assert host.refused(ask("web-1", "web-2", "web-3", instead=plan)) == full
    assert len(host.asked(ask("web-1", "web-2", instead=plan))) == 3, "in place of the plan"
    assert len(host.ledger) == 4


# -- for how long


def test_a_plan_is_held_for_a_lease_that_begins_as_late_as_it_ends() -> None:
    host = Host()
    spec = shop(3, lease=LeaseTerms(grace_s=500), lease_s=1000)
    plan = ADMIN.hold(spec, 60.0, NOW)
    host.asked(ask("web-1", order=plan))
    end_s = NOW + 1000 + SLACK_S + CLEAR_S + 60
    assert host.row(plan).window == Window(NOW, end_s, end_s + 500)
    up = ADMIN.up(spec, NOW)
    host = Host()
    host.asked(ask("web-1", order=up))
    assert host.row(up).window == Window(NOW, end_s - 60, end_s - 60 + 500)


def test_a_plan_of_a_reservation_begins_when_that_does() -> None:
    host = Host()
    spec = shop(3, lease=LeaseTerms(start_s=START, grace_s=500), lease_s=1000)
    plan = ADMIN.hold(spec, 60.0, NOW)
    host.asked(ask("web-1", order=plan, start_s=START))
    end_s = START + 1000 + SLACK_S + CLEAR_S
    assert host.row(plan).window == Window(START, end_s, end_s + 500)


def test_best_effort_work_that_is_only_held_came_last() -> None:
    order = ADMIN.up(shop(1, lease=LeaseTerms(best_effort=True)), NOW)
    host = Host(room=msgspec.structs.replace(ROOM, disk_bytes=1024 * MIB))
    (save, *_) = host.asked(ask("web-1", order=order))
    grid = grid_id(order)
    yields = Yields((grid, "web"), LAST_S, 128 * MIB)
    assert host.ledger.yields((grid, "web-1")) == yields
    assert isinstance(save, Persist)
    assert save.rows[0].value is not None
    again = Host({grid: save.rows[0].value}, host.offer.free)
    assert again.ledger.yields((grid, "web-1")) == yields


def test_what_an_earlier_version_held_is_held_for_all_time() -> None:
    """It did not say for when; a lease follows, or a vote, and then it is known."""
    saves = LeaseTerms(on_expiry=OnExpiry.SUSPEND)
    order = ADMIN.up(shop(1, lease=saves), NOW)
    host = Host(room=msgspec.structs.replace(ROOM, disk_bytes=1024 * MIB))
    host.asked(ask("web-1", order=order))
    plain = to_plain(host.row(order))
    for key in ("start_s", "window", "yields", "owner_site", "plan"):
        del plain[key]
    old = encode(convert(plain, HoldRow))
    again = Host({grid_id(order): old}, host.offer.free)
    assert again.row(order).start_s == 0.0, "it begins when it is committed"
    all_of_it = Quantum(500, 128 * MIB, 144 * MIB)
    spans = again.ledger.spans((grid_id(order), "web-1"))
    assert spans == (Occupancy(0.0, 1e12, all_of_it),)


# -- its end


def test_what_is_let_go_is_off_the_disk_and_the_rest_stays() -> None:
    host = Host()
    host.asked(ask("web-1", "web-2"))
    grid = grid_id(ORDER)
    (save, note), outcomes = host.holds.release(B, HoldRelease(grid, ("web-2", "web-7")))
    assert save == Persist((Row(TABLE, grid, encode(host.row())),), Untidied())
    assert host.row().workspaces == ("web-1",)
    assert note == Note("hold.released", "shop", "web-2, web-7")
    assert outcomes == [RoomChanged()]
    assert host.holds.release(B, HoldRelease(grid, ("web-2",))) == ([], []), "it is gone already"
    (save, _), _ = host.holds.release(B, HoldRelease(grid, ("web-1",)))
    assert save == Persist((Row(TABLE, grid, None),), Untidied())
    assert (host.holds.row(grid), host.ledger.free) == (None, ROOM)


def test_a_plan_that_ends_says_so() -> None:
    host = Host()
    host.asked(ask("web-1", order=PLAN))
    note = Note("hold.expired", "shop", "a plan whose time is up")
    (gone, said), outcomes = host.holds.tick(NOW + HOLD_S)
    assert (said, outcomes) == (note, [RoomChanged()])
    assert isinstance(gone, Persist)
    assert gone.rows[0] == Row(TABLE, grid_id(PLAN), None)
    assert [row.key for row in gone.rows[1:]] == [order_part(grid_id(PLAN))], "it was used"


def test_a_vote_is_asked_for_again_after_a_minute_or_soon_if_it_failed() -> None:
    host, grid = Host(), grid_id(ORDER)
    host.asked(ask("web-1"))
    up_s = NOW + HOLD_S
    assert host.holds.next_deadline() == Deadline(up_s, "hold")
    _, (vote,) = host.holds.tick(up_s)
    assert isinstance(vote, Propose)
    assert (vote.register, vote.cause, vote.order) == (order_part(grid), grid, ORDER)
    assert vote.step == Vote(1)
    assert host.holds.next_deadline() == Deadline(up_s + 60, "hold")
    host.holds.unsettled(grid, up_s + 5)
    assert host.holds.next_deadline() == Deadline(up_s + 7, "hold")
    assert host.holds.tick(up_s + 6.999) == ([], [])
    assert len(host.holds.tick(up_s + 7)[1]) == 1


def test_stewards_words_on_what_is_not_held_change_nothing() -> None:
    host, grid = Host(), grid_id(ORDER)
    assert host.holds.settled(grid, voiding(grid, NOW)(None)) == (False, [], [])
    host.holds.unsettled(grid, NOW)
    assert host.holds.next_deadline() is None


@pytest.mark.parametrize("end", ["decided", "voted-down", "let-go"])
def test_a_hold_that_is_made_anew_has_its_own_time(end: str) -> None:
    host, grid = Host(), grid_id(ORDER)
    host.asked(ask("web-1"))
    host.holds.tick(NOW + HOLD_S)
    if end == "decided":
        host.holds.take(record_of(ORDER, {"web-1": A}), A)
    elif end == "voted-down":
        host.holds.settled(grid, voiding(grid, NOW)(None))
    else:
        host.holds.release(B, HoldRelease(grid, ("web-1",)))
    assert host.holds.next_deadline() is None
    host.asked(ask("web-2"), now=NOW + 20)
    assert host.holds.next_deadline() == Deadline(NOW + 20 + HOLD_S, "hold")


def test_the_row_says_whose_it_is_and_what_it_is_for() -> None:
    host = Host()
    (save, *_) = host.asked(ask("web-1", "web-2", order=LATER, start_s=START))
    row = host.row(LATER)
    assert isinstance(save, Persist)
    assert save.rows[0].value is not None
    assert decode(save.rows[0].value, HoldRow) == row
    assert (row.owner, row.owner_site, row.name) == (ADMIN.signer.key, "s1", "shop")
    assert (row.start_s, row.until_s) == (START, NOW + HOLD_S)
    assert (row.stewards, row.vnis) == ((A, B, C), (("lan", 7),))
    assert (row.plan, row.yields) == (False, False)


def test_a_grid_that_is_decided_takes_what_it_uses_and_lets_the_rest_go() -> None:
    grid = grid_id(ORDER)
    used = record_of(ORDER, {"web-1": A, "web-2": B, "web-3": A})
    down = msgspec.structs.replace(used, state=GridState.DOWN)
    for record, left in ((used, ["web-1"]), (down, [])):
        host = Host()
        host.asked(ask("web-1", "web-2"))
        host.holds.take(record, A)
        assert [name for name in ("web-1", "web-2", "web-3") if (grid, name) in host.ledger] == left
        assert host.holds.row(grid) is None
        host.holds.take(record, A)
        assert len(host.ledger) == len(left), "what is not held is not touched"


def test_what_a_lease_has_is_no_hold_so_its_room_does_not_end_with_one() -> None:
    host, grid = Host(), grid_id(ORDER)
    host.asked(ask("web-1"))
    host.holds.take(record_of(ORDER, {"web-1": A}), A)
    host.asked(ask("web-1", "web-2"))
    assert host.row(ORDER).workspaces == ("web-2",)
    host.holds.release(B, HoldRelease(grid, ("web-1", "web-2")))
    assert (grid, "web-1") in host.ledger
    assert len(host.ledger) == 1
