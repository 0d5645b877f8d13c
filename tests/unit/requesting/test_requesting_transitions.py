"""The table of moves: each of them made in a conversation, and no other."""

from collections.abc import Callable
from math import inf
from random import Random

import msgspec
import pytest
from deciding import proposed, voiding
from negotiating import (
    ADMIN,
    AUTHORITY,
    MIB,
    NOW,
    REQUEST,
    A,
    Around,
    B,
    asks,
    committed,
    granted,
    record_of,
    refused,
    shop,
)

from protocol.capacity.advert import HostFacts
from protocol.capacity.quantum import Quantum
from protocol.contract.messages import HoldAsk, Quote, QuoteAsk
from protocol.contract.notices import notice_of
from protocol.contract.outcomes import Propose
from protocol.grid.model import LeaseTerms
from protocol.grid.record import GridRecord, GridState, grid_id
from protocol.placement.fit import Offer
from protocol.requesting import placing as module
from protocol.requesting.placing import Answer, Placing
from protocol.requesting.policies import Plain
from protocol.requesting.queueing import Queueing
from protocol.requesting.request import RequestState
from protocol.requesting.shortlist import Candidate
from protocol.requesting.steps import Look, Reason
from protocol.requesting.transitions import TRANSITIONS, Happening, NoSuchMove, Stage, after
from protocol.terms.effects import Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import REQUEST_S
from protocol.terms.refusal import Constraint, Refusal

HOSTS = tuple(PeerId(f"{number:064x}") for number in range(40))
FULL, TWO = Quantum(0, 0, 0), Quantum(1000, 256 * MIB, 1 << 40)
MUCH = Quantum(64000, 65536 * MIB, 1 << 40)
LATE = NOW + REQUEST_S + 1
GIVEN = Look(Reason.GIVEN_BEFORE)
UP = Look(Reason.NAME_IS_UP, ("shop is up",))

Move = tuple[Stage, Happening]


class Talk:
    """One best-effort `up` for two workspaces at a peer that knows 40 hosts, and those hosts' messages."""

    def __init__(self) -> None:
        self.now = NOW
        self.order = ADMIN.up(shop(2, lease=LeaseTerms(best_effort=True)), NOW)
        dice = Random(3)
        self.around = Around(lambda: tuple(Candidate(p, p[-4:], "s1", _told(p)) for p in HOSTS))
        deployment = AUTHORITY.deployment(self.order, NOW, fresh=True)
        policy = Plain(holds=True, queueing=Queueing(self.order, dice))
        self.request = Placing(REQUEST, deployment, self.order, self.around, dice, NOW, policy)
        self.invited: list[PeerId] = []
        self.holds: dict[PeerId, HoldAsk] = {}
        self.proposed: list[Propose] = []

    def narrow(self, sites: bool) -> None:
        """Says whether other sites have to be asked for their hosts."""
        self.around.sites = [Send(HOSTS[0], b"hosts?")] if sites else []

    def blind(self, blind: bool) -> None:
        """Says whether it has yet to hear of other peers."""
        self.around.blind_until_s = inf if blind else 0.0

    def hear(self, answer: Answer) -> None:
        """Gives hosts and stewards what was said."""
        effects, outcomes = answer
        invited = [
            e.peer for e in effects if isinstance(e, Send) and isinstance(e.message, QuoteAsk)
        ]
        self.invited = invited or self.invited
        self.holds |= asks(effects)
        self.proposed += [o for o in outcomes if isinstance(o, Propose)]

    def start(self) -> None:
        self.hear((self.request.start(self.now), []))

    def begin(self, look: Look | None = None) -> None:
        self.hear(self.request.begin(self.now, look))

    def tick(self) -> None:
        due = self.request.next_deadline()
        assert due is not None
        self.now = max(self.now, due.at_s)
        self.hear(self.request.tick(self.now))

    def quote(self, free: Quantum, held: Quantum = FULL, most: int = len(HOSTS)) -> None:
        """Has the first `most` hosts that were asked give that quote. The others have no room."""
        for number, peer in enumerate(self.invited):
            room = free if number < most else FULL
            word = Quote(REQUEST, peer[-4:], "s1", _facts(peer), room, (), held=held)
            self.hear(self.request.quote(peer, word, self.now))

    def grant(self) -> None:
        for peer, ask in list(self.holds.items()):
            self.hear(self.request.hold_reply(peer, granted(peer, ask), self.now))

    def refuse(self, constraint: Constraint) -> None:
        """Has all hosts that are asked to hold refuse, for want of room or another reason."""
        holds, self.holds = self.holds, {}
        for peer, ask in holds.items():
            no = Refusal(constraint, peer[-4:], asked=1, available=0, detail="no")
            self.hear(self.request.hold_reply(peer, refused(ask, no), self.now))

    def settle(self, value: bytes) -> None:
        self.hear(self.request.settled(value, self.now))

    def commit(self) -> None:
        self.settle(proposed(self.proposed[-1]))

    def void(self) -> None:
        self.settle(voiding(self.request.grid_id, self.now)(None))

    def made_before(self) -> GridRecord:
        placed = {"web-1": A, "web-2": B}
        return record_of(self.order, placed, grid=grid_id(self.order, 0, "another"))

    def told(self) -> Look:
        """A look at a grid that is told of, with a steward that it does not have."""
        there = notice_of(self.made_before(), shop(2))
        return Look(UP.reason, UP.lines, msgspec.structs.replace(there, stewards=(HOSTS[0],)), True)


