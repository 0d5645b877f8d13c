"""A change of a grid that is up, as a conversation with stewards and hosts."""

from random import Random

import msgspec
from deciding import decided, proposed, stepped
from negotiating import FEDERATION, NOW, A, B, C, HostKey, asks, record_of, refused, shop
from one_requester import LITTLE, ME, Scene, notice_of, released

from protocol.capacity.quantum import Quantum
from protocol.contract.messages import DecidedAck, HoldReply
from protocol.contract.outcomes import ChangeGrid, Propose
from protocol.grid.apply import Delta
from protocol.grid.decision import Decision
from protocol.grid.grant import HoldGrant, sign_grant
from protocol.grid.lifecycle import Phase
from protocol.grid.model import ClusterSpec, GridSpec, PlacementSpec
from protocol.grid.record import GridRecord
from protocol.grid.steps import Apply, Decline, Extend
from protocol.placement.counter import Fewer
from protocol.requesting.events import PlanAsked
from protocol.requesting.request import RequestState
from protocol.sim.people import Admin
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import HOLD_REPLY_WITHIN_S, ORDER_LATE_S, REQUEST_S
from protocol.terms.refusal import Constraint, Refusal
from protocol.trust.certificate import CLOCK_TOLERANCE_S
from protocol.trust.order import Action, SignedOrder, read_order

OWNER = Admin(FEDERATION, "s1", Random(7), lambda: (A, B, C))
ORDER = OWNER.up(shop(2), NOW)
RECORD = record_of(ORDER, {"web-1": B, "web-2": C})
UP = decided(RECORD)
MORE = OWNER.apply(shop(3), 1, NOW)


def granted(host: PeerId, ask: object) -> HoldReply:
    """The reply of a host that grants everything of a change."""
    vnis = tuple(vni for _, vni in ask.vnis)
    grant = HoldGrant(ask.of, ask.workspaces, vnis, ask.start_s, "", ask.grid)
    return HoldReply(ask.grid, ask.workspaces, (), sign_grant(grant, HostKey(host)))


class Changes(Scene):
    """A requester that is asked to change the grid of RECORD."""

    def __init__(self, up: Decision = UP, *, told: GridRecord = RECORD) -> None:
        super().__init__()
        self.up = up
        for peer in told.carriers():
            self.notice(peer, notice_of(told, peer, epoch=told.epoch))

    def read(self, order: SignedOrder = MORE) -> list[Effect]:
        """Gives the order, and has the stewards say what is decided. Answers what followed."""
        _, (look,) = self.order("r", order)
        assert isinstance(look, Propose)
        assert look.step is None
        effects, self.proposals = self.settle(self.up)
        return effects

    def settle(self, decision: Decision, now: float = NOW) -> tuple[list[Effect], list[Propose]]:
        effects, outcomes = self.requester.settled(ChangeGrid("r"), decision, now)
        return effects, [one for one in outcomes if isinstance(one, Propose)]

    def holding(self, order: SignedOrder = MORE) -> list[Effect]:  # type: ignore[override]
        """As far as hosts are asked to hold."""
        effects, _ = self.answer_quotes(self.read(order))
        return effects

    def held(self, effects: list[Effect]) -> Propose:
        """Has all that are asked hold. Answers what is proposed."""
        for peer, ask in asks(effects).items():
            _, outcomes = self.requester.message(peer, granted(peer, ask), NOW)
        (proposal,) = outcomes
        assert isinstance(proposal, Propose)
        return proposal

    def follows(self, order: SignedOrder = MORE) -> tuple[GridRecord, list[Effect]]:
        """As far as the decision. Answers the record and what followed."""
        made = proposed(self.held(self.holding(order)), self.up)
        assert made.register.record is not None
        effects, _ = self.settle(made)
        return made.register.record, effects

    @property
    def answer(self) -> tuple[str, ...]:
        return self.view("r").answer


def told(effects: list[Effect]) -> dict[str, list[PeerId]]:
    """Who is sent what kind of message."""
    found: dict[str, list[PeerId]] = {}
    for effect in effects:
        if isinstance(effect, Send):
            found.setdefault(type(effect.message).__name__, []).append(effect.peer)
    return found


def of(*clusters: ClusterSpec) -> GridSpec:
    return msgspec.structs.replace(shop(2), clusters=clusters)


