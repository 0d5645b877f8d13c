"""An honest steward signs no two statements that prove a lie, whatever the others do to it.

The other two stewards of its register, and whoever asks, lie as they like: any ballot, value, certificate, seal
and evidence, signed as they can sign. They have it replaced, and back, as itself with another store even. The
steward restarts, forgets, and goes on.
"""

from collections import Counter
from random import Random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stewards_world import (
    ASKER,
    BY_ID,
    HEIRS,
    NOW,
    SEATED,
    SIGNERS,
    STEWARDS,
    STORE,
    STORES,
    VERIFIER,
    Steward,
)

from protocol.grid.decision import Ballot, Certificate, acceptance, promise, sign_acceptance
from protocol.grid.equivocation import Equivocation, check_equivocation
from protocol.grid.record import Register, register_key
from protocol.grid.seal import Closing, Seal, Seats
from protocol.grid.statement import Statement, Word, read_statement
from protocol.grid.steps import Finish, Vote
from protocol.register.messages import (
    Accept,
    Accepted,
    Conflict,
    LookAsk,
    Looked,
    Prepare,
    Promise,
    Sealed,
    StepAsk,
    StepDone,
)
from protocol.terms.effects import Effect, Persist, Send
from protocol.terms.ids import PeerId, StoreId, digest_of
from protocol.trust.signing import Untrusted
from protocol.wire.codec import encode

KEY = register_key(SEATED)
DAY_S = 86_400.0
OTHER_STORE = StoreId("e" * 16)
WAYS, TERMS = 6, 4
"""Chains of seals that the liars have ready, and how many terms of each there are."""
Told = list[Statement]


class Chain:
    """Which sets the two that lie have follow each other, and what each of them may decide."""

    def __init__(self, me: PeerId, way: int) -> None:
        """Not every set has this steward: it is replaced, comes back, or sits with another store."""
        self.me = me
        self.liars = tuple(peer for peer in STEWARDS if peer != me)
        mine: list[tuple[PeerId, StoreId]] = [
            *[
                (me, STORE[me]),
                (HEIRS[0], STORE[HEIRS[0]]),
                (me, OTHER_STORE),
                (HEIRS[1], STORES[4]),
            ]
        ]
        order = [(0, 1, 0, 1), (0, 1, 2, 0), (0, 2, 0, 2), (0, 3, 0, 3), (0, 1, 3, 0), (0, 2, 1, 0)]
        at = STEWARDS.index(me)
        self.sets: list[Seats] = []
        for which in order[way]:
            pairs = [(peer, STORE[peer]) for peer in STEWARDS]
            pairs[at] = mine[which]
            self.sets.append(Seats(tuple(p for p, _ in pairs), tuple(s for _, s in pairs)))
        self.seals: tuple[Seal, ...] = ()
        for term in range(TERMS - 1):
            self.seals += (self._seal(term, 2 + way % 2 + term),)

    def value(self, term: int, which: int) -> bytes:
        """One of the values of that term; the last closes it."""
        heirs = self.sets[term + 1] if which == 4 and term + 1 < TERMS else None
        closed = Closing(heirs.members, (), heirs.stores) if heirs is not None else None
        seals = self.seals[:term]
        return encode(Register(None, 1 + which, (), SEATED, seals=seals, closed=closed))

    def certificate(self, term: int, ballot: Ballot, value: bytes, which: int) -> Certificate:
        """The liars are a majority of each set, and sign for any ballot."""
        heirs = self.sets[term + 1] if which == 4 and term + 1 < TERMS else Seats()
        votes = tuple((peer, self._vote(term, ballot, value, heirs, peer)) for peer in self.liars)
        return Certificate(KEY, ballot, value, votes)

    def _seal(self, term: int, round_: int) -> Seal:
        ballot, heirs = Ballot(round_, self.liars[0]), self.sets[term + 1]
        value = self.value(term, 4)
        votes = tuple((peer, self._vote(term, ballot, value, heirs, peer)) for peer in self.liars)
        return Seal(heirs.members, ballot, digest_of(value), votes, heirs.stores)

    def _vote(self, term: int, ballot: Ballot, value: bytes, heirs: Seats, peer: PeerId) -> bytes:
        return sign_acceptance(BY_ID[peer], KEY, ballot, value, term, heirs, STORE[peer])


