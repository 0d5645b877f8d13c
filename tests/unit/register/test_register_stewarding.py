"""Steps through whole stewards: how many rounds, who may be silent, what a liar gains, and one history."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from stewards_world import (
    ASKER,
    BY_ID,
    FEDERATION,
    KEY,
    NOW,
    ORDER,
    SIGNERS,
    STEWARDS,
    VERIFIER,
    Net,
    Plain,
    Steward,
    opens,
)

from protocol.grid.decision import (
    VALUE_BYTES_MOST,
    Ballot,
    Certificate,
    Decision,
    promise,
    sign_acceptance,
)
from protocol.grid.record import Register, grid_id, read_register, register_key
from protocol.grid.steps import End, Finish, Step, Vote
from protocol.register.acceptor import Acceptor
from protocol.register.messages import (
    Accept,
    Accepted,
    Conflict,
    Prepare,
    Promise,
    StepAsk,
    StepFailed,
)
from protocol.register.stewarding import Stewarding
from protocol.register.witness import Witness
from protocol.sim.people import Admin, grid_spec
from protocol.terms.effects import Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import ROUND_LEAP, ROUND_MOST, STEPS_OF_ONE, STEPS_WAITING
from protocol.trust.order import SignedOrder
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import encode

FIRST, SECOND, THIRD = STEWARDS
OTHER = PeerId("b" * 64)
GRID = grid_id(ORDER)


def first_of(decision: Decision | None) -> int:
    assert decision is not None
    return decision.register.first


def test_the_first_step_takes_one_round_at_the_first_steward() -> None:
    net = Net()
    net.ask("one", Vote(3))
    kinds: list[str] = []
    while net.waiting:
        kinds.append(type(net.waiting[0][2]).__name__)
        net.deliver()
    assert kinds == ["StepAsk", "Accept", "Accept", "Accepted", "Accepted", "StepDone"]
    assert first_of(net.settled["one"]) == 3
    decision = net.settled["one"]
    assert decision is not None
    assert decision.certificate.ballot == Ballot(0, FIRST)
    assert len(decision.certificate.votes) == 2


def test_a_later_step_is_judged_from_what_a_majority_has() -> None:
    net = Net()
    net.ask("one", Vote(3))
    net.until("one", lost=(THIRD,))
    net.ask("two", Vote(2))
    net.until("two", lost=(FIRST,))
    assert first_of(net.settled["two"]) == 3, "the other steward knew of it"


def test_one_silent_steward_keeps_nothing_from_being_decided() -> None:
    for silent in STEWARDS:
        net = Net()
        net.ask("one", Vote(1))
        net.until("one", lost=(silent,))
        assert first_of(net.settled["one"]) == 1


def test_without_a_majority_nobody_knows() -> None:
    net = Net()
    net.ask("one", Vote(1))
    net.until("one", lost=(SECOND, THIRD))
    assert "1 of 3 stewards answered, 2 needed" in net.unsettled["one"]


def test_no_ballot_is_used_for_two_values_by_two_lives() -> None:
    net = Net()
    net.ask("one", Vote(1))
    net.deliver()
    accepted = [m for _, _, m in net.waiting if isinstance(m, Accept)]
    net.waiting.clear()
    net.stewards[FIRST].start()
    net.ask("two", Vote(2))
    net.until("two")
    decision = net.settled["two"]
    assert decision is not None
    assert decision.certificate.ballot > accepted[0].ballot
    assert first_of(decision) == 2


def test_what_is_read_where_stewards_differ_is_finished() -> None:
    net = Net()
    net.ask("one", Vote(3))
    net.run()
    net.ask("two", Vote(4))
    net.run(lost=(SECOND,))
    net.stewards[FIRST].start()
    net.ask("look", None)
    net.until("look", lost=(THIRD,))
    assert first_of(net.settled["look"]) == 4, "it may have been decided, and now it is"


def test_a_look_needs_no_ballot_and_no_write() -> None:
    net = Net()
    net.ask("one", Vote(4))
    net.run()
    before = {peer: dict(steward.rows) for peer, steward in net.stewards.items()}
    net.ask("look", None)
    net.run()
    assert first_of(net.settled["look"]) == 4
    assert {peer: steward.rows for peer, steward in net.stewards.items()} == before


def test_nothing_is_nothing() -> None:
    net = Net()
    net.ask("look", None)
    net.run()
    assert net.settled == {"look": None}


def asked(steward: Steward, message: StepAsk, by: PeerId = ASKER) -> list[Send]:
    return [e for e in steward.handle(by, message, NOW) if isinstance(e, Send)]


def test_who_knows_nothing_of_an_order_says_so_and_keeps_nothing() -> None:
    steward = Steward(SIGNERS[0])
    (failed,) = asked(steward, StepAsk("x", KEY, Finish()))
    assert isinstance(failed.message, StepFailed)
    assert failed.message.refused
    assert steward.rows == {}


def test_only_so_many_steps_wait_for_one_register() -> None:
    steward = Steward(SIGNERS[0])
    for number in range(STEPS_WAITING):
        step = StepAsk(str(number), KEY, Vote(number + 1), ORDER)
        asked(steward, step, PeerId(f"{number // STEPS_OF_ONE:064}"))
    (full,) = asked(steward, StepAsk("more", KEY, Vote(1), ORDER))
    assert isinstance(full.message, StepFailed)
    assert not full.message.refused
    again = StepAsk("0", KEY, Vote(1), ORDER)
    assert asked(steward, again, PeerId("0" * 64)) == [], "asked again it is the same"


def test_one_that_asks_without_end_leaves_room_for_others() -> None:
    steward = Steward(SIGNERS[0])
    failed = [
        send.message
        for number in range(STEPS_WAITING)
        for send in asked(steward, StepAsk(str(number), KEY, Vote(number + 1), ORDER))
        if isinstance(send.message, StepFailed)
    ]
    assert len(failed) == STEPS_WAITING - STEPS_OF_ONE
    assert not any(message.refused for message in failed)
    assert asked(steward, StepAsk("x", KEY, Vote(1), ORDER), OTHER) == [], "it waits"


# -- liars


def test_an_acceptance_that_is_not_signed_counts_for_nothing() -> None:
    net = Net()
    net.ask("one", Vote(1))
    net.deliver()
    steward = net.stewards[FIRST]
    forged = Accepted(register=KEY, ballot=Ballot(0, FIRST), signature=b"x" * 32)
    with pytest.raises(Untrusted):
        steward.handle(SECOND, forged, NOW)
    other = encode(Register(None, 9, (), ORDER))
    signed = sign_acceptance(SIGNERS[1], KEY, Ballot(0, FIRST), other)
    with pytest.raises(Untrusted):
        steward.handle(
            SECOND, Accepted(register=KEY, ballot=Ballot(0, FIRST), signature=signed), NOW
        )
    assert steward.handle(OTHER, forged, NOW) == [], "and a stranger is not heard at all"


def test_a_promise_that_is_not_signed_counts_for_nothing() -> None:
    net = Net()
    net.ask("one", Vote(1))
    net.run()
    net.ask("two", Vote(2))
    net.deliver()
    (prepare, *_) = [m for _, _, m in net.waiting if isinstance(m, Prepare)]
    lie = Promise(
        register=KEY,
        ballot=prepare.ballot,
        accepted=prepare.ballot,
        value=encode(Register(None, 99, (), ORDER)),
        signature=b"x" * 32,
    )
    with pytest.raises(Untrusted):
        net.stewards[FIRST].handle(SECOND, lie, NOW)
    net.until("two")
    assert first_of(net.settled["two"]) == 2


def test_a_liar_that_says_a_round_beyond_all_keeps_nobody_from_deciding() -> None:
    net = Net()
    net.ask("one", Vote(1))
    net.run()
    net.ask("two", Vote(2))
    net.deliver()
    (prepare, *_) = [m for _, _, m in net.waiting if isinstance(m, Prepare)]
    far = Ballot(1 << 47, THIRD)
    conflict = Conflict(register=KEY, ballot=prepare.ballot, promised=far)
    net.stewards[FIRST].handle(THIRD, conflict, NOW)
    net.waiting.clear()
    net.until("two", lost=(THIRD,))
    assert first_of(net.settled["two"]) == 2
    assert all(len(steward.rows) == 1 for p, steward in net.stewards.items() if p != THIRD)


def test_nor_does_it_use_the_register_up() -> None:
    """Its word comes first, each time: a steward goes so far only if all others say so."""
    net = Net()
    net.ask("one", Vote(1))
    net.run()
    for number in range(2, 6):
        net.ask(f"{number}", Vote(number))
        net.deliver()
        (prepare, *_) = [m for _, _, m in net.waiting if isinstance(m, Prepare)]
        far = Ballot(ROUND_MOST - 1, THIRD)
        conflict = Conflict(register=KEY, ballot=prepare.ballot, promised=far)
        net.stewards[FIRST].handle(THIRD, conflict, NOW)
        net.waiting.clear()
        net.until(f"{number}", lost=(THIRD,))
        assert first_of(net.settled[f"{number}"]) == number
    for steward in (FIRST, SECOND):
        kept = net.stewards[steward].acceptor.get(KEY)
        assert kept is not None
        assert kept.slot.promised.round <= 4 * ROUND_LEAP
    assert net.faults == 0, "and the other finds no fault with it"


class Thirteen(Plain):
    """Allows a step to thirteen, though no steward takes a value that says so."""

    def judges(self, key: str, value: bytes) -> Register:
        register = super().judges(key, value)
        if register.first == 13:
            raise Untrusted(Reason.MALFORMED, "thirteen")
        return register


def test_a_step_to_what_no_steward_takes_is_who_asked_for_it_and_ends() -> None:
    """Not who promised last, and not the tick: that would end the daemon."""
    judge, first = Thirteen(), SIGNERS[0]
    for stewards in ((FIRST,), (FIRST, SECOND)):
        order = Admin(FEDERATION, "s1", Random(3), lambda s=stewards: s).up(grid_spec("shop"), NOW)
        key = register_key(order)
        own = Steward(first).own
        acceptor = Acceptor(first, VERIFIER, opens, judge.judges, {}, own)
        stewarding = Stewarding(acceptor, VERIFIER, judge, Random(7), Witness(VERIFIER))
        effects = stewarding.ask(ASKER, StepAsk("x", key, Vote(13), order), NOW)
        assert effects == [Send(ASKER, StepFailed("x", "thirteen", refused=True))]
        assert stewarding.next_deadline() is None
        assert acceptor.get(key) is None


class Long(Plain):
    """Allows a step that makes a value of about so many bytes less than can be said."""

    def __init__(self, less: int) -> None:
        self._bytes = VALUE_BYTES_MOST - less

    def follows(
        self, order: SignedOrder, register: Register, step: Step, asker: PeerId, now: float
    ) -> Register:
        return Register(None, 1, (), replace(order, signature=bytes(self._bytes)))


@pytest.mark.parametrize(
    ("step", "less", "taken"),
    [
        (Vote(1), 0, False),
        (Vote(1), 8 << 10, False),
        (End(GRID, ORDER), 8 << 10, True),
        (End(GRID, ORDER), 0, False),
    ],
)
def test_a_value_too_long_to_be_said_is_not_accepted_and_there_is_room_for_its_end(
    step: Step, less: int, taken: bool
) -> None:
    own = Steward(SIGNERS[0]).own
    acceptor = Acceptor(SIGNERS[0], VERIFIER, opens, Plain().judges, {}, own)
    stewarding = Stewarding(acceptor, VERIFIER, Long(less), Random(7), Witness(VERIFIER))
    effects = stewarding.ask(ASKER, StepAsk("x", KEY, step, ORDER), NOW)
    failed = [e.message for e in effects if isinstance(e, Send) and e.peer == ASKER]
    assert all(isinstance(said, StepFailed) and said.refused for said in failed)
    assert (failed == [], acceptor.get(KEY) is not None) == (taken, taken)


def test_a_steward_is_raised_by_a_leap_of_nobody() -> None:
    steward = Steward(SIGNERS[0])
    far = Prepare(register=KEY, ballot=Ballot(ROUND_LEAP + 1, SECOND), order=ORDER)
    assert steward.handle(SECOND, far, NOW) == []
    assert steward.rows == {}


def test_one_that_was_raised_far_by_a_liar_is_no_liar_to_the_others() -> None:
    net = Net()
    for leaps in (1, 2):
        far = Prepare(register=KEY, ballot=Ballot(leaps * ROUND_LEAP, THIRD), order=ORDER)
        net.stewards[SECOND].handle(THIRD, far, NOW)
    net.askings[ASKER]._alive = lambda peer: peer == SECOND
    net.ask("one", Vote(1))
    net.until("one", lost=(THIRD,))
    assert first_of(net.settled["one"]) == 1
    assert net.faults == 0


def test_two_that_lie_have_no_second_value_proposed_under_one_ballot() -> None:
    """They show a steward a certificate under its own ballot, for which it has asked them, then promise."""
    net = Net()
    net.ask("one", Vote(1))
    net.run()
    net.ask("two", Vote(2))
    net.deliver()
    ballot = next(m.ballot for _, _, m in net.waiting if isinstance(m, Prepare))
    value, first = encode(Register(None, 9, (), ORDER)), net.stewards[FIRST]
    votes = tuple((p, sign_acceptance(BY_ID[p], KEY, ballot, value)) for p in (SECOND, THIRD))
    first.keep(first.acceptor.learn(KEY, Certificate(KEY, ballot, value, votes), NOW))
    said = promise(KEY, ballot, None, b"")
    signature = BY_ID[SECOND].sign("promise", said)
    word = Promise(register=KEY, ballot=ballot, accepted=None, value=b"", signature=signature)
    effects = first.handle(SECOND, word, NOW)
    assert not any(isinstance(e, Send) and isinstance(e.message, Accept) for e in effects)
    kept = first.acceptor.get(KEY)
    assert kept is not None
    assert (kept.slot.accepted, kept.slot.value) == (ballot, value)


# -- one history


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), max_size=120))
def test_there_is_one_history_whatever_is_lost_comes_twice_or_restarts(
    schedule: list[tuple[int, int]],
) -> None:
    """Two askers, whose steps go to different stewards; a decision is of one ballot, and none goes back."""
    net = Net((ASKER, OTHER))
    net.askings[OTHER]._alive = lambda peer: peer != FIRST
    began: dict[str, tuple[int, int]] = {}
    ended: list[tuple[str, int]] = []
    values: dict[Ballot, bytes] = {}
    steps = 0
    for kind, index in schedule:
        if kind <= 4 and net.waiting:
            net.deliver(index, keep=kind == 4)
        elif kind == 5 and net.waiting:
            del net.waiting[index % len(net.waiting)]
        elif kind == 6:
            net.stewards[STEWARDS[index % 3]].start()
        elif kind == 7:
            net.pass_time(0.1 * (1 + index))
        else:
            steps += 1
            what = f"{steps}"
            highest = max((first for _, first in ended), default=0)
            began[what] = (highest, steps)
            net.ask(what, Vote(steps) if kind == 8 else None, (ASKER, OTHER)[index % 2])
        for what, decision in net.settled.items():
            if what in dict(ended):
                continue
            first = decision.register.first if decision is not None else 0
            assert first >= began[what][0], "what was told before is not forgotten"
            ended.append((what, first))
            if decision is not None:
                certificate = decision.certificate
                same = values.setdefault(certificate.ballot, certificate.value)
                assert same == certificate.value, "one ballot, one value"
        told = sorted(values)
        firsts = [read_register(values[ballot]).first for ballot in told]
        assert firsts == sorted(firsts)
