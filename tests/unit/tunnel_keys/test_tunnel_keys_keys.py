"""Two hosts agree on keys, whatever is lost, repeated, late, or begins anew."""

from itertools import product

import msgspec
import pytest
from two_hosts import AES, BOTH, CHACHA, END, NAMES, NOW, End, Pair, identity, opens, refused

from protocol.grid.tunnel import TunnelEnd
from protocol.sim.keys import SimFederation
from protocol.terms.effects import Sealed
from protocol.tunnel_keys.limits import (
    ASK_ANEW_S,
    HANDOVER_S,
    HURRY_S,
    REKEY_S,
    RETIRED_S,
    SESSION_S,
)
from protocol.tunnel_keys.messages import (
    TunnelAnswer,
    TunnelAsk,
    TunnelConfirm,
    TunnelConfirmed,
    TunnelOffer,
)

TYPES = (TunnelOffer, TunnelAnswer, TunnelConfirm, TunnelConfirmed)


def test_two_hosts_have_matching_keys_after_one_offer_and_its_answer() -> None:
    pair = Pair()
    assert pair.carry() == ["TunnelOffer", "TunnelAnswer", "TunnelConfirm", "TunnelConfirmed"]
    assert pair.match()
    (one,), (other,) = pair.a.sessions(pair.b), pair.b.sessions(pair.a)
    assert one.send == other.receive != one.receive
    assert (one.index, one.peer_index) == (other.peer_index, other.index)
    assert len(one.send.reveal()) == len(one.receive.reveal()) == 32
    assert one.cipher is AES
    assert pair.a.row(pair.b).address == "192.0.2.1"
    assert pair.a.row(pair.b).port == 7700


def test_nothing_is_said_before_there_is_a_forwarder_or_an_end_to_reach() -> None:
    pair = Pair(forwarders=False)
    assert pair.wait(100.0) == []
    for end in pair.both:
        end.does(end.keys.began("one", BOTH, pair.now))
        other = pair.b if end is pair.a else pair.a
        end.does(end.keys.among({other.id: TunnelEnd("192.0.2.1", 1450)}, pair.now))
        assert end.row(other) == msgspec.structs.replace(end.row(other), port=0, sessions=())
    pair.carry()
    for end in pair.both:
        other = pair.b if end is pair.a else pair.a
        end.does(end.keys.among({other.id: None}, pair.now))
    assert pair.wait(100.0) == []
    pair.meet()
    pair.carry()
    assert pair.match()


def test_keys_are_replaced_every_two_minutes_and_each_direction_goes_on_all_the_while() -> None:
    pair = Pair()
    pair.carry()
    seen = {pair.a.sessions(pair.b)[0].index}
    for _ in range(20):
        pair.wait(REKEY_S / 2)
        assert pair.match()
        seen.add(pair.a.sessions(pair.b)[0].index)
    pair.wait(HANDOVER_S + RETIRED_S)
    seen.add(pair.a.sessions(pair.b)[0].index)
    assert len(seen) == 11
    assert len(pair.a.sessions(pair.b)) == len(pair.b.sessions(pair.a)) == 1


def test_what_was_sealed_by_the_keys_before_is_opened_for_three_seconds_more() -> None:
    pair = Pair()
    pair.carry()
    (old,) = pair.b.sessions(pair.a)
    pair.wait(REKEY_S)
    assert old == pair.b.sessions(pair.a)[0]
    pair.wait(HANDOVER_S)
    assert old in pair.b.sessions(pair.a)[1:]
    pair.wait(RETIRED_S - 0.1)
    assert old in pair.b.sessions(pair.a)[1:]
    pair.wait(0.2)
    assert old not in pair.b.sessions(pair.a)


@pytest.mark.parametrize("lost", TYPES)
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("rekey", [False, True], ids=["first", "rekey"])
def test_whatever_is_lost_is_said_again_and_no_direction_goes_dark(
    lost: type, times: int, rekey: bool
) -> None:
    pair = Pair()
    if rekey:
        pair.carry()
        pair.wait(REKEY_S - 1.0)
    dropped: list[object] = []

    def loses(message: msgspec.Struct) -> bool:
        if isinstance(message, lost) and len(dropped) < times:
            dropped.append(message)
            return True
        return False

    pair.lose = loses
    for _ in range(400):
        pair.wait(0.1)
        assert pair.match() or not rekey, "keys that one end does not have are not sent by"
    assert len(dropped) == times
    assert pair.match()
    assert len(pair.a.sessions(pair.b)) == len(pair.b.sessions(pair.a)) == 1


