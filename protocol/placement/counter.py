"""Counter-offers: what would be granted instead, by the same hosts, now or later.

Each one is true. It was tried with the same engine without dice, and `choose` places with any dice whatever
can be placed without (choose.py). So if it is asked for next and nothing changed, it is granted. Counter-offers
are found from what is refused, not from everything imaginable: less of what is short, or without a rule that
binds.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

import msgspec

from protocol.capacity.quantum import Quantum
from protocol.grid.expand import workspaces
from protocol.grid.limits import (
    CPUS_MILLI_MIN,
    DISK_BYTES_S_MIN,
    DISK_OPERATIONS_S_MIN,
    MEMORY_BYTES_MIN,
    NETWORK_BITS_S_MIN,
    VOLUME_BYTES_MIN,
)
from protocol.grid.model import ClusterSpec, Driver, Encryption, GridSpec, Strict
from protocol.grid.written import keys_of
from protocol.placement.choose import Choice, certain
from protocol.placement.fit import Offer, quantum_of, rules_of
from protocol.terms.quantities import format_cpus, format_duration, write_rate, write_size
from protocol.terms.refusal import Constraint

_MIB = 1 << 20
_STARTS = 64
"""How many starts are tried at most: moments at which something ends somewhere."""

_LARGE = 20_000
"""From so many workspaces times hosts on a try has two attempts, below that six: a no must come soon, too."""


class Fewer(msgspec.Struct, frozen=True, tag="fewer"):
    """So many workspaces of these clusters, and the rest as asked."""

    counts: tuple[tuple[str, int], ...]


class Smaller(msgspec.Struct, frozen=True, tag="smaller"):
    """Workspaces of these clusters with so much of one resource, and the rest as asked."""

    clusters: tuple[str, ...]
    constraint: Constraint
    """cpus, memory or disk. Of disk it is the scratch disks."""
    amounts: tuple[int, ...]
    """By cluster, in the constraint's unit."""


class SmallerVolumes(msgspec.Struct, frozen=True, tag="smaller-volumes"):
    """These volumes with so many bytes, and the rest as asked."""

    volumes: tuple[str, ...]
    size_bytes: tuple[int, ...]


class Without(msgspec.Struct, frozen=True, tag="without"):
    """Without one rule of placement."""

    rule: str
    """The key path in a grid file: `placement.sites`."""


class Later(msgspec.Struct, frozen=True, tag="later"):
    """As asked, but from then on."""

    in_s: float


CounterOffer = Fewer | Smaller | SmallerVolumes | Without | Later


def counter_offers(
    spec: GridSpec,
    offers: tuple[Offer, ...],
    choice: Choice,
    later: Iterable[tuple[float, tuple[Offer, ...]]] = (),
) -> tuple[CounterOffer, ...]:
    """What would work in place of a grid for which `choice` is not enough.

    `later` says what the hosts offer for a lease that begins in so many seconds, soonest first. Without it
    nothing is said about later.
    """
    short = [u.workspace.cluster for u in choice.unplaced]
    failing = tuple(c for c in spec.clusters if _missing(c, short))
    why = {r.constraint for u in choice.unplaced for r in u.refusals}
    trial = _Trial(offers)
    found: list[CounterOffer] = []
    for in_s, then in islice(later, _STARTS):
        if trial.granted(spec, then):
            found.append(Later(in_s))
            break
    if fewer := _fewer(spec, failing, trial):
        found.append(fewer)
    for constraint in _AMOUNTS:
        if constraint in why and (smaller := _smaller(spec, failing, constraint, trial)):
            found.append(smaller)
    if Constraint.DISK in why and (volumes := _smaller_volumes(spec, failing, trial)):
        found.append(volumes)
    found += (w for w in _without(spec, why) if trial.granted(changed(spec, w)))
    return tuple(found)


