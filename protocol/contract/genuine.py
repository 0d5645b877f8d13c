"""Whether the value of a register vouches for itself. Stewards take and pass on no other.

It is judged by what is in the value alone, so that every peer judges alike, at any time: it decodes, it is that
register's, the orders in it were signed by the owner, and the hosts in it granted what it places. Whether a
change may follow on the value before, the proposer says, and each host (vouching.py).
"""

from protocol.contract.granting import check_granted
from protocol.contract.permitting import permit
from protocol.contract.reading import Reading
from protocol.grid.record import (
    GridRecord,
    Register,
    grid_id,
    lease_change,
    order_part,
    read_register,
    register_key,
)
from protocol.terms.limits import CHANGES_MOST, STEWARDS_MOST, VOIDED
from protocol.trust.order import Action
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import Malformed

_ENDS = 2
"""A record ends once by its time and once by an order, beside the changes of its lease."""
_WORKSPACES_MOST = 4096
_EPOCH_MOST = 1 << 32


def genuine(reading: Reading, key: str, value: bytes) -> Register:
    """The register that a value says, of that key. Raises Untrusted if it does not vouch for itself."""
    try:
        register = read_register(value)
    except Malformed as error:
        raise Untrusted(Reason.MALFORMED, f"a register: {error}") from None
    if len(register.voided) > VOIDED:
        raise Untrusted(Reason.MALFORMED, "a register of more votes than are kept")
    if register.record is not None:
        _ordered(reading, key, register.record)
    return register


def _ordered(reading: Reading, key: str, record: GridRecord) -> None:
    """Raises Untrusted unless the record's owner signed what it says was ordered, under that name."""
    up = reading.signed(record.order)
    mine = (up.order.action, up.order.grid, up.principal.key, up.principal.site)
    if mine != (Action.UP, record.name, record.owner, record.owner_site):
        raise Untrusted(Reason.MALFORMED, "a record that is not about its own order")
    if register_key(record.owner, record.name) != key:
        raise Untrusted(Reason.MALFORMED, "a record of another register")
    if order_part(record.id) != order_part(grid_id(record.order)):
        raise Untrusted(Reason.MALFORMED, "a record whose id is not its order's")
    if not 1 <= record.epoch <= _EPOCH_MOST or not 1 <= len(record.stewards) <= STEWARDS_MOST:
        raise Untrusted(Reason.MALFORMED, "a record of no epoch, or of too many stewards")
    if len(record.changes) > CHANGES_MOST + _ENDS + _WORKSPACES_MOST:
        raise Untrusted(Reason.MALFORMED, "a record of more changes than a grid can have")
    extra_s, gone, seen = 0, dict[str, None](), set[str]()
    for signed in record.changes:
        change = reading.signed(signed)
        if change.id in seen:
            raise Untrusted(Reason.MALFORMED, "a record with one order twice")
        seen.add(change.id)
        permit(change, record, named=True)
        if change.order.action is Action.TERMINATE:
            gone[change.order.workspace] = None
        if change.order.action is Action.LEASE:
            try:
                extra_s += lease_change(signed).by_s
            except Malformed as error:
                raise Untrusted(Reason.MALFORMED, f"a change of a lease: {error}") from None
    if record.extra_s != extra_s:
        raise Untrusted(Reason.MALFORMED, "a lease that nobody ordered so long, or so short")
    if (
        record.grants
    ):  # Those of an older build have none. Who carries such a grid knows it from its own disk.
        check_granted(record, gone, reading)
