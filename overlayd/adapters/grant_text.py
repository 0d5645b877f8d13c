"""A chain of grants as a line of text, to be pasted or kept in a file.

    overlayd-grant.BASE64URL.CHECK

CHECK is eight hexadecimal digits of the BLAKE2b of what is encoded. So a line that lost its end, or a letter,
is told from one that is not believed. Spaces and line ends inside do not matter: mail breaks lines. Lines that
begin with # are for people. Nothing in it is secret, and it is worth nothing without the key it is given to.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as BinasciiError
from hashlib import blake2b

import msgspec

from protocol.trust.grants import GRANTS_MOST, Grants
from protocol.wire.codec import Malformed, decode, encode
from protocol.wire.limits import MAX_GRANT_BYTES

MARK = "overlayd-grant."
TEXT_MOST = GRANTS_MOST * MAX_GRANT_BYTES * 2
"""Characters of a chain as text, with what people write around it."""

_CHECK_BYTES = 4


class _Chain(msgspec.Struct, frozen=True, array_like=True):
    grants: Grants


def write_chain_text(grants: Grants) -> str:
    """The line."""
    content = encode(_Chain(grants))
    return f"{MARK}{_letters(content)}.{_check(content)}"


def read_chain_text(text: str) -> Grants:
    """The chain in a text, of which nothing is believed yet. Raises ValueError."""
    if len(text) > TEXT_MOST:
        raise ValueError(f"it has more than {TEXT_MOST} characters, so it is no grant")
    kept = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    line = "".join("".join(kept).split())
    if not line.startswith(MARK):
        raise ValueError(f"a grant begins with {MARK}, as `overlayctl grant issue` prints it")
    body, _, check = line.removeprefix(MARK).partition(".")
    try:
        content = urlsafe_b64decode(body + "=" * (-len(body) % 4))
        if (_letters(content), _check(content)) != (body, check):
            raise ValueError
        return decode(content, _Chain).grants
    except (BinasciiError, Malformed, ValueError):
        raise ValueError("it is damaged, or cut short; copy it again, to its last letter") from None


def _letters(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


def _check(content: bytes) -> str:
    return blake2b(content, digest_size=_CHECK_BYTES).hexdigest()
