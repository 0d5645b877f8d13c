"""The host as a whole: what it offers and quotes, and where each message, report and word of stewards goes."""

import msgspec
import pytest
from deciding import decided, ending, proposed
from hosting_world import EACH, FACTS, GRID, IMAGE, LATER, ORDER, REQUEST, ROOM, One, named, notes
from negotiating import (
    ADMIN,
    MIB,
    NOW,
    RIVAL,
    B,
    committed,
    record_of,
    said,
    shop,
)

from protocol.capacity.advert import UNPROBED, shapes_in
from protocol.capacity.quantum import Quantum
from protocol.capacity.rates import TABLE as RATES
from protocol.contract.messages import (
    Act,
    ActReply,
    Decided,
    DecidedAck,
    HoldAsk,
    HoldRelease,
    HoldReply,
    LeaseAsk,
    LeaseReply,
    RoomClaim,
    RoomKept,
    RoomRenew,
)
from protocol.contract.notices import Notice, placement
from protocol.contract.outcomes import (
    AuditLease,
    NoticeDue,
    Propose,
    RoomChanged,
    VoidHold,
)
from protocol.grid.grant import read_grant
from protocol.grid.lifecycle import Phase, Power
from protocol.grid.model import LeaseTerms
from protocol.grid.record import GridState, LeaseChange, grid_id, order_part, vni_of
from protocol.hosting.events import Care, Cleared, Kept, Measured, Progressed
from protocol.hosting.hold_row import HoldNotSaved
from protocol.hosting.holds import TABLE as HELD
from protocol.hosting.lease_book import TABLE as LEASED
from protocol.hosting.probing import LEAVES
from protocol.terms.coordinate import point
from protocol.terms.effects import Note, Persist, Realise, Row, Send, Untidied
from protocol.terms.ids import GridId
from protocol.terms.limits import CLAIM_S, HOLD_S
from protocol.terms.refusal import Constraint
from protocol.terms.wireguard import WireguardEnd
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import decode, encode


def other_order() -> SignedOrder:
    """To make a grid of another name."""
    return ADMIN.up(named("other"), NOW)


# -- what it offers


def test_before_it_was_probed_it_has_nothing_to_say_of_itself() -> None:
    one = One(facts=None)
    assert not one.host.known
    assert (one.host.facts, one.host.ledger.capacity) == (UNPROBED, Quantum())
    one.host.probed(FACTS)
    assert one.host.known
    assert (one.host.facts, one.host.ledger.free) == (FACTS, ROOM)


def test_an_unfit_host_says_so_where_it_offers_and_when_it_is_fit_again() -> None:
    one = One()
    unfit = msgspec.structs.replace(FACTS, unfit="its disk is full")
    assert one.host.probed(unfit)[0] == [
        Note("host.unfit", one.host.offer().host, "its disk is full")
    ]
    advert = one.host.advert(NOW)
    assert advert.facts.unfit == "its disk is full"
    assert all(count == 0 for _, count in advert.shapes), "nobody counts on it"
    assert advert.free == ROOM, "what it has is still told"
    assert one.host.probed(unfit)[0] == [], "once is enough"
    assert [effect.kind for effect in one.host.probed(FACTS)[0]] == ["host.fit"]
    assert any(count for _, count in one.host.advert(NOW).shapes)


def test_a_host_that_leaves_takes_nothing_new_and_what_it_has_goes_on() -> None:
    one = One()
    one.leases()
    one.around.leaves = True
    advert = one.host.advert()
    assert (advert.facts.unfit, advert.shapes) == (LEAVES, shapes_in(Quantum()))
    ((_, refusal),) = one.holds(other_order()).refused
    assert (refusal.constraint, refusal.detail) == (Constraint.UNFIT, LEAVES)
    one.start(NOW)
    assert one.host.advert().facts.unfit == LEAVES
    assert len(one.host.leases.rows()) == 1
    one.around.leaves = False
    assert one.holds(other_order()).held == ("web-1",)


def test_what_was_promised_stays_promised_though_it_does_not_fit_yet() -> None:
    one = One()
    one.leases()
    one.facts = None
    one.start()
    assert one.host.ledger.free == Quantum() - EACH
    one.host.probed(FACTS)
    assert one.host.ledger.free == ROOM - EACH
    one.host.check()


