"""The contract of signers, verifiers and identities: Ed25519 and the simulator's stand-in."""

import os
from pathlib import Path
from typing import Any

import pytest

from overlayd.adapters.nacl_keys import NaclIdentity, NaclSealer, NaclVerifier
from overlayd.fakes.keys import FakeIdentity
from overlayd.ports.keys import Identity, KeyFileError, Verifier
from protocol.sim.keys import SimSealer, SimVerifier
from protocol.terms.ids import KeyId, PeerId
from protocol.trust.certificate import is_key
from protocol.trust.sealing import Sealer


class Kind:
    """Identities and the verifier that goes with them."""

    def __init__(self, name: str) -> None:
        self.a, self.b = self._identity(name, "a"), self._identity(name, "b")
        self.verifier: Verifier = SimVerifier() if name == "fake" else NaclVerifier(max_cached=4)

    @staticmethod
    def _identity(name: str, seed: str) -> Identity:
        return FakeIdentity(seed) if name == "fake" else NaclIdentity(seed.encode() * 32)


@pytest.fixture(params=["fake", "nacl"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return Kind(request.param)


def test_a_signature_is_good_for_exactly_what_was_signed(kind: Kind) -> None:
    signature = kind.a.sign("order", b"payload")
    check = kind.verifier.verify
    for _ in range(2):
        assert check(kind.a.key, "order", b"payload", signature)
        assert not check(kind.b.key, "order", b"payload", signature)
        assert not check(kind.a.key, "record", b"payload", signature)
        assert not check(kind.a.key, "orde", b"rpayload", signature)
        assert not check(kind.a.key, "order", b"payloae", signature)
        assert not check(kind.a.key, "order", b"payload", signature[:-1] + b"\0")


@pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"x" * 63, b"x" * 65])
def test_no_signature_at_all_is_false(kind: Kind, signature: bytes) -> None:
    assert not kind.verifier.verify(kind.a.key, "order", b"payload", signature)


@pytest.mark.parametrize("key", ["", "zz" * 32, "00" * 31, "00" * 32, "FF" * 32, "é" * 64])
def test_a_key_that_is_none_is_false(kind: Kind, key: str) -> None:
    good = kind.a.sign("order", b"payload")
    assert not kind.verifier.verify(KeyId(key), "order", b"payload", good)


def test_signing_is_deterministic_and_keys_differ(kind: Kind) -> None:
    assert kind.a.sign("d", b"p") == kind.a.sign("d", b"p")
    assert kind.a.key != kind.b.key
    assert is_key(kind.a.key)


def test_a_transport_key_follows_from_the_peer(kind: Kind) -> None:
    assert kind.b.transport_key_of(PeerId(kind.a.key)) == kind.a.transport_public
    assert kind.a.transport_public != kind.b.transport_public
    assert len(kind.a.transport_secret) == len(kind.a.transport_public) == 32
    assert kind.a.transport_key_of(PeerId("not a key")) is None


def sealers(kind: Kind) -> tuple[Sealer, Sealer]:
    def of(identity: Identity) -> Sealer:
        if isinstance(identity, NaclIdentity):
            return NaclSealer(identity, max_pairs=2)
        return SimSealer(identity.key)

    return of(kind.a), of(kind.b)


def test_a_box_opens_for_whom_it_was_sealed_as_from_whom_it_was_sealed(kind: Kind) -> None:
    (a, b), (me, you) = sealers(kind), (PeerId(kind.a.key), PeerId(kind.b.key))
    other = PeerId(Kind._identity("nacl", "c").key)
    for plain in (b"", b"secret", b"\xff" * 100_000):
        box = a.seal(you, plain)
        assert box is not None
        assert len(box) <= len(plain) + 40
        assert b.open(me, box) == plain
        assert b.open(other, box) is None, "it is not from that one"
        assert a.open(you, box) is None, "sent back to its maker it does not pass for an answer"
        assert a.open(me, box) is None
        for at in (0, len(box) // 2, len(box) - 1):
            altered = box[:at] + bytes([box[at] ^ 1]) + box[at + 1 :]
            assert b.open(me, altered) is None
        assert b.open(me, box[:-1]) is None
    assert b.open(me, b"") is None


def test_nothing_is_sealed_for_what_is_no_key(kind: Kind) -> None:
    a, _ = sealers(kind)
    assert a.seal(PeerId("not a key"), b"x") is None
    assert a.open(PeerId("not a key"), b"x" * 80) is None


def test_two_boxes_of_the_same_are_not_the_same() -> None:
    kind = Kind("nacl")
    (a, b), you = sealers(kind), PeerId(kind.b.key)
    boxes = {a.seal(you, b"x") for _ in range(3)}
    assert len(boxes) == 3
    for seed in "cdef":
        assert a.seal(PeerId(Kind._identity("nacl", seed).key), b"x") is not None
    assert [b.open(PeerId(kind.a.key), box or b"") for box in boxes] == [b"x"] * 3


def test_more_checks_than_are_remembered() -> None:
    kind = Kind("nacl")
    signed = [(b"%d" % n, kind.a.sign("d", b"%d" % n)) for n in range(10)]
    for _ in range(2):
        assert all(kind.verifier.verify(kind.a.key, "d", *pair) for pair in signed)
    assert not kind.verifier.verify(kind.a.key, "d", b"0", signed[1][1])


def test_points_of_small_order_are_no_peers() -> None:
    identity = NaclIdentity.generate()
    for key in ("00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f"):
        assert identity.transport_key_of(PeerId(key)) is None


def test_a_key_file_gives_the_key_back(tmp_path: Path) -> None:
    path = tmp_path / "host.key"
    identity = NaclIdentity.generate()
    identity.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert NaclIdentity.load(path).key == identity.key
    assert [file.name for file in tmp_path.iterdir()] == ["host.key"]


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "host.key"
    identity = NaclIdentity.generate()
    identity.save(path)
    with pytest.raises(KeyFileError, match="not overwritten"):
        NaclIdentity.generate().save(path)
    assert NaclIdentity.load(path).key == identity.key
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602])
def test_a_key_file_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "host.key"
    NaclIdentity.generate().save(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        NaclIdentity.load(path)


def _nothing(path: Path) -> None:
    assert not path.exists()


def _short(path: Path) -> None:
    begin, end = "-----BEGIN OVERLAYD PRIVATE KEY-----", "-----END OVERLAYD PRIVATE KEY-----"
    path.write_text(f"{begin}\nAAAA\n{end}\n")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_nothing, "cannot be read"),
        (_short, "not 32 bytes"),
        (Path.mkdir, "not a file"),
        (lambda path: path.write_text("ssh-rsa AAAA"), "not an overlayd private key"),
        (lambda path: path.write_bytes(os.urandom(100_000)), "too large"),
    ],
)
def test_a_bad_key_file_says_what_is_wrong(tmp_path: Path, spoil: Any, says: str) -> None:
    path = tmp_path / "host.key"
    spoil(path)
    if path.is_file():
        path.chmod(0o600)
    with pytest.raises(KeyFileError, match=says):
        NaclIdentity.load(path)
