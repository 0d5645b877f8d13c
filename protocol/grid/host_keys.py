"""SSH host keys of guests, as guests tell them: what is kept of them, and shown, and written for ssh to read.

A line is `TYPE BASE64`, as in a known_hosts file behind the names. A guest with a key of Ed25519 is known by
that one alone, since each notice of its host carries it.
"""

import base64
import binascii
from collections.abc import Iterable

KEYS_MOST = 3
KEY_MOST_CHARACTERS = 400
"""RSA keys of up to 2,048 bits have as many. What offers only larger ones is not known by its key."""

_ED25519 = "ssh-ed25519"
_TYPES = (
    _ED25519,
    *(f"ecdsa-sha2-nistp{bits}" for bits in (256, 384, 521)),
    "ssh-rsa",
)


def host_keys(texts: Iterable[str]) -> tuple[str, ...]:
    """The lines that are kept of what a guest says are its public keys, best first.

    Raises ValueError for a text that is no public key. What follows a key, a comment, is left out.
    """
    lines = dict.fromkeys(_line(text) for text in texts)
    ranked = sorted(lines, key=lambda line: _TYPES.index(line.split()[0]))
    best = [line for line in ranked if line.startswith(f"{_ED25519} ")] or ranked
    return tuple(best[:KEYS_MOST])


def is_host_key(line: str) -> bool:
    """Whether it is a line as `host_keys` makes them."""
    try:
        return _line(line) == line
    except ValueError:
        return False


def _line(text: str) -> str:
    if len(text) > 4 * KEY_MOST_CHARACTERS:
        raise ValueError(f"a host key of {len(text)} characters is too long")
    kind, _, rest = text.strip().partition(" ")
    said = rest.split(" ", 1)[0]
    if kind not in _TYPES:
        raise ValueError(f"{kind[:40]!r} is no type of host key; known are {', '.join(_TYPES)}")
    try:
        blob = base64.b64decode(said, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"the {kind} host key is not in base64") from None
    prefix = len(kind).to_bytes(4, "big") + kind.encode()
    if not blob.startswith(prefix) or len(blob) == len(prefix):
        raise ValueError(f"the {kind} host key is another key than it says")
    line = f"{kind} {said}"
    if len(line) > KEY_MOST_CHARACTERS:
        raise ValueError(
            f"the {kind} host key has {len(line)} characters, {KEY_MOST_CHARACTERS} are taken at most"
        )
    return line