rounds, who, which = st.integers(0, 7), st.integers(0, 2), st.integers(0, 4)
ways, terms = st.integers(0, WAYS - 1), st.integers(0, TERMS - 1)
moves = st.one_of(
    st.tuples(st.just("prepare"), ways, terms, rounds, who),
    st.tuples(st.just("accept"), ways, terms, rounds, who, which),
    st.tuples(st.just("learn"), ways, terms, rounds, who, which),
    st.tuples(st.just("sealed"), ways, terms),
    st.tuples(st.just("step"), ways, terms, rounds, who, which, st.booleans()),
    st.tuples(st.just("promised"), ways, terms, who, st.none() | rounds, which),
    st.tuples(st.just("accepted"), who),
    st.tuples(st.just("conflict"), who, rounds),
    st.tuples(st.just("yours"), st.integers(0, 50)),
    st.tuples(st.just("look")),
    st.tuples(st.just("pass"), st.sampled_from([0.1, 2.0, 5.0, DAY_S, 33 * DAY_S, 500 * DAY_S])),
    st.tuples(st.just("forget")),
    st.tuples(st.just("restart")),
)


class Tried:
    """A steward among liars, and all that it ever signed."""

    def __init__(self, number: int) -> None:
        self.steward = Steward(SIGNERS[number])
        self.me, self.store = STEWARDS[number], STORES[number]
        self.chains = [Chain(self.me, way) for way in range(WAYS)]
        self.now = NOW
        self.told: Told = []
        self.asks: Prepare | Accept | None = None
        """What it asks of the others now."""
        self.term = 0
        self.asked = 0

    # -- what it signs

    def heard(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Persist):
                self.steward.keep([effect])
            match effect.message if isinstance(effect, Send) else None:
                case Promise(ballot=ballot, accepted=accepted, value=value, signature=signature):
                    for term in range(TERMS):
                        for store in (self.store, OTHER_STORE):
                            said = promise(KEY, ballot, accepted, value, term, store)
                            self.signed(Word.PROMISE, said, signature)
                case Accepted(ballot=ballot, signature=signature):
                    slot = self.steward.acceptor._kept[KEY].slot
                    self.accepted(ballot, slot.value, signature)
                case Looked(ballot=Ballot() as ballot, value=value, signature=signature):
                    self.accepted(ballot, value, signature)
                case StepDone(certificate=done):
                    if (vote := dict(done.votes).get(self.me)) is not None:
                        self.accepted(done.ballot, done.value, vote)
                case Prepare(seals=seals) as asks:
                    self.asks, self.term = asks, len(seals)
                case Accept() as asks:
                    self.asks = asks
        kept = self.steward.acceptor._kept.get(KEY)
        if kept is not None and kept.slot.accepted is not None:
            self.accepted(kept.slot.accepted, kept.slot.value, kept.slot.signature)

    def accepted(self, ballot: Ballot, value: bytes, signature: bytes) -> None:
        register = msgspec.msgpack.decode(value, type=Register)
        heirs = register.closed.seats if register.closed is not None else Seats()
        for store in (self.store, OTHER_STORE):
            said = acceptance(KEY, ballot, value, register.term, heirs, store)
            self.signed(Word.ACCEPTANCE, said, signature)

    def signed(self, word: Word, payload: bytes, signature: bytes) -> None:
        """It said that, if it is what it signed."""
        statement = Statement(word, payload, signature)
        right = BY_ID[self.me].sign(str(word), payload) == signature
        if right and statement not in self.told:
            self.told.append(statement)

    # -- what is done to it

    def move(self, what: str, *how: object) -> None:
        try:
            self.heard(self._move(what, *how))
        except Untrusted:
            return

    def _move(self, what: str, *how: object) -> list[Effect]:
        steward, now = self.steward, self.now
        match what, how:
            case "prepare", (int(way), int(term), int(round_), int(by)):
                ballot, seals = Ballot(round_, STEWARDS[by]), self.chains[way].seals[:term]
                ask = Prepare(register=KEY, ballot=ballot, order=SEATED, seals=seals)
                return steward.acceptor.handle(STEWARDS[by], ask, now)
            case "accept", (int(way), int(term), int(round_), int(by), int(which)):
                value = self.chains[way].value(term, which)
                told = Accept(register=KEY, ballot=Ballot(round_, STEWARDS[by]), value=value)
                return steward.acceptor.handle(STEWARDS[by], told, now)
            case "learn", (int(way), int(term), int(round_), int(by), int(which)):
                shown = self.shown(way, term, round_, by, which)
                return steward.acceptor.learn(KEY, shown, now)
            case "sealed", (int(way), int(term)):
                seals = self.chains[way].seals[:term]
                return steward.acceptor.follow(Sealed("", KEY, SEATED, seals), now)
            case "step", (int(way), int(term), int(round_), int(by), int(which), bool(shows)):
                self.asked += 1
                evidence = self.shown(way, term, round_, by, which) if shows else None
                step, seals = Vote(which) if which < 4 else Finish(), self.chains[way].seals[:term]
                ask = StepAsk(str(self.asked), KEY, step, SEATED, evidence, seals)
                return steward.stewarding.ask(ASKER, ask, now)
            case "promised", (int(way), int(term), int(by), at, int(which)):
                return self.promised(way, term, STEWARDS[by], at, which)
            case "accepted", (int(by),) if isinstance(self.asks, Accept):
                return self.voted(STEWARDS[by], self.asks)
            case "conflict", (int(by), int(round_)) if self.asks is not None:
                greater = Ballot(round_, STEWARDS[by])
                no = Conflict(register=KEY, ballot=self.asks.ballot, promised=greater)
                return steward.stewarding.handle(STEWARDS[by], no, now)
            case "yours", (int(number),) if self.told:
                shown = self.told[number % len(self.told)]
                return steward.acceptor.reminded(KEY, SEATED, shown, now)
            case "look", ():
                return steward.acceptor.handle(ASKER, LookAsk("a", KEY), now)
            case "pass", (float(seconds),):
                self.now += seconds
                return steward.stewarding.tick(self.now)
            case "forget", ():
                return steward.acceptor.forget(now)
            case "restart", ():
                steward.start()
        return []

    def shown(self, way: int, term: int, round_: int, by: int, which: int) -> Certificate:
        chain, ballot = self.chains[way], Ballot(round_, STEWARDS[by])
        return chain.certificate(term, ballot, chain.value(term, which), which)

    def promised(self, way: int, term: int, by: PeerId, at: object, which: int) -> list[Effect]:
        if self.asks is None or by == self.me:
            return []
        ballot, before, value = self.asks.ballot, None, b""
        if isinstance(at, int):
            before, value = Ballot(at, by), self.chains[way].value(term, which)
        said = promise(KEY, ballot, before, value, self.term, STORE[by])
        signature = BY_ID[by].sign("promise", said)
        word = Promise(
            register=KEY, ballot=ballot, accepted=before, value=value, signature=signature
        )
        return self.steward.stewarding.handle(by, word, self.now)

    def voted(self, by: PeerId, asks: Accept) -> list[Effect]:
        register = msgspec.msgpack.decode(asks.value, type=Register)
        heirs = register.closed.seats if register.closed is not None else Seats()
        if by == self.me:
            return []
        vote = sign_acceptance(
            BY_ID[by], KEY, asks.ballot, asks.value, register.term, heirs, STORE[by]
        )
        said = Accepted(register=KEY, ballot=asks.ballot, signature=vote)
        return self.steward.stewarding.handle(by, said, self.now)