def test_without_new_keys_the_old_ones_end_after_ten_minutes() -> None:
    pair = Pair()
    pair.carry()
    pair.lose = lambda _: True
    pair.wait(SESSION_S - 1.0)
    assert pair.match()
    pair.wait(2.0)
    assert pair.a.sessions(pair.b) == pair.b.sessions(pair.a) == ()
    pair.lose = lambda _: False
    pair.wait(31.0)
    assert pair.match()


def test_an_offer_that_nobody_answers_is_not_the_same_for_ever() -> None:
    pair = Pair()
    offers: list[bytes] = []

    def loses(message: msgspec.Struct) -> bool:
        if isinstance(message, TunnelOffer):
            offers.append(message.payload)
        return True

    pair.lose = loses
    pair.wait(1000.0)
    assert 5 < len(set(offers)) < 12
    assert len(offers) < 80


@pytest.mark.parametrize(
    ("which", "life", "when"),
    list(product(("a", "b"), (False, True), (0.0, 0.3, 50.0, 119.9, 120.0))),
)
def test_whoever_begins_anew_has_new_keys_soon(which: str, life: bool, when: float) -> None:
    pair = Pair()
    pair.wait(when)
    before = {
        s.index for end in pair.both for row in end.tables for p in row.peers for s in p.sessions
    }
    pair.again(getattr(pair, which), life=life)
    pair.wait(3.0)
    assert pair.match()
    assert pair.a.sessions(pair.b)[0].index not in before
    pair.wait(60.0)
    assert pair.match()


def test_both_begin_anew_at_once() -> None:
    pair = Pair()
    pair.carry()
    pair.again(pair.a, life=True)
    pair.again(pair.b, life=True)
    pair.wait(3.0)
    assert pair.match()


@pytest.mark.parametrize("which", ["a", "b"])
@pytest.mark.parametrize("after", range(6))
def test_whoever_begins_anew_between_two_messages_has_new_keys_soon(which: str, after: int) -> None:
    pair = Pair()
    carried: list[object] = []

    def breaks(message: msgspec.Struct) -> bool:
        carried.append(message)
        return len(carried) > after

    pair.lose = breaks
    pair.carry()
    pair.lose = lambda _: False
    pair.again(getattr(pair, which), life=True)
    pair.wait(40.0)
    assert pair.match()


def test_a_forwarder_that_is_the_same_changes_nothing() -> None:
    pair = Pair()
    pair.carry()
    tables = len(pair.a.tables)
    pair.a.does(pair.a.keys.began("one", BOTH, pair.now))
    assert len(pair.a.tables) == tables
    assert pair.match()


def test_keys_of_one_forwarder_are_told_to_no_other() -> None:
    pair = Pair()
    pair.carry()
    pair.again(pair.a, life=False)
    first = pair.a.tables[-1]
    assert (first.instance, first.peers[0].sessions) == ("one+", ())


def test_a_message_that_comes_twice_or_late_does_nothing_new() -> None:
    pair = Pair()
    said: list[tuple[End, End, msgspec.Struct]] = []

    def note(message: msgspec.Struct) -> bool:
        a_says = isinstance(message, TunnelOffer | TunnelConfirm)
        ends = (pair.a, pair.b) if a_says else (pair.b, pair.a)
        said.append((*ends, message))
        return False

    pair.lose = note
    pair.carry()
    pair.wait(REKEY_S + 10.0)
    tables = pair.a.tables[-1], pair.b.tables[-1]
    assert len(said) == 8
    for end, other, message in [*said, *reversed(said)]:
        other.does(other.keys.handle(end.id, message, pair.now))  # type: ignore[arg-type]
        pair.lose = lambda _: True
        pair.carry()
    assert (pair.a.tables[-1], pair.b.tables[-1]) == tables
    pair.lose = lambda _: False
    pair.wait(5.0)
    assert pair.match()


