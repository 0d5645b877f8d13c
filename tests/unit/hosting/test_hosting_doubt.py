"""A host whose clock does not count ends nothing by it, says what waits, and ends it when the clock counts."""

from random import Random

import msgspec
import pytest
from deciding import decided, decision, ending, extending, lapsing, proposed, read_register
from negotiating import ADMIN, AUTHORITY, NOW, ROOM, A, B, committed, record_of, shop

from protocol.capacity.ledger import Ledger
from protocol.capacity.timetable import Window
from protocol.contract.messages import Act, ActReply, LeaseAsk, LeaseReply
from protocol.contract.outcomes import NoticeDue, Outcome, Propose
from protocol.grid.lifecycle import Phase, Power, Status
from protocol.grid.model import LeaseTerms
from protocol.grid.record import GridRecord, GridState, LeaseChange, grid_id
from protocol.hosting.lease import yielded
from protocol.hosting.leases import Leases
from protocol.hosting.taking_up import Promise
from protocol.membership.clocks import ALONE, SURE, ClockView
from protocol.terms.effects import Effect, Note, Persist, Send
from protocol.terms.ids import RequestId
from protocol.terms.limits import FOUND_OVER_S
from protocol.trust.order import Action
from protocol.trust.signing import Untrusted
from protocol.wire.codec import encode

HOUR, DAY = 3600.0, 25 * 3600.0
KEPT_S = 500.0
TERMS = LeaseTerms(grace_s=500, warn_s=(100,))
ORDER = ADMIN.up(shop(2, lease=TERMS, lease_s=1000), NOW)
GRID = grid_id(ORDER)
RECORD = record_of(ORDER, {"web-1": A, "web-2": B})
END = NOW + 1000
WHY = "this host's clock is 1 h ahead of the median of 3 neighbours"
APART = ClockView(WHY, apart=True, theirs_s=-HOUR)
UNHEARD = ClockView("no neighbour has told its time yet", theirs_s=None)
LAPSED = read_register(lapsing(GRID)(committed(RECORD))).record
assert LAPSED is not None


class Host:
    """The leases of host A, its store, and what is to be thought of its clock."""

    def __init__(self, start_s: float = 0.0) -> None:
        order, self.record = ORDER, RECORD
        if start_s:
            terms = LeaseTerms(start_s=start_s, grace_s=500)
            order = ADMIN.up(shop(2, lease=terms, lease_s=1000), NOW)
            self.record = record_of(order, {"web-1": A, "web-2": B}, start_s=start_s)
        self.rows: dict[str, bytes] = {}
        self.view = SURE
        self.start(NOW)
        self.grid = grid_id(order)
        known, effects, _ = self.leases.decided(
            decided(self.record), Promise(("web-1",), Window(NOW, END, END)), NOW
        )
        assert known
        self.keep(effects)
        self.leases.progress(self.grid, Status("web-1", Phase.READY, "", NOW))

    def start(self, now: float, view: ClockView = SURE) -> None:
        """Begins a life with that clock."""
        self.view, self.ledger = view, Ledger(ROOM, now)
        rows = dict(self.rows)
        self.leases = Leases(
            A, self.ledger, AUTHORITY, Random(1), rows, now, clock=lambda: self.view
        )

    def tick(self, now: float) -> list[Effect]:
        self.ledger.advance(now)
        effects, self.outcomes = self.leases.tick(now)
        self.leases.check()
        return self.keep(effects)

    def keep(self, effects: list[Effect]) -> list[Effect]:
        for effect in effects:
            for row in effect.rows if isinstance(effect, Persist) else ():
                if row.table == "grid" and row.value is not None:
                    self.rows[row.key] = row.value
        return effects

    def hears(self, record: GridRecord, now: float) -> None:
        _, effects, _ = self.leases.decided(decided(record), Promise(), now)
        self.keep(effects)

    def power(self) -> Power:
        (wanted,) = self.leases.wanted(self.grid)
        return wanted.power

    def detail(self) -> str:
        (status,) = self.leases.statuses(self.grid)
        return status.detail

    def proposes(self) -> bool:
        """Whether it had the stewards asked to take the grid down, in the last tick."""
        return any(lapses(outcome) for outcome in self.outcomes)


def lapses(outcome: Outcome) -> bool:
    if not isinstance(outcome, Propose):
        return False
    record = proposed(outcome, committed(RECORD)).register.record
    return record is not None and record.state is GridState.DOWN


def kinds(effects: list[Effect]) -> list[str]:
    return [effect.kind for effect in effects if isinstance(effect, Note)]