def changed(spec: GridSpec, offer: CounterOffer) -> GridSpec:
    """The grid that a counter-offer would grant. A Later changes when, not what."""
    match offer:
        case Fewer(counts=counts):
            return _each(spec, {name: _counted(count) for name, count in counts})
        case Smaller(clusters=clusters, constraint=constraint, amounts=amounts):
            field, _ = _AMOUNTS[constraint]
            pairs = zip(clusters, amounts, strict=True)
            return _each(spec, {name: _with(field, amount) for name, amount in pairs})
        case SmallerVolumes(volumes=volumes, size_bytes=sizes):
            of = dict(zip(volumes, sizes, strict=True))
            made = tuple(
                msgspec.structs.replace(v, size_bytes=of.get(v.name, v.size_bytes))
                for v in spec.volumes
            )
            return msgspec.structs.replace(spec, volumes=made)
        case Without(rule=rule):
            return _RULES[rule](spec)
        case Later():
            return spec


def in_words(offer: CounterOffer) -> str:
    """The offer in words for a person, as something to write or to wait for."""
    match offer:
        case Fewer(counts=counts):
            return ", ".join(f"count {count} of {name}" for name, count in counts) + ", now"
        case Smaller(clusters=clusters, constraint=constraint, amounts=amounts):
            written = _WRITTEN.get(constraint, write_size)
            (key,) = keys_of(_AMOUNTS[constraint][0])
            each = (
                f"{key} {written(amount)} for {name}"
                for name, amount in zip(clusters, amounts, strict=True)
            )
            return ", ".join(each) + ", now"
        case SmallerVolumes(volumes=volumes, size_bytes=sizes):
            pairs = zip(volumes, sizes, strict=True)
            each = (f"size {write_size(size)} for volume {name}" for name, size in pairs)
            return ", ".join(each) + ", now"
        case Without(rule=rule):
            return f"without {rule}, now"
        case Later(in_s=in_s):
            return f"as asked, in {format_duration(in_s)}"


class _Trial:
    """Asks the engine."""

    def __init__(self, offers: tuple[Offer, ...]) -> None:
        self.offers = offers

    def choice(self, spec: GridSpec) -> Choice:
        return _certain(spec, self.offers)

    def granted(self, spec: GridSpec, offers: tuple[Offer, ...] | None = None) -> bool:
        offers = self.offers if offers is None else offers
        return _may_fit(spec, offers) and _certain(spec, offers).enough


def _certain(spec: GridSpec, offers: tuple[Offer, ...]) -> Choice:
    wanted = workspaces(spec)
    attempts = 6 if len(wanted) * len(offers) < _LARGE else 2
    return certain(wanted, offers, rules_of(spec, offers), attempts=attempts)


def _may_fit(spec: GridSpec, offers: tuple[Offer, ...]) -> bool:
    """Whether enough of each cluster fits when nothing else is there. Most trials end here."""
    shapes: dict[str, Quantum] = {}
    for workspace in workspaces(spec):
        size = quantum_of(workspace)
        shapes[workspace.cluster] = size.least(shapes.get(workspace.cluster, size))
    for cluster in spec.clusters:
        missing, shape = cluster.least, shapes[cluster.name]
        for offer in offers:
            if missing <= 0:
                break
            missing -= shape.times_in(offer.free)
        if missing > 0:
            return False
    return True


def _missing(cluster: ClusterSpec, short: list[str]) -> bool:
    return cluster.count - short.count(cluster.name) < cluster.least


def _fewer(spec: GridSpec, failing: tuple[ClusterSpec, ...], trial: _Trial) -> Fewer | None:
    """As many as fit of the clusters that are not placed, and the rest whole."""
    names = [cluster.name for cluster in failing]
    relaxed = _each(spec, dict.fromkeys(names, _with("minimum", 1)))
    choice = trial.choice(relaxed)
    if not choice.enough:
        return None
    unplaced = [u.workspace.cluster for u in choice.unplaced]
    counts = {c.name: c.count - unplaced.count(c.name) for c in failing}
    while all(count > 0 for count in counts.values()):
        fewer = Fewer(tuple((name, n) for name, n in counts.items()))
        if trial.granted(changed(spec, fewer)):
            return fewer
        counts[max(counts, key=lambda name: counts[name])] -= 1
    return None


