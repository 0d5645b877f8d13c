"""A key in words: the same ones in every build, from a list that does not change."""

from hashlib import sha256

import pytest

from protocol.terms.ids import KeyId
from protocol.trust.fingerprint import COUNT, words_of
from protocol.trust.wordlist import WORDS


def test_the_list_is_the_one_of_bip_39() -> None:
    """The digest is that of the file that others have, a word a line."""
    assert sha256("".join(f"{word}\n" for word in WORDS).encode()).hexdigest() == (
        "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
    )
    assert len({word[:4] for word in WORDS}) == len(WORDS) == 2048


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("00" * 32, "proud say baby zebra scale rose"),
        ("ab" * 32, "minimum sting split robust impose vote"),
        (
            "cf32c1423e39f0e40186e4bf195409c5d8963bae2c2bdbbedc590b0b50a8014e",
            "tide danger humor tumble track hole",
        ),
    ],
)
def test_a_key_has_the_same_words_in_every_build(key: str, words: str) -> None:
    assert words_of(KeyId(key)) == words


def test_a_bit_of_the_key_changes_the_words_and_all_bits_of_the_words_are_used() -> None:
    said = [words_of(KeyId(f"{number:064x}")).split() for number in range(4000)]
    assert {len(words) for words in said} == {COUNT}
    assert len({tuple(words) for words in said}) == 4000
    for place in range(COUNT):
        assert len({words[place] for words in said}) > 1600, "each word has its eleven bits"
