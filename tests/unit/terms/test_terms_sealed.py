"""A secret says nothing unless it is asked for."""

import copy
import pickle
import traceback

import msgspec
import pytest

from protocol.terms.effects import Sealed
from protocol.terms.ids import PeerId
from protocol.terms.sealed import Cipher, SealedPeer, SealedSession, Secret

KEY = b"0123456789abcdef0123456789abcdef"
SESSION = SealedSession(1, 2, Secret(KEY), Secret(KEY[::-1]), 3.0, Cipher.AES_256_GCM)
TABLE = Sealed("one", (SealedPeer(PeerId("ab" * 32), "192.0.2.1", 7700, (SESSION,)),))


def test_a_secret_is_in_no_text_of_the_effect_that_has_it() -> None:
    texts = [repr(TABLE), str(TABLE), ascii(TABLE), f"{TABLE!r}"]
    try:
        raise ValueError(TABLE)
    except ValueError as error:
        texts += traceback.format_exception(error)
    for text in texts:
        assert KEY.decode() not in text
        assert KEY.hex() not in text
    assert "Secret()" in repr(TABLE)


def test_no_encoder_takes_a_secret() -> None:
    for encoder in (msgspec.json.encode, msgspec.msgpack.encode):
        with pytest.raises(TypeError):
            encoder(TABLE)
    with pytest.raises(TypeError):
        msgspec.to_builtins(TABLE)
    for copied in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            copied(Secret(KEY))


def test_secrets_are_equal_by_what_they_are_and_have_no_hash() -> None:
    assert Secret(KEY) == Secret(bytes(KEY))
    assert Secret(KEY) != Secret(KEY[::-1])
    assert Secret(KEY) != KEY
    assert Secret(KEY).reveal() == KEY
    with pytest.raises(TypeError):
        hash(Secret(KEY))