@pytest.mark.parametrize("ahead_s", [HOUR, DAY])
@pytest.mark.parametrize("view", [UNHEARD, APART], ids=["unheard", "apart"])
def test_a_life_that_begins_far_ahead_leaves_what_it_finds(ahead_s: float, view: ClockView) -> None:
    host = Host()
    host.start(NOW + ahead_s, view)
    for later_s in (0.0, 2.0, 10.0, 600.0):
        host.tick(NOW + ahead_s + later_s)
        assert host.power() is Power.RUNNING
        assert not host.proposes()
    assert host.leases.not_yet(GRID) == host.detail()
    assert host.detail() == f"over by this host's clock, and ends when clocks agree: {view.doubt}"


def test_what_its_end_waits_for_is_told_once_and_its_reason_when_that_is_found() -> None:
    host = Host()
    host.start(NOW + HOUR, UNHEARD)
    assert kinds(host.tick(NOW + HOUR)) == ["lease.waits"]
    assert NoticeDue(GRID) in host.outcomes
    assert kinds(host.tick(NOW + HOUR + 1)) == []
    host.view = APART
    assert kinds(host.tick(NOW + HOUR + 2)) == ["lease.waits"]
    assert kinds(host.tick(NOW + HOUR + 3)) == []


def test_it_is_not_woken_for_what_waits() -> None:
    host = Host()
    host.start(NOW + HOUR, APART)
    host.tick(NOW + HOUR)
    deadline = host.leases.next_deadline()
    assert deadline is not None
    assert deadline.at_s > NOW + HOUR, "only the stewards are asked, now and then"


def test_mended_in_the_next_life_it_goes_on_to_its_end() -> None:
    host = Host()
    host.start(NOW + DAY, APART)
    host.tick(NOW + DAY)
    host.start(NOW + 20)
    assert (host.leases.not_yet(GRID), host.power(), host.detail()) == (
        "",
        Power.RUNNING,
        "found at start",
    )
    assert kinds(host.tick(END - 100)) == ["lease.warning"]
    assert kinds(host.tick(END)) == ["lease.ended"]


def test_when_its_clock_counts_what_is_over_ends_at_once() -> None:
    host = Host()
    host.start(END + 10, UNHEARD)
    host.tick(END + 10)
    assert host.power() is Power.RUNNING
    host.view = SURE
    deadline = host.leases.next_deadline()
    assert deadline is not None
    assert deadline.at_s <= END + 10
    assert kinds(host.tick(END + 11)) == ["lease.ended"]
    assert (host.power(), host.leases.not_yet(GRID)) == (Power.OFF, "")


def test_a_clock_that_jumps_ahead_in_the_middle_ends_nothing() -> None:
    host = Host()
    host.view = APART
    assert kinds(host.tick(NOW + HOUR)) == ["lease.waits"]
    assert (host.power(), host.leases.not_yet(GRID)) == (Power.RUNNING, "")
    assert not kinds(host.tick(NOW + HOUR + 1)), "it does not warn of an end that is not known"


def test_what_is_kept_is_not_deleted_while_its_clock_does_not_count() -> None:
    host = Host()
    assert kinds(host.tick(END)) == ["lease.ended"]
    host.view = APART
    assert kinds(host.tick(END + KEPT_S)) == ["lease.waits"]
    assert "ends when clocks agree" in host.detail()
    for later_s in (3.0, 100.0):
        host.tick(END + KEPT_S + later_s)
        assert not host.proposes()
    host.view = SURE
    assert kinds(host.tick(END + KEPT_S + 200)) == ["lease.lapsed"]
    host.tick(END + KEPT_S + 203)
    assert host.proposes()


def test_a_deletion_that_was_due_already_is_not_asked_for_any_more() -> None:
    host = Host()
    host.tick(END)
    host.tick(END + KEPT_S)
    host.view = APART
    host.tick(END + KEPT_S + 3)
    assert not host.proposes()


def test_alone_it_leaves_what_it_finds_over_for_a_while() -> None:
    """Nobody can tell whether its clock is right, and NTP may be about to mend it."""
    host = Host()
    start_s = NOW + DAY
    host.start(start_s, ALONE)
    for at_s in (start_s, start_s + FOUND_OVER_S - 1):
        host.tick(at_s)
        assert host.power() is Power.RUNNING
        assert not host.proposes()
        assert host.leases.not_yet(GRID) == host.detail()
    assert host.detail().startswith("it was over when this host started, and ends at 1970-01-13 ")
    deadline = host.leases.next_deadline()
    assert deadline is not None
    assert kinds(host.tick(start_s + FOUND_OVER_S)) == ["lease.lapsed"]
    assert host.power() is Power.OFF
    host.tick(start_s + FOUND_OVER_S + 3)
    assert host.proposes()


def test_alone_what_it_sees_end_ends_in_time() -> None:
    host = Host()
    host.start(NOW + 10, ALONE)
    assert kinds(host.tick(END - 100)) == ["lease.warning"]
    assert kinds(host.tick(END)) == ["lease.ended"]


