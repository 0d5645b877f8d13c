"""Identifiers. Strings on purpose: they are printed, logged and compared far more than they are sent."""

import re
from hashlib import sha256
from typing import Annotated, NewType

from msgspec import Meta

_ID = Annotated[str, Meta(max_length=64)]
"""Every id is bounded wherever it is read, since a stranger may have said it and it is printed and logged."""

PeerId = NewType("PeerId", _ID)
"""A host's Ed25519 public key, 64 hexadecimal digits. It is the peer's only identity."""

KeyId = NewType("KeyId", _ID)
"""Any Ed25519 public key (federation, site, host), 64 hexadecimal digits."""

GridId = NewType("GridId", _ID)
"""One attempt to make one grid: 20 hexadecimal digits of its order's digest, a dot, the attempt's number, a
dash, and 6 digits of the requester that tries."""

"""One hold: derived from grid, host and workspace, so that asking twice is asking once."""

RequestId = NewType("RequestId", _ID)
"""What one person asked of one peer. Also the `cause` copied along everything it provokes."""

StoreId = NewType("StoreId", Annotated[str, Meta(max_length=16)])
"""One memory of a host, 16 hexadecimal digits. A host that lost some of what it remembered takes another.
Empty where nothing says it, as builds before did not."""

Digest = NewType("Digest", _ID)
"""SHA-256 of some content, 64 hexadecimal digits."""


_DIGITS_64 = re.compile(r"[0-9a-f]{64}")
_DIGITS_16 = re.compile(r"[0-9a-f]{16}")
_DIGITS_8 = re.compile(r"[0-9a-f]{8,64}")


def is_64_digits(text: str) -> bool:
    """Whether a text is written as a digest or a key: 64 hexadecimal digits."""
    return _DIGITS_64.fullmatch(text) is not None


def is_digest_start(text: str) -> bool:
    """Whether a text has so many digits of a digest, 8 or more, that it names one if no other begins so."""
    return _DIGITS_8.fullmatch(text) is not None


def is_store(text: str) -> bool:
    """Whether a text is written as the id of a store: 16 hexadecimal digits."""
    return _DIGITS_16.fullmatch(text) is not None


def digest_of(content: bytes) -> Digest:
    """SHA-256 of `content`."""
    return Digest(sha256(content).hexdigest())


def short_hash(*parts: str, digits: int = 20) -> str:
    """A stable id of `digits` hexadecimal digits. Parts are length-prefixed, so they cannot run together."""
    framed = "".join(f"{len(part)}:{part}" for part in parts)
    return sha256(framed.encode()).hexdigest()[:digits]
