"""Orders: what a person asks of the federation, signed, so that its carriers need no trust.

A site's key, the site admin's identity, signs orders, and then the order carries that site's certificate. Or a
member of a virtual organisation does, and then it carries the grants from the organisation's key to the
member's (grants.py). Either leads to an `Owner`. Whether a host takes orders of that owner is not decided here:
its site says that.

An order has two lives. A *fresh* order may be carried out for the first time: within `valid_s` of its
issue. `valid_s` is at most ten minutes, but up to QUEUE_S for a best-effort order, which waits for room.
A *kept* order stands in a grid's record, as the authority under which hosts act for as long as the grid
lives; then its age does not count. The certificates are checked against now in both lives: authority
that lapsed places nothing new.

An order is carried out once. Within its time anybody who has it can give it again, at any peer, so whoever
carries it out remembers that until it is fresh no longer (used.py).
"""

from collections.abc import Container
from enum import StrEnum

import msgspec

from protocol.terms.ids import KeyId, PeerId, StoreId, digest_of, is_store
from protocol.terms.limits import QUEUE_S, STEWARDS_MOST
from protocol.terms.ranges import Moment
from protocol.trust.certificate import (
    CLOCK_TOLERANCE_S,
    Chain,
    Role,
    check_chain,
    is_key,
    read_certificate,
)
from protocol.trust.grants import GRANTS_MOST, Grants, check_grants, owner_of, read_grant
from protocol.trust.owner import NOBODY, Owner
from protocol.trust.signing import (
    Reason,
    Signer,
    Untrusted,
    Verifier,
    read_signed,
    require_signature,
)
from protocol.trust.verbs import Verb
from protocol.wire.codec import encode
from protocol.wire.limits import MAX_ORDER_BESIDE_GRID_BYTES, MAX_ORDER_BYTES

DOMAIN = "order"
MAX_VALID_S = 600.0
"""Long enough for a slow client and clocks that differ; short enough for hosts to remember what they did."""

ORDER_KEY_DIGITS = 20
"""80 bits: nobody finds another that shares them with a given order, or has to read out all 64. Who signs both
can find two, by trying 2^40 of each."""

_MAX_NAME_CHARACTERS = 63
_KEY_DIGITS = 64
_NONCE_CHARACTERS = range(8, 65)


class Action(StrEnum):
    """What is asked."""

    UP = "up"
    HOLD = "hold"
    """Hold for a while what an `up` or an `apply` would need, and no more. The body says for which grid and how
    long."""
    APPLY = "apply"
    """Make a grid that is up what the body says: add, take away, resize, replace."""
    DOWN = "down"
    PAUSE = "pause"
    RESUME = "resume"
    RESTART = "restart"
    REBUILD = "rebuild"
    """Throw a workspace's root disk away and start from the image; the body may name another."""
    SUSPEND = "suspend"
    RESTORE = "restore"
    LEASE = "lease"
    """Extend or shorten the lease; the body says by how much."""
    TERMINATE = "terminate"
    CONSOLE = "console"
    CONNECT = "connect"
    """Connect to a port of a workspace; the body says to which, and through which peer."""
    ATTACH = "attach"
    """Have a host in a network of the grid; the body says in which, `via` which host."""
    COMMIT = "commit"
    """Make an image of a workspace's root disk; the body says what it is called."""
    COUNT = "count"
    """Count at the signer's site what is used of its policy's ceilings; `grid` is the site's name."""


WITH_A_GRID = (Action.UP, Action.HOLD, Action.APPLY)
"""What says a whole grid in its body."""

VERBS_FOR: dict[Action, tuple[Verb, ...]] = {
    Action.UP: (Verb.DEPLOY,),
    Action.HOLD: (Verb.DEPLOY,),
    Action.APPLY: (Verb.DEPLOY, Verb.RESIZE),
    Action.DOWN: (Verb.ACT, Verb.DEPLOY),
    Action.PAUSE: (Verb.ACT,),
    Action.RESUME: (Verb.ACT,),
    Action.RESTART: (Verb.ACT,),
    Action.REBUILD: (Verb.ACT,),
    Action.SUSPEND: (Verb.ACT,),
    Action.RESTORE: (Verb.ACT,),
    Action.LEASE: (Verb.RESERVE, Verb.DEPLOY),
    Action.TERMINATE: (Verb.ACT, Verb.DEPLOY),
    Action.CONSOLE: (Verb.CONNECT,),
    Action.CONNECT: (Verb.CONNECT,),
    Action.ATTACH: (Verb.CONNECT,),
    Action.COMMIT: (Verb.COMMIT,),
    Action.COUNT: (),
}
"""Of which verbs a grant needs one, for an order of each kind. What an order contains may need more."""