def _smaller(
    spec: GridSpec, failing: tuple[ClusterSpec, ...], constraint: Constraint, trial: _Trial
) -> Smaller | None:
    """The least reduction of one dimension, in the same proportion for all clusters that are not placed."""
    field, least = _AMOUNTS[constraint]
    now: dict[str, int] = {c.name: getattr(c, field) for c in failing if getattr(c, field)}

    def at(share: int) -> Smaller | None:
        amounts = tuple(_rounded(constraint, amount * share // _SHARES) for amount in now.values())
        return Smaller(tuple(now), constraint, amounts) if min(amounts) >= least else None

    return _greatest(at, spec, trial) if now else None


def _smaller_volumes(
    spec: GridSpec, failing: tuple[ClusterSpec, ...], trial: _Trial
) -> SmallerVolumes | None:
    mounted = dict.fromkeys(m.volume for cluster in failing for m in cluster.mounts)
    volumes = [volume for volume in spec.volumes if volume.name in mounted]
    names = tuple(volume.name for volume in volumes)

    def at(share: int) -> SmallerVolumes | None:
        sizes = tuple(_rounded(Constraint.DISK, v.size_bytes * share // _SHARES) for v in volumes)
        return SmallerVolumes(names, sizes) if min(sizes) >= VOLUME_BYTES_MIN else None

    return _greatest(at, spec, trial) if volumes else None


_AMOUNTS = {
    Constraint.MEMORY: ("memory_bytes", MEMORY_BYTES_MIN),
    Constraint.CPUS: ("cpus_milli", CPUS_MILLI_MIN),
    Constraint.DISK: ("scratch_bytes", VOLUME_BYTES_MIN),
    Constraint.NETWORK_RATE: ("network_bits_s", NETWORK_BITS_S_MIN),
    Constraint.DISK_RATE: ("disk_bytes_s", DISK_BYTES_S_MIN),
    Constraint.DISK_OPERATIONS: ("disk_operations_s", DISK_OPERATIONS_S_MIN),
}
"""Fields of a cluster that may shrink, and the least of each."""

_WRITTEN: Mapping[Constraint, Callable[[int], str]] = {
    Constraint.CPUS: format_cpus,
    Constraint.NETWORK_RATE: write_rate,
    Constraint.DISK_OPERATIONS: str,
}
"""How a grid file has amounts that are no bytes."""

_SHARES = 256
"""Reductions are tried in steps of a 256th of what was asked."""

_UNITS = {
    Constraint.CPUS: 50,
    Constraint.NETWORK_RATE: 10**6,
    Constraint.DISK_RATE: _MIB,
    Constraint.DISK_OPERATIONS: 10,
}

_Shrunk = TypeVar("_Shrunk", Smaller, SmallerVolumes)


def _greatest(at: Callable[[int], _Shrunk | None], spec: GridSpec, trial: _Trial) -> _Shrunk | None:
    """The greatest share that is granted, by binary search: less of a thing fits where more does."""
    low, high, best = 0, _SHARES, None
    while high - low > 1:
        share = (low + high) // 2
        offer = at(share)
        if offer is not None and trial.granted(changed(spec, offer)):
            low, best = share, offer
        elif offer is None:
            low = share
        else:
            high = share
    return best


def _rounded(constraint: Constraint, amount: int) -> int:
    """Rounded down to what a person would write: 50 thousandths of a cpu, a megabit, a mebibyte a second, ten
    operations, a 16th of a power of two of bytes."""
    if constraint in _UNITS:
        unit = _UNITS[constraint]
        return amount - amount % unit if amount > unit else amount
    unit = max(_MIB, 1 << max(0, amount.bit_length() - 5))
    return amount - amount % unit


def _with(field: str, value: int) -> Callable[[ClusterSpec], ClusterSpec]:
    return lambda cluster: msgspec.structs.replace(cluster, **{field: value})


def _counted(count: int) -> Callable[[ClusterSpec], ClusterSpec]:
    return lambda c: msgspec.structs.replace(c, count=count, minimum=min(c.least, count))


def _each(spec: GridSpec, change: Mapping[str, Callable[[ClusterSpec], ClusterSpec]]) -> GridSpec:
    clusters = tuple(change[c.name](c) if c.name in change else c for c in spec.clusters)
    return msgspec.structs.replace(spec, clusters=clusters)


def _placed(**changes: object) -> Callable[[GridSpec], GridSpec]:
    def change(spec: GridSpec) -> GridSpec:
        placement = msgspec.structs.replace(spec.placement, **changes)
        return msgspec.structs.replace(spec, placement=placement)

    return change


def _lenient(rule: Strict) -> Callable[[GridSpec], GridSpec]:
    def change(spec: GridSpec) -> GridSpec:
        strict = tuple(other for other in spec.placement.strict if other is not rule)
        return _placed(strict=strict)(spec)

    return change


def _all(**changes: object) -> Callable[[GridSpec], GridSpec]:
    return lambda spec: _each(
        spec,
        {c.name: lambda c: msgspec.structs.replace(c, **changes) for c in spec.clusters},
    )


def _networks(**changes: object) -> Callable[[GridSpec], GridSpec]:
    return lambda spec: msgspec.structs.replace(
        spec, networks=tuple(msgspec.structs.replace(n, **changes) for n in spec.networks)
    )


def _ports_chosen(spec: GridSpec) -> GridSpec:
    clusters = tuple(
        msgspec.structs.replace(
            c, expose=tuple(msgspec.structs.replace(each, outside=0) for each in c.expose)
        )
        for c in spec.clusters
    )
    return msgspec.structs.replace(spec, clusters=clusters)


def _any_driver(spec: GridSpec) -> GridSpec:
    """Without `driver`. An image with a root disk is for virtual machines or for containers only."""

    def change(cluster: ClusterSpec) -> ClusterSpec:
        if not cluster.disk_bytes:
            return msgspec.structs.replace(cluster, driver=None)
        is_kvm = cluster.driver is Driver.KVM
        return msgspec.structs.replace(cluster, driver=Driver.QEMU if is_kvm else cluster.driver)

    return _each(spec, {c.name: change for c in spec.clusters})


_RULES: dict[str, Callable[[GridSpec], GridSpec]] = {
    "placement.strict: [spread]": _lenient(Strict.SPREAD),
    "placement.strict: [compact]": _lenient(Strict.COMPACT),
    "placement.within": _placed(within_ms=0),
    "placement.apart": _placed(apart=()),
    "placement.sites": _placed(sites=()),
    "placement.exclude": _placed(exclude=()),
    "placement.exclude-sites": _placed(exclude_sites=()),
    "labels.required": _all(labels=()),
    "driver": _any_driver,
    "sealing of networks (`encryption: none`: readable on the way)": _networks(
        encryption=Encryption.NONE
    ),
    "`internet: true` in its networks": _networks(internet=False),
    "ports under `as`: hosts choose them": _ports_chosen,
}

_BY_CONSTRAINT = {
    Constraint.SPREAD: ("placement.strict: [spread]",),
    Constraint.COMPACT: ("placement.strict: [compact]",),
    Constraint.DISTANCE: ("placement.within",),
    Constraint.APART: ("placement.apart",),
    Constraint.SITE: ("placement.sites", "placement.exclude", "placement.exclude-sites"),
    Constraint.LABEL: ("labels.required",),
    Constraint.DRIVER: ("driver",),
    Constraint.ENCRYPTION: ("sealing of networks (`encryption: none`: readable on the way)",),
    Constraint.EGRESS: ("`internet: true` in its networks",),
    Constraint.PORT: ("ports under `as`: hosts choose them",),
}
"""Rules that may be left out when one binds. Not the architecture: the image would not start on another."""


def _without(spec: GridSpec, why: set[Constraint]) -> Iterator[Without]:
    for constraint, rules in _BY_CONSTRAINT.items():
        for rule in rules if constraint in why else ():
            if _RULES[rule](spec) != spec:
                yield Without(rule)