def _told(peer: PeerId) -> Offer:
    return Offer(peer, peer[-4:], "s1", _facts(peer), MUCH)


def _facts(peer: PeerId) -> HostFacts:
    return HostFacts(MUCH, "x86_64", "qemu:///embed", "kvm", "", peer, True)


def _quoting(talk: Talk) -> None:
    talk.start()


def _holding(talk: Talk, most: int = len(HOSTS)) -> None:
    """`most` hosts have room."""
    _quoting(talk)
    talk.quote(TWO, most=most)


def _committing(talk: Talk) -> None:
    _holding(talk)
    talk.grant()


def _voiding(talk: Talk) -> None:
    _committing(talk)
    talk.hear(talk.request.unsettled("1 of 3 answered", talk.now))


def _backing_off(talk: Talk) -> None:
    _quoting(talk)
    for _ in range(2):
        talk.quote(FULL, held=TWO)


def _queued(talk: Talk) -> None:
    _quoting(talk)
    for _ in range(2):
        talk.quote(FULL)


def _building(talk: Talk) -> None:
    _committing(talk)
    talk.commit()


def _hearing(talk: Talk, look: Look | None = None) -> None:
    talk.blind(True)
    talk.begin(look)
    talk.blind(False)


def _asking_sites(talk: Talk) -> None:
    talk.narrow(True)
    talk.start()


def _over(talk: Talk) -> None:
    _quoting(talk)
    talk.request.cancel(talk.now)


REACHED: dict[Stage, Callable[[Talk], None]] = {
    Stage.STARTING: lambda talk: None,
    Stage.HEARING: _hearing,
    Stage.LOOKING: lambda talk: talk.begin(GIVEN),
    Stage.ASKING_SITES: _asking_sites,
    Stage.QUOTING: _quoting,
    Stage.HOLDING: _holding,
    Stage.BACKING_OFF: _backing_off,
    Stage.QUEUED: _queued,
    Stage.COMMITTING: _committing,
    Stage.VOIDING: _voiding,
    Stage.BUILDING: _building,
    Stage.OVER: _over,
}
"""How a request comes to each stage."""


def _again(talk: Talk) -> None:
    """Ends whatever it waits for, so that it begins an attempt."""
    match talk.request.stage:
        case Stage.STARTING:
            talk.start()
        case Stage.LOOKING:
            talk.settle(None)
        case _:
            talk.tick()


def _to_sites(talk: Talk) -> None:
    talk.narrow(True)
    _again(talk)


def _more_quotes(talk: Talk) -> None:
    match talk.request.stage:
        case Stage.QUOTING:
            talk.quote(FULL)
        case Stage.HOLDING:
            talk.refuse(Constraint.MEMORY)
        case _:
            _again(talk)


def _blind(talk: Talk) -> None:
    talk.blind(True)
    if talk.request.stage == Stage.STARTING:
        talk.begin()
    else:
        talk.tick()


def _hold(talk: Talk) -> None:
    if talk.request.stage == Stage.QUOTING:
        talk.quote(TWO)
    else:
        talk.refuse(Constraint.MEMORY)


def _let_go(talk: Talk) -> None:
    match talk.request.stage:
        case Stage.QUOTING:
            for _ in range(2):
                talk.quote(FULL, held=TWO)
        case Stage.HOLDING:
            talk.refuse(Constraint.NETWORK_ID)
        case Stage.LOOKING:
            talk.settle(None)
        case _:
            talk.void()


def _answered(talk: Talk) -> None:
    if talk.request.record is None:
        talk.request.unsaved("the store is full", talk.now)
    else:
        gone = msgspec.structs.replace(talk.request.record, state=GridState.DOWN)
        talk.settle(committed(gone))


def _look(talk: Talk) -> None:
    match talk.request.stage:
        case Stage.STARTING:
            talk.begin(GIVEN)
        case Stage.HEARING:
            talk.tick()
        case Stage.LOOKING:
            talk.settle(committed(talk.made_before()))
        case Stage.QUEUED:
            made = notice_of(talk.made_before(), shop(2))
            talk.request.noticed(A, made, talk.now)
            talk.tick()
        case _:
            talk.refuse(Constraint.NAME)


