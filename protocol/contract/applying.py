"""Whether a grid may be what a record says that an order to apply made of it.

Two questions again. By itself (`check_applied`): the owner ordered it about this grid, the record is of the
epoch that follows from that, all that it needs is there, and whoever carries what is new or changed granted it
for this attempt. Beside the record before (`check_applied_step`): what stays is where it was, and the rest is
what `grid/next_epoch.py` makes of it. Who missed epochs in between sees that no lease and no volume was lost.
"""

from collections import Counter
from collections.abc import Collection
from ipaddress import IPv4Network

import msgspec

from protocol.contract.changes import Changed, Judged
from protocol.contract.granted import require_resize, require_staying
from protocol.contract.granting import checked_grants
from protocol.contract.permitting import permit
from protocol.contract.reading import Reading
from protocol.contract.scaling import check_own_word
from protocol.grid.addresses import capacity
from protocol.grid.apply import delta
from protocol.grid.apply_faults import apply_faults, fixed_faults, network_faults
from protocol.grid.expand import cluster_of, names
from protocol.grid.grant import read_grant
from protocol.grid.limits import CLUSTERS_MAX, NAMES_MAX, NETWORKS_MAX, WORKSPACES_MAX
from protocol.grid.model import GridSpec
from protocol.grid.next_epoch import Added, applied_to, stays
from protocol.grid.record import (
    Applied,
    ApplyTerms,
    GridRecord,
    GridState,
    absent,
    order_part,
)
from protocol.grid.volumes import deletes, pinned, volumes_after, volumes_at
from protocol.terms.ids import GridId, PeerId
from protocol.trust.order import Action, Order, SignedOrder, claimed, order_key
from protocol.trust.signing import Reason, Untrusted

_FIXED = ("id", "order", "name", "owner", "owner_site", "stewards", "start_s")
"""What no order to apply changes."""
_SAID = {"became": "places, volumes or lines of its past"}


def check_applied(record: GridRecord, ordered: Changed, believed: Judged, reading: Reading) -> None:
    """A record that was changed says no more than its orders and its hosts. Raises Untrusted.

    `ordered` is what its other orders changed since, `believed` as in changes.py.
    """
    applied = record.applied
    assert applied is not None
    _is_to_apply(believed(applied.order), applied.order, reading)
    if applied.before is not None:
        # What it was before allows nothing. So its signer's certificate may have ended since.
        once = reading.signed(applied.before)
        permit(once, record)
        _is_to_apply(once.order, applied.before, reading)
    else:
        _bounded(reading.spec(record.order))
    terms = reading.applied_terms(applied.order)
    if order_part(applied.attempt) != order_key(applied.order):
        raise _wrong("a record of an attempt to apply another order")
    try:
        _check(record, applied, terms, ordered, reading)
    except ValueError as error:
        raise _wrong(f"a record that makes no sense: {error}") from None


def _check(
    record: GridRecord, applied: Applied, terms: ApplyTerms, ordered: Changed, reading: Reading
) -> None:
    spec = terms.spec
    if faults := fixed_faults(reading.spec(record.order), spec):
        raise _wrong(f"a record of a grid that became what none may: {faults[0]}")
    assert record.previous is not None
    if wrong := next(network_faults(reading.spec(record.previous), spec), ""):
        raise _wrong(f"a record of a grid that became what it may not: {wrong}")
    require_resize(claimed(applied.order), spec, reading.spec(record.previous))
    _check_epoch(record, applied, terms)
    gone = frozenset((*ordered.gone, *terms.without))
    there = [name for name in names(spec) if name not in gone]
    _check_there(record, spec, dict.fromkeys(there), ordered)
    _check_missing(applied, reading.spec(applied.before or record.order))
    _check_places(applied, spec)
    _check_volumes(record, applied, spec)
    _check_promised(record, applied, spec, ordered, reading)


