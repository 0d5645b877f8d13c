"""One change of one register, from the first message to its end: which stewards are heard, and when."""

from random import Random

import pytest

from protocol.register.messages import Accept, Accepted, Ballot, Conflict, Prepare, Promise
from protocol.register.proposer import Proposers, Settled, Unsettled
from protocol.terms.effects import Deadline, Effect, Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import REGISTER_REPLY_WITHIN_S, REGISTER_TRIES
from protocol.wire.codec import Malformed, MalformedReason

ME, RIVAL = PeerId("p1"), PeerId("p2")
KEY = "owner/name"
LIE = b"\xc1"
THREE = tuple(PeerId(f"s{number}") for number in range(3))


class Scripted(Random):
    """Dice whose every pause is the shortest or the longest there may be."""

    def __init__(self, *, longest: bool) -> None:
        super().__init__(0)
        self._longest = longest

    def uniform(self, a: float, b: float) -> float:
        """One of the ends."""
        return b if self._longest else a


class Talk:
    """A proposer with one change under way, and what its stewards say to it."""

    def __init__(self, stewards: tuple[PeerId, ...] = THREE, *, longest: bool = False) -> None:
        self.proposers = Proposers[str](ME, 1, Scripted(longest=longest))
        self.stewards = stewards
        self.now = 100.0
        self.ballot = Ballot(0, ME, 0)
        self.asked(self.proposers.propose("change", KEY, stewards, adding, self.now, "why"))

    def asked(self, effects: list[Effect]) -> None:
        """What was sent is a Prepare under a new ballot, to each steward."""
        before = self.ballot
        self.ballot = ballot_of(effects)
        assert self.ballot > before
        prepare = Prepare(key=KEY, ballot=self.ballot)
        assert effects == [Send(steward, prepare, "why") for steward in self.stewards]

    def promise(
        self, steward: PeerId, accepted: Ballot | None = None, value: bytes = b""
    ) -> list[Effect]:
        """What the proposer does about a promise."""
        promise = Promise(key=KEY, ballot=self.ballot, accepted=accepted, value=value)
        effects, outcomes = self.proposers.handle(steward, promise, self.now)
        assert outcomes == []
        return effects

    def accept(self, steward: PeerId) -> list[Settled[str] | Unsettled[str]]:
        """What comes out of an acceptance."""
        accepted = Accepted(key=KEY, ballot=self.ballot)
        effects, outcomes = self.proposers.handle(steward, accepted, self.now)
        assert effects == []
        return outcomes

    def conflict(self, promised: Ballot) -> float:
        """How long the proposer pauses after it heard of `promised`."""
        conflict = Conflict(key=KEY, ballot=self.ballot, promised=promised)
        assert self.proposers.handle(self.stewards[0], conflict, self.now) == ([], [])
        return self.deadline_s() - self.now

    def deadline_s(self) -> float:
        """When it goes on by itself."""
        deadline = self.proposers.next_deadline()
        assert deadline == Deadline(deadline.at_s if deadline else 0.0, "register")
        return deadline.at_s

    def tick(self) -> tuple[list[Effect], list[Settled[str] | Unsettled[str]]]:
        """Moves the clock to the deadline. Checks that nothing happens a moment before."""
        at_s = self.deadline_s()
        assert self.proposers.tick(at_s - 0.001) == ([], [])
        self.now = at_s
        return self.proposers.tick(at_s)

    def again(self) -> None:
        """Begins the next try."""
        effects, outcomes = self.tick()
        assert outcomes == []
        self.asked(effects)


def adding(value: bytes) -> bytes:
    """The change under test. Raises Malformed for what is no value."""
    if value == LIE:
        raise Malformed(MalformedReason.BAD_SHAPE, "no value")
    return value + b"x"


def ballot_of(effects: list[Effect]) -> Ballot:
    """The ballot of the messages that were sent."""
    sent = effects[0]
    assert isinstance(sent, Send)
    assert isinstance(sent.message, Prepare)
    return sent.message.ballot


def accepts(talk: Talk, value: bytes) -> list[Effect]:
    """The effects that ask every steward to accept `value`."""
    ask = Accept(key=KEY, ballot=talk.ballot, value=value)
    return [Send(steward, ask, "why") for steward in talk.stewards]


def test_a_read_that_finds_nothing_writes_nothing() -> None:
    """A steward that lost its disk and one that never had the value are a majority; the third still has it."""
    proposers = Proposers[str](ME, 1, Scripted(longest=False))
    ballot = ballot_of(proposers.propose("read", KEY, THREE, lambda value: value, 100.0, "why"))
    nothing = Promise(key=KEY, ballot=ballot, accepted=None, value=b"")
    assert proposers.handle(THREE[0], nothing, 100.1) == ([], [])
    assert proposers.handle(THREE[1], nothing, 100.1) == ([], [Settled("read", b"")])
    assert proposers.busy("read") is False
    assert proposers.handle(THREE[2], nothing, 100.2) == ([], [])