class Order(msgspec.Struct, frozen=True):
    """One request. `body` is the encoded grid of an `up`, or whatever else the action needs; opaque here."""

    action: Action
    grid: str
    """The grid's name for `up` and for `hold` of a new one, else its id: then no order is about the next grid
    of that name."""
    issued_at_s: Moment
    valid_s: Moment
    nonce: str
    """8 to 64 characters that tell two otherwise equal requests apart."""
    workspace: str = ""
    body: bytes = b""
    via: str = ""
    """The one peer that may carry it out for its signer: show a console, make an image, be attached, have a
    grid placed or a lease changed. Of the last two, one that names none is for whoever shows it."""
    stewards: tuple[PeerId, ...] = ()
    """Of an `up`: the hosts that keep its register. The signer chose them."""
    stores: tuple[StoreId, ...] = ()
    """The store of each steward that has its seat, in the same order; an empty one is whichever it has. None at
    all if there are fewer than three: then nobody could stand in for a host that lost its disk."""
    grant: str = ""
    """Digest of the signer's grant, 64 hexadecimal digits. Nobody carries it out under another one of the
    same key, of another VO perhaps. Empty for a site's."""

    def store_of(self, steward: PeerId) -> StoreId:
        """The store that has that steward's seat; empty if it is whichever the host has."""
        return store_of(self.stewards, self.stores, steward)

    @property
    def fresh_until_s(self) -> float:
        """Until when it may be carried out for the first time, Unix seconds."""
        return self.issued_at_s + self.valid_s


def store_of(stewards: tuple[PeerId, ...], stores: tuple[StoreId, ...], steward: PeerId) -> StoreId:
    """Of which of its stores a steward has its seat; empty if that is not said."""
    return dict(zip(stewards, stores, strict=False)).get(steward, StoreId(""))


class SignedOrder(msgspec.Struct, frozen=True):
    """An encoded Order, its signature, and what the key that signed it goes by: one of the two chains."""

    payload: bytes
    signature: bytes
    chain: Chain
    """A site's certificate."""
    grants: Grants = ()
    """Of a virtual organisation, to the signer."""


class CheckedOrder(msgspec.Struct, frozen=True):
    """An order that was believed. Only `check_order` makes one."""

    order: Order
    owner: Owner
    """Whose it is, and who gave it."""
    id: str
    """Digest of the payload, 64 hexadecimal digits."""

    @property
    def fresh_until_s(self) -> float:
        """Until when it must be remembered so that it is not carried out twice, Unix seconds."""
        return self.order.fresh_until_s


def order_id(signed: SignedOrder) -> str:
    """Digest of the payload, the same before and after checking."""
    return digest_of(signed.payload)


def order_key(signed: SignedOrder) -> str:
    """What peers keep an order by: as many digits of its id as the ids of its grids begin with."""
    return order_id(signed)[:ORDER_KEY_DIGITS]


def sign_order(order: Order, signer: Signer, chain: Chain = (), grants: Grants = ()) -> SignedOrder:
    """`order`, signed, with one of the two chains. It names its grant.

    Raises ValueError if it breaks a rule for which every peer would refuse it.
    """
    if grants:
        order = msgspec.structs.replace(order, grant=digest_of(grants[-1].payload))
    payload = encode(order)
    if fault := _fault(order, payload):
        raise ValueError(fault)
    signature = signer.sign(DOMAIN, payload)
    return SignedOrder(payload=payload, signature=signature, chain=chain, grants=grants)


def check_order(
    signed: SignedOrder,
    federation: KeyId,
    now_s: float,
    verifier: Verifier,
    *,
    fresh: bool,
    revoked: Container[tuple[KeyId, str]] = (),
) -> CheckedOrder:
    """The order and who gave it. `fresh` says that it is about to be carried out for the first time.

    Raises Untrusted, which says why it is not believed. Whether the order was carried out already is not
    looked at.
    """
    order = read_order(signed)
    if signed.grants or order.grant:
        owner = _granted(order, signed, now_s, verifier, revoked)
    else:
        owner = _certified(signed.chain, federation, now_s, verifier, revoked)
    require_signature(verifier, owner.signer, DOMAIN, signed.payload, signed.signature)
    if order.issued_at_s > now_s + CLOCK_TOLERANCE_S:
        ahead_s = order.issued_at_s - now_s
        raise Untrusted(
            Reason.NOT_YET_VALID, f"issued {ahead_s:.0f} s in the future; check the clocks"
        )
    age_s = now_s - order.issued_at_s
    if fresh and age_s > order.valid_s:
        raise Untrusted(
            Reason.EXPIRED,
            f"issued {age_s:.0f} s ago, valid for {order.valid_s:.0f} s; sign it again",
        )
    return CheckedOrder(order=order, owner=owner, id=order_id(signed))


