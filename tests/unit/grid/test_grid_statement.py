"""What a steward's signed statements say, read."""

import pytest

from protocol.grid.decision import Ballot, acceptance, promise
from protocol.grid.seal import Seats
from protocol.grid.statement import STATEMENT_BYTES, Said, Statement, Word, read_statement
from protocol.terms.ids import PeerId, StoreId, digest_of
from protocol.terms.limits import STEWARDS_MOST
from protocol.trust.signing import Untrusted
from protocol.wire.codec import encode

ME, KEY, STORE = PeerId("a" * 64), "0123456789abcdef0123", StoreId("1" * 16)
AT, BEFORE = Ballot(3, ME), Ballot(2, ME)
MANY = tuple(PeerId(f"{number:064d}") for number in range(STEWARDS_MOST))
HEIRS = Seats(MANY, (STORE,) * STEWARDS_MOST)


@pytest.mark.parametrize("term", [0, 1, 16])
def test_acceptances_and_promises_of_any_term(term: int) -> None:
    payload = acceptance(KEY, AT, b"v", term, HEIRS, STORE)
    said = Said(KEY, term, STORE, AT, digest_of(b"v"), heirs=HEIRS)
    assert read_statement(Statement(Word.ACCEPTANCE, payload, b"")) == said
    assert len(payload) <= STATEMENT_BYTES
    nobody = acceptance(KEY, AT, b"v", term, store=STORE)
    assert read_statement(Statement(Word.ACCEPTANCE, nobody, b"")).heirs == Seats()
    for before, digest in ((BEFORE, digest_of(b"v")), (None, "")):
        payload = promise(KEY, AT, before, b"v", term, STORE)
        read = read_statement(Statement(Word.PROMISE, payload, b""))
        assert read == Said(KEY, term, STORE, before, digest, AT)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "payload",
    [
        acceptance(KEY, AT, b"v"),
        acceptance(KEY, AT, b"v", 0, HEIRS),
        acceptance(KEY, AT, b"v", store=StoreId("none")),
        promise(KEY, AT, None, b"", store=STORE),
        encode([f"{KEY}.0", AT, "0" * 64, (), (), STORE]),
        encode([f"{KEY}.01", AT, "0" * 64, (), (), STORE]),
        encode([f"{KEY}.x", AT, "0" * 64, (), (), STORE]),
        encode([f"{KEY}.", AT, "0" * 64, (), (), STORE]),
        b"",
        b"\xc1",
        b"x" * (STATEMENT_BYTES + 1),
    ],
)
def test_what_names_no_store_or_no_register_or_is_none_is_no_statement(payload: bytes) -> None:
    with pytest.raises(Untrusted):
        read_statement(Statement(Word.ACCEPTANCE, payload, b""))