def test_its_advert() -> None:
    one = One()
    one.leases()
    one.around.place = point(3.0)
    advert = one.host.advert(NOW)
    assert (advert.facts, advert.images, advert.here) == (FACTS, (IMAGE,), point(3.0))
    assert (advert.free, advert.workspaces) == (ROOM - EACH, 1)
    assert advert.shapes == shapes_in(ROOM - EACH)
    assert advert.later[0].free == ROOM - EACH
    one.host.images_changed(())
    assert one.host.advert(NOW).images == ()


def test_what_is_claimed_is_not_advertised() -> None:
    one = One()
    one.hears(RoomClaim(ORDER, ("web-1",)))
    assert one.host.advert(NOW).free == ROOM - EACH
    assert one.host.advert(NOW + CLAIM_S).free == ROOM, "by then it is over"


# -- what it quotes


def test_a_quote() -> None:
    one = One()
    quote = one.quote()
    assert (quote.request, quote.host, quote.site, quote.free) == (REQUEST, "alpha", "s1", ROOM)
    assert (quote.held, quote.kept, quote.refused) == (Quantum(), Quantum(), None)
    assert (quote.clashes, quote.hidden, quote.coordinate) == ((), False, None)
    assert quote.images == (IMAGE.digest,)
    assert quote.facts == msgspec.structs.replace(FACTS, accelerator_why=""), "that is for people"
    assert quote.facts.runs_by == ("qemu", "kvm")
    one.around.behind_nat, one.around.place = True, point(3.0)
    assert (one.quote().hidden, one.quote().coordinate) == (True, point(3.0))
    one.holds()
    assert (one.quote().free, one.quote().held) == (ROOM - EACH, EACH)


@pytest.mark.parametrize(("has", "behind_nat"), [(True, False), (True, True), (False, False)])
def test_it_grants_wireguard_if_it_has_that_and_is_dialled(has: bool, behind_nat: bool) -> None:
    """Who is not reached by everybody seals: what is sealed goes through relays."""
    one, end = One(), WireguardEnd(b"k" * 32, 7701)
    facts = msgspec.structs.replace(FACTS, wireguard=end if has else None, wireguard_why="words")
    one.host.probed(facts)
    one.around.behind_nat = behind_nat
    assert one.host.tunnel is not None
    assert one.host.tunnel.wireguard == facts.wireguard
    assert one.quote().facts.wireguard_why == "", "that is for people"
    grant = one.holds().grant
    assert grant is not None
    assert read_grant(grant).wireguard is (has and not behind_nat)


def test_a_host_whose_clock_is_off_takes_no_reservation() -> None:
    one = One()
    one.around.fault = "30 s behind"
    assert one.quote().refused is None
    refused = one.quote(LATER).refused
    assert refused is not None
    assert (refused.constraint, refused.host, refused.detail) == (
        Constraint.CLOCK,
        "alpha",
        "30 s behind",
    )


def test_what_is_claimed_is_not_quoted_to_the_younger() -> None:
    one = One()
    one.hears(RoomClaim(ADMIN.up(shop(1), NOW - 9), ("web-1",)))
    young = one.quote(order="another", since_s=NOW - 8, owner=ADMIN.signer.key)
    assert (young.free, young.kept) == (ROOM - EACH, EACH)
    old = one.quote(order="another", since_s=NOW - 10, owner=ADMIN.signer.key)
    assert (old.free, old.kept) == (ROOM, Quantum())
    later = one.quote(LATER, order="another", since_s=NOW - 8)
    assert (later.free, later.kept) == (ROOM, Quantum()), "who claims wants to begin now"


def test_grids_that_are_to_be_kept_apart() -> None:
    one = One()
    one.leases()
    placement = msgspec.structs.replace(shop(1).placement, apart=("lonely",))
    other = msgspec.structs.replace(named("other"), placement=placement)
    assert one.holds(ADMIN.up(other, NOW)).held == ("web-1",)
    assert one.quote(grid="third", apart=("shop", "nothing")).clashes == ("shop",)
    assert one.quote(grid="lonely").clashes == ("other",), "it says so"
    assert one.quote(grid="shop", apart=("shop",)).clashes == (), "not from itself"
    third = msgspec.structs.replace(placement, apart=("shop",))
    apart = ADMIN.up(msgspec.structs.replace(named("third"), placement=third), NOW)
    ((_, refusal),) = one.holds(apart).refused
    assert refusal.constraint is Constraint.APART


# -- what it is told