@pytest.mark.parametrize(("stewards", "majority"), [(1, 1), (3, 2), (4, 3), (5, 3), (7, 4)])
def test_a_majority_decides_in_both_rounds_and_the_rest_is_not_waited_for(
    stewards: int, majority: int
) -> None:
    talk = Talk(tuple(PeerId(f"s{number}") for number in range(stewards)))
    for steward in talk.stewards[: majority - 1]:
        assert talk.promise(steward) == []
    assert talk.promise(talk.stewards[majority - 1]) == accepts(talk, b"x")
    for steward in talk.stewards[majority:]:
        assert talk.promise(steward) == []
    for steward in talk.stewards[: majority - 1]:
        assert talk.accept(steward) == []
    assert talk.proposers.busy("change") is True
    assert talk.accept(talk.stewards[majority - 1]) == [Settled("change", b"x")]
    assert talk.proposers.busy("change") is False
    assert talk.proposers.next_deadline() is None


def test_one_steward_heard_twice_is_one() -> None:
    talk = Talk()
    assert talk.promise(THREE[0]) == talk.promise(THREE[0]) == []
    assert talk.promise(THREE[1]) == accepts(talk, b"x")
    assert talk.accept(THREE[0]) == talk.accept(THREE[0]) == []


@pytest.mark.parametrize("first", [0, 1, 2])
def test_the_value_of_the_newest_acceptance_goes_on(first: int) -> None:
    """It does not matter which answers first: nothing accepted is oldest, and a greater ballot is newer."""
    answers = [(None, b""), (Ballot(3, ME, 1), b"old"), (Ballot(3, RIVAL, 1), b"new")]
    talk = Talk(tuple(PeerId(f"s{number}") for number in range(5)))
    *early, last = answers[first:] + answers[:first]
    for steward, (accepted, value) in zip(talk.stewards, early, strict=False):
        assert talk.promise(steward, accepted, value) == []
    assert talk.promise(talk.stewards[2], *last) == accepts(talk, b"newx")


def test_an_acceptance_of_nothing_is_newer_than_none() -> None:
    """What was decided may be empty again. The ballot tells, not the value."""
    talk = Talk(tuple(PeerId(f"s{number}") for number in range(5)))
    talk.promise(talk.stewards[0], Ballot(1, RIVAL, 1), b"old")
    talk.promise(talk.stewards[1], Ballot(2, RIVAL, 1), b"")
    assert talk.promise(talk.stewards[2]) == accepts(talk, b"x")


def test_nobody_outside_the_stewards_is_counted() -> None:
    talk = Talk()
    for stranger in (RIVAL, PeerId("s3"), ME):
        assert talk.promise(stranger) == []
    talk.promise(THREE[0])
    talk.promise(THREE[1])
    for stranger in (RIVAL, PeerId("s3"), ME):
        assert talk.accept(stranger) == []


def test_an_answer_about_another_register_is_not_counted() -> None:
    talk = Talk()
    for steward in THREE:
        promise = Promise(key="owner/other", ballot=talk.ballot, accepted=None, value=b"")
        assert talk.proposers.handle(steward, promise, talk.now) == ([], [])


def test_what_was_promised_or_accepted_under_an_earlier_ballot_is_not_counted() -> None:
    talk = Talk()
    earlier = talk.ballot
    talk.promise(THREE[0])
    talk.conflict(Ballot(1, RIVAL, 1))
    talk.again()
    promise = Promise(key=KEY, ballot=earlier, accepted=None, value=b"")
    assert talk.proposers.handle(THREE[1], promise, talk.now) == ([], [])
    assert talk.promise(THREE[2]) == [], "the promise to the earlier ballot still counts"
    assert talk.promise(THREE[1]) == accepts(talk, b"x")
    talk.accept(THREE[0])
    talk.conflict(Ballot(2, RIVAL, 1))
    talk.again()
    talk.promise(THREE[0])
    assert talk.promise(THREE[1]) == accepts(talk, b"x"), "it still waits for acceptances"
    assert talk.accept(THREE[1]) == [], "the acceptance of the earlier ballot still counts"


def test_nothing_is_heard_during_a_pause() -> None:
    """Its ballot is beaten; the next one asks everybody again."""
    talk = Talk()
    talk.promise(THREE[0])
    talk.conflict(Ballot(1, RIVAL, 1))
    assert talk.promise(THREE[1]) == []
    until_s = talk.deadline_s()
    talk.now += 0.01
    assert talk.conflict(Ballot(9, RIVAL, 1)) == pytest.approx(until_s - talk.now)


