"""Paths are opened by two peers that were both just there, and heard once and in order, whatever relays do."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from relay_world import ME, NOW, R1, R2, R3, YOU, End, boxes, peer_id

from protocol.relay.messages import Accepting, Ended, Opening, Relayed, Word
from protocol.relay.outcomes import Came, Outcome, PathDown, PathUp, Spoilt
from protocol.relay.paths import FRAME_MOST_BYTES
from protocol.sim.keys import SimSealer
from protocol.terms.effects import Effect
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    ACKNOWLEDGED_WITHIN_S,
    BEAT_EVERY_S,
    HALF_PATHS,
    MISSED_MOST,
    OPEN_TRY_S,
    OPEN_WITHIN_S,
    PATH_DEAD_S,
    PATHS,
    RETIRED_S,
)
from protocol.wire.codec import decode, encode

Letter = Opening | Accepting | Word | Ended
Tamper = Callable[[PeerId, Relayed], list[Relayed]]


class Pair:
    """Two ends, honest relays between them unless `tamper` says otherwise, and what came of it."""

    def __init__(self, *relays: PeerId) -> None:
        relays = relays or (R1, R2)
        self.ends = {ME: End(ME, relays, 1), YOU: End(YOU, relays, 2)}
        self.now = NOW
        self.told: dict[PeerId, list[Outcome]] = {ME: [], YOU: []}
        self.used: list[PeerId] = []
        self.carried: list[tuple[PeerId, Relayed]] = []
        self.tamper: Tamper = lambda relay, message: [message]

    @property
    def mine(self) -> End:
        return self.ends[ME]

    @property
    def yours(self) -> End:
        return self.ends[YOU]

    def carry(self, effects: list[Effect]) -> None:
        """Passes everything on, and what follows from it too."""
        todo = boxes(effects)
        while todo:
            relay, message = todo.pop(0)
            self.used.append(relay)
            self.carried.append((relay, message))
            for passed in self.tamper(relay, message):
                todo += boxes(self.deliver(relay, passed))

    def deliver(self, relay: PeerId, message: Relayed) -> list[Effect]:
        end = self.ends[message.destination]
        effects, outcomes = end.paths.arrived(relay, message, self.now)
        self.told[end.me] += outcomes
        return effects

    def pass_time(self, seconds: float) -> None:
        """Lets time pass, in steps of a tenth of a second."""
        end_s = self.now + seconds
        while self.now < end_s:
            self.now = min(end_s, self.now + 0.1)
            for end in self.ends.values():
                due = end.paths.next_deadline()
                if due is not None and due.at_s <= self.now:
                    effects, outcomes = end.paths.tick(self.now)
                    self.told[end.me] += outcomes
                    end.paths.check()
                    later = end.paths.next_deadline()
                    assert later is None or later.at_s > self.now, "a deadline does not move"
                    self.carry(effects)

    def say(self, frame: bytes, by: PeerId = ME) -> None:
        other = YOU if by == ME else ME
        self.carry(self.ends[by].paths.send(other, frame, self.now))

    def heard(self, by: PeerId = YOU) -> list[bytes]:
        return [outcome.frame for outcome in self.told[by] if isinstance(outcome, Came)]


def opened(*relays: PeerId) -> Pair:
    pair = Pair(*relays)
    pair.carry(pair.mine.paths.seek(YOU, pair.now))
    assert pair.told == {ME: [PathUp(YOU)], YOU: [PathUp(ME)]}
    for told in pair.told.values():
        told.clear()
    pair.used.clear()
    pair.carried.clear()
    return pair


def sealed(letter: Letter, origin: PeerId = ME, to: PeerId = YOU) -> Relayed:
    box = SimSealer(origin).seal(to, encode(letter))  # type: ignore[arg-type]  # a peer's key is a key
    assert box is not None
    return Relayed(to, origin, 0, 1000, box)


def read(message: Relayed) -> Letter:
    plain = SimSealer(message.destination).open(message.origin, message.box)  # type: ignore[arg-type]
    assert plain is not None
    letter: Letter = decode(plain, Letter)  # type: ignore[arg-type]  # a union is no type to mypy
    return letter


def test_a_path_opens_and_carries_both_ways() -> None:
    pair = opened()
    pair.say(b"there")
    pair.say(b"and back", YOU)
    pair.say(b"again")
    assert pair.heard() == [b"there", b"again"]
    assert pair.heard(ME) == [b"and back"]
    assert pair.mine.paths.carries(YOU)
    assert pair.mine.paths.through(YOU) == R1
    assert pair.mine.paths.peers() == [YOU]


def test_seeking_twice_is_seeking_once() -> None:
    pair = Pair()
    assert pair.mine.paths.seek(YOU, NOW)
    assert pair.mine.paths.seek(YOU, NOW) == []


def test_of_two_who_ask_at_once_the_lesser_goes_on() -> None:
    pair = Pair()
    mine = pair.mine.paths.seek(YOU, NOW)
    yours = pair.yours.paths.seek(ME, NOW)
    pair.carry(mine + yours)
    assert pair.told == {ME: [PathUp(YOU)], YOU: [PathUp(ME)]}
    pair.say(b"one", YOU)
    assert pair.heard(ME) == [b"one"]


def test_the_next_relay_is_tried_when_one_brings_no_answer() -> None:
    pair = Pair()
    pair.tamper = lambda relay, message: [] if relay == R1 else [message]
    pair.carry(pair.mine.paths.seek(YOU, pair.now))
    assert pair.told[ME] == []
    pair.pass_time(OPEN_TRY_S + 0.1)
    assert pair.told[ME] == [PathUp(YOU)]
    assert pair.mine.paths.through(YOU) == R2


def test_a_relay_that_says_it_cannot_is_not_waited_for() -> None:
    pair = Pair()
    pair.mine.paths.seek(YOU, NOW)
    pair.carry(pair.mine.paths.refused(R1, YOU, NOW))
    assert pair.told[ME] == [PathUp(YOU)]
    assert pair.mine.paths.through(YOU) == R2
    assert pair.mine.paths.refused(R1, YOU, NOW) == [], "it is not the one that is used"


@pytest.mark.parametrize("is_open", [False, True])
def test_when_all_relays_refused_they_are_asked_again_only_after_a_while(is_open: bool) -> None:
    pair = opened(R1, R2) if is_open else Pair(R1, R2)
    refused: list[float] = []
    effects = [] if is_open else pair.mine.paths.seek(YOU, pair.now)
    if is_open:
        effects = pair.mine.paths.send(YOU, b"frame", pair.now)
    end_s = pair.now + 2.0
    while pair.now < end_s:
        for relay, _ in boxes(effects):
            refused.append(pair.now)
            assert len(refused) < 30, "without end"
            effects = pair.mine.paths.refused(relay, YOU, pair.now)
            break
        else:
            pair.now += 0.05
            effects, _ = pair.mine.paths.tick(pair.now)
    assert 3 <= len(refused) <= 12


def test_a_path_that_does_not_open_is_given_up_and_can_be_sought_again() -> None:
    pair = Pair()
    pair.tamper = lambda relay, message: []
    pair.carry(pair.mine.paths.seek(YOU, pair.now))
    pair.pass_time(OPEN_WITHIN_S + 0.2)
    assert pair.told[ME] == []
    assert pair.mine.paths.next_deadline() is None
    assert boxes(pair.mine.paths.seek(YOU, pair.now))


def test_without_a_relay_nothing_is_begun_and_what_was_begun_waits_for_one() -> None:
    pair = Pair()
    pair.mine.relays = []
    assert pair.mine.paths.seek(YOU, pair.now) == []
    assert pair.mine.paths.next_deadline() is None
    pair.mine.relays = [R1]
    pair.mine.paths.seek(YOU, pair.now)
    pair.mine.relays = []
    pair.mine.paths.lost(R1, pair.now)
    pair.pass_time(OPEN_TRY_S)
    pair.mine.relays = [R3]
    pair.pass_time(OPEN_TRY_S)
    assert pair.told[ME] == [PathUp(YOU)]


@pytest.mark.parametrize("lie", ["drops", "alters", "swaps"])
def test_a_relay_that_turns_bad_is_exchanged(lie: str) -> None:
    """Whatever it does to what it passes on, the path lasts and another relay is taken."""
    pair = opened()
    other = sealed(Opening(b"x" * 16))

    def bad(relay: PeerId, message: Relayed) -> list[Relayed]:
        if relay != R1:
            return [message]
        if lie == "drops":
            return []
        box = message.box[:-1] + bytes([message.box[-1] ^ 1]) if lie == "alters" else other.box
        return [Relayed(message.destination, message.origin, 0, 1000, box)]

    pair.tamper = bad
    pair.pass_time(ACKNOWLEDGED_WITHIN_S + 2 * BEAT_EVERY_S)
    pair.used.clear()
    pair.say(b"still there?")
    pair.say(b"yes", YOU)
    assert (pair.heard(), pair.heard(ME)) == ([b"still there?"], [b"yes"])
    assert pair.used == [R2, R2]
    assert not any(isinstance(o, PathDown) for o in pair.told[ME] + pair.told[YOU])


def test_a_relay_that_loses_only_some_is_exchanged_too() -> None:
    """Beats get through, so only the gaps in the numbers tell."""
    pair = opened()
    pair.tamper = lambda relay, message: (
        [message]
        if relay != R1 or (isinstance(read(message), Word) and not len(message.box) > 250)
        else []
    )
    for number in range(MISSED_MOST + 2):
        pair.say(b"x" * 300 + b"%d" % number)
        pair.pass_time(BEAT_EVERY_S)
    pair.say(b"y" * 300)
    assert pair.heard()[-1] == b"y" * 300
    assert pair.mine.paths.through(YOU) == R2


def test_what_a_relay_repeats_or_delays_is_heard_once_and_in_order() -> None:
    pair = opened()
    kept: list[Relayed] = []
    pair.tamper = lambda relay, message: [message, message]
    pair.say(b"1")
    pair.tamper = lambda relay, message: kept.append(message) or []  # type: ignore[func-returns-value]
    pair.say(b"2")
    pair.tamper = lambda relay, message: [message, *kept]
    pair.say(b"3")
    assert pair.heard() == [b"1", b"3"]
    assert pair.yours.paths.counts["replayed"] == 2


def test_what_was_recorded_earlier_opens_nothing_and_is_not_heard() -> None:
    """A relay that kept a whole path says all of it again, to a peer that has forgotten it."""
    pair = Pair()
    pair.carry(pair.mine.paths.seek(YOU, pair.now))
    pair.say(b"secret")
    recorded = [message for _, message in pair.carried if message.destination == YOU]
    later = End(YOU, (R1,), seed=99)
    for message in recorded:
        effects, outcomes = later.paths.arrived(R1, message, NOW)
        assert outcomes == []
        answers = [read(answer) for _, answer in boxes(effects)]
        assert all(isinstance(answer, Accepting | Ended) for answer in answers)
    assert not later.paths.carries(ME)


def test_nobody_speaks_for_another() -> None:
    pair = opened()
    stranger = peer_id("stranger")
    forged = Relayed(YOU, ME, 0, 1000, sealed(Opening(b"x" * 16), stranger).box)
    assert pair.yours.paths.arrived(R1, forged, NOW) == ([], [])
    reflected = Relayed(ME, YOU, 0, 1000, sealed(Opening(b"x" * 16)).box)
    assert pair.mine.paths.arrived(R1, reflected, NOW) == ([], [])
    assert pair.mine.paths.arrived(R1, sealed(Opening(b"x" * 16), ME, ME), NOW) == ([], [])
    assert pair.mine.paths.counts["not-sealed"] == 2


def test_what_its_maker_spoilt_is_the_makers_fault() -> None:
    pair = opened()
    box = SimSealer(ME).seal(YOU, b"\xc1 no MessagePack")  # type: ignore[arg-type]
    assert box is not None
    effects, outcomes = pair.yours.paths.arrived(R1, Relayed(YOU, ME, 0, 1, box), NOW)
    assert effects == []
    assert [type(outcome) for outcome in outcomes] == [Spoilt]


def test_an_end_that_was_restarted_is_down_and_up_again() -> None:
    pair = opened()
    pair.ends[YOU] = End(YOU, (R1, R2), seed=3)
    pair.carry(pair.yours.paths.seek(ME, pair.now))
    assert pair.told[ME] == [PathDown(YOU, "it began anew"), PathUp(YOU)]
    pair.say(b"hello", YOU)
    assert pair.heard(ME) == [b"hello"]


def test_who_is_spoken_to_on_a_path_it_forgot_says_so() -> None:
    pair = opened()
    pair.ends[YOU] = End(YOU, (R1, R2), seed=3)
    pair.say(b"are you there")
    assert pair.told[ME] == [PathDown(YOU, "it ended the path")]
    assert pair.heard() == []
    assert not pair.mine.paths.carries(YOU)


def test_closing_tells_the_other_end() -> None:
    pair = opened()
    pair.carry(pair.mine.paths.close(YOU))
    assert pair.told[YOU] == [PathDown(ME, "it ended the path")]
    assert pair.mine.paths.close(YOU) == []
    assert pair.mine.paths.next_deadline() is None


def test_silence_ends_a_path() -> None:
    pair = opened()
    pair.tamper = lambda relay, message: []
    pair.pass_time(PATH_DEAD_S + 0.2)
    for told in pair.told.values():
        assert [type(outcome) for outcome in told] == [PathDown]
    assert {R1, R2} <= set(pair.used), "every relay was tried"


def test_who_was_late_itself_blames_nobody() -> None:
    pair = opened()
    pair.pass_time(1.0)
    pair.now += 60.0
    effects, outcomes = pair.mine.paths.tick(pair.now)
    assert outcomes == []
    pair.carry(effects)
    pair.pass_time(5.0)
    assert pair.told[ME] == []
    assert pair.mine.paths.through(YOU) == R1


def test_a_relay_that_is_gone_is_exchanged_at_once() -> None:
    pair = opened()
    pair.mine.relays = [R2]
    effects, outcomes = pair.mine.paths.lost(R1, pair.now)
    assert outcomes == []
    assert [relay for relay, _ in boxes(effects)] == [R2]
    pair.mine.relays = []
    _, outcomes = pair.mine.paths.lost(R2, pair.now)
    assert [type(outcome) for outcome in outcomes] == [PathDown]


def test_a_direct_connection_takes_over_and_late_words_are_heard() -> None:
    pair = opened()
    late = pair.yours.paths.send(ME, b"late", pair.now)
    pair.mine.paths.retire(YOU, pair.now)
    assert not pair.mine.paths.carries(YOU)
    pair.carry(late)
    assert pair.heard(ME) == [b"late"]
    pair.pass_time(RETIRED_S + 0.1)
    assert pair.mine.paths.next_deadline() is None
    assert not [o for o in pair.told[ME] if isinstance(o, PathDown)]


def test_a_frame_too_long_is_not_sent_and_counted() -> None:
    pair = opened()
    pair.say(b"x" * (FRAME_MOST_BYTES + 1))
    pair.say(b"x" * FRAME_MOST_BYTES)
    assert [len(frame) for frame in pair.heard()] == [FRAME_MOST_BYTES]
    assert pair.mine.paths.send(peer_id("nobody"), b"x", NOW) == []
    assert pair.mine.paths.counts["not-sent"] == 2


def test_what_others_ask_for_is_bounded() -> None:
    pair = Pair()
    for number in range(HALF_PATHS + 5):
        origin = peer_id(f"p{number}")
        effects, _ = pair.yours.paths.arrived(R1, sealed(Opening(b"x" * 16), origin), NOW)
        assert len(boxes(effects)) == 1, "at most one answer a message"
        pair.yours.paths.check()
    assert pair.yours.paths.counts["half-paths-full"] == 5


def test_what_this_peer_wants_is_bounded() -> None:
    pair = Pair()
    for number in range(PATHS + 3):
        pair.mine.paths.seek(peer_id(f"p{number}"), NOW)
    pair.mine.paths.check()
    assert pair.mine.paths.counts["paths-full"] == 3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["pass", "drop", "twice", "keep", "give", "alter"]), max_size=60),
    st.integers(0, 1 << 16),
)
def test_whatever_relays_do_frames_come_once_in_order_as_they_were_said(
    deeds: list[str], seed: int
) -> None:
    pair, dice, kept = opened(), Random(seed), []
    plan = iter(deeds)

    def tamper(relay: PeerId, message: Relayed) -> list[Relayed]:
        match next(plan, "pass"):
            case "drop":
                return []
            case "twice":
                return [message, message]
            case "keep":
                kept.append(message)
                return []
            case "give":
                return [message, *dice.sample(kept, len(kept))]
            case "alter":
                at = dice.randrange(len(message.box))
                box = message.box[:at] + b"?" + message.box[at + 1 :]
                return [Relayed(message.destination, message.origin, 0, 1, box)]
        return [message]

    pair.tamper = tamper
    said = [b"%d" % number for number in range(30)]
    for frame in said:
        pair.say(frame)
        pair.pass_time(0.1)
    heard = pair.heard()
    assert heard == sorted(set(heard), key=lambda f: int(f))
    assert set(heard) <= set(said)
    # Afterwards all is well: the path is there, or can be opened anew.
    pair.tamper = lambda relay, message: [message]
    pair.pass_time(PATH_DEAD_S + 1.0)
    if not pair.mine.paths.carries(YOU):
        pair.carry(pair.mine.paths.seek(YOU, pair.now))
    before = len(pair.heard())
    pair.say(b"99")
    pair.pass_time(1.0)
    assert pair.heard()[before:] == [b"99"]
