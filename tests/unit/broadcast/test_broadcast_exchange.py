"""Two directories become equal by one comparison; lies are nobody's news; an earlier life is told apart."""

from random import Random

import msgspec

from protocol.broadcast.broadcast import Broadcast, Broken, Expired, Learnt, Stray
from protocol.broadcast.messages import BroadcastMessage, Compare, Gossip, Records
from protocol.sim.keys import SimSigner, SimVerifier
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import KeyId, PeerId
from protocol.terms.limits import COMPARE_SOON_S
from protocol.trust.record import Record, SignedRecord, sign_record


class Everybody:
    """Anybody is a member; where each is, and the presences that were shown, by owner."""

    def __init__(self, sites: dict[str, str] | None = None) -> None:
        self.sites = sites or {}
        self.presences: dict[str, SignedRecord] = {}
        self.strangers = False

    def admits(self, record: Record, now: float) -> bool:
        return not self.strangers

    def met(self, presence: Record, signed: SignedRecord, now: float) -> None:
        self.presences[presence.owner] = signed

    def site(self, peer: KeyId | PeerId) -> str:
        return self.sites.get(peer, "")

    def stands(self, record: Record, now: float) -> bool:
        return False

    def elsewhere(self, owner: KeyId) -> SignedRecord | None:
        return self.presences.get(owner)


class Pair:
    """Two peers that are neighbours, and what they say to each other until it is quiet."""

    def __init__(self) -> None:
        self.signers = [SimSigner("one"), SimSigner("two")]
        self.ids = [PeerId(signer.key) for signer in self.signers]
        self.sides = [
            Broadcast(signer, SimVerifier(), Random(1), 1, Everybody()) for signer in self.signers
        ]
        self.said: list[str] = []

    def compare(self, who: int) -> None:
        self.talk(who, self.sides[who].compare_with(self.ids[1 - who], 1.0))

    def talk(self, who: int, effects: list[Effect], now: float = 1.0) -> None:
        for effect in effects:
            assert isinstance(effect, Send)
            message = effect.message
            assert isinstance(message, BroadcastMessage)
            self.said.append(type(message).__name__)
            more, _ = self.sides[1 - who].handle(self.ids[who], message, now)
            self.talk(1 - who, more, now)


def publish(side: Broadcast, count: int, kind: str = "grid") -> None:
    for number in range(count):
        side.publish(kind, f"n{number}", b"body", 60.0, 0.0)


def test_one_comparison_makes_them_equal() -> None:
    pair = Pair()
    publish(pair.sides[0], 100)
    publish(pair.sides[1], 3, "news")
    pair.compare(0)
    assert pair.sides[0].directory.roots() == pair.sides[1].directory.roots()
    assert len(pair.sides[0].directory) == 103
    assert pair.said.count("Compare") == pair.said.count("Digest") == 1
    pair.said.clear()
    pair.compare(1)
    assert pair.said == ["Compare"], "equals have nothing to say"


def test_neighbours_compare_at_once() -> None:
    pair = Pair()
    (hello,) = pair.sides[0].neighbour_up(pair.ids[1], 0.0)
    assert hello == Send(pair.ids[1], Compare((), True))


def test_news_is_learnt_once() -> None:
    pair = Pair()
    pair.sides[0].neighbour_up(pair.ids[1], 0.0)
    pair.sides[0].publish("advert", "", b"body", 60.0, 0.0)
    (push,) = pair.sides[0].flush(0.0)
    assert isinstance(push, Send)
    assert isinstance(push.message, Gossip)
    _, told = pair.sides[1].handle(pair.ids[0], push.message, 0.1)
    assert [type(item) for item in told] == [Learnt]
    assert pair.sides[1].handle(pair.ids[0], push.message, 0.2) == ([], [])


def test_what_both_say_to_each_other_is_said_once() -> None:
    pair = Pair()
    one, two = pair.sides
    for side, other in ((one, pair.ids[1]), (two, pair.ids[0])):
        side.neighbour_up(other, 0.0)
        side.publish("advert", "", b"first", 60.0, 0.0)
        side.flush(0.0)
    third = SimSigner("third")
    signed = sign_record(Record(third.key, "advert", "", 1, 1, b"", 60.0), third)
    for side in pair.sides:
        side.take(PeerId("elsewhere"), signed, 0.001)
    (push,) = one.flush(1.0)
    assert isinstance(push, Send)
    assert isinstance(push.message, Gossip)
    two.handle(pair.ids[0], push.message, 1.0)
    assert two.flush(1.0) == []


def forged(pair: Pair) -> SignedRecord:
    genuine = Record(pair.signers[0].key, "advert", "", 1, 1, b"", 60.0)
    return SignedRecord(sign_record(genuine, pair.signers[0]).payload, b"x" * 32)


def test_a_forged_record_is_the_senders_shame() -> None:
    pair = Pair()
    for message in (Gossip((forged(pair),)), Records((forged(pair), forged(pair)))):
        effects, told = pair.sides[1].handle(pair.ids[0], message, 0.0)
        assert effects == []
        assert all(isinstance(item, Broken) and item.peer == pair.ids[0] for item in told)
    assert len(pair.sides[1].directory) == 0


