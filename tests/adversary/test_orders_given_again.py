"""A member that keeps the orders it sees, and gives them again: later, elsewhere, often, about what is next."""

import msgspec
import pytest
from deciding import committing, decided, declining, ending, proposed
from hosting_world import ORDER, One
from negotiating import ADMIN, NOW, RIVAL, record_of, shop
from one_requester import ME, Scene

from protocol.contract.messages import (
    Act,
    ActReply,
    Decided,
    HoldAsk,
    HoldReply,
    LeaseAsk,
    LeaseReply,
)
from protocol.contract.outcomes import Propose
from protocol.grid.decision import Decision
from protocol.grid.lifecycle import Phase, Power
from protocol.grid.model import GridSpec, LeaseTerms
from protocol.grid.record import (
    GridRecord,
    GridState,
    LeaseChange,
    grid_id,
    order_part,
    vni_of,
)
from protocol.hosting.events import Cleared, Progressed
from protocol.sim.keys import SimFederation
from protocol.terms.effects import Effect, Persist, Send
from protocol.terms.ids import GridId, RequestId
from protocol.terms.limits import HOLD_S, QUEUE_S
from protocol.trust.order import Action, Order, SignedOrder, sign_order
from protocol.wire.codec import encode

REQUEST = RequestId("again")
DAY_S = 86400.0


def about(grid: str, action: Action, body: bytes = b"", at_s: float = NOW) -> SignedOrder:
    """The owner's order, about whatever that names."""
    order = Order(action, grid, at_s, 600.0, f"{at_s:016.1f}", body=body)
    return sign_order(order, ADMIN.signer, ADMIN.chain)


def longer(grid: str, by_s: int = 3600) -> SignedOrder:
    return about(grid, Action.LEASE, encode(LeaseChange(by_s)))


def down(record: GridRecord, order: SignedOrder) -> GridRecord:
    ended = ending(record.id, order)(decided(record)).register.record
    assert ended is not None
    return ended


def replies(effects: list[Effect]) -> list[object]:
    return [e.message for e in effects if isinstance(e, Send)]


def restarted(one: One, again: bool, now: float = NOW) -> One:
    """The same host, in another life if `again`."""
    if again:
        one.start(now)
    return one


def taken_down(order: SignedOrder = ORDER, at_s: float = NOW) -> tuple[One, GridRecord]:
    """A host that carried a grid, which its owner took down, and which is cleared."""
    one = One()
    assert one.holds(order, at_s).held == ("web-1",)
    record = one.record(order)
    one.hears(Decided(decided(record).certificate), at_s)
    assert one.host.leases.row(record.id) is not None
    one.hears(
        Decided(decided(down(record, about(record.id, Action.DOWN, at_s=at_s))).certificate), at_s
    )
    gone = Progressed(record.id, "web-1", Phase.GONE, "", 1)
    one.keep(one.host.handle(gone, at_s))
    one.keep(one.host.handle(Cleared(record.id), at_s))
    assert one.host.leases.row(record.id) is None
    return one, record


def asks(one: One, order: SignedOrder, grid: GridId, now: float) -> HoldReply:
    """A member asks the host to hold under an order that it kept."""
    vnis = (("lan", vni_of(grid, "lan")),)
    ask = HoldAsk(grid, order, ("web-1",), vnis, HOLD_S)
    (reply,) = replies(one.hears(ask, now))
    assert isinstance(reply, HoldReply)
    return reply


# -- an old `down`


@pytest.mark.parametrize("again", [False, True], ids=["at-once", "after-a-restart"])
@pytest.mark.parametrize("names", ["the-grid-before", "the-name"])
def test_an_old_down_does_nothing_to_the_next_grid_of_its_name(names: str, again: bool) -> None:
    one, before = taken_down()
    next_order = ADMIN.up(shop(1), NOW + 1)
    old = about(before.id if names == "the-grid-before" else before.name, Action.DOWN, at_s=NOW + 2)
    assert one.holds(next_order, NOW + 1).held == ("web-1",)
    record = one.record(next_order)
    one.hears(Decided(decided(record).certificate), NOW + 1)
    restarted(one, again, NOW + 2)
    one.hears(Act(REQUEST, record.id, old), NOW + 3)
    forged = msgspec.structs.replace(record, epoch=9, state=GridState.DOWN, changes=(old,))
    one.hears(Decided(decided(forged).certificate), NOW + 3)
    row = one.host.leases.row(record.id)
    assert row is not None
    assert (row.record, row.halted) == (record, None)
    assert [w.power for w in one.host.leases.wanted(record.id)] == [Power.RUNNING]
    good = about(record.id, Action.DOWN, at_s=NOW + 4)
    one.hears(Decided(decided(down(record, good)).certificate), NOW + 4)
    assert [w.power for w in one.host.leases.wanted(record.id)] == [Power.GONE], "its own does"