def _check_there(
    record: GridRecord, spec: GridSpec, meant: Collection[str], ordered: Changed
) -> None:
    """All is there that was ordered; of an elastic cluster at least its `min`, ended ones included."""
    here = [a.workspace for a in record.assignments]
    short = Counter(cluster_of(name) for name in meant if name not in here)
    if len(set(here)) != len(here) or not set(here) <= set(meant):
        raise _wrong("a record of other workspaces than were ordered")
    ended = Counter(cluster_of(name) for name in ordered.gone)
    for cluster in spec.clusters:
        most = len([name for name in meant if cluster_of(name) == cluster.name])
        least = most
        if cluster.elastic:
            least = min(most, cluster.least - ended[cluster.name])
        if most - short[cluster.name] < least:
            raise _wrong("a record of other workspaces than were ordered")


def _is_to_apply(order: Order, signed: SignedOrder, reading: Reading) -> None:
    if order.action is not Action.APPLY:
        raise _wrong("a record that applies an order to do something else")
    _bounded(reading.spec(signed))


def _bounded(spec: GridSpec) -> None:
    """Raises Untrusted if a grid is larger than any may be, before anything is counted out."""
    total = sum(max(0, cluster.count) for cluster in spec.clusters)
    if total > WORKSPACES_MAX or len(spec.clusters) > CLUSTERS_MAX:
        raise _wrong(f"a grid of more than {WORKSPACES_MAX} workspaces or {CLUSTERS_MAX} clusters")
    if any(len(cluster.sizes) > NAMES_MAX for cluster in spec.clusters):
        raise _wrong(f"a grid of more than {NAMES_MAX} sizes in a cluster")
    most = max((len(cluster.networks) for cluster in spec.clusters), default=0)
    if len(spec.networks) > NETWORKS_MAX or most > NETWORKS_MAX:
        raise _wrong(f"a grid of more than {NETWORKS_MAX} networks")


def _check_epoch(record: GridRecord, applied: Applied, terms: ApplyTerms) -> None:
    """The epoch is what follows from the one that the owner saw, and from the orders since."""
    before = record.changes[: applied.folded]
    if len(before) < applied.folded or not all(map(stays, before)):
        raise _wrong("a record that kept other changes than it may")
    steps = record.epoch - (terms.epoch + 1) - (len(record.changes) - applied.folded)
    steps -= record.steps_by_room
    # One that is down because its time was over took a step without an order.
    if steps not in ((0, 1) if record.state is GridState.DOWN else (0,)):
        raise _wrong(f"an epoch of {record.epoch}, which no order explains")


def _check_missing(applied: Applied, before: GridSpec) -> None:
    """What is said to have been missing was of the grid before."""
    missing = applied.missing
    if missing is not msgspec.UNSET and not frozenset(missing) <= frozenset(names(before)):
        raise _wrong("a record that misses what the grid never had")


def _check_places(applied: Applied, spec: GridSpec) -> None:
    """Each workspace has one place on each of its networks, and no place is had twice."""
    meant = [
        (network.name, cluster.name, cluster.count)
        for network in spec.networks
        for cluster in spec.clusters
        if network.name in cluster.networks
    ]
    if meant != [(s.network, s.cluster, len(s.positions)) for s in applied.places]:
        raise _wrong("a record of places on other networks than were ordered")
    for network in spec.networks:
        mine = [p for s in applied.places if s.network == network.name for p in s.positions]
        if len(mine) != len(set(mine)):
            raise _wrong(f"a record of two workspaces in one place on {network.name}")
        if mine and max(mine) >= capacity(IPv4Network(network.cidr)):
            raise _wrong(f"a record of a place that {network.name} does not have")


def _check_volumes(record: GridRecord, applied: Applied, spec: GridSpec) -> None:
    """Volumes are where the workspaces are that mount them, and each on one host of the record."""
    at = {kept.volume: kept for kept in applied.volumes}
    if len(at) != len(applied.volumes):
        raise _wrong("a record that has a volume twice")
    hosts = {host.peer for host in record.hosts}
    if any(kept.host not in hosts for kept in applied.volumes):
        raise _wrong("a record of a volume on none of its hosts")
    placed = record.placed
    for kept in volumes_after((), spec, placed):
        if at.get(kept.volume) != kept:
            raise _wrong(f"a record that has {kept.volume} elsewhere than {kept.workspace}")