def web(**changed: object) -> ClusterSpec:
    return msgspec.structs.replace(shop(2).clusters[0], **changed)


def test_only_the_host_of_what_is_added_is_asked_to_hold() -> None:
    scene = Changes()
    asked = asks(scene.holding())
    assert list(asked) == [ME], "the others have one each, and the grid is to be spread"
    ask = asked[ME]
    assert ask.workspaces == ("web-3",)
    assert (ask.of, ask.order, ask.change, ask.vnis) == (RECORD.id, ORDER, MORE, RECORD.vnis)
    assert ask.grid != RECORD.id
    proposal = scene.held([Send(ME, ask)])
    assert isinstance(proposal.step, Apply)
    record = proposal.step.record
    assert (record.id, record.epoch, record.standing) == (RECORD.id, 2, MORE)
    assert record.assignments[:2] == RECORD.assignments
    assert [host.peer for host in record.hosts] == [B, C, ME]
    assert record.grants[:2] == RECORD.grants
    assert record.applied is not None
    assert record.applied.attempt == ask.grid
    assert [past.epoch for past in record.applied.past] == [2]


def test_it_is_done_when_what_is_added_is_up_and_hosts_know() -> None:
    scene = Changes()
    record, effects = scene.follows()
    assert told(effects)["Decided"] == [B, C, ME]
    for peer in (B, C, ME):
        scene.requester.message(peer, DecidedAck(RECORD.id, 2), NOW)
    assert scene.view("r").state is RequestState.RUNNING
    scene.notice(ME, notice_of(record, ME, epoch=2), NOW + 1)
    assert scene.answer == ("shop is changed (+1 web): 3 workspaces on 3 hosts, epoch 2",)
    assert scene.view("r").state is RequestState.DONE
    delta = scene.view("r").delta
    assert delta is not None
    assert (delta.added, delta.same) == (("web-3",), ("web-1", "web-2"))


def test_who_only_takes_out_asks_no_host_and_waits_until_it_is_gone() -> None:
    scene = Changes()
    effects = scene.read(OWNER.apply(shop(1), 1, NOW))
    assert effects == []
    (proposal,) = scene.proposals
    assert isinstance(proposal.step, Apply)
    record = proposal.step.record
    assert [a.workspace for a in record.assignments] == ["web-1"]
    assert [host.peer for host in record.hosts] == [B]
    effects, _ = scene.settle(proposed(proposal, UP))
    assert told(effects)["Decided"] == [B, C], "the host that carries nothing any more is told too"
    for peer in (B, C):
        scene.requester.message(peer, DecidedAck(RECORD.id, 2), NOW)
    assert scene.view("r").state is RequestState.RUNNING
    scene.notice(C, notice_of(RECORD, C, Phase.GONE, epoch=2), NOW + 1)
    assert scene.answer == ("shop is changed (-1 web): 1 workspace on 1 host, epoch 2",)


def test_a_resize_asks_the_host_for_all_that_it_carries() -> None:
    scene = Changes()
    asked = asks(scene.holding(OWNER.apply(of(web(memory_bytes=256 << 20)), 1, NOW)))
    assert {peer: ask.workspaces for peer, ask in asked.items()} == {B: ("web-1",), C: ("web-2",)}


def test_growth_that_does_not_fit_where_it_is_says_by_how_much() -> None:
    scene = Changes()
    effects = scene.read(OWNER.apply(of(web(memory_bytes=256 << 20)), 1, NOW))
    _, (look,) = scene.answer_quotes(effects, LITTLE)
    assert isinstance(look, Propose)
    assert look.step is None, "whether it is of the present still"
    scene.settle(UP)
    assert scene.answer[0] == (
        "cannot change web-1 on beta: it needs 128 MiB more memory, and 1 MiB are free there"
    )
    assert scene.answer[-1].startswith("  would work: ")


def test_what_fits_nowhere_says_how_many_would() -> None:
    scene = Changes()
    spec = msgspec.structs.replace(shop(20), placement=PlacementSpec())
    effects = scene.read(OWNER.apply(spec, 1, NOW))
    room = Quantum(2000, 1 << 30, 1 << 40)
    _, (look,) = scene.answer_quotes(effects, room)
    assert isinstance(look, Propose)
    scene.settle(UP)
    assert scene.answer[0].startswith("cannot place 6 of 20 web: each needs ")
    assert scene.answer[-1] == "  would work: count 14 of web, now"
    why = scene.view("r").why
    assert why is not None
    assert why.would_work == (Fewer((("web", 14),)),)


