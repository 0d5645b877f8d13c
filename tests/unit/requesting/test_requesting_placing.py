"""A requester's conversation with hosts and stewards: messages in, messages out."""

from random import Random

import msgspec
import pytest
from deciding import decided, decision, handed_over, proposed, voiding
from negotiating import (
    ADMIN,
    AUTHORITY,
    MIB,
    NAMES,
    NOW,
    REQUEST,
    RIVAL,
    ROOM,
    A,
    Around,
    B,
    C,
    asks,
    committed,
    granted,
    placing,
    quote,
    record_of,
    refused,
    said,
    shop,
)
from negotiating import notice as told_of

from protocol.capacity.quantum import Quantum
from protocol.contract.messages import Decided, DecidedAck, HoldAsk, HoldReply
from protocol.contract.notices import Notice, placement
from protocol.contract.outcomes import Propose
from protocol.grid.lifecycle import Phase, Status
from protocol.grid.record import GridRecord, GridState, Register, order_part
from protocol.requesting.placing import Placing
from protocol.requesting.request import RequestState
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import BUILD_S, HOLD_REPLY_WITHIN_S, QUOTE_WITHIN_S, REQUEST_S
from protocol.terms.refusal import Constraint, Refusal
from protocol.trust.order import Action

D = PeerId("d" * 64)
"""A host that carries nothing."""
FULL = Refusal(Constraint.MEMORY, "alpha", asked=128 * MIB, available=64 * MIB)


def quoted(request: Placing, rooms: dict[PeerId, Quantum] | None = None) -> dict[PeerId, HoldAsk]:
    """Gives the quotes of all hosts. Answers the holds that are asked for."""
    assert said(request.start(NOW)) == [(name, "QuoteAsk") for name in NAMES.values()]
    effects: list[Effect] = []
    for peer in NAMES:
        effects, outcomes = request.quote(peer, quote(peer, (rooms or {}).get(peer, ROOM)), NOW)
        assert outcomes == []
    return asks(effects)


def held(request: Placing) -> Propose:
    """Gives quotes and holds. Answers the commit that is proposed."""
    outcomes: list[object] = []
    for peer, ask in quoted(request).items():
        effects, more = request.hold_reply(peer, granted(peer, ask), NOW + 0.1)
        assert effects == []
        outcomes += more
    (proposal,) = outcomes
    assert isinstance(proposal, Propose)
    return proposal


def built(request: Placing) -> GridRecord:
    """Does all of it until the stewards have decided. Answers the record."""
    value = proposed(held(request))
    effects, _ = request.settled(value, NOW + 0.2)
    record = value.register.record
    assert record is not None
    assert effects == [
        Send(p, Decided(decided(record).certificate), request.id) for p in record.carriers()
    ]
    return record


def notice(record: GridRecord, peer: PeerId, phase: Phase, epoch: int = 1) -> Notice:
    return Notice(
        grid=record.id,
        name=record.name,
        owner=record.owner,
        owner_site=record.owner_site,
        epoch=epoch,
        state=GridState.DOWN if phase is Phase.GONE else GridState.UP,
        stewards=record.stewards,
        placement=placement((a.workspace, a.host) for a in record.assignments),
        addresses=(),
        mine=tuple(Status(name, phase) for name in record.on(peer)),
        made_s=NOW,
        lease_s=60,
    )


def up(count: int = 2, memory_mib: int = 128) -> Placing:
    return placing(ADMIN.up(shop(count, memory_mib), NOW))


def test_all_goes_well() -> None:
    request = up()
    record = built(request)
    assert record.epoch == 1
    assert sorted(a.workspace for a in record.assignments) == ["web-1", "web-2"]
    assert len(record.carriers()) == 2, "spread over hosts"
    for peer in record.carriers():
        request.acknowledged(peer, DecidedAck(record.id, 1), NOW + 0.3)
    for phase in (Phase.IMAGE, Phase.BOOTING, Phase.RUNNING, Phase.REACHABLE, Phase.READY):
        assert request.running
        for peer in record.carriers():
            request.noticed(peer, notice(record, peer, phase), NOW + 1)
    assert request.view().answer == ("shop is up: 2 workspaces",)
    assert request.next_deadline() is None


def test_a_plan_ends_with_where_everything_would_go() -> None:
    request = placing(None)
    assert quoted(request) == {}
    view = request.view()
    assert (view.kind, view.state) == ("plan", RequestState.DONE)
    assert [planned.workspace for planned in view.placement] == ["web-1", "web-2"]


