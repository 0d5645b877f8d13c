"""Whether a record says of its hosts what these promised themselves.

Rules. A peer that has a record of the grid takes another one only if it has the same hosts, grants, VXLAN ids
and start, and has taken no steps but those that its orders say. A peer that has none asks the grants: each host
must have granted its workspaces, the VXLAN ids and the start, word for word. (One that was not asked since
networks came and went has granted those that its workspaces are on: applying.py.) Workspaces that were ordered
gone since are not looked for. So a record of an older build, which has no grants, is believed only as one's own
store has it.
"""

from collections.abc import Collection, Iterable

from protocol.contract.reading import Reading
from protocol.grid.grant import VNI_MOST, CheckedGrant, SignedGrant
from protocol.grid.record import GridRecord, GridState
from protocol.terms.ids import PeerId
from protocol.trust.signing import Reason, Untrusted


def check_granted(record: GridRecord, gone: Collection[str], reading: Reading) -> None:
    """Every host of a record granted what it says of it. `gone` has the workspaces that were ordered gone.

    Raises Untrusted.
    """
    granted = checked_grants(record, reading)
    placed: dict[str, PeerId] = {}
    for assignment in record.assignments:
        if assignment.workspace in placed:
            why = f"a record that places {assignment.workspace} twice"
            raise Untrusted(Reason.MALFORMED, why)
        placed[assignment.workspace] = assignment.host
    promised: dict[str, PeerId] = {}
    for host, checked in granted.items():
        promised |= {name: host for name in checked.grant.workspaces if name not in gone}
    if placed != promised:
        raise Untrusted(Reason.MALFORMED, "a record that places otherwise than its hosts granted")


def checked_grants(record: GridRecord, reading: Reading) -> dict[PeerId, CheckedGrant]:
    """What the hosts of a record granted, each one once: of that grid, its networks and its time.

    Raises Untrusted.
    """
    granted = _by_host(record.grants, reading)
    if list(granted) != [host.peer for host in record.hosts]:
        raise Untrusted(Reason.MALFORMED, "a record of hosts that are not those that granted it")
    for checked in granted.values():
        _alike(record, checked)
    return granted


def _is_of(record: GridRecord, checked: CheckedGrant) -> bool:
    """Whether it was granted for what a record was made or changed by last. Before that, the grid may have had
    other networks."""
    return record.applied is None or checked.grant.change == record.applied.attempt


def check_step(record: GridRecord, before: GridRecord) -> None:
    """A record follows the one that this peer had: its hosts are as they were. Raises Untrusted.

    That what is gone was ordered gone is not looked at.
    """
    if _fixed(record) != _fixed(before):
        why = "a record of other hosts, stewards, VXLAN ids or start than before"
        raise Untrusted(Reason.MALFORMED, why)
    were = before.placed
    names = [a.workspace for a in record.assignments]
    if len(names) != len(set(names)):
        raise Untrusted(Reason.MALFORMED, "a record that places a workspace twice")
    for a in record.assignments:
        if were.get(a.workspace) != a.host:
            raise Untrusted(Reason.MALFORMED, f"{a.workspace} moved, which no host granted")
    if record.changes[: len(before.changes)] != before.changes:
        raise Untrusted(Reason.MALFORMED, "a record that forgot a change")
    steps = record.epoch - before.epoch - (len(record.changes) - len(before.changes))
    # One that is down because its time was over took a step without an order.
    lapsed = record.state is GridState.DOWN and before.state is GridState.UP
    if steps not in ((0, 1) if lapsed else (0,)):
        raise Untrusted(Reason.MALFORMED, f"an epoch of {record.epoch}, which no order explains")


def _fixed(record: GridRecord) -> tuple[object, ...]:
    """What no change of a record changes."""
    return (
        record.id,
        record.hosts,
        record.grants,
        record.vnis,
        record.start_s,
        record.stewards,
        record.applied,
    )


def vnis_fault(vnis: tuple[tuple[str, int], ...], networks: Iterable[str]) -> str:
    """Why a grid with those networks cannot have those VXLAN ids; empty if it can."""
    if [name for name, _ in vnis] != list(networks):
        return "its VXLAN ids are not one for each of its networks"
    ids = [vni for _, vni in vnis]
    if any(not 0 < vni <= VNI_MOST for vni in ids) or len(ids) != len(set(ids)):
        return "its VXLAN ids are out of range, or two are the same"
    return ""


def _by_host(grants: Iterable[SignedGrant], reading: Reading) -> dict[PeerId, CheckedGrant]:
    """The grants by host, in their order. Raises Untrusted."""
    checked: dict[PeerId, CheckedGrant] = {}
    for signed in grants:
        if signed.host in checked:
            raise Untrusted(Reason.MALFORMED, "a record with two grants of one host")
        checked[signed.host] = reading.grant(signed)
    return checked


def _alike(record: GridRecord, checked: CheckedGrant) -> None:
    """A grant is about this attempt, and its networks and its time. Raises Untrusted."""
    grant, whose = checked.grant, f"the grant of {checked.host[:16]}"
    if grant.grid != record.id:
        raise Untrusted(Reason.MALFORMED, f"{whose} is of another grid")
    if _is_of(record, checked) and grant.vnis != tuple(vni for _, vni in record.vnis):
        raise Untrusted(Reason.MALFORMED, f"{whose} has other VXLAN ids")
    if grant.start_s != record.start_s:
        raise Untrusted(Reason.MALFORMED, f"{whose} has another start")