def _decided(talk: Talk) -> None:
    if talk.request.stage == Stage.LOOKING:
        talk.settle(committed(talk.made_before()))
    else:
        talk.commit()


MADE: dict[Happening, Callable[[Talk], None]] = {
    Happening.BLIND: _blind,
    Happening.STEWARDS_ASKED: _look,
    Happening.SITES_ASKED: _to_sites,
    Happening.QUOTES_REQUESTED: _more_quotes,
    Happening.HOLDS_REQUESTED: _hold,
    Happening.PROPOSED: Talk.grant,
    Happening.UNSETTLED: lambda talk: talk.hear(talk.request.unsettled("none", talk.now)),
    Happening.DECIDED: _decided,
    Happening.LET_GO: _let_go,
    Happening.LINED_UP: _let_go,
    Happening.ANSWERED: _answered,
    Happening.CANCELLED: lambda talk: talk.hear((talk.request.cancel(talk.now), [])),
}
"""How each thing happens, wherever it can."""

BY_ANOTHER_WAY: dict[Move, Callable[[Talk], None]] = {
    (Stage.HEARING, Happening.STEWARDS_ASKED): lambda talk: _hearing(talk, GIVEN),
    (Stage.HOLDING, Happening.QUOTES_REQUESTED): lambda talk: _holding(talk, most=2),
    (Stage.LOOKING, Happening.STEWARDS_ASKED): lambda talk: talk.begin(talk.told()),
    (Stage.LOOKING, Happening.LET_GO): lambda talk: talk.begin(UP),
    (Stage.LOOKING, Happening.LINED_UP): lambda talk: talk.begin(UP),
}
"""Moves whose stage is reached in another way than in REACHED."""

NOT_SEEN: tuple[Move, ...] = (
    # A try that finds nothing left to ask for: what is held would have been enough before others were asked.
    (Stage.QUOTING, Happening.PROPOSED),
)
"""Moves that code allows and no conversation makes."""


def _name(move: Move) -> str:
    return f"{move[0]} - {move[1]}"


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[Move]:
    """The moves that are made."""
    made: list[Move] = []

    def recorded(stage: Stage, happening: Happening) -> Stage:
        made.append((stage, happening))
        return after(stage, happening)

    monkeypatch.setattr(module, "after", recorded)
    return made


@pytest.mark.parametrize("stage", Stage)
def test_every_stage_is_reached(stage: Stage) -> None:
    talk = Talk()
    REACHED[stage](talk)
    shown = {Stage.STARTING: "starting", Stage.OVER: "cancelled"}
    assert talk.request.stage == shown.get(stage, stage)


@pytest.mark.parametrize("move", [m for m in TRANSITIONS if m not in NOT_SEEN], ids=_name)
def test_every_move_is_made_in_a_conversation(move: Move, moves: list[Move]) -> None:
    stage, happening = move
    talk = Talk()
    BY_ANOTHER_WAY.get(move, REACHED[stage])(talk)
    if happening is Happening.LINED_UP:
        talk.now = LATE
    elif happening is not Happening.SITES_ASKED:
        talk.narrow(False)
    moves.clear()
    MADE[happening](talk)
    assert move in moves
    last = TRANSITIONS[moves[-1]]
    assert talk.request.running is (last is not Stage.OVER)
    assert last is Stage.OVER or talk.request.stage == last


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("happening", Happening)
def test_no_other_move_can_be_made(stage: Stage, happening: Happening) -> None:
    if (stage, happening) in TRANSITIONS:
        assert after(stage, happening) is TRANSITIONS[stage, happening]
        return
    with pytest.raises(NoSuchMove, match=f"^{stage}: {happening}$"):
        after(stage, happening)


def test_every_stage_but_the_last_can_end_and_be_cancelled() -> None:
    for stage in Stage:
        assert (stage, Happening.CANCELLED) in TRANSITIONS
        assert ((stage, Happening.ANSWERED) in TRANSITIONS) is (stage is not Stage.OVER)


def test_the_stewards_are_heard_after_a_cancel() -> None:
    """Nobody knows whether it is a grid. If it is, the person has to take it down."""
    talk = Talk()
    _committing(talk)
    assert talk.request.cancel(talk.now) == []
    talk.void()
    assert talk.request.state is RequestState.CANCELLED
    assert talk.request.answer == ("cancelled; nothing is held",)


def test_a_move_that_is_not_in_the_table_changes_nothing() -> None:
    talk = Talk()
    _over(talk)
    before = talk.request.view()
    with pytest.raises(NoSuchMove):
        talk.request.start(talk.now)
    after_it = talk.request.view()
    assert (after_it.state, after_it.stage, after_it.answer) == (
        before.state,
        before.stage,
        before.answer,
    )