def test_a_host_that_carries_a_later_epoch_is_no_reason_by_itself() -> None:
    scene = Changes()
    effects = scene.holding(OWNER.apply(of(web(memory_bytes=256 << 20)), 1, NOW))
    no = Refusal(Constraint.AUTHORITY, "beta", detail="shop is at epoch 2, the order was for 1")
    for peer, ask in asks(effects).items():
        _, outcomes = scene.requester.message(peer, refused(ask, no), NOW)
    assert [one.step for one in outcomes if isinstance(one, Propose)] == [None]
    other = Changes()
    other.read(OWNER.apply(shop(1), 1, NOW + 1))
    scene.settle(proposed(other.proposals[0], UP))
    assert scene.answer[:2] == (
        "shop is at epoch 2, the order was for 1",
        "  -1 web by s1, 0 s ago",
    )


def test_what_is_behind_is_waited_for_until_it_is_in_its_new_start() -> None:
    scene = Changes()
    record, _ = scene.follows(OWNER.apply(of(web(scratch_bytes=1 << 30)), 1, NOW))
    for peer, name in ((B, "web-1"), (C, "web-2")):
        scene.requester.message(peer, DecidedAck(RECORD.id, 2), NOW)
        old = notice_of(record, peer, epoch=2)
        scene.notice(peer, msgspec.structs.replace(old, behind=(name,)), NOW + 1)
    assert scene.view("r").state is RequestState.RUNNING, "ready, but in the start before"
    for peer in (B, C):
        scene.notice(peer, notice_of(record, peer, epoch=2, boot=2), NOW + 2)
    assert scene.answer == (
        "shop is changed (web-1, web-2 scratch none > 1 GiB): 2 workspaces on 2 hosts, epoch 2",
    )


def test_what_is_suspended_is_restarted_when_it_goes_on_and_is_not_waited_for() -> None:
    scene = Changes()
    record, _ = scene.follows(OWNER.apply(of(web(scratch_bytes=1 << 30)), 1, NOW))
    for peer, name in ((B, "web-1"), (C, "web-2")):
        scene.requester.message(peer, DecidedAck(RECORD.id, 2), NOW)
        saved = notice_of(record, peer, Phase.SUSPENDED, epoch=2)
        scene.notice(peer, msgspec.structs.replace(saved, behind=(name,)), NOW + 1)
    assert scene.view("r").state is RequestState.DONE
    assert scene.answer[1:] == ("  web-1 and web-2 rest, and are changed when they go on",)


def test_of_one_that_is_suspended_it_is_said_that_it_rests() -> None:
    scene = Changes()
    record, _ = scene.follows(OWNER.apply(of(web(scratch_bytes=1 << 30)), 1, NOW))
    for peer in (B, C):
        scene.requester.message(peer, DecidedAck(RECORD.id, 2), NOW)
    saved = notice_of(record, B, Phase.SUSPENDED, epoch=2)
    scene.notice(B, msgspec.structs.replace(saved, behind=("web-1",)), NOW + 1)
    scene.notice(C, notice_of(record, C, epoch=2, boot=2), NOW + 2)
    assert scene.answer[1:] == ("  web-1 rests, and is changed when it goes on",)


def test_another_epoch_than_its_signer_saw_is_refused_with_what_changed() -> None:
    lease = OWNER.order(Action.LEASE, RECORD.id, NOW, body=msgspec.msgpack.encode({"by_s": 3600}))
    scene = Changes(stepped(Extend(RECORD.id, lease), UP))
    scene.read()
    assert scene.answer[0] == "shop is at epoch 2, the order was for 1"
    assert scene.answer[1] == "  +1 h by s1, 0 s ago"
    assert scene.answer[-1].startswith("  would work: the same command again")


def test_who_loses_the_race_lets_go_and_is_told_who_won() -> None:
    scene = Changes()
    scene.held(scene.holding())
    other = Changes()
    other.read(OWNER.apply(shop(1), 1, NOW + 1))
    effects, _ = scene.settle(proposed(other.proposals[0], UP))
    assert released(effects) == {ME: ("web-3",)}
    assert scene.answer[:2] == (
        "shop is at epoch 2, the order was for 1",
        "  -1 web by s1, 0 s ago",
    )