def test_an_acceptance_of_what_was_not_asked_settles_nothing() -> None:
    talk = Talk()
    for steward in THREE:
        assert talk.accept(steward) == []


def test_each_round_has_its_time() -> None:
    talk = Talk()
    assert talk.deadline_s() == talk.now + REGISTER_REPLY_WITHIN_S
    talk.now += 0.5
    talk.promise(THREE[0])
    assert talk.deadline_s() == talk.now + 0.5, "half of a majority gains no time"
    talk.promise(THREE[1])
    assert talk.deadline_s() == talk.now + REGISTER_REPLY_WITHIN_S
    talk.now += 0.5
    talk.promise(THREE[2])
    assert talk.deadline_s() == talk.now + 0.5, "who comes late gains no time"


def test_after_silence_it_pauses_and_asks_again() -> None:
    talk = Talk()
    assert talk.tick() == ([], [])
    assert talk.deadline_s() > talk.now
    talk.again()
    assert talk.deadline_s() == talk.now + REGISTER_REPLY_WITHIN_S


@pytest.mark.parametrize("longest", [False, True], ids=["shortest", "longest"])
def test_pauses_of_rivals_spread_more_with_each_try_up_to_a_third_of_a_second(
    longest: bool,
) -> None:
    talk, pauses_ms = Talk(longest=longest), []
    for _ in range(8):
        pauses_ms.append(round(1000 * talk.conflict(Ballot(talk.ballot.round, RIVAL, 1))))
        talk.again()
    assert pauses_ms == ([70, 120, 170, 220, 270, 320, 320, 320] if longest else [20] * 8)


def test_the_next_ballot_is_the_first_beyond_what_beat_this_one() -> None:
    talk = Talk()
    assert talk.ballot == Ballot(1, ME, 1)
    talk.conflict(Ballot(9, RIVAL, 1))
    talk.again()
    assert talk.ballot == Ballot(10, ME, 1)


def test_a_conflict_never_takes_rounds_back() -> None:
    """Another change has gone on meanwhile. Its ballot must not come twice."""
    talk = Talk()
    proposers = talk.proposers
    for other in ("second", "third"):
        ballot = ballot_of(proposers.propose(other, KEY, THREE, adding, talk.now, ""))
    talk.conflict(Ballot(1, RIVAL, 1))
    talk.again()
    assert talk.ballot > ballot


def test_each_change_hears_its_own_answers() -> None:
    talk = Talk()
    other = ballot_of(talk.proposers.propose("other", KEY, THREE, adding, talk.now, "other"))
    talk.promise(THREE[0])
    promise = Promise(key=KEY, ballot=other, accepted=None, value=b"")
    assert talk.proposers.handle(THREE[1], promise, talk.now) == ([], [])
    assert talk.promise(THREE[2]) == accepts(talk, b"x")


def test_the_first_deadline_of_all_changes_counts() -> None:
    talk = Talk()
    talk.proposers.propose("later", KEY, THREE, adding, talk.now + 0.5, "")
    assert talk.deadline_s() == talk.now + REGISTER_REPLY_WITHIN_S


@pytest.mark.parametrize(
    ("promised", "accepted", "heard"), [(0, 0, 0), (1, 0, 1), (2, 0, 0), (2, 1, 1), (3, 1, 1)]
)
def test_it_says_how_many_answered_the_round_that_failed(
    promised: int, accepted: int, heard: int
) -> None:
    talk = Talk()
    for _ in range(REGISTER_TRIES - 1):
        assert talk.tick() == ([], [])
        talk.again()
    for steward in THREE[:promised]:
        talk.promise(steward)
    for steward in THREE[:accepted]:
        assert talk.accept(steward) == []
    why = f"{heard} of 3 stewards answered, 2 needed"
    assert talk.tick() == ([], [Unsettled("change", why)])


def test_a_steward_whose_value_cannot_be_read_is_not_heard_and_stops_nobody() -> None:
    talk = Talk()
    assert talk.promise(THREE[0]) == []
    assert talk.promise(THREE[1], Ballot(9, RIVAL, 1), LIE) == [], "it has no majority yet"
    effects = talk.promise(THREE[2], Ballot(1, RIVAL, 1), b"old")
    assert [e.message.value for e in effects if isinstance(e, Send)] == [b"oldx"] * 3  # type: ignore[union-attr]


def test_stewards_that_all_say_what_cannot_be_read_settle_nothing() -> None:
    talk = Talk()
    for steward in THREE:
        assert talk.promise(steward, Ballot(9, RIVAL, 1), LIE) == []
    effects, outcomes = talk.tick()
    assert (effects, outcomes) == ([], []), "it pauses, and asks again"
