"""What stewards take into a register, and which step they take next. Hosts judge again (vouching.py).

Two questions. Whether a value vouches for itself (`genuine`) is judged by what is in it alone, so that every
acceptor judges alike, at any time; what others say was decided must do so as well (`believed`). Whether a step
may follow on a value (`follow`) is judged once, by the steward that was asked, from the value it read: a step
that goes beyond what the grid's owner ordered is refused.
"""

from typing import assert_never

import msgspec

from protocol.capacity.allotments import Allot
from protocol.contract.applying import check_applied
from protocol.contract.changes import changed
from protocol.contract.entitled import require_decliner, require_voter
from protocol.contract.granting import check_granted
from protocol.contract.permitting import permit, require_later
from protocol.contract.reading import Reading
from protocol.contract.scaling import check_scaled
from protocol.contract.vouching import vouch
from protocol.grid.decision import Certificate, Decision, check_certificate, follow_seals
from protocol.grid.expand import names
from protocol.grid.lease import kept_s
from protocol.grid.limits import CHANGED_RECORD_BYTES, WORKSPACES_MAX
from protocol.grid.record import (
    GridRecord,
    GridState,
    Register,
    is_about,
    lease_change,
    order_part,
    read_register,
    register_key,
)
from protocol.grid.seal import Closing, newcomer, succeeds
from protocol.grid.steps import (
    Apply,
    Commit,
    Decline,
    End,
    Extend,
    Finish,
    Lapse,
    Remove,
    Replace,
    Rescale,
    Step,
    Vote,
    apply,
)
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import CHANGES_MOST, ORDER_LATE_S
from protocol.trust.order import Action, CheckedOrder, Order, SignedOrder, order_id, read_order
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import Malformed, encode

_BESIDE = 4096
"""Orders that change a grid beside those of its lease: its workspaces are terminated, and it is taken down."""
_EPOCH_MOST = 1 << 32
_CLOCKS_S = 30.0
"""How far the clocks of a signer, a carrier and a steward may be apart."""


def genuine(reading: Reading, key: str, value: bytes) -> Register:
    """The register that a value says, of that key. Raises Untrusted if it does not vouch for itself."""
    try:
        register = read_register(value)
    except Malformed as error:
        raise Untrusted(Reason.MALFORMED, f"a register: {error}") from None
    _vouches(reading, key, register)
    return register


def believed(reading: Reading, certificate: Certificate) -> Decision:
    """What a certificate says was decided. Raises Untrusted.

    The stewards are whoever the order names, and may all lie. So it is believed only if honest ones could have
    accepted it, and if it places nothing but workspaces of its order. What else that order says is its signer's
    own matter: an older build may have allowed what this one does not.
    """
    decision = check_certificate(certificate, reading.verifier)
    register = decision.register
    _vouches(reading, certificate.register, register)
    record = register.record
    if read_order(register.ordered).action is Action.COUNT:
        return decision
    spec = reading.spec(record.standing if record is not None else register.ordered)
    if sum(max(0, cluster.count) for cluster in spec.clusters) > WORKSPACES_MAX:
        raise Untrusted(Reason.MALFORMED, f"a grid of more than {WORKSPACES_MAX} workspaces")
    there = frozenset(names(spec))
    if record is not None and any(a.workspace not in there for a in record.assignments):
        raise Untrusted(Reason.MALFORMED, "a decision about workspaces nobody ordered")
    return decision


def _vouches(reading: Reading, key: str, register: Register) -> None:
    """Raises Untrusted unless a register of that key vouches for itself."""
    try:
        order = register.ordered
    except Malformed as error:
        raise Untrusted(Reason.MALFORMED, f"a register: {error}") from None
    if register_key(order) != key:
        raise Untrusted(Reason.MALFORMED, "a register of another order")
    up = reading.signed(order)
    if up.order.action not in (Action.UP, Action.COUNT):
        raise Untrusted(Reason.MALFORMED, "a register of an order that brings nothing up")
    if (up.order.action is Action.COUNT) != (register.allotments is not msgspec.UNSET):
        if register != Register(order=order, seals=register.seals, closed=register.closed):
            raise Untrusted(
                Reason.MALFORMED, "allotments are of an order to count, and nothing else"
            )
    elif up.order.action is Action.COUNT and (register.record, register.declined) != (None, ()):
        raise Untrusted(Reason.MALFORMED, "an order to count makes no grid")
    if register.record is not None:
        _ordered(reading, up, register.record)
    if register.seals:
        follow_seals(order, register.seals, reading.verifier)
    if register.closed is not None:
        _may_inherit(reading, up, register, register.closed)