def test_as_it_is_already_is_no_change() -> None:
    scene = Changes()
    scene.read(OWNER.apply(shop(2), 1, NOW))
    assert scene.view("r").unchanged
    assert scene.answer == ("shop is up already: 2 workspaces on 2 hosts at 2 sites",)


def test_what_cannot_be_changed_says_what_would_work() -> None:
    scene = Changes()
    scene.read(OWNER.apply(shop(2, lease_s=60), 1, NOW))
    assert scene.answer[0].startswith("cannot change shop: lease: 1 min")


def test_refused_where_it_was_to_go_it_is_asked_for_elsewhere() -> None:
    scene = Changes()
    effects = scene.holding()
    why = Refusal(Constraint.CPUS, "alpha", asked=500, available=0)
    effects, _ = scene.requester.message(ME, refused(asks(effects)[ME], why), NOW)
    (again,) = asks(effects)
    assert again in (B, C), "spread is a wish"
    assert asks(effects)[again].workspaces == (f"web-{1 if again == B else 2}", "web-3")


def test_a_grid_whose_lease_is_over_is_not_asked_for_again_and_again() -> None:
    scene = Changes()
    works = "  would work: `overlayctl lease extend shop 1h`, then the same again"
    over = Refusal(Constraint.TIME, "beta", detail=f"its lease is over since noon\n{works}")
    added = Refusal(Constraint.TIME, "alpha", detail="its lease is over")
    asked = asks(scene.holding())
    while asked:
        ((peer, ask),) = asked.items()
        no = added if peer == ME else over
        effects, _ = scene.requester.message(peer, refused(ask, no), NOW)
        asked = asks(effects)
    assert scene.view("r").state is RequestState.FAILED
    assert scene.answer == ("cannot change shop: its lease is over since noon", works)


def test_who_cannot_hold_all_of_a_change_in_time_is_told_why() -> None:
    scene = Changes()
    asked, no = asks(scene.holding()), Refusal(Constraint.CONTENDED, "alpha", detail="another one")
    while asked:
        ((peer, ask),) = asked.items()
        effects, _ = scene.requester.message(peer, refused(ask, no), NOW + REQUEST_S)
        asked = asks(effects)
    assert scene.view("r").state is RequestState.FAILED
    assert scene.answer[:2] == (
        f"could not hold all of the change of shop within {REQUEST_S:.0f} s",
        f"  {no}",
    )


def test_hosts_that_do_not_answer_are_told_to_let_go() -> None:
    scene = Changes()
    scene.holding()
    effects, _ = scene.requester.tick(NOW + HOLD_REPLY_WITHIN_S)
    assert released(effects) == {ME: ("web-3",)}


def test_stewards_that_do_not_answer_are_asked_with_a_vote_against() -> None:
    scene = Changes()
    proposal = scene.held(scene.holding())
    scene.requester.unsettled(ChangeGrid("r"), "no majority", NOW)
    _, (vote,) = scene.requester.tick(NOW + 2)
    assert isinstance(vote, Propose)
    assert isinstance(vote.step, Decline)
    assert isinstance(proposal.step, Apply)
    assert proposal.step.record.applied is not None
    assert vote.step.extension == proposal.step.record.applied.attempt
    effects, _ = scene.settle(proposed(vote, UP), NOW + 2)
    assert released(effects) == {ME: ("web-3",)}
    assert scene.view("r").state is RequestState.RUNNING, "it tries again"


def test_stewards_that_refuse_the_change_and_the_vote_against_it_end_the_request() -> None:
    scene = Changes()
    scene.held(scene.holding())
    now, looked = NOW, False
    while not looked:
        scene.requester.unsettled(ChangeGrid("r"), "its key was revoked", now)
        now += 2
        _, (asked,) = scene.requester.tick(now)
        assert isinstance(asked, Propose)
        looked = asked.step is None
        assert looked or isinstance(asked.step, Decline)
        assert now < NOW + 3600
    too_late_s = read_order(MORE).fresh_until_s + ORDER_LATE_S + CLOCK_TOLERANCE_S
    assert now > too_late_s, "nobody can commit it any more, by any clock"
    effects, _ = scene.settle(UP, now)
    assert released(effects) == {ME: ("web-3",)}
    assert scene.view("r").state is RequestState.FAILED
    assert scene.answer[1] == "  its key was revoked"


