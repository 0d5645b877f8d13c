"""Who answers for an event that could not be handled."""

from one_peer import FED, NOW, YOU, identity

from protocol.broadcast.messages import Gossip, Prune, Records
from protocol.node.events import Arrived, Connected, Disconnected, Event, Garbled, Ticked
from protocol.node.poison import TABLE as POISON
from protocol.node.verdict import Verdict, is_own, judge, rows_against
from protocol.peering.shut_out import TABLE as SHUT_OUT
from protocol.relay.messages import Relayed
from protocol.sim.keys import SimVerifier
from protocol.terms.ids import KeyId, PeerId
from protocol.trust.record import Record, SignedRecord, read_record, sign_record

VERIFIER = SimVerifier()
THIRD = identity("h3")


def record(of: str = "h3", body: bytes = b"x") -> SignedRecord:
    signer = FED.host("s1", of)
    return sign_record(Record(signer.key, "news", "1", 1, 1, body, 60.0), signer)


def judged(
    event: Event, holding: SignedRecord | Record | None = None, by_relay: PeerId | None = None
) -> Verdict:
    """Who answers for that event, which failed while something was in hand."""

    def fails(item: SignedRecord | Record | None) -> None:
        raise KeyError("no such thing")

    try:
        fails(holding)
    except KeyError as error:
        return judge(event, error, by_relay, VERIFIER)
    raise AssertionError


def test_who_said_it_answers_for_it() -> None:
    for event in (Arrived(YOU, Prune(), ""), Garbled(YOU, "garbage")):
        assert judged(event) == Verdict(YOU)
        assert not is_own(event)
    for event in (Connected(YOU), Disconnected(YOU, "")):
        assert judged(event) == Verdict()
        assert not is_own(event)
    assert judged(Ticked(), by_relay=YOU) == Verdict()
    assert is_own(Ticked())


def test_what_came_through_a_relay_is_its_origins() -> None:
    event = Arrived(THIRD.peer, Relayed(PeerId("a" * 64), YOU, 0, 1, b""), "")
    assert judged(event, by_relay=YOU) == Verdict(YOU)


def test_who_passes_a_record_on_does_not_answer_for_it() -> None:
    bad, good = record(), record("h4")
    event = Arrived(YOU, Gossip((good, bad)), "")
    for holding in (bad, read_record(bad)):
        answer = judged(event, holding)
        assert answer == Verdict(None, bad, KeyId(THIRD.peer))
    own = Arrived(THIRD.peer, Records((bad,)), "")
    assert judged(own, bad) == Verdict(THIRD.peer, bad, KeyId(THIRD.peer))


def test_who_passes_on_what_nobody_signed_answers_for_it() -> None:
    forged = SignedRecord(record().payload, bytes(64))
    event = Arrived(YOU, Gossip((forged,)), "")
    assert judged(event, forged) == Verdict(YOU, forged)
    assert judged(event) == Verdict(YOU), "no record was in hand"


def test_what_is_on_disk_of_it() -> None:
    bad = record()
    rows = rows_against(Verdict(YOU, bad, KeyId(THIRD.peer)), {}, "why", NOW)
    assert [row.table for row in rows] == [SHUT_OUT, POISON, POISON]
    assert rows_against(Verdict(), {}, "why", NOW) == ()