def proofs(tried: Tried) -> list[str]:
    """Every pair of what it signed that proves a lie."""
    found = []
    for i, one in enumerate(tried.told):
        for other in tried.told[:i]:
            try:
                proven = check_equivocation(Equivocation(tried.me, one, other), VERIFIER)
            except Untrusted:
                continue
            found.append(proven.why)
    return found


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
@given(number=who, schedule=st.lists(moves, max_size=30))
def test_no_honest_steward_is_ever_proven_to_lie(
    number: int, schedule: list[tuple[object, ...]]
) -> None:
    tried = Tried(number)
    for what, *how in schedule:
        tried.move(str(what), *how)
        tried.steward.acceptor.check()
    assert proofs(tried) == []
    assert tried.steward.store == tried.store, "nor is it made to give up its store"


def drawn(tried: Tried, dice: Random, main: int, late: bool) -> tuple[object, ...]:
    """A move, mostly in the term and near the round where the steward is, so that most moves are taken."""
    kept = tried.steward.acceptor._kept.get(KEY)
    here, at = (kept.term, kept.slot.promised.round) if kept is not None else (0, 0)
    way = main if dice.random() < 0.9 else dice.randrange(WAYS)
    term = here if dice.random() < 0.96 else dice.randrange(TERMS)
    round_, by, value = max(0, at + dice.randrange(-2, 4)), dice.randrange(3), dice.randrange(5)
    before = dice.choice((None, round_))
    ordinary: list[tuple[object, ...]] = [
        *(("prepare", way, term, round_, by), ("accept", way, term, round_, by, value)),
        *(("learn", way, term, round_, by, value % 4), ("promised", way, term, by, before, value)),
        *(("step", way, term, round_, by, value % 4, dice.random() < 0.5), ("accepted", by)),
        *(("conflict", by, round_), ("yours", round_), ("look",), ("restart",)),
        ("pass", dice.choice((0.1, 2.0))),
    ]
    rare: list[tuple[object, ...]] = [
        *(("sealed", way, term + 1), ("learn", way, term, round_, by, 4), ("forget",)),
        ("pass", dice.choice((DAY_S, 33 * DAY_S, 500 * DAY_S)) if late else 5.0),
    ]
    return dice.choice(rare if dice.random() < 0.03 else ordinary)