# -- a lease


@pytest.mark.parametrize("again", [False, True], ids=["at-once", "after-a-restart"])
@pytest.mark.parametrize("way", ["the-same", "with-another-chain"])
def test_one_change_of_a_lease_counts_once_however_often_a_record_has_it(
    way: str, again: bool
) -> None:
    one = One()
    record = one.leases()
    order = longer(record.id)
    renewed = SimFederation("fed", from_s=NOW - 500, until_s=NOW + 900_000).site_chain("s1")
    more = order if way == "the-same" else msgspec.structs.replace(order, chain=renewed)
    before = one.host.leases.row(record.id)
    assert before is not None
    restarted(one, again)
    many = msgspec.structs.replace(
        record, epoch=2, extra_s=100 * 3600, changes=(order, *(more,) * 99)
    )
    one.hears(Decided(decided(many).certificate))
    row = one.host.leases.row(record.id)
    assert row is not None
    assert (row.record, row.lease_until_s) == (record, before.lease_until_s)
    once = msgspec.structs.replace(record, epoch=2, extra_s=3600, changes=(order,))
    one.hears(Decided(decided(once).certificate))
    row = one.host.leases.row(record.id)
    assert row is not None
    assert row.lease_until_s == before.lease_until_s + 3600


@pytest.mark.parametrize("again", [False, True], ids=["at-once", "after-a-restart"])
@pytest.mark.parametrize("what", ["decided", "voted-down"])
def test_a_change_of_a_lease_given_again_has_no_time_promised(what: str, again: bool) -> None:
    one = One()
    record = one.leases()
    order = longer(record.id)
    one.hears(LeaseAsk(REQUEST, record.id, order))
    row = one.host.leases.row(record.id)
    assert row is not None
    assert len(row.pending) == 1
    if what == "decided":
        more = msgspec.structs.replace(record, epoch=2, extra_s=3600, changes=(order,))
        one.hears(Decided(decided(more).certificate))
    else:
        extension = GridId(order_part(grid_id(order)))
        value = declining(record.id, extension, NOW)(decided(record))
        one.keep(one.host.leases.audited(record.id, value, NOW))
    before = one.host.leases.row(record.id)
    assert before is not None
    assert before.pending == ()
    restarted(one, again, NOW + 1)
    for _ in range(3):
        (reply,) = replies(one.hears(LeaseAsk(REQUEST, record.id, order), NOW + 1))
        assert isinstance(reply, LeaseReply)
        row = one.host.leases.row(record.id)
        assert row is not None
        assert (row.pending, row.window) == ((), before.window)


# -- an `up`


def waiting() -> SignedOrder:
    """An `up` of best effort, which may wait for 30 days."""
    spec: GridSpec = shop(1, lease=LeaseTerms(best_effort=True))
    return ADMIN.order(Action.UP, "shop", NOW, body=encode(spec), valid_s=QUEUE_S)


@pytest.mark.parametrize("again", [False, True], ids=["at-once", "after-a-restart"])
@pytest.mark.parametrize("late_s", [1.0, 11 * DAY_S], ids=["soon", "after-11-days"])
def test_an_up_given_again_after_down_holds_nothing_where_it_was(
    late_s: float, again: bool
) -> None:
    order = waiting() if late_s > 600 else ORDER
    one, record = taken_down(order)
    restarted(one, again, NOW + late_s)
    free = one.host.ledger.free
    part = order_part(record.id)
    for grid in (record.id, GridId(f"{part}.1"), GridId(f"{part}.7-abcdef")):
        reply = asks(one, order, grid, NOW + late_s)
        assert reply.held == ()
        assert "was carried out here already" in reply.refused[0][1].detail
    assert (len(one.host.holds), one.host.ledger.free) == (0, free)
    fresh = ADMIN.up(shop(1), NOW + late_s)
    assert one.holds(fresh, NOW + late_s).held == ("web-1",), "its owner's next order is another"