def _may_inherit(reading: Reading, up: CheckedOrder, register: Register, closed: Closing) -> None:
    """Who follows a steward is a host of a site that could stop the grid anyway. Raises Untrusted.

    That is a site whose hosts carry the grid, or its owner's. Whether the steward is gone, and whether its heir
    is a member still, only the steward that proposes it can say.
    """
    if not succeeds(closed.seats, register.seats):
        raise Untrusted(Reason.MALFORMED, "a seal that replaces other than one steward")
    heir = reading.host(closed.chain)
    peer = newcomer(closed.seats, register.seats)
    if PeerId(heir.key) != peer:
        raise Untrusted(
            Reason.WRONG_ROLE, "a seal that shows another's certificate than its heir's"
        )
    if peer in register.keepers:
        # It has another store than before. Its signer, or an earlier set, chose the host.
        return
    if heir.site not in heirs_sites(register, up.owner.label):
        why = f"a seal to a host of {heir.site}, which neither carries the grid nor is its owner's"
        raise Untrusted(Reason.WRONG_ROLE, why)


def heirs_sites(register: Register, owner_site: str) -> set[str]:
    """Of which sites a steward's heir may be. For asking what is in it; it has no order."""
    record = register.record
    if record is None:
        return {owner_site}
    carriers = record.carriers()
    return {owner_site, *(host.site for host in record.hosts if host.peer in carriers)}


def _ordered(reading: Reading, up: CheckedOrder, record: GridRecord) -> None:
    """Raises Untrusted unless the record's owner signed what it says was ordered."""
    said = (record.name, record.owner, record.owner_site, record.stewards)
    if said != (up.order.grid, up.owner.key, up.owner.label, up.order.stewards):
        raise Untrusted(Reason.MALFORMED, "a record that is not about its own order")
    if order_part(record.id) != register_key(record.order):
        raise Untrusted(Reason.MALFORMED, "a record whose id is not its order's")
    if not 1 <= record.epoch <= _EPOCH_MOST or len(record.changes) > CHANGES_MOST + _BESIDE:
        raise Untrusted(Reason.MALFORMED, "a record of no epoch, or of too many changes")

    def mine(signed: SignedOrder) -> Order:
        return _signed(reading, signed, record)

    ordered = changed(record, mine)
    if record.applied is not None:
        check_applied(record, ordered, mine, reading)
    else:
        check_granted(record, ordered.gone, reading)
    if record.scaled is not None:
        check_scaled(record, ordered, reading)


def _signed(reading: Reading, signed: SignedOrder, record: GridRecord) -> Order:
    """A change that the record's owner signed, whenever that was. Raises Untrusted."""
    change = reading.signed(signed)
    permit(change, record)
    return change.order


def follow(
    reading: Reading,
    order: SignedOrder,
    register: Register,
    step: Step,
    asker: PeerId,
    now: float,
) -> Register:
    """What the register of that order is after the step. Raises Untrusted if that is not allowed."""
    record = register.record
    counts = read_order(order).action is Action.COUNT
    if counts != isinstance(step, Allot) and not isinstance(step, Finish | Replace):
        raise Untrusted(
            Reason.MALFORMED, "a register of another kind of order than the step is for"
        )
    match step:
        case Allot(host=host):
            if asker != host:
                raise Untrusted(Reason.WRONG_ROLE, "a host changes its own allotment alone")
            value = reading.governs(reading.signed(order).owner, register.counted)
            register = msgspec.structs.replace(register, order=order, allotments=value)
        case Commit(record=made):
            if record is None:
                _committable(reading, order, made, now)
        case Vote():
            require_voter(reading, order, step, asker)
        case Finish():
            pass
        case End(order=signed, grid=grid):
            _ordered_by_owner(reading, order, grid, record, signed, Action.DOWN, now)
        case Remove(order=signed, grid=grid, workspace=workspace):
            checked = _ordered_by_owner(reading, order, grid, record, signed, Action.TERMINATE, now)
            if checked.order.workspace != workspace:
                raise Untrusted(Reason.MALFORMED, f"no order to terminate {workspace}")
            if record is not None and record.id == grid:
                require_later(checked.order, record)
        case Extend(order=signed, grid=grid):
            checked = _ordered_by_owner(reading, order, grid, record, signed, Action.LEASE, now)
            _check_lease_change(signed)
            late = now > checked.fresh_until_s + ORDER_LATE_S
            mine = order_id(signed)
            done = record is not None and mine in [order_id(s) for s in record.changes]
            if late and not done:
                raise Untrusted(Reason.EXPIRED, "the order came too late; sign it again")
        case Apply(record=made):
            # If another change was first, nothing is to be judged: the step does not apply.
            if record is not None and record.id == made.id and record.epoch + 1 == made.epoch:
                _appliable(reading, record, made, now)
        case Rescale(record=made):
            if record is not None and record.id == made.id and record.epoch + 1 == made.epoch:
                _scalable(reading, record, made, asker, now)
        case Lapse():
            _over(reading, record, asker, now)
        case Decline():
            require_decliner(reading, record, step, asker)
        case Replace():
            if register.record is None and register.order is None:
                register = msgspec.structs.replace(register, order=order)
        case _:
            assert_never(step)
    try:
        after = apply(step, register, now)
    except Malformed as error:
        raise Untrusted(Reason.MALFORMED, error.detail) from None
    if after.record is None and after != Register():
        after = msgspec.structs.replace(after, order=order)
    return after


