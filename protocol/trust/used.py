"""Orders that were carried out, on disk, so that none is carried out twice while it is fresh.

Who passes an order on can keep it, and give it again as long as it is fresh: ten minutes, or 30 days for one
that waits for room. So whoever carries one out writes that down in the same write: a host what it did to
workspaces, and which `up` has made its grid; the peer that was asked, which `up` was made or taken back.

An order is known by its key, with which the ids of its grids begin. Each owner has room for
USED_ORDERS of them. Whose room is used up is refused, and nobody else.
"""

import msgspec

from protocol.terms.effects import Row
from protocol.terms.ids import KeyId
from protocol.terms.limits import USED_ORDERS
from protocol.trust.certificate import CLOCK_TOLERANCE_S
from protocol.trust.order import ORDER_KEY_DIGITS, SignedOrder, order_key, read_order
from protocol.wire.codec import Malformed, decode, encode

TABLE = "used"


class Used(msgspec.Struct, frozen=True, array_like=True):
    """What is on disk of an order."""

    owner: KeyId
    until_s: float
    """When it is fresh no longer, by any clock that is believed. Then it is forgotten."""


class UsedOrders:
    """Those that one peer has carried out."""

    def __init__(self, rows: dict[str, bytes], now: float) -> None:
        self._owners: dict[KeyId, dict[str, float]] = {}
        self._over: list[str] = []
        """Those that are on disk and need not be."""
        self._owner_of: dict[str, KeyId] = {}
        for key in sorted(rows):
            try:
                used = decode(rows[key], Used)
            except Malformed:
                self._over.append(key)
                continue
            if used.until_s > now:
                self._put(key, used)
            else:
                self._over.append(key)

    def __len__(self) -> int:
        return len(self._owner_of)

    def __contains__(self, order: object) -> bool:
        """Whether it was carried out. `order` has at least the digits by which ids begin."""
        return isinstance(order, str) and order[:ORDER_KEY_DIGITS] in self._owner_of

    def full(self, owner: KeyId, now: float) -> str:
        """Why no more of that owner's orders are carried out; empty if they are."""
        mine = self._owners.get(owner, {})
        if len(mine) < USED_ORDERS or sum(until_s > now for until_s in mine.values()) < USED_ORDERS:
            return ""
        return f"{USED_ORDERS} orders of its owner are remembered here, as many as are kept"

    def add(self, order: str, owner: KeyId, until_s: float, now: float) -> tuple[Row, ...]:
        """Remembers one, at least until then. Answers what is to be written with what it does."""
        key = order[:ORDER_KEY_DIGITS]
        used = Used(owner, until_s + CLOCK_TOLERANCE_S)
        over = [old for old, end_s in self._owners.get(owner, {}).items() if end_s <= now]
        for old in over:
            del self._owners[owner][old], self._owner_of[old]
        gone, self._over = dict.fromkeys((*self._over, *over)), []
        gone.pop(key, None)
        if (before := self._owner_of.get(key)) is not None and self._owners[before][
            key
        ] >= used.until_s:
            return tuple(Row(TABLE, old, None) for old in gone)
        self._put(key, used)
        return (*(Row(TABLE, old, None) for old in gone), Row(TABLE, key, encode(used)))

    def use(self, signed: SignedOrder, owner: KeyId, now: float) -> tuple[Row, ...]:
        """The same of a believed order, for as long as that is fresh."""
        return self.add(order_key(signed), owner, read_order(signed).fresh_until_s, now)

    def check(self) -> None:
        """Every order is one owner's."""
        assert sum(len(mine) for mine in self._owners.values()) == len(self._owner_of)

    def _put(self, key: str, used: Used) -> None:
        if (before := self._owner_of.get(key)) is not None:
            del self._owners[before][key]
        self._owner_of[key] = used.owner
        self._owners.setdefault(used.owner, {})[key] = used.until_s
