"""Golden vectors: every message has one, it is read as it was written, and written as it was read."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
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
from protocol.wire.codec import encode, unpack_plain

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


def test_another_implementation_makes_the_same_tunnel_keys_of_the_vector() -> None:
    """By other libraries, and from the file alone."""
    read = json.loads((FOLDER / "tunnel-keys.json").read_text())
    both = [
        bytes.fromhex(read[part][name]) for part in ("secret", "public") for name in ("by", "to")
    ]
    by, to, by_public, to_public = both
    answer = bytes.fromhex(read["answer"]["payload"])
    assert sha256(answer).hexdigest() == read["salt"]
    for secret, public in ((by, to_public), (to, by_public)):
        half = X25519PublicKey.from_public_bytes(public)
        shared = X25519PrivateKey.from_private_bytes(secret).exchange(half)
        made = HKDF(SHA256(), 64, sha256(answer).digest(), b"overlayd/1/tunnel-keys").derive(shared)
        assert made.hex() == read["by seals with"] + read["to seals with"]
    for said, name in (("offer", "by"), ("answer", "to")):
        payload, signature = (bytes.fromhex(read[said][of]) for of in ("payload", "signature"))
        covered = f"overlayd/1/tunnel-{said}".encode() + b"\0" + payload
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(read[name]["key"])).verify(
            signature, covered
        )
    offer = unpack_plain(bytes.fromhex(read["offer"]["payload"]))
    assert (offer["by"], offer["to"], offer["key"]) == (
        read["by"]["key"],
        read["to"]["key"],
        by_public,
    )
    assert unpack_plain(answer)["offer"] == sha256(bytes.fromhex(read["offer"]["payload"])).digest()


def test_what_is_signed_in_them_is_genuine() -> None:
    verifier, now_s = NaclVerifier(), examples.FROM_S + 100
    federation = examples.FEDERATION.key
    signed = examples.record("presence", "", encode(examples.presence()))
    _, known = check_presence(signed, federation, now_s, verifier)
    assert (known.peer, known.site, known.name) == (examples.HOST.key, "ams", "h1")
    checked = check_order(examples.order(), federation, now_s, verifier, fresh=True)
    assert checked.owner.site == "ams"