def _committable(reading: Reading, order: SignedOrder, made: GridRecord, now: float) -> None:
    if made.order != order or made.epoch != 1 or made.changes or made.state is not GridState.UP:
        raise Untrusted(Reason.MALFORMED, "a commit is the first epoch of what was ordered")
    checked = reading.order(order, now, fresh=False)
    if now > checked.fresh_until_s + ORDER_LATE_S:
        raise Untrusted(Reason.EXPIRED, "the order came too late; sign it again")
    vouch(reading, made, None, now, lapsed=False)


def _appliable(reading: Reading, record: GridRecord, made: GridRecord, now: float) -> None:
    """Raises Untrusted unless the grid may become that, by a fresh order of its owner."""
    if made.applied is None or made.became == record.became or made.state is not GridState.UP:
        raise Untrusted(Reason.MALFORMED, "to apply is the next epoch of what was ordered")
    checked = reading.order(made.applied.order, now, fresh=False)
    if now > checked.fresh_until_s + ORDER_LATE_S:
        raise Untrusted(Reason.EXPIRED, "the order came too late; sign it again")
    vouch(reading, made, record, now, lapsed=False)
    _small_enough(made)


def _scalable(
    reading: Reading, record: GridRecord, made: GridRecord, asker: PeerId, now: float
) -> None:
    """Raises Untrusted unless the grid may become that by room, for one of its hosts, and its owner's authority
    still stands."""
    if asker not in record.carriers():
        raise Untrusted(Reason.WRONG_ROLE, "only who carries a grid says that there is room for it")
    if made.scaled is None or made.room == record.room or made.state is not GridState.UP:
        raise Untrusted(Reason.MALFORMED, "room makes the next epoch of what was ordered")
    if made.changes != record.changes:
        raise Untrusted(Reason.MALFORMED, "room brings no order")
    if len(made.assignments) > len(record.assignments):
        reading.order(record.standing, now, fresh=False)
    vouch(reading, made, record, now, lapsed=False)
    _small_enough(made)


def _small_enough(made: GridRecord) -> None:
    if (size := len(encode(made))) > CHANGED_RECORD_BYTES:
        most = CHANGED_RECORD_BYTES >> 10
        why = f"its record would take {size >> 10} KiB, at most {most} are accepted; down, and up again"
        raise Untrusted(Reason.MALFORMED, why)


def _ordered_by_owner(
    reading: Reading,
    order: SignedOrder,
    grid: GridId,
    record: GridRecord | None,
    signed: SignedOrder,
    action: Action,
    now: float,
) -> CheckedOrder:
    """An order about the grid, by who ordered it. Raises Untrusted."""
    checked = reading.order(signed, now, fresh=False)
    if checked.order.action is not action:
        raise Untrusted(Reason.MALFORMED, f"an order to {checked.order.action}, not to {action}")
    if record is not None and record.id == grid:
        permit(checked, record)
        return checked
    up = reading.signed(order)
    if not checked.owner.may_change(up.owner.line) or not is_about(grid, checked.order.grid):
        raise Untrusted(Reason.WRONG_ROLE, "the grid is another owner's")
    return checked


def _over(reading: Reading, record: GridRecord | None, asker: PeerId, now: float) -> None:
    """A carrier says that the time of the grid is over. It cannot be before its order allows that.

    Raises Untrusted. Other carriers go by their own clocks all the same.
    """
    if record is None:
        return
    if asker not in record.carriers():
        raise Untrusted(Reason.WRONG_ROLE, "only a host that carries the grid says that it is over")
    spec = reading.spec(record.order)
    begun_s = record.start_s or reading.signed(record.order).order.issued_at_s
    ends_s = begun_s + spec.lease_s + record.extra_s + kept_s(spec.lease)
    if now < ends_s - _CLOCKS_S:
        raise Untrusted(Reason.NOT_YET_VALID, "the time of the grid is not over")


def _check_lease_change(signed: SignedOrder) -> None:
    """Raises Untrusted if the order does not say by how much a lease is changed."""
    try:
        lease_change(signed)
    except Malformed as error:
        raise Untrusted(Reason.MALFORMED, f"a change of a lease: {error}") from None