@pytest.mark.parametrize("number", range(3))
def test_long_histories_among_liars_prove_nothing(number: int) -> None:
    """Sooner or later it signed some of everything, so the test above tries what it means to."""
    words: Counter[tuple[Word, bool]] = Counter()
    for seed in range(2 * WAYS):
        dice, tried = Random(100 * number + seed), Tried(number)
        for _ in range(300):
            what, *how = drawn(tried, dice, seed % WAYS, late=seed >= WAYS)
            tried.move(str(what), *how)
        assert proofs(tried) == []
        assert tried.steward.store == tried.store
        words.update((s.word, read_statement(s).term > 0) for s in tried.told)
    assert all(words[word, later] > 10 for word in Word for later in (False, True)), words


def test_a_steward_that_was_replaced_and_forgot_signs_nothing_anew() -> None:
    """By its old order or by its old seals it would say that it had accepted nothing."""
    tried = Tried(0)
    tried.move("accept", 0, 0, 0, 0, 1)
    tried.move("sealed", 0, 2)
    tried.move("accept", 0, 2, 6, 1, 1)
    tried.move("sealed", 0, 3)
    tried.move("pass", 500 * DAY_S)
    before = list(tried.told)
    assert {read_statement(s).term for s in before} == {0, 2}
    tried.move("forget")
    assert tried.steward.rows == {}
    for _ in range(2):
        for term in range(TERMS):
            tried.move("prepare", 0, term, 50, 1)
        tried.move("restart")
    assert tried.told == before
