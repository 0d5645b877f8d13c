"""One fixed value of any type that goes over the wire, so that a new message has its vector for nothing.

Values follow from types and field names alone. Ids are hashes of the field's name, numbers are small, a list
has one element, an enumeration takes its first member, and what may be missing is there. Signed things are
really signed, with Ed25519 keys made of fixed seeds, so that another implementation can check those too.
"""

import types
import typing
from base64 import b64encode
from enum import Enum
from hashlib import sha256
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from overlayd.adapters.nacl_keys import NaclIdentity
from protocol.grid.decision import Ballot, acceptance, promise
from protocol.grid.equivocation import Accusation, Equivocation
from protocol.grid.grant import HoldGrant, SignedGrant, sign_grant
from protocol.grid.statement import Statement, Word
from protocol.grid.tunnel import TunnelEnd
from protocol.membership.messages import Presence
from protocol.membership.presence import KIND as PRESENCE
from protocol.terms.ids import GridId, KeyId, PeerId, StoreId
from protocol.terms.wireguard import WireguardEnd
from protocol.trust.certificate import (
    Certificate,
    Chain,
    Role,
    SignedCertificate,
    sign_certificate,
)
from protocol.trust.order import Action, Order, SignedOrder, sign_order
from protocol.trust.record import Record, SignedRecord, sign_record
from protocol.wire.codec import encode

FROM_S, UNTIL_S = 1_750_000_000.0, 1_780_000_000.0
_KEYS = ("PeerId", "KeyId")
_HOST_KEY = b"\0\0\0\x0bssh-ed25519\0\0\0 " + sha256(b"overlayd vector guest").digest()
_WORDS = {
    "address": "192.0.2.1:7000",
    "underlay": "192.0.2.1",
    "site": "ams",
    "host": "h1",
    "host_keys": f"ssh-ed25519 {b64encode(_HOST_KEY).decode()}",
}
_NUMBERS = {"oldest": 1, "newest": 1}


def seed(name: str) -> bytes:
    """The 32 bytes that a private key is made of: the SHA-256 of `overlayd vector ` and its holder's name."""
    return sha256(f"overlayd vector {name}".encode()).digest()


FEDERATION, SITE, HOST = (NaclIdentity(seed(name)) for name in ("federation", "site", "host"))


def _certificate(role: Role, name: str, subject: KeyId, issuer: NaclIdentity) -> SignedCertificate:
    certificate = Certificate(
        subject=subject,
        role=role,
        site="ams",
        name=name,
        issuer=issuer.key,
        not_before_s=FROM_S,
        not_after_s=UNTIL_S,
        serial=sha256(name.encode()).hexdigest()[:16],
    )
    return sign_certificate(certificate, issuer)


SITE_CHAIN: Chain = (_certificate(Role.SITE, "ams", SITE.key, FEDERATION),)
HOST_CHAIN: Chain = (_certificate(Role.HOST, "h1", HOST.key, SITE), *SITE_CHAIN)


def record(kind: str, name: str, body: bytes) -> SignedRecord:
    """A record of the example's host."""
    return sign_record(Record(HOST.key, kind, name, 3, 7, body, 86400.0), HOST)


def presence() -> Presence:
    """The presence of the example's host."""
    store = StoreId("0123456789abcdef")
    tunnel = TunnelEnd("192.0.2.1", 1450, 7700, WireguardEnd(b"\x05" * 32, 7701), 1_250_000)
    return Presence(HOST_CHAIN, "192.0.2.1:7000", tunnel=tunnel, store=store)


def order() -> SignedOrder:
    """An order of the example's site admin."""
    asked = Order(Action.DOWN, "0123456789abcdef0123.0", FROM_S + 60.0, 600.0, "0123456789abcdef")
    return sign_order(asked, SITE, SITE_CHAIN)


GRANT = HoldGrant(GridId("0123456789abcdef0123.1-abcdef"), ("web-1",), (4711,), FROM_S + 3600.0)
"""What the example's host holds."""


def _statement(word: Word, payload: bytes) -> Statement:
    return Statement(word, payload, HOST.sign(str(word), payload))


_STEWARD, _REGISTER = PeerId(HOST.key), "0123456789abcdef0123"
STORE = StoreId("0123456789abcdef")
ACCEPTED = _statement(
    Word.ACCEPTANCE, acceptance(_REGISTER, Ballot(1, _STEWARD), b"value", store=STORE)
)
"""What the example's host says as a steward: that it accepted, and then a lie."""
PROMISED = _statement(Word.PROMISE, promise(_REGISTER, Ballot(2, _STEWARD), None, b"", store=STORE))

_SIGNED: dict[Any, Any] = {
    Statement: ACCEPTED,
    Accusation: Accusation(Equivocation(_STEWARD, ACCEPTED, PROMISED), HOST_CHAIN),
    Presence: presence(),
    SignedRecord: record(PRESENCE, "", encode(presence())),
    SignedOrder: order(),
    SignedCertificate: SITE_CHAIN[0],
    SignedGrant: sign_grant(GRANT, HOST),
    Chain: HOST_CHAIN,
}


def example(hint: Any, name: str = "") -> Any:
    """The one value of that type, in a field of that name. Raises TypeError for an unknown type."""
    known = _SIGNED.get(hint) if isinstance(hint, typing.Hashable) else None
    if known is not None:
        return known
    if isinstance(hint, typing.NewType):
        return _named(hint, name)
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _bounded(example(args[0], name), hint)
    if origin in (typing.Union, types.UnionType):
        return example(next(arg for arg in args if arg is not type(None)), name)
    if origin is tuple:
        wanted = args[:1] if args[-1:] == (...,) else args
        return tuple(example(arg, name) for arg in wanted)
    if origin is dict:
        return {example(args[0], name): example(args[1], name)}
    if isinstance(hint, type):
        return _plain(hint, name)
    raise TypeError(f"{name}: no example for {hint}; say one in scripts/golden/examples.py")


def _named(hint: typing.NewType, name: str) -> Any:
    digest = sha256(name.encode()).hexdigest()
    match hint.__name__:
        case key if key in _KEYS:
            return HOST.key
        case "Digest":
            return digest
        case "GridId":
            return f"{digest[:20]}.1-{digest[20:26]}"
        case _:
            return example(hint.__supertype__, name)


def _plain(kind: type, name: str) -> Any:
    if issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind, include_extras=True)
        return kind(**{f: example(hints[f], f) for f in kind.__struct_fields__})
    if issubclass(kind, Enum):
        return next(iter(kind))
    if kind is bool:
        return True
    if kind is int:
        return _NUMBERS.get(name) or 1 + sum(name.encode()) % 1000
    if kind is float:
        return 0.5 + sum(name.encode()) % 1000
    if kind is str:
        return _WORDS.get(name, name)
    if kind is bytes:
        return name.encode()
    raise TypeError(f"{name}: no example for {kind}; say one in scripts/golden/examples.py")


def _bounded(value: Any, hint: Any) -> Any:
    for meta in get_args(hint)[1:]:
        if isinstance(meta, msgspec.Meta):
            value = value if meta.ge is None else max(value, meta.ge)
            value = value if meta.le is None else min(value, meta.le)
            if meta.min_length is not None and isinstance(value, tuple):
                value = value * meta.min_length
            if meta.min_length is not None and isinstance(value, bytes):
                value = value.ljust(meta.min_length, b".")
            if meta.min_length is not None and isinstance(value, str):
                value = value.ljust(meta.min_length, ".")
    return value