def test_who_gives_no_quote_is_not_waited_for_long() -> None:
    request = up()
    request.start(NOW)
    request.quote(B, quote(B), NOW)
    request.quote(C, quote(C), NOW)
    assert request.tick(NOW + QUOTE_WITHIN_S - 0.01) == ([], [])
    effects, _ = request.tick(NOW + QUOTE_WITHIN_S)
    assert sorted(asks(effects)) == [B, C]


def test_what_fits_nowhere_is_said_at_once() -> None:
    request = up(2, 2000)
    assert quoted(request) == {}
    assert request.view().answer == (
        "cannot place 2 of 2 web: each needs 0.5 cpus, 2 GiB",
        "  3 hosts lack memory; the nearest, alpha, by 976 MiB",
        "  would work: memory 1G for web, now",
    )


def test_a_name_is_asked_for_before_quotes_that_may_end_the_request_at_once() -> None:
    """Then it is let go after that, also where the only host is this one, which guards the name, too."""
    around = Around()
    around.guarding = (A,)
    request = placing(ADMIN.up(shop(2, 2000), NOW), around=around)
    assert said(request.start(NOW))[0] == (NAMES[A], "NameAsk")
    for peer in NAMES:
        effects, _ = request.quote(peer, quote(peer), NOW)
    assert said(effects) == [(NAMES[A], "NameAsk")], "let go"


def test_what_was_refused_is_asked_for_elsewhere_and_the_rest_is_kept() -> None:
    request = up()
    holds = quoted(request)
    (first, ask), (second, other) = holds.items()
    third = next(peer for peer in NAMES if peer not in holds)
    request.hold_reply(first, granted(first, ask), NOW)
    effects, outcomes = request.hold_reply(second, refused(other, FULL), NOW)
    assert said(effects) == [(NAMES[third], "HoldAsk")]
    assert asks(effects)[third].workspaces == other.workspaces
    assert outcomes == []
    _, outcomes = request.hold_reply(third, granted(third, asks(effects)[third]), NOW)
    assert [type(outcome) for outcome in outcomes] == [Propose]


def test_a_host_that_refuses_two_for_another_reason_than_room() -> None:
    """It is neither forgotten nor asked again in this attempt."""
    request = up(5)
    holds = quoted(request)
    host, ask = max(holds.items(), key=lambda item: len(item[1].workspaces))
    assert len(ask.workspaces) == 2
    full = Refusal(Constraint.STORE, NAMES[host], detail="its disk is full")
    effects, _ = request.hold_reply(host, refused(ask, full), NOW)
    for peer, other in holds.items():
        if peer != host:
            more, _ = request.hold_reply(peer, granted(peer, other), NOW)
            effects += more
    assert host not in asks(effects)
    named = [name for a in asks(effects).values() for name in a.workspaces]
    assert {*ask.workspaces} <= {*named}, "and what is held there already, for one grant of all"
    assert len(named) == len({*named})


def test_who_does_not_answer_is_told_to_let_go() -> None:
    request = up()
    holds = quoted(request)
    (first, ask), (second, _) = holds.items()
    request.hold_reply(first, granted(first, ask), NOW)
    effects, _ = request.tick(NOW + HOLD_REPLY_WITHIN_S)
    third = next(peer for peer in NAMES if peer not in holds)
    assert said(effects) == [(NAMES[second], "HoldRelease"), (NAMES[third], "HoldAsk")]
    late = HoldReply(request.grid_id, holds[second].workspaces, ())
    assert request.hold_reply(second, late, NOW + 3) == ([], [])


def name_is_up(request: Placing) -> Propose:
    """A host says that the name is up. Answers what is asked of the stewards."""
    holds = quoted(request)
    (first, ask), (second, other) = holds.items()
    request.hold_reply(first, granted(first, ask), NOW)
    taken = Refusal(Constraint.NAME, "beta", detail="a grid named shop is here already, id x")
    effects, (proposal,) = request.hold_reply(second, refused(other, taken), NOW)
    assert said(effects) == [(NAMES[first], "HoldRelease")]
    assert isinstance(proposal, Propose)
    return proposal


def test_a_name_that_is_up_ends_it() -> None:
    request = up()
    proposal = name_is_up(request)
    value = committed(record_of(RIVAL.up(shop(1), NOW), {"web-1": A}))
    assert proposed(proposal, value) == value
    effects, _ = request.settled(value, NOW + 1)
    assert effects == []
    assert request.view().answer == (
        "shop is up, and not as the file has it",
        "  clusters.web.count: 2 in the file, 1 up",
        "  would work: `overlayctl up` again, which changes what is up once it is told of it",
    )


