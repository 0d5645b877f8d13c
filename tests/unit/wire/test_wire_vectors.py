"""Golden vectors: every message has one, it is read as it was written, and written as it was read."""

import json
from pathlib import Path

import pytest
from golden import examples
from golden.vectors import (
    FOLDER,
    MEND,
    TABLES,
    Vector,
    all_vectors,
    keys_text,
    readable,
    tables_text,
    wanted,
)

from overlayd.adapters.nacl_keys import NaclVerifier
from protocol.membership.presence import check_presence
from protocol.trust.order import check_order
from protocol.wire.codec import encode

VECTORS = list(all_vectors())


def test_there_is_a_vector_for_each_message_and_for_nothing_else() -> None:
    there = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.json")}
    must = {str(path.relative_to(FOLDER)) for path in wanted()}
    assert sorted(must - there) == [], "without a vector; write it with: ./scripts/vectors"
    assert sorted(there - must) == [], f"of no message any more; remove it with: {MEND}"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v.folder}/{v.name}")
def test_a_vector_is_read_and_written_as_ever(vector: Vector) -> None:
    assert vector.path.exists(), "no vector; write it with: ./scripts/vectors"
    golden = json.loads(vector.path.read_text())
    data = bytes.fromhex(golden["bytes"])
    differs = f"{vector.name} changed on the wire; if that is meant: {MEND}"
    value = vector.read(data)
    assert readable(value) == golden["value"], differs
    assert vector.write(value) == data, differs
    assert vector.data == data, differs


def test_the_tables_of_fields_are_the_code() -> None:
    assert TABLES.read_text() == tables_text(), "write protocol/MESSAGES.md with: ./scripts/vectors"


def test_the_description_names_every_message_and_kind() -> None:
    text = (TABLES.parent / "README.md").read_text()
    names = [vector.name for vector in VECTORS if vector.folder in ("messages", "bodies")]
    assert [name for name in names if f"`{name}`" not in text] == [], "describe it there"


def test_the_keys_are_the_ones_that_are_published() -> None:
    assert Path(FOLDER / "keys.json").read_text() == keys_text(), MEND


def test_what_is_signed_in_them_is_genuine() -> None:
    verifier, now_s = NaclVerifier(), examples.FROM_S + 100
    federation = examples.FEDERATION.key
    signed = examples.record("presence", "", encode(examples.presence()))
    _, known = check_presence(signed, federation, now_s, verifier)
    assert (known.peer, known.site, known.name) == (examples.HOST.key, "ams", "h1")
    checked = check_order(examples.order(), federation, now_s, verifier, fresh=True)
    assert checked.principal.site == "ams"