def claimed(signed: SignedOrder) -> Owner:
    """Whose an order says it is: that of one which was believed once. Nobody's if it shows neither chain.

    Raises Untrusted if what it shows cannot be read.
    """
    if grants := signed.grants[:GRANTS_MOST]:
        return owner_of(grants, [read_grant(grant) for grant in grants])
    if not signed.chain:
        return NOBODY
    certificate = read_certificate(signed.chain[0])
    return Owner(key=certificate.subject, site=certificate.site)


def _certified(
    chain: Chain,
    federation: KeyId,
    now_s: float,
    verifier: Verifier,
    revoked: Container[tuple[KeyId, str]],
) -> Owner:
    principal = check_chain(chain, federation, now_s, verifier, revoked=revoked)
    if principal.role is not Role.SITE:
        raise Untrusted(
            Reason.WRONG_ROLE,
            f"{principal.role} {principal.name} signed it; orders are signed by a site's key or a VO's member",
        )
    return Owner(key=principal.key, site=principal.site)


def _granted(
    order: Order,
    signed: SignedOrder,
    now_s: float,
    verifier: Verifier,
    revoked: Container[tuple[KeyId, str]],
) -> Owner:
    if signed.chain:
        raise Untrusted(Reason.BROKEN_CHAIN, "an order goes by certificates or by grants, not both")
    if not signed.grants or order.grant != digest_of(signed.grants[-1].payload):
        raise Untrusted(
            Reason.BROKEN_CHAIN, "the order was given under another grant than it shows"
        )
    owner = check_grants(signed.grants, now_s, verifier, revoked=revoked)
    enough = VERBS_FOR[order.action]
    if not enough:
        raise Untrusted(Reason.WRONG_ROLE, f"only a site's own key orders to {order.action}")
    if not any(verb in owner.verbs for verb in enough):
        raise Untrusted(
            Reason.NOT_GRANTED,
            f"to {order.action} a grant with {' or '.join(enough)} is needed; this one allows to "
            f"{', '.join(owner.verbs)}",
        )
    return owner


def read_order(signed: SignedOrder) -> Order:
    """What it says, before anything is believed. Raises Untrusted(malformed)."""
    payload = signed.payload
    order = read_signed(payload, Order, "order", limit_bytes=MAX_ORDER_BYTES)
    if fault := _fault(order, payload):
        raise Untrusted(Reason.MALFORMED, fault)
    return order


def _fault(order: Order, payload: bytes) -> str:
    if len(payload) > MAX_ORDER_BYTES:
        return f"order: {len(payload)} bytes, at most {MAX_ORDER_BYTES} are accepted"
    beside = len(payload) - (len(order.body) if order.action in WITH_A_GRID else 0)
    if beside > MAX_ORDER_BESIDE_GRID_BYTES:
        most = MAX_ORDER_BESIDE_GRID_BYTES
        return f"order: {beside} bytes beside a grid, at most {most} are accepted"
    most_s = QUEUE_S if order.action is Action.UP else MAX_VALID_S
    if not 0 < order.valid_s <= most_s:
        return f"order: valid for {order.valid_s:.0f} s, at most {most_s:.0f} s are accepted"
    if not 0 < len(order.grid) <= _MAX_NAME_CHARACTERS:
        return f"order: a grid's name has 1 to {_MAX_NAME_CHARACTERS} characters"
    if len(order.workspace) > _MAX_NAME_CHARACTERS:
        return f"order: a workspace's name has at most {_MAX_NAME_CHARACTERS} characters"
    if order.via and not is_key(order.via):
        return "order: via is a peer's key"
    if not (order.grid + order.workspace).isprintable():
        return "order: a name has an unprintable character"
    if len(order.stewards) > STEWARDS_MOST or len(set(order.stewards)) < len(order.stewards):
        return f"order: at most {STEWARDS_MOST} stewards are accepted, each once"
    if order.stores and len(order.stores) != len(order.stewards):
        return "order: a store is named for each steward, or for none"
    if not all(store == "" or is_store(store) for store in order.stores):
        return "order: a store is 16 hexadecimal digits"
    if order.stewards and order.action not in (Action.UP, Action.COUNT):
        return f"order: an order to {order.action} names no stewards"
    if any(not 0 < len(steward) <= _KEY_DIGITS for steward in order.stewards):
        return f"order: a steward is named by its key, {_KEY_DIGITS} hexadecimal digits"
    if len(order.nonce) not in _NONCE_CHARACTERS:
        return "order: a nonce has 8 to 64 characters"
    return ""