def test_a_name_whose_stewards_are_silent_is_what_the_host_said() -> None:
    request = up()
    name_is_up(request)
    request.unsettled("0 of 3 answered", NOW + 1)
    assert request.view().answer == (
        "cannot make shop: a grid named shop is here already, id x",
        "  would work: take it down with `overlayctl down`, or choose another name",
    )


def test_a_name_that_is_up_as_it_is_asked_for_is_followed() -> None:
    request = up()
    name_is_up(request)
    record = record_of(RIVAL.up(shop(), NOW), {"web-1": A, "web-2": B})
    effects, _ = request.settled(committed(record), NOW + 1)
    assert said(effects) == [("alpha", "Decided"), ("beta", "Decided")]
    assert request.record == record
    assert "shop is up already: 2 workspaces on 2 hosts at 2 sites" in [
        line.text for line in request.view().story
    ]


@pytest.mark.parametrize("there", [{"web-1": A, "web-2": B}, {"web-1": B, "web-2": A}])
def test_of_a_grid_that_another_order_made_its_own_hosts_are_shown(
    there: dict[str, PeerId],
) -> None:
    """Not those that this request asked: they hold nothing of it any more."""
    request = up()
    name_is_up(request)
    request.settled(committed(record_of(RIVAL.up(shop(), NOW), there)), NOW + 1)
    shown = {row.workspace: (row.peer, row.host) for row in request.view().placement}
    assert shown == {name: (peer, NAMES[peer]) for name, peer in there.items()}


def test_a_name_that_is_only_held_passes() -> None:
    request = up(3)
    holds = quoted(request)
    busy = Refusal(Constraint.CONTENDED, "beta", detail="shop is held")
    effects: list[Effect] = []
    for peer, ask in holds.items():
        effects, _ = request.hold_reply(peer, refused(ask, busy), NOW)
    assert request.view().stage == "backing off"
    assert effects == []
    before = request.grid_id
    deadline = request.next_deadline()
    assert deadline is not None
    effects, _ = request.tick(deadline.at_s)
    assert said(effects) == [(name, "QuoteAsk") for name in NAMES.values()]
    assert request.grid_id != before, "another attempt is another grid"


def test_contention_ends_after_a_minute_with_its_reasons() -> None:
    request = up(1)
    now = NOW
    holds = quoted(request)
    while request.running:
        while holds:
            peer, ask = holds.popitem()
            effects, _ = request.hold_reply(peer, refused(ask, FULL), now)
            holds |= asks(effects)
        deadline = request.next_deadline()
        if deadline is None:
            break
        now = max(now, deadline.at_s)
        effects, _ = request.tick(now)
        for peer in NAMES:
            more, _ = request.quote(peer, quote(peer), now)
            effects += more
        holds = asks(effects)
    assert now <= NOW + REQUEST_S
    answer = request.view().answer
    assert answer[0] == "could not hold all of shop within 60 s"
    assert answer[1] == "  1 host lacks memory; the nearest, alpha, by 64 MiB"


def test_what_does_not_pass_is_not_tried_for_a_minute() -> None:
    request = up(3)
    holds = quoted(request)
    never = Refusal(Constraint.AUTHORITY, "alpha", detail="expired: sign it again")
    for peer, ask in holds.items():
        request.hold_reply(peer, refused(ask, never), NOW)
    assert request.view().state is RequestState.FAILED
    assert "sign it again" in request.view().answer[1]


def test_another_grid_of_that_name_won() -> None:
    """Hosts tell of it while this one holds. Its stewards are asked before anything is decided."""
    order, around = ADMIN.up(shop(2), NOW), Around()
    deployment = AUTHORITY.deployment(order, NOW, fresh=True)
    request = Placing(REQUEST, deployment, order, around, Random(3), NOW)
    other = record_of(ADMIN.up(shop(1), NOW), {"web-1": A})
    around.namesake = told_of(other, ())
    looks: list[object] = []
    for peer, ask in quoted(request).items():
        effects, more = request.hold_reply(peer, granted(peer, ask), NOW + 0.1)
        looks += more
    assert {what for _, what in said(effects)} == {"HoldRelease"}
    (look,) = looks
    assert isinstance(look, Propose)
    assert (look.step, look.register) == (None, order_part(other.id))
    request.settled(decided(other), NOW + 1)
    assert request.view().answer[1] == "  clusters.web.count: 2 in the file, 1 up"