def test_an_offer_from_before_is_not_answered_with_keys() -> None:
    pair = Pair()
    pair.lose = lambda _: True
    (_, old), *_ = pair.a.out
    pair.carry()
    pair.lose = lambda _: False
    pair.again(pair.a, life=True)
    pair.wait(3.0)
    before = pair.b.tables[-1]
    pair.b.does(pair.b.keys.handle(pair.a.id, old, pair.now))
    assert pair.b.out == []
    assert pair.b.tables[-1] == before
    pair.lose = lambda _: True
    pair.carry()
    pair.again(pair.b, life=False)
    pair.b.out.clear()
    pair.b.does(pair.b.keys.handle(pair.a.id, old, pair.now))
    assert pair.b.out == [], "another forwarder remembers what was heard before it"
    pair.lose = lambda _: False
    pair.wait(40.0)
    assert pair.match()


def test_who_is_no_partner_is_not_heard() -> None:
    pair = Pair()
    stranger = End(NAMES[2])
    stranger.does(stranger.keys.began("one", BOTH, NOW))
    stranger.does(stranger.keys.among({pair.a.id: END, pair.b.id: END}, NOW))
    for message in (TunnelAsk(1, 1), *(m for _, m in pair.a.out), TunnelConfirm(b"x" * 32)):
        for end in pair.both:
            end.does(end.keys.handle(stranger.id, message, NOW))
            assert end.keys.made(stranger.id) == 0
            assert not [row for row in end.tables[-1].peers if row.peer == stranger.id]
    assert pair.a.counts["tunnel-keys-no-partner"] == 3


@pytest.mark.parametrize("which", ["a", "b"])
def test_keys_with_who_is_no_partner_any_more_are_gone_at_once(which: str) -> None:
    pair = Pair()
    pair.carry()
    end = getattr(pair, which)
    tables = len(end.tables)
    end.does(end.keys.among({}, pair.now))
    assert end.tables[tables:] == [Sealed("one", ())]
    pair.wait(700.0)
    assert end.tables[-1].peers == ()
    pair.meet()
    pair.wait(40.0)
    assert pair.match()


def test_a_partner_that_moved_keeps_its_keys() -> None:
    pair = Pair()
    pair.carry()
    kept = pair.a.sessions(pair.b)
    moved = TunnelEnd("192.0.2.9", 1450, 7701)
    pair.a.does(pair.a.keys.among({pair.b.id: moved}, pair.now))
    row = pair.a.row(pair.b)
    assert (row.address, row.port, row.sessions) == ("192.0.2.9", 7701, kept)


@pytest.mark.parametrize(
    ("mine", "yours", "used"),
    [
        (BOTH, BOTH, AES),
        (BOTH, (CHACHA,), CHACHA),
        ((CHACHA, AES), BOTH, CHACHA),
        ((CHACHA,), BOTH, CHACHA),
    ],
)
def test_the_cipher_is_the_first_of_the_offers_that_both_have(
    mine: tuple, yours: tuple, used: object
) -> None:
    pair = Pair(forwarders=False)
    pair.a.does(pair.a.keys.began("one", mine, NOW))
    pair.b.does(pair.b.keys.began("one", yours, NOW))
    pair.wait(2.0)
    assert {s.cipher for s in (*pair.a.sessions(pair.b), *pair.b.sessions(pair.a))} == {used}
    assert pair.match()


def test_two_forwarders_without_a_cipher_in_common_have_no_keys() -> None:
    pair = Pair(forwarders=False)
    pair.a.does(pair.a.keys.began("one", (AES,), NOW))
    pair.b.does(pair.b.keys.began("one", (CHACHA,), NOW))
    pair.wait(100.0)
    assert pair.a.sessions(pair.b) == pair.b.sessions(pair.a) == ()


