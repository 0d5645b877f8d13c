"""A record that could not be handled is taken from nobody, and for a while no other of its owner's."""

from one_peer import FED, NOW, YOU

from protocol.broadcast.messages import Gossip, Prune, Records
from protocol.node.events import Arrived
from protocol.node.poison import TABLE, Poison, Refused, refused, refusing
from protocol.peering.addresses import Rows
from protocol.terms.effects import Row
from protocol.terms.ids import KeyId
from protocol.terms.limits import SHUT_OUT_MOST_S, SHUT_OUT_PEERS, SHUT_OUT_S
from protocol.trust.record import Record, SignedRecord, sign_record
from protocol.wire.codec import encode


def record(of: str, body: bytes = b"x") -> SignedRecord:
    signer = FED.host("s1", of)
    return sign_record(Record(signer.key, "news", "1", 1, 1, body, 60.0), signer)


def written(rows: Rows, puts: tuple[Row, ...]) -> Rows:
    table = dict(rows.get(TABLE, {}))
    for put in puts:
        assert put.table == TABLE
        if put.value is None:
            del table[put.key]
        else:
            table[put.key] = put.value
    return {TABLE: table}


BAD, OWNER = record("h3"), KeyId(FED.host("s1", "h3").key)


def test_nothing_is_refused_at_first() -> None:
    arrived = Arrived(YOU, Gossip((BAD,)), "")
    assert Poison({}, NOW).sift(arrived, NOW) is arrived


def test_the_record_is_refused_for_long_and_the_owner_for_a_while() -> None:
    poison = Poison(written({}, refusing({}, BAD, OWNER, NOW)), NOW)
    newer, other = record("h3", b"newer"), record("h4")
    for batch in (Gossip, Records):
        arrived = Arrived(YOU, batch((BAD, newer, other)), "c", 9)
        assert poison.sift(arrived, NOW) == Arrived(YOU, batch((other,)), "c", 9)
        later = poison.sift(arrived, NOW + SHUT_OUT_S)
        assert later == Arrived(YOU, batch((newer, other)), "c", 9)
        assert poison.sift(arrived, NOW + SHUT_OUT_MOST_S) is arrived
    prune = Arrived(YOU, Prune(), "")
    assert poison.sift(prune, NOW) is prune


def test_who_is_not_proven_to_be_the_owner_is_not_refused() -> None:
    poison = Poison(written({}, refusing({}, BAD, None, NOW)), NOW)
    arrived = Arrived(YOU, Gossip((BAD, record("h3", b"newer"))), "")
    assert len(poison.sift(arrived, NOW).message.records) == 1


def test_what_is_no_record_is_passed_on_and_counts_against_who_sent_it() -> None:
    poison = Poison(written({}, refusing({}, BAD, OWNER, NOW)), NOW)
    arrived = Arrived(YOU, Gossip((SignedRecord(b"?", b""),)), "")
    assert poison.sift(arrived, NOW) is arrived


def test_the_rows_are_bounded_and_those_that_make_no_sense_refuse_nothing() -> None:
    rows: Rows = {TABLE: {"x": b"?", "y": encode(Refused(NOW + 1e12)), "z": encode(Refused(0.0))}}
    assert refused(rows, NOW) == {}
    assert refusing(rows, None, OWNER, NOW) == ()
    for number in range(3 * SHUT_OUT_PEERS):
        made = record("h3", str(number).encode())
        rows = written(rows, refusing(rows, made, OWNER, NOW + number))
    assert 2 * SHUT_OUT_PEERS <= len(rows[TABLE]) <= 2 * SHUT_OUT_PEERS + 2
    assert OWNER in refused(rows, NOW + number)