@pytest.mark.parametrize("told", [(A, B, D), (A, B, C), (D,)], ids=["now", "first", "false"])
def test_of_a_grid_that_is_only_told_the_stewards_of_now_are_asked(
    told: tuple[PeerId, ...],
) -> None:
    """One of those that its order names was replaced. If it was these that showed it, nobody else is asked."""
    order, around = ADMIN.up(shop(2), NOW), Around()
    around.confirmed = lambda grid: False  # type: ignore[method-assign]
    deployment = AUTHORITY.deployment(order, NOW, fresh=True)
    request = Placing(REQUEST, deployment, order, around, Random(3), NOW)
    other = record_of(ADMIN.up(shop(1), NOW), {"web-1": A})
    assert other.stewards == (A, B, C)
    around.namesake = msgspec.structs.replace(told_of(other, ()), stewards=told)
    for peer, ask in quoted(request).items():
        request.hold_reply(peer, granted(peer, ask), NOW + 0.1)
    shown = decision(handed_over(Register(other), C, D))
    _, more = request.settled(shown, NOW + 1)
    if told == (A, B, D):
        assert more == []
    else:
        (look,) = more
        assert isinstance(look, Propose)
        assert (look.step, look.register, look.stewards) == (None, order_part(other.id), (A, B, D))
        assert request.settled(shown, NOW + 2) == ([], [])
    assert request.view().answer[1] == "  clusters.web.count: 2 in the file, 1 up"


def test_a_name_that_is_up_when_the_stewards_do_not_answer() -> None:
    request = up()
    name_is_up(request)
    assert request.unsettled("1 of 3 answered", NOW + 5) == ([], [])
    assert request.view().answer[0] == "cannot make shop: a grid named shop is here already, id x"


def test_a_name_that_is_up_no_more_is_tried_again() -> None:
    request = up()
    name_is_up(request)
    request.settled(None, NOW + 1)
    assert request.view().stage == "backing off"


def test_an_order_given_again_has_the_grid_it_made() -> None:
    """Whether a host says that the name is up, or the stewards do when they are to commit."""
    order = ADMIN.up(shop(), NOW)
    record = record_of(order, {"web-1": A, "web-2": B})
    for asked in (name_is_up, held):
        request = placing(order)
        proposal = asked(request)
        effects, _ = request.settled(proposed(proposal, committed(record)), NOW + 1)
        told = [
            e.peer
            for e in effects
            if isinstance(e, Send) and e.message == Decided(decided(record).certificate)
        ]
        assert told == [A, B]
        assert request.grid_id == record.id
        for peer in record.carriers():
            request.acknowledged(peer, DecidedAck(record.id, 1), NOW + 1)
            request.noticed(peer, notice(record, peer, Phase.READY), NOW + 2)
        assert request.view().answer == ("shop is up: 2 workspaces",)


def test_an_order_makes_one_grid_and_no_second() -> None:
    order = ADMIN.up(shop(), NOW)
    request = placing(order)
    proposal = held(request)
    down = ADMIN.order(Action.DOWN, "shop", NOW)
    over = record_of(
        order, {"web-1": A, "web-2": B}, epoch=2, state=GridState.DOWN, changes=(down,)
    )
    value = proposed(proposal, committed(over))
    request.settled(value, NOW + 1)
    assert request.view().answer == (
        f"this order has made a grid already, id {over.id}, and makes no second one",
        "  would work: sign a new order for shop",
    )


def test_stewards_that_do_not_answer_are_asked_to_vote_against() -> None:
    """Nobody knows whether it was decided. Only a round can tell, and until then the person is not told."""
    request = up()
    proposal = held(request)
    request.unsettled("1 of 3 stewards answered, 2 needed", NOW + 10)
    assert request.running
    deadline = request.next_deadline()
    assert deadline is not None
    _, (vote,) = request.tick(deadline.at_s)
    assert isinstance(vote, Propose)
    assert vote.purpose == proposal.purpose
    assert proposed(vote).register.is_void(request.grid_id)
    decided = proposed(proposal)
    assert proposed(vote, decided) == decided, "what was decided stays"
    effects, _ = request.settled(decided, NOW + 12)
    assert {what for _, what in said(effects)} == {"Decided"}


def test_voted_down_by_a_host_whose_hold_ran_out() -> None:
    request = up()
    proposal = held(request)
    void = voiding(request.grid_id, NOW)(None)
    assert proposed(proposal, void).register.record is None, "what was voted down never commits"
    effects, _ = request.settled(void, NOW + 9)
    assert {what for _, what in said(effects)} == {"HoldRelease"}
    assert request.view().stage == "backing off"


def test_hosts_are_told_until_they_have_it_on_disk() -> None:
    request = up()
    record = built(request)
    first, second = record.carriers()
    request.acknowledged(first, DecidedAck(record.id, 1), NOW + 0.3)
    deadline = request.next_deadline()
    assert deadline is not None
    effects, _ = request.tick(deadline.at_s)
    assert effects == [Send(second, Decided(decided(record).certificate), request.id)]