def test_a_name_and_a_network_id_are_given_once() -> None:
    one = One()
    one.leases()
    ((_, refusal),) = one.holds(ADMIN.up(shop(1), NOW + 1)).refused
    assert (refusal.constraint, refusal.detail) == (
        Constraint.NAME,
        f"a grid named shop is here already, id {GRID}",
    )
    order = RIVAL.up(shop(1), NOW)
    ask = HoldAsk(grid_id(order), order, ("web-1",), (("lan", vni_of(GRID, "lan")),), HOLD_S)
    (reply,) = [e.message for e in one.hears(ask) if isinstance(e, Send)]
    assert isinstance(reply, HoldReply)
    assert [r.constraint for _, r in reply.refused] == [Constraint.NETWORK_ID]


def test_a_hold_becomes_a_lease() -> None:
    one = One()
    one.holds()
    assert list(one.rows[HELD]) == [GRID]
    effects = one.hears(Decided(decided(one.record()).certificate))
    assert said(effects) == [("beta", "DecidedAck")]
    assert isinstance(effects[0], Persist)
    assert Realise(GRID, GRID) in effects
    assert {NoticeDue(GRID), RoomChanged()} == set(one.outcomes)
    assert (list(one.rows[HELD]), list(one.rows[LEASED])) == ([], [GRID])
    assert (one.host.holds.rows(), len(one.host.leases.rows())) == ([], 1)
    assert said(one.hears(Decided(decided(one.record()).certificate))) == [
        ("beta", "DecidedAck")
    ], "asked again"


def test_a_hold_that_the_grid_did_not_use_ends() -> None:
    one = One()
    one.holds()
    record = record_of(ORDER, {"web-1": B})
    effects = one.hears(Decided(decided(record).certificate))
    assert Persist((Row(HELD, GRID, None),), Untidied()) in effects
    assert [e.message for e in effects if isinstance(e, Send)] == [DecidedAck(GRID, 1)]
    assert (one.host.ledger.free, one.rows[HELD]) == (ROOM, {})


@pytest.mark.parametrize(
    ("record", "subject", "why"),
    [
        pytest.param(
            "unheld", "shop", "it places workspaces here that are not held", id="not-held"
        ),
        pytest.param(
            "beyond",
            order_part(GRID),
            "malformed: a decision about workspaces nobody ordered",
            id="beyond",
        ),
    ],
)
def test_a_record_that_is_refused_is_not_acknowledged(record: str, subject: str, why: str) -> None:
    one = One()
    said_of = one.record()
    if record == "beyond":
        one.holds()
        said_of = record_of(ORDER, {"web-1": one.me, "web-9": B})
    effects = one.hears(Decided(decided(said_of).certificate))
    assert effects == [Note("record.refused", subject, why)]
    assert one.host.leases.rows() == []


def test_each_message_has_its_answer() -> None:
    one = One()
    assert one.holds().held == ("web-1",)
    assert notes(one.hears(HoldRelease(GRID, ("web-1",)))) == [("hold.released", "web-1")]
    one.leases()
    pause = Act(REQUEST, GRID, ADMIN.order(Action.PAUSE, GRID, NOW))
    (answer, *_) = [e.message for e in one.hears(pause) if isinstance(e, Send)]
    assert answer == ActReply(REQUEST, "", "")
    assert [w.power for w in one.host.leases.wanted(GRID)] == [Power.PAUSED]
    longer = ADMIN.order(Action.LEASE, GRID, NOW, body=encode(LeaseChange(60)))
    answers = [e.message for e in one.hears(LeaseAsk(REQUEST, GRID, longer)) if isinstance(e, Send)]
    assert answers == [LeaseReply(REQUEST, "")]
    renew = RoomRenew("nothing", 0)
    answers = [e.message for e in one.hears(renew) if isinstance(e, Send)]
    assert answers == [RoomKept("nothing", (), claimed=False)]


def test_where_nothing_can_be_saved_a_suspension_is_refused_with_its_reason() -> None:
    one = One(msgspec.structs.replace(FACTS, suspends=False))
    one.holds()
    one.leases()
    suspend = Act(REQUEST, GRID, ADMIN.order(Action.SUSPEND, GRID, NOW))
    (answer,) = [e.message for e in one.hears(suspend) if isinstance(e, Send)]
    assert isinstance(answer, ActReply)
    assert "cannot be saved to disk" in answer.problem
    assert [w.power for w in one.host.leases.wanted(GRID)] == [Power.RUNNING]
    pause = Act(REQUEST, GRID, ADMIN.order(Action.PAUSE, GRID, NOW))
    (answer, *_) = [e.message for e in one.hears(pause) if isinstance(e, Send)]
    assert answer == ActReply(REQUEST, "", "")