def test_garbage_in_a_record_is_no_crash() -> None:
    pair = Pair()
    for payload in (b"", b"\xc1", b"\x80"):
        _, told = pair.sides[1].handle(pair.ids[0], Gossip((SignedRecord(payload, b""),)), 0.0)
        assert [type(item) for item in told] == [Broken]


def test_what_an_earlier_life_said_comes_back_as_a_stray() -> None:
    pair = Pair()
    publish(pair.sides[0], 1)
    (held,) = pair.sides[0].directory.of_kind("grid")
    reborn = Broadcast(pair.signers[0], SimVerifier(), Random(1), 2, Everybody())
    _, told = reborn.handle(pair.ids[1], Gossip((held.signed,)), 1.0)
    assert told == [Stray(held.record)]
    assert len(reborn.directory) == 0


def test_what_this_life_said_for_another_site_only_is_no_stray_when_it_comes_back() -> None:
    """It is not kept here. Taken for an earlier life's, it would be taken back and come back for ever."""
    pair = Pair()
    one = pair.sides[0]
    one.narrow("s1")
    one.publish("suspicion", "x", b"body", 60.0, 0.0, "s2")
    record = Record(pair.signers[0].key, "suspicion", "x", 1, 1, b"body", 60.0, "s2")
    gossip = Gossip((sign_record(record, pair.signers[0]),))
    assert one.handle(pair.ids[1], gossip, 1.0) == ([], [])
    earlier = msgspec.structs.replace(record, incarnation=0, sequence=9)
    gossip = Gossip((sign_record(earlier, pair.signers[0]),))
    assert one.handle(pair.ids[1], gossip, 1.0) == ([], [Stray(earlier)])


def test_strangers_records_are_not_kept() -> None:
    stranger = SimSigner("stranger")
    members = Everybody()
    members.strangers = True
    side = Broadcast(SimSigner("one"), SimVerifier(), Random(1), 1, members)
    record = Record(stranger.key, "advert", "", 1, 1, b"", 60.0)
    assert side.handle(PeerId("two"), Gossip((sign_record(record, stranger),)), 0.0) == ([], [])


def test_the_end_of_a_record_is_told() -> None:
    pair = Pair()
    pair.sides[0].publish("advert", "", b"", 10.0, 0.0)
    _, told = pair.sides[0].tick(20.0)
    assert [type(item) for item in told] == [Expired]


def sites(pair: Pair, one: str, two: str) -> None:
    """Both sides narrow to their own site, and know where the other is."""
    where = dict(zip(pair.ids, (one, two), strict=True))
    for side, site in zip(pair.sides, (one, two), strict=True):
        side._members = Everybody(dict(where))
        side.narrow(site)


def test_narrowed_peers_of_two_sites_share_what_is_for_everybody_and_no_more() -> None:
    pair = Pair()
    sites(pair, "uc", "fnal")
    for scope in ("", "uc"):
        pair.sides[0].publish("news", f"for-{scope}", b"", 60.0, 0.0, scope)
    pair.compare(0)
    pair.compare(1)
    assert [r.scope for r in pair.sides[1].directory.roots()] == [""]
    assert len(pair.sides[1].directory) == 1


def test_narrowed_peers_of_one_site_share_all_of_it() -> None:
    pair = Pair()
    sites(pair, "uc", "uc")
    for scope in ("", "uc"):
        pair.sides[0].publish("news", f"for-{scope}", b"", 60.0, 0.0, scope)
    pair.compare(1)
    assert pair.sides[1].directory.roots() == pair.sides[0].directory.roots()
    assert len(pair.sides[1].directory) == 2


def test_what_goes_to_another_site_goes_behind_its_owners_presence() -> None:
    pair = Pair()
    sites(pair, "uc", "fnal")
    one, two = pair.sides
    one.neighbour_up(pair.ids[1], 0.0)
    one.publish("presence", "", b"it is me", 60.0, 0.0, "uc")
    assert one.flush(0.0) == [], "a presence of a site stays there"
    held = one.directory.get(KeyId(pair.ids[0]), "presence")
    assert held is not None
    members = one._members
    assert isinstance(members, Everybody)
    members.presences[pair.ids[0]] = held.signed
    one.publish("news", "", b"line", 60.0, 0.0)
    (push,) = one.flush(0.0)
    assert isinstance(push, Send)
    assert isinstance(push.message, Gossip)
    assert [signed == held.signed for signed in push.message.records] == [True, False]
    _, told = two.handle(pair.ids[0], push.message, 1.0)
    assert [item.record.kind for item in told if isinstance(item, Learnt)] == ["news"]
    theirs = two._members
    assert isinstance(theirs, Everybody)
    assert theirs.presences == {pair.ids[0]: held.signed}


def test_an_exchange_that_was_cut_off_goes_on_soon() -> None:
    pair = Pair()
    pair.sides[0].compare_with(pair.ids[1], 100.0)
    deadline = pair.sides[0].next_deadline()
    assert deadline is not None
    assert deadline.at_s == 100.0 + COMPARE_SOON_S