def test_an_order_that_is_older_than_its_grid_is_refused_before_anything_is_held() -> None:
    scene = Changes()
    effects = scene.read(OWNER.apply(shop(3), 1, NOW - CLOCK_TOLERANCE_S - 1))
    assert effects == []
    assert scene.view("r").state is RequestState.FAILED
    assert scene.answer[0] == "cannot change shop: the order is older than the grid"
    assert scene.answer[1].startswith("  would work: ")


def test_the_same_order_at_another_peer_follows_what_it_made() -> None:
    scene = Changes()
    record, _ = scene.follows()
    other = Changes(decided(record), told=record)
    effects = other.read(MORE)
    assert told(effects) == {"Decided": [B, C, ME]}
    for peer in (B, C, ME):
        other.requester.message(peer, DecidedAck(RECORD.id, 2), NOW)
    assert other.answer == ("shop is changed already: 3 workspaces on 3 hosts, epoch 2",)


def test_cancelled_before_the_commit_lets_go_of_what_was_asked_for_alone() -> None:
    scene = Changes()
    scene.holding()
    assert released(scene.cancel("r")) == {ME: ("web-3",)}
    assert scene.view("r").state is RequestState.CANCELLED


def test_a_grid_that_its_stewards_do_not_know_is_not_changed() -> None:
    scene = Changes()
    _, (look,) = scene.order("r", MORE)
    assert isinstance(look, Propose)
    scene.requester.settled(ChangeGrid("r"), None, NOW)
    assert scene.answer == ("cannot change shop: its stewards know of no such grid",)


# -- plans


def planned(scene: Changes, spec: GridSpec) -> list[Effect]:
    """A plan of a grid that is up, as far as the stewards have said what is decided."""
    _, (look,) = scene.requester.handle(PlanAsked(RequestId("r"), spec, change=RECORD.id), NOW)
    assert isinstance(look, Propose)
    effects, _ = scene.settle(scene.up)
    return effects


def test_a_plan_of_a_grid_whose_lease_is_over_says_that_its_hosts_would_refuse() -> None:
    scene, over_s = Changes(), NOW + 86400
    scene.requester.handle(PlanAsked(RequestId("r"), shop(3), change=RECORD.id), over_s)
    effects, _ = scene.settle(scene.up, over_s)
    assert effects == []
    assert scene.view("r").state is RequestState.FAILED
    assert scene.answer[0].startswith("cannot change shop: its lease is over since ")
    assert "overlayctl lease extend shop" in scene.answer[1]
    less = msgspec.structs.replace(shop(2), clusters=(web(count=1, minimum=None),))
    scene.requester.handle(PlanAsked(RequestId("s"), less, change=RECORD.id), over_s)
    scene.requester.settled(ChangeGrid("s"), scene.up, over_s)
    assert scene.view("s").state is RequestState.DONE, "for what goes nobody is asked"


def test_a_plan_says_where_what_is_added_would_go_and_asks_nobody_to_hold() -> None:
    scene = Changes()
    effects, outcomes = scene.answer_quotes(planned(scene, shop(3)))
    assert (asks(effects), outcomes) == ({}, [])
    view = scene.view("r")
    assert (view.kind, view.state) == ("plan", RequestState.DONE)
    assert [(row.workspace, row.peer) for row in view.placement] == [("web-3", ME)]
    assert view.delta == Delta(("web-3",), (), (), ("web-1", "web-2"))


def test_a_plan_of_what_only_goes_is_answered_at_once() -> None:
    scene = Changes()
    assert planned(scene, shop(1)) == []
    view = scene.view("r")
    assert view.state is RequestState.DONE
    assert view.delta == Delta((), ("web-2",), (), ("web-1",))


def test_a_plan_of_what_cannot_be_says_so() -> None:
    scene = Changes()
    planned(scene, shop(2, lease_s=60))
    assert scene.view("r").state is RequestState.FAILED
    assert scene.answer[0].startswith("cannot change shop: lease: 1 min")