def test_what_is_not_up_after_ten_minutes_is_said() -> None:
    request = up()
    record = built(request)
    first, second = record.carriers()
    request.noticed(first, notice(record, first, Phase.READY), NOW + 1)
    request.noticed(second, notice(record, second, Phase.BOOTING), NOW + 1)
    now = NOW
    while (deadline := request.next_deadline()) is not None:
        now = deadline.at_s
        request.tick(now)
    assert NOW + BUILD_S <= now <= NOW + BUILD_S + 1
    (name,) = record.on(second)
    assert request.view().answer == (
        "shop is made, but not all of it is up after 10 min",
        f"  {name} on {NAMES[second]}: booting",
        "  would work: `overlayctl ps` shows when it is; `overlayctl down` ends it",
    )


def test_taken_down_while_it_is_built() -> None:
    request = up()
    record = built(request)
    host = record.carriers()[0]
    request.noticed(host, notice(record, host, Phase.GONE, epoch=2), NOW + 1)
    assert request.view().answer == ()
    _, (audit,) = request.tick(NOW + 1)
    assert isinstance(audit, Propose)
    assert audit.step is None
    gone = msgspec.structs.replace(record, state=GridState.DOWN, epoch=2)
    request.settled(decided(gone), NOW + 2)
    assert request.view().answer == ("shop was taken down meanwhile",)


def test_a_workspace_terminated_while_its_host_was_out_of_reach() -> None:
    """Its notice never came here; the register has the later epoch."""
    request = up()
    record = built(request)
    first, _ = record.carriers()
    request.noticed(first, notice(record, first, Phase.READY), NOW + 1)
    left = tuple(a for a in record.assignments if a.host == first)
    later = msgspec.structs.replace(record, epoch=2, assignments=left)
    request.settled(decision(Register(later)), NOW + 60)
    assert request.view().state is RequestState.DONE
    assert request.view().answer == ("shop is up: 1 workspace, 2 were asked for",)


@pytest.mark.parametrize("steps", ["quoting", "holding"])
def test_cancelled_before_the_commit(steps: str) -> None:
    request = up()
    request.start(NOW) if steps == "quoting" else quoted(request)
    effects = request.cancel(NOW + 1)
    assert len(effects) == (0 if steps == "quoting" else 2)
    assert request.view().state is RequestState.CANCELLED
    assert request.next_deadline() is None


def test_two_owners_have_two_names() -> None:
    mine, theirs = up(), placing(RIVAL.up(shop(), NOW))
    assert held(mine).register != held(theirs).register


def test_room_that_is_only_held_for_others_is_worth_waiting_for() -> None:
    request, none = up(), Quantum()
    request.start(NOW)
    for peer in NAMES:
        word = msgspec.structs.replace(quote(peer, none), held=ROOM)
        effects, outcomes = request.quote(peer, word, NOW)
        assert (effects, outcomes) == ([], [])
    assert request.running
    assert request.stage == "backing off"
    deadline = request.next_deadline()
    assert deadline is not None
    effects, _ = request.tick(deadline.at_s)
    assert said(effects) == [(name, "QuoteAsk") for name in NAMES.values()]


def test_room_that_is_leased_is_not_waited_for() -> None:
    request = up()
    assert quoted(request, dict.fromkeys(NAMES, Quantum())) == {}
    assert request.state is RequestState.FAILED


def test_a_plan_waits_for_nobody() -> None:
    request = placing(None, shop(2))
    request.start(NOW)
    for peer in NAMES:
        request.quote(peer, msgspec.structs.replace(quote(peer, Quantum()), held=ROOM), NOW)
    assert request.state is RequestState.FAILED


def test_a_refill_passes_over_hosts_that_are_nearly_full() -> None:
    request = up(1)
    one = Quantum(500, 128 * MIB, ROOM.disk_bytes)
    (first,) = quoted(request, {A: one, B: one, C: ROOM}).items()
    effects, _ = request.hold_reply(first[0], refused(first[1], FULL), NOW + 0.1)
    assert list(asks(effects)) in ([[A], [B]] if first[0] == C else [[C]])


def test_it_is_not_taken_down_if_its_stewards_know_another_grid_of_its_name() -> None:
    request = up()
    built(request)
    other = record_of(ADMIN.up(shop(1), NOW), {"web-1": C})
    stewards = (C, PeerId("d" * 64), PeerId("e" * 64))
    elsewhere = msgspec.structs.replace(other, epoch=2, stewards=stewards)
    request.settled(decision(Register(elsewhere)), NOW + 60)
    assert request.view().state is RequestState.RUNNING