def test_alone_it_goes_on_at_once_if_it_is_extended() -> None:
    host = Host()
    host.start(END + 100, ALONE)
    order = ADMIN.order(Action.LEASE, GRID, END + 101, body=encode(LeaseChange(7200)))
    longer = read_register(extending(GRID, order)(committed(RECORD))).record
    assert longer is not None
    host.hears(longer, END + 101)
    assert (host.leases.not_yet(GRID), host.power()) == ("", Power.RUNNING)


def test_a_clock_set_back_takes_no_time_from_what_made_room() -> None:
    row = msgspec.structs.replace(Host().leases.rows()[0], stopped_s=NOW + 60, off=("web",))
    assert yielded(row, (), NOW + 20, 2.0).lease_until_s == row.lease_until_s + 2.0


def test_a_lease_still_begins_and_is_extended() -> None:
    """A beginning can be taken back."""
    host = Host(NOW + 60)
    host.view = APART
    assert kinds(host.tick(NOW + 60)) == ["lease.started"]
    host.tick(NOW + HOUR)
    body = encode(LeaseChange(7200))
    order = ADMIN.order(Action.LEASE, host.grid, NOW + HOUR, body=body)
    effects, _ = host.leases.lengthen(B, LeaseAsk(RequestId("r"), host.grid, order), NOW + HOUR)
    (reply,) = [e.message for e in effects if isinstance(e, Send)]
    assert reply == LeaseReply(RequestId("r"), "")


# -- what the stewards decided


def test_a_grid_that_is_down_by_others_clocks_is_believed_down_by_theirs_alone() -> None:
    host = Host()
    host.view = ClockView("behind", apart=True, theirs_s=600.0)
    with pytest.raises(Untrusted, match="down without an order"):
        host.hears(LAPSED, END + KEPT_S - 660)
    host.hears(LAPSED, END + KEPT_S - 600)
    assert host.power() is Power.GONE


@pytest.mark.parametrize("view", [APART, UNHEARD], ids=["apart", "unheard"])
def test_a_clock_that_does_not_count_proves_no_end(view: ClockView) -> None:
    host = Host()
    host.view = view
    with pytest.raises(Untrusted, match="down without an order"):
        host.hears(LAPSED, NOW + HOUR + 60)
    assert host.power() is Power.RUNNING


def test_what_lapsed_too_early_is_taken_down_by_its_owners_order() -> None:
    """Its register was down already, so `down` said that it was, and the other host's guest ran on."""
    host = Host()
    with pytest.raises(Untrusted):
        host.hears(LAPSED, NOW + 20)
    order = ADMIN.order(Action.DOWN, GRID, NOW + 30)
    register = read_register(ending(GRID, order)(lapsing(GRID)(committed(RECORD))))
    assert register.record is not None
    assert register.record.epoch == LAPSED.epoch + 1
    host.hears(register.record, NOW + 30)
    assert host.power() is Power.GONE
    again = ADMIN.order(Action.DOWN, GRID, NOW + 40)
    assert ending(GRID, again)(decision(register)).register == register, "once is enough"


# -- actions on a grid that is not in its time


def acted(host: Host, action: Action, at_s: float) -> str:
    order = ADMIN.order(action, host.grid, at_s, workspace="web-1")
    effects, _ = host.leases.act(B, Act(RequestId("r"), host.grid, order), at_s)
    (reply,) = [e.message for e in effects if isinstance(e, Send)]
    assert isinstance(reply, ActReply)
    return reply.problem


ACTIONS = [Action.PAUSE, Action.RESUME, Action.RESTART, Action.SUSPEND, Action.RESTORE]


@pytest.mark.parametrize("action", ACTIONS)
def test_after_the_end_every_action_is_refused_at_once(action: Action) -> None:
    host = Host()
    host.tick(END)
    assert acted(host, action, END + 200) == (
        "its lease is over since 1970-01-12 14:03 UTC; what is left of it is kept for 5 min more\n"
        f"  would work: `overlayctl lease extend shop 1h`, then {action} again"
    )
    host.tick(END + KEPT_S)
    assert acted(host, action, END + KEPT_S + 1) == (
        "its lease is over, and so is the time it was kept; it is being deleted\n"
        "  would work: `overlayctl up` of its file makes it anew"
    )


@pytest.mark.parametrize("action", ACTIONS)
def test_before_the_beginning_every_action_is_refused_at_once(action: Action) -> None:
    host = Host(NOW + 600)
    assert acted(host, action, NOW + 1) == (
        "its lease begins at 1970-01-12 13:56 UTC\n"
        "  would work: the same then; `overlayctl down shop` works now"
    )


def test_what_waits_for_its_end_can_be_acted_on() -> None:
    host = Host()
    host.view = APART
    host.tick(NOW + HOUR)
    assert acted(host, Action.PAUSE, NOW + HOUR) == ""
    assert msgspec.structs.asdict(host.leases.rows()[0])["wanted"][0].power is Power.PAUSED