@pytest.mark.parametrize("again", [False, True], ids=["at-once", "after-a-restart"])
@pytest.mark.parametrize("ends", ["down", "cancelled", "made-and-down"])
def test_an_up_given_again_to_the_peer_that_was_asked_makes_nothing(ends: str, again: bool) -> None:
    scene, rows = Scene(), dict[str, dict[str, bytes]]()

    def keep(effects: list[Effect]) -> None:
        for row in [r for e in effects if isinstance(e, Persist) for r in e.rows]:
            rows.setdefault(row.table, {})[row.key] = row.value or b""

    order = ADMIN.up(shop(2), NOW)
    if ends == "made-and-down":
        proposal = scene.committing("up", order)
        value = proposed(proposal)
        effects, _ = scene.requester.settled(proposal.purpose, value, NOW)  # type: ignore[arg-type]
        keep(effects)
    else:
        scene.holding("up", order)
    if ends == "cancelled":
        keep(scene.cancel("up"))
    else:
        grid = order_part(grid_id(order))
        keep(scene.order("down", about(grid, Action.DOWN))[0])
    rows.pop("request", None)  # as many requests later
    scene = Scene(rows if again else {"used": rows.get("used", {})}, NOW - 1.0)
    scene.order("again", order)
    quotes, _ = scene.answer_quotes(scene.passes(NOW, NOW + 60.0))
    assert [e for e in quotes if isinstance(e, Send)] == []
    assert scene.view("again").stage == "looking", "its stewards may have it, and that is all"


@pytest.mark.parametrize("first", ["commit", "down"])
def test_no_other_attempt_of_an_up_becomes_a_grid_after_its_down(first: str) -> None:
    """The grid was before its stewards when its owner took it down."""
    scene, order = Scene(), waiting()
    commit = scene.committing("up", order)
    _, (stop,) = scene.order("down", about(order_part(grid_id(order)), Action.DOWN))
    assert isinstance(stop, Propose)
    both = [commit, stop] if first == "commit" else [stop, commit]
    value: Decision | None = None
    for each in both:
        value = proposed(each, value)
    for attempt in range(5):
        other = record_of(order, {"web-1": ME}, grid_id(order, attempt, "mallory"))
        made = committing(other)(value).register.record
        assert made is None or made.state is GridState.DOWN


# -- actions


@pytest.mark.parametrize("again", [False, True], ids=["at-once", "after-a-restart"])
def test_an_action_given_again_does_nothing(again: bool) -> None:
    one = One()
    record = one.leases()
    pause, resume = (
        about(record.id, a, at_s=NOW + n) for n, a in enumerate((Action.PAUSE, Action.RESUME))
    )
    for order in (pause, resume):
        one.hears(Act(REQUEST, record.id, order), NOW + 1)
    restarted(one, again, NOW + 2)
    (reply,) = replies(one.hears(Act(REQUEST, record.id, pause), NOW + 2))
    assert isinstance(reply, ActReply)
    assert [w.power for w in one.host.leases.wanted(record.id)] == [Power.RUNNING]


def test_whose_memory_of_orders_is_full_is_refused_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("protocol.trust.used.USED_ORDERS", 3)
    one = One()
    record = one.leases()
    for n in range(5):
        order = about(record.id, (Action.PAUSE, Action.RESUME)[n % 2], at_s=NOW + n)
        effects = one.hears(Act(REQUEST, record.id, order), NOW + 5)
    assert "as many as are kept" in str(replies(effects))
    assert len(one.rows["used"]) == 3
    one.start(NOW + 6)
    spec = msgspec.structs.replace(shop(1), name="other")
    mine, theirs = ADMIN.up(spec, NOW + 6), RIVAL.up(spec, NOW + 6)
    assert one.holds(mine, NOW + 6).held == ()
    assert one.holds(theirs, NOW + 6).held == ("web-1",)
    late_s = NOW + 6 + 1000.0
    assert one.holds(ADMIN.up(spec, late_s), late_s).held == ("web-1",), "what is over has no place"
