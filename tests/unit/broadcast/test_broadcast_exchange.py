"""Two directories become equal by one comparison; lies are nobody's news; an earlier life is told apart."""

from random import Random

from protocol.broadcast.broadcast import Broadcast, Broken, Ended, Learnt, Stray
from protocol.broadcast.messages import BroadcastMessage, Compare, Gossip, Records
from protocol.sim.keys import SimSigner, SimVerifier
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId
from protocol.trust.record import Record, SignedRecord, sign_record


class Pair:
    """Two peers that are neighbours, and what they say to each other until it is quiet."""

    def __init__(self) -> None:
        self.signers = [SimSigner("one"), SimSigner("two")]
        self.ids = [PeerId(signer.key) for signer in self.signers]
        self.sides = [
            Broadcast(signer, SimVerifier(), Random(1), 1, lambda record: True)
            for signer in self.signers
        ]
        self.said: list[str] = []

    def talk(self, who: int, effects: list[Effect], now: float = 1.0) -> None:
        for effect in effects:
            assert isinstance(effect, Send)
            message = effect.message
            assert isinstance(message, BroadcastMessage)
            self.said.append(type(message).__name__)
            more, _ = self.sides[1 - who].handle(self.ids[who], message, now)
            self.talk(1 - who, more, now)


def publish(side: Broadcast, count: int, kind: str = "advert") -> None:
    for number in range(count):
        side.publish(kind, f"n{number}", b"body", 60.0, 0.0)


def test_one_comparison_makes_them_equal() -> None:
    pair = Pair()
    publish(pair.sides[0], 100)
    publish(pair.sides[1], 3, "grid")
    pair.talk(0, [Send(pair.ids[1], Compare(pair.sides[0].directory.digest()))])
    assert pair.sides[0].directory.digest() == pair.sides[1].directory.digest()
    assert len(pair.sides[0].directory) == 103
    assert pair.said.count("Compare") == pair.said.count("Differ") == 1
    pair.said.clear()
    pair.talk(1, [Send(pair.ids[0], Compare(pair.sides[1].directory.digest()))])
    assert pair.said == ["Compare"], "equals have nothing to say"


def test_neighbours_compare_at_once() -> None:
    pair = Pair()
    (hello,) = pair.sides[0].neighbour_up(pair.ids[1], 0.0)
    assert hello == Send(pair.ids[1], Compare(pair.sides[0].directory.digest()))


def test_news_is_learnt_once() -> None:
    pair = Pair()
    pair.sides[0].neighbour_up(pair.ids[1], 0.0)
    (push,) = pair.sides[0].publish("advert", "", b"body", 60.0, 0.0)
    assert isinstance(push, Send)
    assert isinstance(push.message, Gossip)
    _, told = pair.sides[1].handle(pair.ids[0], push.message, 0.1)
    assert [type(item) for item in told] == [Learnt]
    assert pair.sides[1].handle(pair.ids[0], push.message, 0.2) == ([], [])


def forged(pair: Pair) -> SignedRecord:
    genuine = Record(pair.signers[0].key, "advert", "", 1, 1, b"", 60.0)
    return SignedRecord(sign_record(genuine, pair.signers[0]).payload, b"x" * 32)


def test_a_forged_record_is_the_senders_shame() -> None:
    pair = Pair()
    for message in (Gossip(forged(pair)), Records((forged(pair), forged(pair)))):
        effects, told = pair.sides[1].handle(pair.ids[0], message, 0.0)
        assert effects == []
        assert all(isinstance(item, Broken) and item.peer == pair.ids[0] for item in told)
    assert len(pair.sides[1].directory) == 0


def test_garbage_in_a_record_is_no_crash() -> None:
    pair = Pair()
    for payload in (b"", b"\xc1", b"\x80"):
        _, told = pair.sides[1].handle(pair.ids[0], Gossip(SignedRecord(payload, b"")), 0.0)
        assert [type(item) for item in told] == [Broken]


def test_what_an_earlier_life_said_comes_back_as_a_stray() -> None:
    pair = Pair()
    publish(pair.sides[0], 1)
    (held,) = pair.sides[0].directory.of_kind("advert")
    reborn = Broadcast(pair.signers[0], SimVerifier(), Random(1), 2, lambda record: True)
    _, told = reborn.handle(pair.ids[1], Gossip(held.signed), 1.0)
    assert told == [Stray(held.record)]
    assert len(reborn.directory) == 0


def test_strangers_records_are_not_kept() -> None:
    stranger = SimSigner("stranger")
    side = Broadcast(SimSigner("one"), SimVerifier(), Random(1), 1, lambda record: False)
    record = Record(stranger.key, "advert", "", 1, 1, b"", 60.0)
    assert side.handle(PeerId("two"), Gossip(sign_record(record, stranger)), 0.0) == ([], [])


def test_the_end_of_a_record_is_told() -> None:
    pair = Pair()
    pair.sides[0].publish("advert", "", b"", 10.0, 0.0)
    _, told = pair.sides[0].tick(20.0)
    assert [type(item) for item in told] == [Ended]
