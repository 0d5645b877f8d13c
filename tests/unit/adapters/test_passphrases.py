"""A seed under a passphrase: opened by it alone, and never at an absurd cost."""

import msgspec
import pytest

from overlayd.adapters import passphrases
from overlayd.adapters.passphrases import SealedSeed, WrongPassphraseError, seal, unseal
from protocol.wire.codec import decode, encode

SEED = bytes(range(32))


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passphrases, "PASSES", 1)
    monkeypatch.setattr(passphrases, "MEMORY_BYTES", 8192)


def test_the_passphrase_opens_it_and_no_other() -> None:
    sealed = seal(SEED, "über alles")
    assert SEED not in sealed
    assert unseal(sealed, "über alles") == SEED
    for wrong in ("uber alles", "", "über alles "):
        with pytest.raises(WrongPassphraseError):
            unseal(sealed, wrong)


def test_the_same_seed_never_looks_the_same() -> None:
    assert seal(SEED, "x") != seal(SEED, "x")


def test_a_key_of_other_costs_opens_with_those_it_was_made_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sealed = seal(SEED, "x")
    monkeypatch.setattr(passphrases, "PASSES", 2)
    assert unseal(sealed, "x") == SEED


def test_a_flipped_bit_is_no_key() -> None:
    sealed = decode(seal(SEED, "x"), SealedSeed)
    box = bytes([sealed.box[0] ^ 1]) + sealed.box[1:]
    with pytest.raises(WrongPassphraseError):
        unseal(encode(msgspec.structs.replace(sealed, box=box)), "x")


@pytest.mark.parametrize(
    "altered",
    [
        {"passes": 0},
        {"passes": -1},
        {"passes": 17},
        {"passes": 1 << 40},
        {"memory_bytes": 0},
        {"memory_bytes": -8192},
        {"memory_bytes": (1 << 30) + 1},
        {"memory_bytes": 1 << 60},
        {"salt": b""},
        {"salt": b"0" * 17},
        {"box": b""},
        {"box": b"0" * 73},
    ],
    ids=str,
)
def test_absurd_costs_and_sizes_are_refused_before_they_are_paid(
    monkeypatch: pytest.MonkeyPatch, altered: dict[str, object]
) -> None:
    sealed = msgspec.structs.replace(decode(seal(SEED, "x"), SealedSeed), **altered)
    monkeypatch.setattr(passphrases, "argon2id", _Untouched())
    with pytest.raises(ValueError, match="damaged"):
        unseal(encode(sealed), "x")


class _Untouched:
    """Argon2's limits without what takes time and memory."""

    SALTBYTES, OPSLIMIT_MIN, MEMLIMIT_MIN = 16, 1, 8192


@pytest.mark.parametrize("rubbish", [b"", b"\xc1", b"\x94", b"nonsense" * 100])
def test_rubbish_is_damage(rubbish: bytes) -> None:
    with pytest.raises(ValueError, match="damaged"):
        unseal(rubbish, "x")