def _check_promised(
    record: GridRecord, applied: Applied, spec: GridSpec, ordered: Changed, reading: Reading
) -> None:
    """Each host granted what the record says of it, and for this attempt where that is new or changed."""
    grants = {host: checked.grant for host, checked in checked_grants(record, reading).items()}
    promises = {host: frozenset(grant.workspaces) for host, grant in grants.items()}
    placed = record.placed
    fresh = frozenset(_fresh(record, spec, reading))
    ids, networks = dict(record.vnis), {c.name: c.networks for c in spec.clusters}
    mine: dict[PeerId, set[str]] = {}
    for name, host in placed.items():
        mine.setdefault(host, set()).add(name)
        if name not in promises.get(host, ()):
            raise _wrong(f"a record of {name} on a host that did not grant it")
        if name in fresh and not _of_it(grants[host].change, record, applied):
            raise _wrong(f"a record of {name} that its host granted for something else")
        on = networks.get(cluster_of(name), ())
        if any(ids.get(network) not in grants[host].vnis for network in on):
            raise _wrong(f"a record of {name} with VXLAN ids that its host did not grant")
    needed = {*placed.values(), *(kept.host for kept in applied.volumes)}
    for host, grant in grants.items():
        promised = promises[host].difference(ordered.gone)
        of_it = _of_it(grant.change, record, applied)
        if of_it and promised != mine.get(host, set()):
            raise _wrong("a record that places otherwise than its hosts granted")
        gave = record.scaled is not None and of_it and not grant.workspaces
        if host not in needed and not gave and not promises[host].intersection(ordered.gone):
            raise _wrong("a record of a host that carries nothing of it")


def _of_it(change: GridId, record: GridRecord, applied: Applied) -> bool:
    """Whether a grant is for the attempt that was decided, or for one since by which room changed the grid."""
    by_room = record.scaled is not None and order_part(change) == order_part(applied.attempt)
    return change == applied.attempt or by_room


def _fresh(record: GridRecord, spec: GridSpec, reading: Reading) -> list[str]:
    """The workspaces that were not ordered before so, as far as the order before says."""
    assert record.previous is not None
    old, without = reading.spec(record.previous), absent(record.previous)
    were = [name for name in names(old) if name not in without]
    change = delta(were, old, spec)
    return [*change.added, *(name for name, _ in change.changed)]


def check_applied_step(
    record: GridRecord, before: GridRecord, ordered: Changed, reading: Reading
) -> None:
    """A record to which another order was applied follows the one that this peer had. Raises Untrusted.

    That the record vouches for itself (`check_applied`) is not looked at.
    """
    applied = record.applied
    if applied is None:
        raise _wrong("a record that forgot that it was changed")
    if before.state is GridState.DOWN:
        raise _wrong("a record of a change to a grid that was down")
    terms = reading.applied_terms(applied.order)
    if terms.epoch < before.epoch:
        raise _wrong(f"an order to apply to epoch {terms.epoch}, where {before.epoch} stands")
    for field in _FIXED:
        if getattr(record, field) != getattr(before, field):
            raise _wrong(f"a record of another {field} than before")
    require_staying(claimed(applied.order), _gone_by(terms, ordered, before), ordered.gone)
    _nothing_lost(record, applied, before, reading)
    _networks_kept(record, terms.spec, before, reading)
    if terms.epoch == before.epoch and record.scaled is not None:
        check_own_word(record, before, _gone_by(terms, ordered, before), reading)
    elif terms.epoch == before.epoch:
        _is_next(record, applied, before, terms, ordered, reading)


def _gone_by(terms: ApplyTerms, ordered: Changed, before: GridRecord) -> tuple[str, ...]:
    """What its owner ordered gone of a record: one by one, or because the new file has it no more."""
    stays = {*names(terms.spec)}.difference(terms.without)
    left = (a.workspace for a in before.assignments if a.workspace not in stays)
    return (*ordered.gone, *left)


