"""Who is proven to lie: kept with the proof, and out with that store."""

from protocol.grid.decision import Ballot, acceptance
from protocol.grid.equivocation import Accusation, Equivocation
from protocol.grid.statement import Statement, Word
from protocol.peering.equivocators import KIND, Equivocators, name_of
from protocol.sim.keys import SimFederation, SimSealer, SimVerifier
from protocol.terms.effects import Note, Persist
from protocol.terms.ids import PeerId, StoreId
from protocol.trust.identity import Identity
from protocol.trust.record import Record, SignedRecord, sign_record
from protocol.wire.codec import encode

NOW, DAY_S = 1_000_000.0, 86_400.0
FED = SimFederation("fed", from_s=NOW - DAY_S, until_s=NOW + 90 * DAY_S)
SIGNER, LIAR = FED.host("s1", "h1"), FED.host("s2", "liar")
ME = Identity(
    SIGNER,
    SimVerifier(),
    SimSealer(SIGNER.key),
    FED.host_chain("s1", "h1"),
    FED.key,
    "h1",
    "s1",
    "h1:7000",
)
WHO = PeerId(LIAR.key)
OLD, NEW = StoreId("1" * 16), StoreId("2" * 16)


def proof(store: StoreId, register: str = "a" * 20) -> tuple[Record, SignedRecord]:
    def said(value: bytes) -> Statement:
        payload = acceptance(register, Ballot(1, WHO), value, store=store)
        return Statement(Word.ACCEPTANCE, payload, LIAR.sign("acceptance", payload))

    lie = Equivocation(WHO, said(b"one"), said(b"two"))
    body = encode(Accusation(lie, FED.host_chain("s2", "liar")))
    record = Record(SIGNER.key, KIND, name_of(lie), 1, 1, body, DAY_S)
    return record, sign_record(record, SIGNER)


def test_it_is_written_down_told_once_and_lasts() -> None:
    out = Equivocators(ME, {}, NOW)
    record, signed = proof(OLD)
    assert (out.why(WHO, OLD), out.said_of(WHO), out.proof(WHO)) == ("", "", None)
    kept, note = out.add(out.read(record, NOW), signed)
    assert isinstance(kept, Persist)
    assert isinstance(note, Note)
    assert (note.kind, note.subject) == ("peer.equivocated", "liar")
    assert "two values under one ballot" in note.detail
    assert out.add(out.read(record, NOW), signed) == []
    rows = {row.key: row.value for row in kept.rows if row.value is not None}
    again = Equivocators(ME, rows, NOW + DAY_S)
    for one in (out, again):
        assert one.proof(WHO) == signed
        assert one.why(WHO, OLD)
        assert one.why(WHO, StoreId(""))
        assert one.why(WHO, NEW) == ""
        assert one.why(PeerId(SIGNER.key), OLD) == ""
        assert [each.name for each in one.all()] == ["liar"]
        one.check()


def test_what_a_liar_called_the_register_is_never_shown_raw() -> None:
    out = Equivocators(ME, {}, NOW)
    record, signed = proof(OLD, "\x1b[2J\n" + "x" * 15)
    _, note = out.add(out.read(record, NOW), signed)
    assert isinstance(note, Note)
    assert note.detail.isprintable()
    assert out.said_of(WHO).isprintable()


def test_a_second_store_of_one_key_is_one_too_many() -> None:
    out = Equivocators(ME, {}, NOW)
    for store in (OLD, NEW):
        record, signed = proof(store)
        out.add(out.read(record, NOW), signed)
    assert "2 of its stores" in out.why(WHO, StoreId("3" * 16))


def test_a_proof_whose_certificate_has_ended_is_not_taken_up_again() -> None:
    _, signed = proof(OLD)
    assert Equivocators(ME, {"x": encode(signed)}, NOW + 91 * DAY_S).all() == []
    assert Equivocators(ME, {"x": b"\xc1", "y": encode(1)}, NOW).all() == []


def test_who_lied_is_let_in_again_once_the_certificate_has_ended_also_without_a_restart() -> None:
    out = Equivocators(ME, {}, NOW)
    record, signed = proof(OLD)
    out.add(out.read(record, NOW), signed)
    assert out.tick(NOW + 89 * DAY_S) == []
    assert out.why(WHO, OLD)
    (over,) = out.tick(NOW + 91 * DAY_S)
    assert isinstance(over, Persist)
    assert [(row.key, row.value) for row in over.rows] == [(record.name, None)]
    assert (out.why(WHO, OLD), out.proof(WHO)) == ("", None)
