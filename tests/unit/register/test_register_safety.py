"""CASPaxos under everything a network and a power cut may do: one history, whatever is lost or comes twice."""

import itertools
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.register.acceptor import TABLE, Acceptor
from protocol.register.messages import Accept, Accepted, Ballot, Conflict, Prepare, Promise
from protocol.register.proposer import Change, Proposers, Settled, Unsettled
from protocol.terms.effects import Effect, Persist, Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import REGISTER_REPLY_WITHIN_S, REGISTER_TRIES

KEY = "owner/name"
STEWARDS = tuple(PeerId(name) for name in ("s1", "s2", "s3"))


def adding(mark: bytes) -> Change:
    """Adds its mark once."""
    return lambda value: value if mark in value else value + mark


class Net:
    """Three acceptors, two proposers, and messages that wait until somebody moves them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rows: dict[PeerId, dict[str, bytes]] = {peer: {} for peer in STEWARDS}
        self.acceptors = {peer: Acceptor({}) for peer in STEWARDS}
        self.lives = {PeerId("p1"): 1, PeerId("p2"): 1}
        self.proposers = {p: Proposers(p, 1, Random(7)) for p in self.lives}
        self.waiting: list[tuple[PeerId, PeerId, object]] = []
        self.votes: dict[Ballot, dict[PeerId, bytes]] = {}
        self.settled: list[bytes] = []
        self.changes = 0

    def carry(self, who: PeerId, effects: list[Effect]) -> None:
        saved = False
        for effect in effects:
            match effect:
                case Persist(rows=rows):
                    saved = True
                    for row in rows:
                        assert row.table == TABLE
                        assert row.value is not None
                        self.rows[who][row.key] = row.value
                case Send(peer=peer, message=message):
                    if isinstance(message, Promise | Accepted):
                        assert saved, "said before it was on disk"
                    self.waiting.append((who, peer, message))

    def propose(self, who: PeerId) -> None:
        self.changes += 1
        mark = bytes([96 + self.changes])
        effects = self.proposers[who].propose(
            f"change-{self.changes}", KEY, STEWARDS, adding(mark), self.now, ""
        )
        self.carry(who, effects)

    def deliver(self, index: int, keep: bool) -> None:
        sender, to, message = self.waiting[index % len(self.waiting)]
        if not keep:
            del self.waiting[index % len(self.waiting)]
        if isinstance(message, Prepare | Accept):
            if isinstance(message, Accept):
                before = self.rows[to].get(KEY)
            self.carry(to, self.acceptors[to].handle(sender, message, ""))
            if isinstance(message, Accept) and self.rows[to].get(KEY) != before:
                self.vote(message.ballot, to, message.value)
        elif isinstance(message, Promise | Accepted | Conflict):
            effects, outcomes = self.proposers[to].handle(sender, message, self.now)
            self.carry(to, effects)
            self.settled += [o.value for o in outcomes if isinstance(o, Settled)]

    def vote(self, ballot: Ballot, who: PeerId, value: bytes) -> None:
        votes = self.votes.setdefault(ballot, {})
        votes[who] = value
        assert len(set(votes.values())) == 1, "two values under one ballot"

    def tick(self, who: PeerId) -> None:
        self.now += REGISTER_REPLY_WITHIN_S
        effects, outcomes = self.proposers[who].tick(self.now)
        self.carry(who, effects)
        self.settled += [o.value for o in outcomes if isinstance(o, Settled)]

    def restart(self, index: int) -> None:
        """A power cut at an acceptor, or at a proposer, which forgets what it asked."""
        peers = [*STEWARDS, *self.lives]
        peer = peers[index % len(peers)]
        if peer in self.acceptors:
            self.acceptors[peer] = Acceptor(self.rows[peer])
        else:
            self.lives[peer] += 1
            self.proposers[peer] = Proposers(peer, self.lives[peer], Random(self.lives[peer]))

    def check(self) -> None:
        """Decided values, in the order of their ballots, each go on from the one before."""
        for acceptor in self.acceptors.values():
            acceptor.check()
        decided = [
            next(iter(votes.values()))
            for ballot, votes in sorted(self.votes.items())
            if len(votes) >= 2
        ]
        for older, newer in itertools.pairwise(decided):
            assert newer.startswith(older), (older, newer)
        for value in self.settled:
            assert value in decided, "settled without a majority"


STEP = st.tuples(
    st.sampled_from(["deliver"] * 8 + ["twice", "lose", "tick", "propose", "restart"]),
    st.integers(0, 31),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEP, max_size=80))
def test_one_history(steps: list[tuple[str, int]]) -> None:
    net = Net()
    proposers = list(net.lives)
    net.propose(proposers[0])
    net.propose(proposers[1])
    for what, number in steps:
        who = proposers[number % 2]
        match what:
            case "deliver" | "twice" if net.waiting:
                net.deliver(number, what == "twice")
            case "lose" if net.waiting:
                del net.waiting[number % len(net.waiting)]
            case "tick":
                net.tick(who)
            case "propose" if net.changes < 6:
                net.propose(who)
            case "restart":
                net.restart(number)
            case _:
                pass
        net.check()


def test_every_order_of_two_rivals_first_messages() -> None:
    """Exhaustive: both proposals' prepares in every order, then everything delivered until it is over."""
    from itertools import permutations

    for order in permutations(range(6)):
        net = Net()
        for proposer in net.lives:
            net.propose(proposer)
        net.waiting = [net.waiting[i] for i in order]
        for turn in range(400):
            if net.waiting:
                net.deliver(0, False)
            else:
                net.tick(list(net.lives)[turn % 2])
            net.check()
            if len(net.settled) == 2:
                break
        assert sorted(net.settled, key=len)[-1] in (b"ab", b"ba")


def test_ballots_are_never_used_twice() -> None:
    """Two changes of one register at once, and one after a restart."""
    ballots = []
    for life in (1, 2):
        proposers = Proposers(PeerId("p1"), life, Random(1))
        for change in ("one", "two"):
            for effect in proposers.propose(change, KEY, STEWARDS, adding(b"x"), 0.0, ""):
                assert isinstance(effect, Send)
                assert isinstance(effect.message, Prepare)
                ballots.append((effect.peer, effect.message.ballot))
    assert len(ballots) == len(set(ballots)) == 12


def test_gives_up_and_says_how_many_answered() -> None:
    proposers = Proposers(PeerId("p1"), 1, Random(1))
    proposers.propose("change", KEY, STEWARDS, adding(b"x"), 0.0, "")
    assert proposers.propose("change", KEY, STEWARDS, adding(b"x"), 0.0, "") == []
    now, tries, outcomes = 0.0, 0, []
    while not outcomes:
        deadline = proposers.next_deadline()
        assert deadline is not None
        now = deadline.at_s
        effects, outcomes = proposers.tick(now)
        tries += bool(effects)
    assert outcomes == [Unsettled("change", "0 of 3 stewards answered, 2 needed")]
    assert tries == REGISTER_TRIES - 1
    assert proposers.next_deadline() is None
    assert not proposers.busy("change")


@pytest.mark.parametrize("who", ["s4", "p2"])
def test_who_is_no_steward_has_no_vote(who: str) -> None:
    proposers = Proposers(PeerId("p1"), 1, Random(1))
    (first, *_) = proposers.propose("change", KEY, STEWARDS, adding(b"x"), 0.0, "")
    assert isinstance(first, Send)
    assert isinstance(first.message, Prepare)
    promise = Promise(key=KEY, ballot=first.message.ballot, accepted=None, value=b"")
    for _ in range(3):
        assert proposers.handle(PeerId(who), promise, 0.1) == ([], [])
