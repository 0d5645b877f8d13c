"""Stewards are replaced: by whom, what goes on meanwhile, who is told, and that there is one history still."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stewards_world import (
    ASKER,
    HEIRS,
    KEY,
    NOW,
    ORDER,
    SIGNERS,
    SPARES,
    STEWARDS,
    VERIFIER,
    Net,
    Steward,
)

from protocol.grid.decision import Ballot, Decision, check_certificate, follow_seals
from protocol.grid.record import read_register
from protocol.grid.steps import Finish, Replace, Vote
from protocol.register.messages import (
    Accept,
    Conflict,
    LookAsk,
    Prepare,
    Promise,
    Sealed,
    StepAsk,
    StepFailed,
)
from protocol.terms.effects import Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import SEALS_MOST
from protocol.trust.signing import Untrusted

FIRST, SECOND, THIRD = STEWARDS
FOURTH, FIFTH, SIXTH = HEIRS


def decided(net: Net, what: str) -> Decision:
    decision = net.settled[what]
    assert decision is not None
    return decision


def sealed(gone: PeerId = THIRD, heir: PeerId = FOURTH, by: PeerId = FIRST) -> Net:
    """A register of which a steward was gone, and was replaced."""
    net = Net().with_heirs()
    net.ask("one", Vote(1))
    net.until("one", lost=(gone,))
    net.replace("seal", gone, heir, by)
    net.until("seal", lost=(gone,))
    return net


def test_who_is_gone_is_replaced_and_the_value_stays() -> None:
    net = sealed()
    decision = decided(net, "seal")
    assert decision.register.stewards == (FIRST, SECOND, FOURTH)
    assert decision.register.first == 1
    assert decision.register.closed is None, "the new set has decided what it begins with"
    assert check_certificate(decision.certificate, VERIFIER) == decision


@pytest.mark.parametrize("second", [FIRST, SECOND])
def test_a_second_death_is_survived(second: PeerId) -> None:
    net = sealed()
    by = SECOND if second == FIRST else FIRST
    lost = (THIRD, second)
    net.replace("again", second, FIFTH, by)
    net.until("again", lost=lost)
    assert set(decided(net, "again").register.stewards) == {by, FOURTH, FIFTH}
    net.ask("two", Vote(7), of=decided(net, "again").register.stewards)
    net.until("two", lost=lost)
    assert decided(net, "two").register.first == 7


def test_all_are_replaced_one_after_the_other_and_the_first_are_asked_still() -> None:
    net = sealed()
    net.replace("b", FIRST, FIFTH, SECOND)
    net.until("b")
    net.replace("c", SECOND, SIXTH, FOURTH)
    net.until("c")
    assert set(decided(net, "c").register.stewards) == set(HEIRS)
    for what, step in [("look", None), ("step", Vote(4))]:
        net.ask(what, step)
        net.until(what)
        assert set(decided(net, what).register.stewards) == set(HEIRS)
    assert decided(net, "step").register.first == 4


def test_who_was_replaced_and_comes_back_learns_it_and_says_so() -> None:
    net = sealed()
    third = net.stewards[THIRD]
    (send,) = third.handle(ASKER, LookAsk("x", KEY), NOW)
    assert isinstance(send, Send)
    assert not isinstance(send.message, Sealed), "it does not know yet"
    net.ask("two", Vote(5), of=(THIRD,))
    net.until("two")
    assert decided(net, "two").register.first == 5
    for _ in range(2):
        (told,) = third.handle(ASKER, LookAsk("x", KEY), NOW)
        assert isinstance(told, Send)
        assert isinstance(told.message, Sealed)
        assert follow_seals(ORDER, told.message.seals, VERIFIER).members == (FIRST, SECOND, FOURTH)
        third.start()


def test_where_nobody_answers_those_are_asked_that_others_tell_of() -> None:
    net = sealed()
    net.replace("b", FIRST, FIFTH, SECOND)
    net.until("b", lost=(THIRD,))
    dead = (THIRD, FIRST, SECOND)
    net.ask("lost", None)
    net.until("lost", lost=dead)
    assert "lost" in net.unsettled
    net.told = decided(net, "b").register.stewards
    for what, step in [("look", None), ("step", Vote(9))]:
        net.ask(what, step)
        net.until(what, lost=dead)
        assert decided(net, what).register.stewards == net.told
    assert decided(net, "step").register.first == 9


def test_what_those_do_not_know_that_others_tell_of_means_nothing() -> None:
    net = Net().with_heirs()
    net.ask("one", Vote(1))
    net.run()
    net.told = HEIRS
    net.ask("look", None)
    net.until("look", lost=STEWARDS)
    assert "look" not in net.settled


@pytest.mark.parametrize("after", range(40))
def test_a_restart_at_any_moment_loses_nothing(after: int) -> None:
    net = Net().with_heirs()
    net.ask("one", Vote(1))
    net.until("one", lost=(THIRD,))
    net.replace("seal", THIRD, FOURTH, FIRST)
    for _ in range(after):
        if net.waiting:
            net.deliver()
    for steward in net.stewards.values():
        steward.start()
    net.waiting.clear()
    net.now += 60.0
    net.ask("look", None)
    net.until("look", lost=(THIRD,))
    assert decided(net, "look").register.first == 1
    net.ask("two", Vote(3))
    net.until("two", lost=(THIRD,))
    assert decided(net, "two").register.first == 3


def test_a_step_that_comes_meanwhile_is_decided_by_one_set_or_the_other() -> None:
    net = Net().with_heirs()
    net.ask("one", Vote(1))
    net.until("one", lost=(THIRD,))
    net.replace("seal", THIRD, FOURTH, FIRST)
    net.deliver()
    net.ask("two", Vote(2))
    net.ask("three", Vote(3), HEIRS[2], (SECOND,))
    for what in ("seal", "two", "three"):
        net.until(what, lost=(THIRD,))
    assert decided(net, "three").register.first == 3
    assert max(decided(net, what).register.term for what in ("seal", "two", "three")) == 1


def test_two_that_propose_different_heirs_end_with_one() -> None:
    net = Net().with_heirs()
    net.ask("one", Vote(1))
    net.until("one", lost=(THIRD,))
    net.replace("here", THIRD, FOURTH, FIRST)
    net.replace("there", THIRD, FIFTH, SECOND)
    net.until("here", lost=(THIRD,))
    net.until("there", lost=(THIRD,))
    assert decided(net, "here").register.stewards == decided(net, "there").register.stewards
    assert decided(net, "here").register.term == 1


def test_nobody_replaces_a_steward_by_another_than_itself() -> None:
    net = sealed()
    steward = net.stewards[FIRST]
    (send,) = steward.handle(SECOND, StepAsk("x", KEY, Replace(SECOND, SIXTH, ())), NOW)
    assert isinstance(send, Send)
    assert isinstance(send.message, StepFailed)
    assert send.message.refused


def test_stewards_are_replaced_only_so_often() -> None:
    net = Net().with_heirs()
    net.ask("0", Vote(1))
    net.run()
    stewards = STEWARDS
    for number in range(SEALS_MOST + 1):
        by = stewards[number % 3]
        gone = stewards[(number + 1) % 3]
        heir = next(peer for peer in (*STEWARDS, *HEIRS) if peer not in stewards)
        net.replace(f"{number + 1}", gone, heir, by)
        net.until(f"{number + 1}")
        stewards = decided(net, f"{number + 1}").register.stewards
    assert decided(net, f"{SEALS_MOST + 1}").register.term == SEALS_MOST


# -- what proves nothing


def test_a_ballot_of_an_earlier_set_is_answered_with_the_seals() -> None:
    net = sealed()
    prepare = Prepare(register=KEY, ballot=Ballot(9, THIRD), order=ORDER)
    for _ in range(2):
        (send,) = net.stewards[SECOND].handle(THIRD, prepare, NOW)
        assert isinstance(send, Send)
        assert isinstance(send.message, Sealed)
        net.stewards[SECOND].start()


def test_a_steward_of_an_earlier_set_is_none_of_the_new_one() -> None:
    net = sealed()
    seals = decided(net, "seal").register.seals
    prepare = Prepare(register=KEY, ballot=Ballot(99, THIRD), order=ORDER, seals=seals)
    for peer in (FIRST, FOURTH):
        with pytest.raises(Untrusted):
            net.stewards[peer].handle(THIRD, prepare, NOW)


def test_seals_that_lead_elsewhere_are_refused_where_others_are_known() -> None:
    net, other = sealed(), sealed(heir=FIFTH)
    mine = decided(net, "seal").register
    fork = decided(other, "seal")
    assert check_certificate(fork.certificate, VERIFIER), "each proves itself"
    for _ in range(2):
        for peer in (FIRST, SECOND, FOURTH):
            steward = net.stewards[peer]
            before = dict(steward.rows)
            prepare = Prepare(
                register=KEY, ballot=Ballot(99, SECOND), order=ORDER, seals=fork.register.seals
            )
            with pytest.raises(Untrusted):
                steward.handle(SECOND, prepare, NOW)
            with pytest.raises(Untrusted):
                steward.acceptor.learn(KEY, fork.certificate, NOW)
            assert steward.rows == before
            steward.start()
    net.ask("look", None)
    net.until("look")
    assert decided(net, "look").register.stewards == mine.stewards


def test_a_promise_of_one_term_is_none_of_another() -> None:
    net = Net().with_heirs()
    net.ask("one", Vote(1))
    net.until("one", lost=(THIRD,))
    ballot = Ballot(50, FIRST)
    prepare = Prepare(register=KEY, ballot=ballot, order=ORDER)
    _, send = net.stewards[SECOND].handle(FIRST, prepare, NOW)
    assert isinstance(send, Send)
    old = send.message
    assert isinstance(old, Promise)
    net.replace("seal", THIRD, FOURTH, FIRST)
    net.until("seal", lost=(THIRD,))
    first = net.stewards[FIRST]
    assert first.acceptor.get(KEY) is not None
    net.ask("two", Vote(2))
    net.deliver()
    (sent, *_) = [m for _, _, m in net.waiting if isinstance(m, Prepare)]
    lie = Promise(
        register=KEY,
        ballot=sent.ballot,
        accepted=old.accepted,
        value=old.value,
        signature=old.signature,
    )
    with pytest.raises(Untrusted):
        first.handle(SECOND, lie, NOW)


def test_the_first_round_needs_no_promise_in_the_first_term_only() -> None:
    net = sealed()
    value = decided(net, "seal").certificate.value
    fourth = Steward(SPARES[0])
    (send,) = fourth.handle(FIRST, Accept(register=KEY, ballot=Ballot(0, FIRST), value=value), NOW)
    assert isinstance(send, Send)
    assert isinstance(send.message, Conflict)
    assert fourth.rows == {}


# -- one history


class History:
    """Steps and seals of any steward, of any other, while messages are lost, come twice, and peers restart.

    A set that has named its heirs decides nothing else any more, and nothing that was told is forgotten.
    """

    def __init__(self) -> None:
        self.net = Net((ASKER, OTHER)).with_heirs()
        self.net.askings[OTHER]._alive = lambda peer: peer != FIRST
        self.began: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self.values: dict[tuple[int, Ballot], bytes] = {}

    def move(self, kind: str, index: int) -> None:
        """One thing happens."""
        net = self.net
        if kind in ("deliver", "twice", "lose"):
            if net.waiting and kind == "lose":
                del net.waiting[index % len(net.waiting)]
            elif net.waiting:
                net.deliver(index, keep=kind == "twice")
        elif kind == "restart":
            net.stewards[EVERYBODY[index % 6]].start()
        elif kind == "wait":
            net.pass_time(0.1 * (1 + index % 15))
        else:
            self._ask(kind, index)
        self._look()

    def _ask(self, kind: str, index: int) -> None:
        number = len(self.began) + 1
        what, by, gone = f"{number}", EVERYBODY[index % 6], EVERYBODY[index // 6 % 6]
        self.began[what] = max(self.ended.values(), default=0)
        if kind == "replace" and by != gone:
            heir = EVERYBODY[index // 36 % 6]
            self.net.ask(what, Replace(gone, heir, ()), by, (by,))
        else:
            step = Vote(number) if kind == "step" else None
            self.net.ask(what, step, (ASKER, OTHER)[index % 2])

    def _look(self) -> None:
        for what, decision in self.net.settled.items():
            if what in self.ended:
                continue
            first = decision.register.first if decision is not None else 0
            assert first >= self.began[what], "what was told before is not forgotten"
            self.ended[what] = first
            if decision is not None:
                ballot = (decision.register.term, decision.certificate.ballot)
                value = decision.certificate.value
                assert self.values.setdefault(ballot, value) == value, "one ballot, one value"
        assert self.net.faults == 0, "nobody is blamed who is honest"

    def check(self) -> int:
        """It is one history. Answers how often stewards were replaced in it."""
        told = [read_register(self.values[ballot]) for ballot in sorted(self.values)]
        firsts = [register.first for register in told]
        assert firsts == sorted(firsts)
        sets: dict[int, tuple[PeerId, ...]] = {}
        for register in told:
            known = sets.setdefault(register.term, register.keepers)
            assert known == register.keepers, "one set a term"
        return max(sets, default=0)


OTHER = PeerId("b" * 64)
EVERYBODY = (*STEWARDS, *HEIRS)
MOVES = [
    *["deliver"] * 24, *["wait"] * 2, *["step"] * 2, *["replace"] * 2,
    "twice", "lose", "restart", "look",
]  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 250)), max_size=200))
def test_there_is_one_history_whoever_is_replaced(schedule: list[tuple[str, int]]) -> None:
    history = History()
    for kind, index in schedule:
        history.move(kind, index)
    history.check()


def test_long_histories_are_one_too_and_get_far() -> None:
    """The same, by lot, in which most messages come soon: many sets follow each other."""
    replaced = 0
    for seed in range(12):
        dice, history = Random(seed), History()
        for _ in range(1500):
            kind = dice.choice(MOVES) if dice.random() < 0.3 else "deliver"
            near = 1 + int(dice.random() * 8)
            index = dice.randrange(near) if kind == "deliver" else dice.randrange(250)
            history.move(kind, index)
        replaced += history.check()
    assert replaced >= 12


def test_what_was_promised_to_one_set_stays_promised_in_the_next() -> None:
    net = sealed()
    seals = decided(net, "seal").register.seals
    third = Steward(SIGNERS[1])
    third.handle(FIRST, Prepare(register=KEY, ballot=Ballot(500, FIRST), order=ORDER), NOW)
    low = Prepare(register=KEY, ballot=Ballot(499, FIRST), order=ORDER, seals=seals)
    (send,) = third.handle(FIRST, low, NOW)
    assert isinstance(send, Send)
    assert isinstance(send.message, Conflict)


def test_what_is_half_the_way_is_finished_by_whoever_looks() -> None:
    net = Net().with_heirs()
    net.ask("one", Vote(1))
    net.until("one", lost=(THIRD,))
    net.replace("seal", THIRD, FOURTH, FIRST)
    while net.waiting and not any(isinstance(m, Prepare) and m.seals for *_, m in net.waiting):
        net.deliver()
    net.waiting.clear()
    net.stewards[FIRST].start()
    kept = net.stewards[FIRST].acceptor.get(KEY)
    assert kept is not None
    assert (kept.term, kept.slot.accepted) == (1, None)
    net.ask("finish", Finish(), FIRST, (FIRST,))
    net.until("finish", lost=(THIRD,))
    assert decided(net, "finish").register.stewards == (FIRST, SECOND, FOURTH)
