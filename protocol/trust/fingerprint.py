"""A key in words, short enough to be read over the phone and compared.

Six of 2,048 words are 66 bits of the key's BLAKE2b. Who wants another key with the same words tries some 2^66
keys. Words are for people, who compare them; programs compare keys.
"""

from hashlib import blake2b

from protocol.terms.ids import KeyId

COUNT = 6
_WORD_BITS = 11
_BITS = COUNT * _WORD_BITS
_PERSON = b"overlayd/1/words"


def words_of(key: KeyId) -> str:
    """The six words of a key of 64 hexadecimal digits, with spaces between them. The same in every build."""
    from protocol.trust.wordlist import WORDS  # Daemons need no words.

    digest = blake2b(bytes.fromhex(key), digest_size=16, person=_PERSON).digest()
    bits = int.from_bytes(digest, "big") >> (len(digest) * 8 - _BITS)
    numbers = [bits >> shift & 0x7FF for shift in range(_BITS - _WORD_BITS, -1, -_WORD_BITS)]
    return " ".join(WORDS[number] for number in numbers)
