"""What would work where a workspace cannot be changed on its host: less now, the same later, or elsewhere.

Each is tried with what hosts offered, so that it is true when it is said.
"""

from collections.abc import Iterable, Iterator, Mapping

from protocol.grid.expand import cluster_of
from protocol.grid.model import Workspace
from protocol.grid.problem import listed
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
    (((cpus_milli, memory_bytes, bits_s), (new_cpus_milli, new_memory_bytes, new_bits_s)),) = sizes
    free = {offer.peer: offer.free for offer in offers}
    peers = list(change.changed.values())
    if any(peer not in free for peer in peers):
        return
    most_cpus = min(free[peer].cpus_milli // peers.count(peer) for peer in peers)
    most_memory = min(free[peer].memory_bytes // peers.count(peer) for peer in peers)
    said = []
    if cpus_milli < new_cpus_milli:
        fits = min(new_cpus_milli, _cpus(cpus_milli + most_cpus))
        said.append(f"cpus {format_cpus(fits)}" if fits > cpus_milli else "")
    if memory_bytes < new_memory_bytes:
        fits = min(new_memory_bytes, _bytes(memory_bytes + most_memory))
        said.append(f"memory {write_size(fits)}" if fits > memory_bytes else "")
    if bits_s < new_bits_s:
        cards = max(len(becomes.networks) for _, becomes in pairs)
        most = min(free[peer].network_bits_s // peers.count(peer) for peer in peers) // cards
        fits = min(new_bits_s, (bits_s + most) // _MEGABIT * _MEGABIT)
        said.append(f"network-rate {write_rate(fits)}" if fits > bits_s else "")
    more = [each for each in said if each]
    disk = max(change.size(name).disk_bytes for name in change.changed)
    if more and (not disk or all(free[p].disk_bytes >= disk * peers.count(p) for p in peers)):
        names = list(change.changed)
        whom = names[0] if len(names) == 1 else cluster_of(names[0])
        yield f"{' and '.join(more)} for {whom}, now"


def _sizes(workspace: Workspace) -> tuple[int, int, int]:
    return workspace.cpus_milli, workspace.memory_bytes, workspace.network_bits_s


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
