"""Whether a record says no more than its owner's orders allow. Each host checks every record it is sent."""

from protocol.contract.applying import check_applied, check_applied_step
from protocol.contract.changes import Changed, changed
from protocol.contract.granting import check_granted, check_step, vnis_fault
from protocol.contract.permitting import permit
from protocol.contract.reading import Deployment, Reading
from protocol.contract.scaling import check_rescaled, check_scaled
from protocol.grid.lease import start_fault
from protocol.grid.record import GridRecord, GridState, order_part
from protocol.trust.order import Order, SignedOrder, read_order
from protocol.trust.signing import Reason, Untrusted


def vouch(
    reading: Reading, record: GridRecord, before: GridRecord | None, now: float, lapsed: bool
) -> Deployment:
    """What a record is to be, by its orders. Raises Untrusted if the record goes beyond them.

    `before` is the newest record that this peer had: what is gone since must have been ordered gone, and
    nothing else may be otherwise. Without it the record's hosts must have granted what it says of them.
    `lapsed` says that its time is over by this peer's clock: then it may be down without an order.
    """
    kept = _believed_before(before) if before is not None and before.id == record.id else ()

    def believed(signed: SignedOrder) -> Order:
        return _ordered(reading, signed, record, kept, now)

    deployment = _deployment(reading, record, before, kept, now)
    _about(record, deployment)
    # An order of an older build names none: a host that carries its grid ends that alone.
    if record.stewards != deployment.stewards and (before is None or deployment.stewards):
        raise Untrusted(Reason.MALFORMED, "a record of other stewards than its order names")
    ordered = changed(record, believed)
    if record.state is GridState.DOWN and not ordered.down and not lapsed:
        raise Untrusted(Reason.MALFORMED, "a record that is down without an order")
    applies = before is None or before.became != record.became
    scales = before is None or before.room != record.room
    if record.applied is not None and (applies or scales):
        check_applied(record, ordered, believed, reading)
    elif record.state is GridState.UP and before is None:
        _enough(deployment, [*(a.workspace for a in record.assignments), *ordered.gone])
    if before is not None and applies:
        check_applied_step(record, before, ordered, reading)
    elif before is not None and scales:
        if record.applied is None:
            check_granted(record, ordered.gone, reading)
        check_rescaled(record, before, ordered, reading)
    elif before is not None:
        _nothing_vanished(record, before, ordered)
        check_step(record, before)
    elif record.applied is None:
        check_granted(record, ordered.gone, reading)
    if record.scaled is not None and scales:
        check_scaled(record, ordered, reading)
    return deployment


def _believed_before(before: GridRecord) -> tuple[SignedOrder, ...]:
    """The orders in a record that was believed."""
    return (*before.changes, before.standing, *filter(None, (before.previous,)))


def _deployment(
    reading: Reading,
    record: GridRecord,
    before: GridRecord | None,
    kept: tuple[SignedOrder, ...],
    now: float,
) -> Deployment:
    """What its orders ask for. Raises Untrusted if one of them is not believed, or makes no sense.

    What was believed when it was stored is believed again. That its key was revoked since, or its certificate
    ended, ends no grid, and must not keep one from ending.
    """
    if before is None or before.order != record.order:
        made = reading.deployment(record.order, now, fresh=False)
        if record.applied is None:
            return made
    if record.standing in kept or record.applied is None:
        return reading.stored(record)
    return reading.of_record(record, reading.applied(record.standing, now, fresh=False)[1])


def _nothing_vanished(record: GridRecord, before: GridRecord, ordered: Changed) -> None:
    """What is gone since was ordered gone. Raises Untrusted."""
    left = {assignment.workspace for assignment in record.assignments}
    for assignment in before.assignments:
        if assignment.workspace not in left and assignment.workspace not in ordered.gone:
            raise Untrusted(Reason.MALFORMED, f"{assignment.workspace} vanished without an order")


def _about(record: GridRecord, deployment: Deployment) -> None:
    """The record is about what was ordered, and places and begins no more than that. Raises Untrusted."""
    if (deployment.order, deployment.name, deployment.owner, deployment.owner_site) != (
        order_part(record.id),
        record.name,
        record.owner,
        record.owner_site,
    ):
        raise Untrusted(Reason.MALFORMED, "a record that is not about its own order")
    names = [workspace.name for workspace in deployment.workspaces]
    if any(assignment.workspace not in names for assignment in record.assignments):
        raise Untrusted(Reason.MALFORMED, "a record of workspaces nobody ordered")
    if fault := start_fault(deployment.spec, record.start_s):
        raise Untrusted(Reason.MALFORMED, fault)
    if fault := vnis_fault(record.vnis, [n.name for n in deployment.spec.networks]):
        raise Untrusted(Reason.MALFORMED, f"a record of which {fault}")


def _enough(deployment: Deployment, there: list[str]) -> None:
    """Every cluster has at least its `min` workspaces, ended ones included. Raises Untrusted."""
    for cluster in deployment.spec.clusters:
        mine = [w.name for w in deployment.workspaces if w.cluster == cluster.name]
        if sum(name in there for name in mine) < cluster.least:
            why = f"a record with fewer than {cluster.least} of {cluster.name}"
            raise Untrusted(Reason.MALFORMED, why)


def _ordered(
    reading: Reading,
    signed: SignedOrder,
    record: GridRecord,
    kept: tuple[SignedOrder, ...],
    now: float,
) -> Order:
    """An order that changes the record's grid. Those that are `kept` were believed before.

    Raises Untrusted if it may not.
    """
    if signed in kept:
        return read_order(signed)
    checked = reading.order(signed, now, fresh=False)
    permit(checked, record)
    return checked.order