def test_whoever_claims_is_told_when_what_happens_here_changes_its_room() -> None:
    one = One()
    full = msgspec.structs.replace(FACTS, capacity=EACH + EACH)
    one.host.probed(full)
    one.leases()
    order = ADMIN.up(named("big", shop(2)), NOW)
    claim = RoomClaim(order, ("web-1", "web-2"))
    part = order_part(grid_id(order))
    told = [e.message for e in one.hears(claim) if isinstance(e, Send)]
    assert told == [RoomKept(part, ("web-1",))]
    one.quote()
    down = ADMIN.order(Action.DOWN, GRID, NOW)
    ended = msgspec.structs.replace(one.record(), epoch=2, state=GridState.DOWN, changes=(down,))
    assert said(one.hears(Decided(decided(ended).certificate))) == [("beta", "DecidedAck")], (
        "its room is not free yet"
    )
    gone = one.keep(one.host.handle(Progressed(GRID, "web-1", Phase.GONE, "", 1), NOW))
    assert [e.message for e in gone if isinstance(e, Send)] == [RoomKept(part, ("web-1", "web-2"))]
    later = one.keep(one.host.tick(NOW + CLAIM_S))
    assert (said(later), len(one.host.claims)) == ([], 0)
    assert RoomChanged() in one.outcomes


# -- what is reported


def test_where_workspaces_are() -> None:
    one = One()
    one.leases()
    effects = one.keep(one.host.handle(Progressed(GRID, "web-1", Phase.RUNNING, "ok", 1), NOW + 1))
    assert notes(effects) == [("workspace.phase", "running ok")]
    assert one.outcomes == [NoticeDue(GRID)]
    (status,) = one.host.leases.statuses(GRID)
    assert (status.phase, status.since_s, status.boot) == (Phase.RUNNING, NOW + 1, 1)
    assert one.keep(one.host.handle(Cleared(GRID), NOW + 2)) == [], "it is not gone"


def test_the_upkeep_of_a_network_is_told_with_its_grid() -> None:
    kept = Kept(GridId("g.0"), "star/lan", Care.MENDED, "its bridge was gone")
    effects, outcomes = One().host.handle(kept, NOW)
    assert effects == [Note("network.mended", "star/lan", "its bridge was gone", "g.0")]
    assert outcomes == []


def test_how_fast_it_saves_is_kept_and_told() -> None:
    one = One()
    (save,) = one.keep(one.host.handle(Measured(True, 100 * MIB, 2.0), NOW))
    assert save == Persist((Row(RATES, "", encode(one.host.rates)),), Untidied())
    assert one.outcomes == [RoomChanged()]
    assert one.host.rates.save_bytes_s == 50 * MIB
    one.start()
    assert one.host.rates == decode(one.rows[RATES][""], type(one.host.rates))
    assert one.host.advert(NOW).rates == one.host.rates


def test_a_hold_that_could_not_be_saved_is_taken_back() -> None:
    one = One()
    one.holds()
    effects = one.keep(one.host.handle(HoldNotSaved(GRID, ("web-1",), B), NOW))
    (reply,) = [e.message for e in effects if isinstance(e, Send)]
    assert isinstance(reply, HoldReply)
    assert [refusal.constraint for _, refusal in reply.refused] == [Constraint.STORE]
    assert one.host.ledger.free == ROOM


# -- what the stewards say


def asked(one: One, now: float) -> Propose:
    """What a tick asks the stewards."""
    one.keep(one.host.tick(now))
    (found,) = [o for o in one.outcomes if isinstance(o, Propose)]
    return found


def test_a_hold_whose_time_is_up_is_a_lease_if_it_was_decided() -> None:
    one = One()
    one.holds()
    deadline = one.host.next_deadline()
    assert deadline is not None
    assert (deadline.at_s, deadline.why) == (NOW + HOLD_S, "hold")
    question = asked(one, NOW + HOLD_S)
    assert question.purpose == VoidHold(GRID)
    value = proposed(question, committed(one.record()))
    assert value.register == committed(one.record()).register, "a decided grid is not voted down"
    effects = one.keep(one.host.settled(question.purpose, value, NOW + 9))
    assert said(effects) == [], "nobody told it, nobody is told"
    assert (len(one.host.leases.rows()), one.host.holds.rows()) == (1, [])


