"""Doors into a node leave nothing shared that changes, and what is shared cannot be told from what is not."""

from collections.abc import Iterator

import msgspec
import pytest

from protocol.broadcast.directory import Directory
from protocol.sim.doors import directory_like, share_decoded
from protocol.sim.keys import SimSigner
from protocol.trust.record import Record, SignedRecord, sign_record
from protocol.wire import codec
from protocol.wire.codec import Malformed, decode, encode


class Word(msgspec.Struct, frozen=True):
    text: str


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_read", codec._read)
    share_decoded()


def signed(signer: SimSigner, name: str, sequence: int = 1) -> tuple[Record, SignedRecord]:
    record = Record(signer.key, "news", name, 1, sequence, b"body", ttl_s=60.0)
    return record, sign_record(record, signer)


def changing(value: object) -> Iterator[object]:
    """Every dictionary and list that hangs on a value."""
    if isinstance(value, dict | list):
        yield value
    inside: list[object] = list(value.values()) if isinstance(value, dict) else []
    inside += vars(value).values() if hasattr(value, "__dict__") else []
    slots = getattr(type(value), "__slots__", ()) if not isinstance(value, msgspec.Struct) else ()
    inside += [getattr(value, name) for name in slots if hasattr(value, name)]
    for each in inside:
        yield from changing(each)


def test_a_directory_like_another_holds_the_same_records_and_compares_equal() -> None:
    one, signer = Directory(), SimSigner("h1")
    one.put(*signed(signer, "a"), 1.0)
    other = directory_like(one)
    assert other.roots() == one.roots()
    assert other.of_kind("news") == one.of_kind("news")
    assert len(other) == len(one) == 1


def test_a_directory_like_another_goes_its_own_way() -> None:
    one, signer = Directory(), SimSigner("h1")
    one.put(*signed(signer, "a"), 1.0)
    before = one.roots()
    other = directory_like(one)
    other.put(*signed(signer, "b"), 2.0)
    other.put(*signed(signer, "a", sequence=2), 2.0)
    assert one.roots() == before
    assert len(one) == 1
    assert [held.record.sequence for held in one.of_kind("news")] == [1]
    shared = {id(each) for each in changing(one)} & {id(each) for each in changing(other)}
    assert shared == set()


def test_equal_bytes_are_decoded_once(shared: None) -> None:
    data = encode(Word("hello"))
    assert decode(data, Word) is decode(bytes(bytearray(data)), Word)
    assert decode(encode(Word("other")), Word) == Word("other")


def test_a_second_call_forgets_what_was_shared(shared: None) -> None:
    data = encode(Word("hello"))
    first = decode(data, Word)
    share_decoded()
    assert decode(data, Word) is not first
    assert decode(data, Word) == first


def test_what_is_shared_is_still_too_long_for_a_lower_limit(shared: None) -> None:
    data = encode(Word("hello"))
    decode(data, Word)
    with pytest.raises(Malformed, match="at most 3 are accepted"):
        decode(data, Word, limit_bytes=3)


def test_what_is_malformed_stays_so(shared: None) -> None:
    for _ in range(2):
        with pytest.raises(Malformed):
            decode(b"\xc1", Word)