def _nothing_lost(
    record: GridRecord, applied: Applied, before: GridRecord, reading: Reading
) -> None:
    """No change of the lease was forgotten, and no volume that nobody ordered deleted. Raises Untrusted."""
    folded = record.changes[: applied.folded]
    kept = [signed for signed in before.changes if stays(signed)]
    if folded[: len(kept)] != tuple(kept):
        raise _wrong("a record that forgot a change")
    ended = [name for name in map(deletes, record.changes) if name]
    were = {a.workspace for a in before.assignments}
    since = [name for s in record.changes if s not in before.changes and (name := deletes(s))]
    if any(name not in were for name in since):
        return  # It came in an epoch that this peer missed, and may have had any of these volumes.
    at = {volume.volume: volume.host for volume in applied.volumes}
    for volume in volumes_at(before, reading.spec(before.standing)):
        if at.get(volume.volume) != volume.host and volume.workspace not in ended:
            raise _wrong(f"a record that lost the volume {volume.volume}")


def _networks_kept(
    record: GridRecord, spec: GridSpec, before: GridRecord, reading: Reading
) -> None:
    """A network with a member on it that nobody was asked about since has its VXLAN id. Raises Untrusted."""
    were, are = dict(before.vnis), dict(record.vnis)
    had = {c.name: c.networks for c in reading.spec(before.standing).clusters}
    has = {c.name: c.networks for c in spec.clusters}
    unasked = {grant.host for grant in record.grants if grant in before.grants}
    placed = before.placed
    for name, host in record.placed.items():
        if host not in unasked or placed.get(name) != host:
            continue
        cluster = cluster_of(name)
        for network in has.get(cluster, ()):
            if network in had.get(cluster, ()) and were.get(network) != are.get(network):
                raise _wrong(f"a record of another VXLAN id of {network} than before")


def _is_next(
    record: GridRecord,
    applied: Applied,
    before: GridRecord,
    terms: ApplyTerms,
    ordered: Changed,
    reading: Reading,
) -> None:
    """The order was applied to that very record, and what the record says besides was ordered since."""
    old = reading.spec(before.standing)
    were, volumes = before.placed, volumes_at(before, old)
    if faults := apply_faults(old, terms.spec, were, volumes, terms.without):
        raise _wrong(f"a record of a grid that became what it may not: {faults[0]}")
    granted = [signed for signed in record.grants if read_grant(signed).change == applied.attempt]
    placed = {name: g.host for g in granted for name in read_grant(g).workspaces}
    change = delta(tuple(were), old, terms.spec, frozenset(terms.without))
    pins = pinned(volumes, terms.spec)
    for name in change.added:
        if name not in placed:
            raise _wrong(f"a record of {name} that its host granted for something else")
        if pins.get(name, placed[name]) != placed[name]:
            raise _wrong(f"a record of {name} on another host than its volume")
    for name, _ in change.changed:
        if placed.get(name) != were[name]:
            raise _wrong(f"a record of {name} that its host did not grant so")
    added = Added(applied.attempt, placed, record.hosts, tuple(granted))
    then = applied_to(before, old, applied.order, terms, added)
    if record.changes[: applied.folded] != then.changes:
        raise _wrong("a record that forgot a change")
    gone, became = frozenset(ordered.gone), then.applied
    assert became is not None
    if applied.past and became.past:
        # What it changed is said in words, which another build may choose otherwise.
        line = msgspec.structs.replace(became.past[-1], said=applied.past[-1].said)
        became = msgspec.structs.replace(became, past=(*became.past[:-1], line))
    if applied.missing is msgspec.UNSET:
        became = msgspec.structs.replace(became, missing=msgspec.UNSET)  # as older builds decide it
    then = msgspec.structs.replace(
        then,
        became=became,
        epoch=record.epoch,
        state=record.state,
        extra_s=record.extra_s,
        changes=record.changes,
        assignments=tuple(a for a in then.assignments if a.workspace not in gone),
    )
    for field in GridRecord.__struct_fields__:
        if getattr(then, field) != getattr(record, field):
            raise _wrong(f"a record of other {_SAID.get(field, field)} than the order makes")


def _wrong(why: str) -> Untrusted:
    return Untrusted(Reason.MALFORMED, why)