def test_clocks_that_are_years_apart_do_not_matter() -> None:
    pair = Pair()
    pair.lose = lambda _: True
    pair.carry()
    b = End(NAMES[1])
    later = NOW + 3e8
    b.does(b.keys.began("one", BOTH, later))
    b.does(b.keys.among({pair.a.id: END}, later))
    a, now = pair.a, NOW
    a.does(a.keys.began("two", BOTH, now))
    for _ in range(3):
        for end, other, at in ((a, b, later), (b, a, now)):
            out, end.out = end.out, []
            for _, message in out:
                other.does(other.keys.handle(end.id, message, at))
    assert opens(a, b)
    assert opens(b, a)


def test_the_end_that_answers_asks_when_keys_get_old() -> None:
    pair = Pair()
    pair.carry()
    pair.lose = lambda message: isinstance(message, TunnelOffer)
    said = pair.wait(ASK_ANEW_S + 1.0)
    assert "TunnelAsk" in said
    pair.lose = lambda _: False
    pair.wait(3.0)
    assert pair.match()


def test_an_ask_is_heeded_once_and_not_right_after_keys_were_made() -> None:
    pair = Pair()
    pair.carry()
    pair.a.does(pair.a.keys.handle(pair.b.id, TunnelAsk(1, 100), pair.now))
    assert pair.a.out == [], "what was just made may be what is wanted"
    pair.now += HURRY_S
    pair.a.does(pair.a.keys.handle(pair.b.id, TunnelAsk(1, 100), pair.now))
    assert pair.carry()[0] == "TunnelOffer"
    pair.now += HURRY_S
    for old in (100, 99):
        pair.a.does(pair.a.keys.handle(pair.b.id, TunnelAsk(1, old), pair.now))
    assert pair.a.out == []
    assert pair.match()


def test_only_what_was_answered_is_confirmed() -> None:
    pair = Pair()
    pair.carry()
    (old,) = pair.b.sessions(pair.a)
    pair.lose = lambda message: isinstance(message, TunnelConfirm)
    pair.wait(REKEY_S)
    assert pair.b.sessions(pair.a)[0] == old
    pair.b.does(pair.b.keys.handle(pair.a.id, TunnelConfirm(b"x" * 32), pair.now))
    assert pair.b.sessions(pair.a)[0] == old
    pair.wait(HANDOVER_S)
    before = pair.a.sessions(pair.b)
    assert len(before) == 2
    pair.a.does(pair.a.keys.handle(pair.b.id, TunnelConfirmed(b"x" * 32), pair.now))
    pair.a.does(pair.a.keys.tick(pair.now + RETIRED_S))
    assert pair.a.sessions(pair.b) == before


def test_a_flood_of_asks_makes_few_offers() -> None:
    pair = Pair()
    pair.carry()
    for number in range(500):
        pair.a.does(pair.a.keys.handle(pair.b.id, TunnelAsk(1, 100 + number), pair.now))
        pair.wait(0.01)
    assert len(pair.a.tables) < 30
    assert pair.match()


def test_three_hosts_have_keys_two_by_two() -> None:
    a, b, c = (End(name) for name in NAMES)
    ends = {end.id: end for end in (a, b, c)}
    for end in ends.values():
        end.does(end.keys.began("one", BOTH, NOW))
        end.does(end.keys.among({o: END for o in ends if o != end.id}, NOW))
    while any(end.out for end in ends.values()):
        for end in ends.values():
            out, end.out = end.out, []
            for peer, message in out:
                ends[peer].does(ends[peer].keys.handle(end.id, message, NOW))
    assert all(opens(x, y) for x in ends.values() for y in ends.values() if x is not y)
    assert len({s.index for o in (b, c) for s in a.sessions(o)}) == 2


def test_an_offer_of_another_federation_is_a_fault() -> None:
    pair = Pair()
    other = SimFederation("fed", from_s=NOW, until_s=NOW + 1.0)
    assert other.key == identity("h1").federation, "its root's key follows from its name"
    twin = msgspec.structs.replace(pair.a.identity, federation=other.host("s9", "root").key)
    end = End("", 9, twin)
    end.does(end.keys.began("one", BOTH, NOW))
    end.does(end.keys.among({pair.b.id: END}, NOW))
    ((_, offer),) = end.out
    assert "of or for another" in refused(pair.b, pair.a.id, offer, NOW)