def test_a_hold_whose_time_is_up_ends_if_it_was_not_decided() -> None:
    one = One()
    one.holds()
    question = asked(one, NOW + HOLD_S)
    one.keep(one.host.unsettled(question.purpose, NOW + 9))
    assert one.host.ledger.free == ROOM - EACH, "it may have been decided"
    again = asked(one, NOW + 11)
    value = proposed(again)
    assert value.register.is_void(GRID)
    effects = one.keep(one.host.settled(again.purpose, value, NOW + 11))
    assert notes(effects) == [("hold.expired", "voted down: nobody committed it in time")]
    assert (one.host.ledger.free, one.rows[HELD]) == (ROOM, {})


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("state", list(GridState))
def test_a_hold_ends_that_its_stewards_decided_otherwise(state: GridState, restarted: bool) -> None:
    """Who asked for it let a part of it go, and had the stewards take the grant of all of it."""
    one, order = One(), ADMIN.up(shop(2), NOW)
    assert one.holds(order).held == ("web-1",)
    if restarted:
        one.start()
    both = record_of(order, {"web-1": one.me, "web-2": one.me}, state=state)
    question = asked(one, NOW + HOLD_S)
    effects = one.keep(one.host.settled(question.purpose, committed(both), NOW + 9))
    assert notes(effects) == [
        ("record.refused", "it places workspaces here that are not held"),
        ("hold.expired", "its grid was decided, and not as it is held here"),
    ]
    assert (one.host.ledger.free, one.rows[HELD]) == (ROOM, {})
    assert RoomChanged() in one.outcomes
    one.start()
    assert (one.host.ledger.free, one.host.holds.rows()) == (ROOM, [])


def test_what_stewards_say_of_a_lease_is_checked_as_well() -> None:
    one = One()
    record = one.leases()
    one.host.leases.noticed(one.me, GRID, 2, NOW + 1)
    question = asked(one, NOW + 1)
    rivals = ending(GRID, RIVAL.order(Action.DOWN, GRID, NOW))(committed(record))
    effects = one.keep(one.host.settled(question.purpose, rivals, NOW + 2))
    assert notes(effects) == [
        ("record.refused", "wrong-role: shop belongs to site s1's admin, not to site s2's admin")
    ]
    owners = ending(GRID, ADMIN.order(Action.DOWN, GRID, NOW))(committed(record))
    one.keep(one.host.settled(question.purpose, owners, NOW + 2))
    assert [w.power for w in one.host.leases.wanted(GRID)] == [Power.GONE]


def test_what_others_tell_of_a_grid_reaches_its_lease() -> None:
    one = One()
    one.leases()
    told = Notice(
        GRID, "shop", ADMIN.signer.key, "s1", 2, GridState.UP, (B,),
        placement([("web-1", one.me)]), (), (), NOW, 60
    )  # fmt: skip
    assert one.host.noticed(B, told, NOW + 1) == []
    assert one.host.tick(NOW + 1) == ([], []), "B carries nothing of it"
    assert one.host.noticed(one.me, told, NOW + 1) == []
    assert asked(one, NOW + 1).purpose == AuditLease(GRID), "a host of it knows a newer record"
    one.host.unheard(B, GRID)
    assert one.keep(one.host.unsettled(AuditLease(GRID), NOW + 2)) == [], "it asks again anyway"


def test_a_life_goes_on_after_a_restart() -> None:
    one = One()
    one.leases()
    one.holds(ADMIN.up(named("other"), NOW))
    one.start(NOW + 1)
    one.host.check()
    assert [row.record.id for row in one.host.leases.rows()] == [GridId(GRID)]
    assert [row.name for row in one.host.holds.rows()] == ["other"]
    assert one.host.ledger.free == ROOM - EACH - EACH


def test_best_effort_work_leaves_room_to_a_reservation_asked_for_in_time() -> None:
    one = One()
    order = ADMIN.order(
        Action.UP,
        "shop",
        NOW,
        body=encode(shop(1, lease=LeaseTerms(best_effort=True))),
        valid_s=86400.0,
    )
    one.holds(order)
    assert one.quote().free.memory_bytes == (ROOM - EACH).memory_bytes, "now the room is taken"
    soon = msgspec.structs.replace(LATER, start_s=NOW + 1)
    assert one.quote(soon).free.memory_bytes == (ROOM - EACH).memory_bytes
    assert one.quote(LATER).free.memory_bytes == ROOM.memory_bytes, "by then it is saved to disk"
