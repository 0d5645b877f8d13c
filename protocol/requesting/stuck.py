"""What would work where a workspace cannot be changed on its host: less now, the same later, or elsewhere.

Each is tried with what hosts offered, so that it is true when it is said.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from protocol.grid.expand import cluster_of
from protocol.grid.model import Workspace
from protocol.grid.problem import listed
from protocol.grid.written import keys_of
from protocol.placement.counter import CounterOffer, in_words
from protocol.placement.fit import Offer, refusals, rules_of
from protocol.requesting.change import Change
from protocol.terms.quantities import format_cpus, write_rate, write_size
from protocol.terms.refusal import QUANTITIES, Refusal

_HOSTS = 2
"""So many hosts are named that could have it."""

_MIB = 1 << 20
_MEGABIT = 10**6


def would_work(
    change: Change,
    stuck: Mapping[str, Refusal],
    offers: tuple[Offer, ...],
    later: Iterable[CounterOffer],
) -> list[str]:
    """What would work in place of a change of which `stuck` does not fit where it is; empty if nothing does.

    `later` is what is known to work besides. It takes nothing to be held.
    """
    if any(refusal.constraint not in QUANTITIES for refusal in stuck.values()):
        return []
    then = (in_words(offer) for offer in later)
    return [*_here(change, offers), *then, *_elsewhere(change, stuck, offers)]


def movable(
    members: Mapping[str, Workspace], stuck: Mapping[str, Refusal]
) -> tuple[Workspace, ...]:
    """The only one that lacks room where it is, if it could be elsewhere: if no volume keeps it there."""
    if len(stuck) != 1:
        return ()
    ((name, refusal),) = stuck.items()
    moves = refusal.constraint in QUANTITIES and not members[name].mounts
    return (members[name],) if moves else ()


def _here(change: Change, offers: tuple[Offer, ...]) -> Iterator[str]:
    """How large those that are changed could be where they are now, if all of them are alike."""
    pairs = [(change.was[name], change.becomes[name]) for name in change.changed]
    sizes = {(_sizes(was), _sizes(becomes)) for was, becomes in pairs}
    if len(sizes) != 1 or change.delta.added:
        return
    ((had, wanted),) = sizes
    free = {offer.peer: offer.free for offer in offers}
    peers = list(change.changed.values())
    if any(peer not in free for peer in peers):
        return
    more = []
    for (field, rounded, written), has, new in zip(_SIZES, had, wanted, strict=True):
        most = min(getattr(free[peer], field) // peers.count(peer) for peer in peers)
        if field == _EACH_NETWORK:
            most //= max(1, *(len(becomes.networks) for _, becomes in pairs))
        fits = min(new, rounded(has + most))
        if fits > has:
            more.append(f"{keys_of(field)[0]} {written(fits)}")
    disk = max(change.size(name).disk_bytes for name in change.changed)
    if more and (not disk or all(free[p].disk_bytes >= disk * peers.count(p) for p in peers)):
        names = list(change.changed)
        whom = names[0] if len(names) == 1 else cluster_of(names[0])
        yield f"{' and '.join(more)} for {whom}, now"


def _sizes(workspace: Workspace) -> tuple[int, ...]:
    return tuple(getattr(workspace, field) for field, _, _ in _SIZES)


def _elsewhere(
    change: Change, stuck: Mapping[str, Refusal], offers: tuple[Offer, ...]
) -> Iterator[str]:
    """Other hosts that have room for the one that does not fit, if its data does not keep it where it is."""
    if not (found := movable(change.becomes, stuck)):
        return
    (wanted,) = found
    name = wanted.name
    rules = rules_of(change.new, offers)
    there = {*change.stays.values(), *change.fixed.values()}
    company = [offer for offer in offers if offer.peer in there]
    hosts = [
        offer.host
        for offer in offers
        if offer.peer != change.changed.get(name)
        and not refusals(wanted, offer, offer.free, rules, company)
    ]
    if hosts:
        grid = f"{change.record.name}/{name}"
        yield (
            f"on {listed(hosts, _HOSTS)}, started anew with new disks: `overlayctl terminate {grid}`, "
            "then `up` of a file that has it so large"
        )


def _cpus(cpus_milli: int) -> int:
    return cpus_milli - cpus_milli % 50 if cpus_milli > 50 else cpus_milli


def _bytes(size_bytes: int) -> int:
    return size_bytes - size_bytes % _MIB


def _bits(bits_s: int) -> int:
    return bits_s - bits_s % _MEGABIT


_EACH_NETWORK = "network_bits_s"
_SIZES: tuple[tuple[str, Callable[[int], int], Callable[[int], str]], ...] = (
    ("cpus_milli", _cpus, format_cpus),
    ("memory_bytes", _bytes, write_size),
    (_EACH_NETWORK, _bits, write_rate),
    ("disk_bytes_s", _bytes, write_size),
    ("disk_operations_s", int, str),
)
"""What can be less here: fields of a workspace and of a quantum, what they are rounded down to, their words."""
