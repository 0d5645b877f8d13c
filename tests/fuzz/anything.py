"""Any value of any type on the wire, out of choices: mostly what fits the world, now and then what does not."""

import contextlib
import types
import typing
from enum import Enum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from choices import Choices
from members import CHAINS, OURS, SIGNERS, START_S, THEIRS
from statements import ORDERS, STEWARDS, is_statement, statement

from protocol.grid.decision import RegisterKey
from protocol.grid.record import grid_id, register_key
from protocol.sim.keys import SimSigner
from protocol.sim.people import Admin, grid_spec
from protocol.terms.ids import KeyId
from protocol.trust.certificate import Chain, read_certificate
from protocol.trust.order import Action, SignedOrder
from protocol.trust.record import Record, SignedRecord, sign_record
from protocol.trust.revocation import KIND as REVOCATION
from protocol.trust.revocation import revoke
from protocol.wire.codec import encode

NUMBERS = (0, 1, 2, 3, 7, 63, 64, 255, 1 << 20, 1 << 48, (1 << 63) - 1, -1, -(1 << 63))
FLOATS = (0.0, 1.0, 0.5, -1.0, 60.0, START_S, START_S + 10, 1e9, 1e308, -1e308, 5e-324)
TEXTS = (
    "",
    "s1",
    "s2",
    "h2",
    "star",
    "web-1",
    "web",
    "lan",
    "x" * 70,
    "\x00\n",
    "\u00e9",
    "r1",
    "1.1",
)


def signed_record(choices: Choices, bodies: dict[str, Any]) -> SignedRecord:
    """A record, genuinely signed by somebody; what it says may be anything."""
    if choices.below(8) == 0:
        return SignedRecord(choices.take(40), choices.take(40))
    if choices.below(8) == 0:
        return revocation(choices)
    signer = choices.one(SIGNERS)
    kind = choices.one((*bodies, REVOCATION, "news", "other"))
    body = choices.take(30)
    if kind in bodies and choices.below(4):
        body = encode(anything(bodies[kind], choices, bodies))
    return signed(choices, signer, kind, body)


def signed(choices: Choices, signer: SimSigner, kind: str, body: bytes) -> SignedRecord:
    """A record that is signed if it keeps the rules, and cut short if not."""
    record = Record(
        owner=signer.key,
        kind=kind,
        name=choices.one(("", "a", *(known.key for known in SIGNERS))),
        incarnation=choices.one(NUMBERS[:11]),
        sequence=choices.one(NUMBERS[:11]),
        body=body,
        ttl_s=choices.one((60.0, 86400.0, 0.001)),
        scope=choices.one(("", "s1", "s2")),
    )
    try:
        made = sign_record(record, signer)
    except ValueError:
        return SignedRecord(encode(record)[:-1], b"")
    return made if choices.below(8) else SignedRecord(made.payload, b"forged")


def revocation(choices: Choices) -> SignedRecord:
    """A revocation of some host, by its site, another site, or the federation."""
    says = read_certificate(choices.one(CHAINS[1:4])[0])
    if choices.below(2):
        return revoke(says, "why", START_S, OURS.root, ())
    return revoke(says, "why", START_S, OURS.site(says.site), OURS.site_chain(says.site))


def signed_order(choices: Choices) -> SignedOrder:
    """Something a site's admin asks for: anew, or one of the orders that statements are about."""
    if choices.below(3) == 0:
        return choices.one(ORDERS)
    federation, site = choices.one((OURS, OURS, THEIRS)), choices.one(("s1", "s2"))
    admin = Admin(federation, site, _Dice(choices), lambda: choices.one((STEWARDS, ())))
    at_s = START_S + choices.one((0.0, 1.0, -700.0, 4000.0))
    action = choices.one((Action.UP, *Action))
    if action is Action.UP:
        return admin.up(grid_spec(choices.one(("star", "web")), 1 + choices.below(3)), at_s)
    about = choices.one(("star", "web", "x", *(grid_id(order) for order in ORDERS)))
    return admin.order(action, about, at_s, body=choices.take(9))


class _Dice:
    """As much of a generator as an admin needs."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices

    def getrandbits(self, bits: int) -> int:
        """A few numbers that differ."""
        return self._choices.byte() % (1 << bits)


def anything(hint: Any, choices: Choices, bodies: dict[str, Any], deep: int = 0) -> Any:
    """A value of that type."""
    if hint is SignedRecord:
        return signed_record(choices, bodies if deep < 3 else {})
    if hint is SignedOrder:
        return signed_order(choices)
    if hint == Chain:
        return choices.one(CHAINS)
    if is_statement(hint) and choices.below(3):
        return statement(hint, choices)
    origin, args = get_origin(hint), get_args(hint)
    if isinstance(hint, typing.NewType):
        if hint.__name__ in ("PeerId", "KeyId") and choices.below(8):
            return KeyId(choices.one(SIGNERS).key)
        if hint.__name__ == "GridId" and choices.below(4):
            return grid_id(choices.one(ORDERS), choices.below(3))
        return anything(hint.__supertype__, choices, bodies, deep)
    if hint == RegisterKey and choices.below(8):
        return register_key(choices.one(ORDERS))
    if origin is Annotated:
        return _bounded(anything(args[0], choices, bodies, deep), hint, choices)
    if origin in (typing.Union, types.UnionType):
        return anything(choices.one(args), choices, bodies, deep)
    if origin is tuple and args[-1:] == (...,):
        count = choices.one((0, 1, 2, 3)) if deep < 4 else 0
        return tuple(anything(args[0], choices, bodies, deep + 1) for _ in range(count))
    if origin is tuple:
        return tuple(anything(arg, choices, bodies, deep + 1) for arg in args)
    if origin is dict:
        return {
            anything(arg, choices, bodies): anything(args[1], choices, bodies) for arg in args[:1]
        }
    return _plain(hint, choices, bodies, deep)


def _plain(kind: Any, choices: Choices, bodies: dict[str, Any], deep: int) -> Any:
    if kind is type(None):
        return None
    if kind is msgspec.UnsetType:
        return msgspec.UNSET
    if issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind, include_extras=True)
        for source in (
            choices,
            Choices(b""),
        ):  # Some structs refuse what they cannot be; first choices fit all.
            with contextlib.suppress(ValueError):
                return kind(
                    **{
                        f: anything(hints[f], source, bodies, deep + 1)
                        for f in kind.__struct_fields__
                    }
                )
        raise AssertionError(kind)
    if issubclass(kind, Enum):
        return choices.one(list(kind))
    if kind is bool:
        return choices.below(2) == 1
    if kind is int:
        return choices.one(NUMBERS)
    if kind is float:
        return choices.one(FLOATS)
    if kind is str:
        return choices.one(TEXTS)
    assert kind is bytes, kind
    return choices.take(40)


def _bounded(value: Any, hint: Any, choices: Choices) -> Any:
    """The value within its bounds, except one time in sixteen."""
    if choices.below(16) == 15:
        return value
    for meta in get_args(hint)[1:]:
        if isinstance(meta, msgspec.Meta) and isinstance(value, int | float):
            value = value if meta.ge is None else max(value, meta.ge)
            value = value if meta.le is None else min(value, meta.le)
    return value
