"""Grids and hosts for the tests of placement, written short."""

import msgspec

from protocol.capacity.advert import HostFacts
from protocol.capacity.quantum import UNCOUNTED, Quantum
from protocol.grid.model import ClusterSpec, GridSpec, ImageRef, PlacementSpec
from protocol.placement.fit import Offer
from protocol.terms.coordinate import point
from protocol.terms.ids import PeerId

GIB = 1 << 30
MIB = 1 << 20
IMAGE = ImageRef("tiny", "d" * 64)


def host(
    name: str,
    site: str = "s1",
    cpus: float = 8,
    memory_gib: float = 32,
    disk_gib: float = 100,
    *,
    labels: tuple[str, ...] = (),
    devices: tuple[tuple[str, int], ...] = (),
    at_ms: tuple[float, ...] | None = None,
    encrypts: bool = True,
    images: tuple[str, ...] = (),
    clashes: tuple[str, ...] = (),
    network_bits_s: int = UNCOUNTED,
    disk_bytes_s: int = UNCOUNTED,
    disk_operations_s: int = UNCOUNTED,
) -> Offer:
    """One host's offer."""
    rates = (network_bits_s, disk_bytes_s, disk_operations_s)
    free = Quantum(int(cpus * 1000), int(memory_gib * GIB), int(disk_gib * GIB), devices, *rates)
    return Offer(
        peer=PeerId(f"key of {name}"),
        host=name,
        site=site,
        facts=HostFacts(free, "x86_64", "qemu:///embed", "kvm", "", name, encrypts, labels),
        free=free,
        images=images,
        coordinate=point(*at_ms) if at_ms is not None else None,
        clashes=clashes,
    )


def probed(offer: Offer, **facts: object) -> Offer:
    """The same of a host of which something else was probed."""
    changed = msgspec.structs.replace(offer.facts, **facts)
    return msgspec.structs.replace(offer, facts=changed)


def cluster(
    name: str = "web", count: int = 1, cpus: float = 1, memory_gib: float = 1, **more: object
) -> ClusterSpec:
    """One cluster."""
    memory_bytes = int(memory_gib * GIB)
    return ClusterSpec(name, count, IMAGE, int(cpus * 1000), memory_bytes, **more)  # type: ignore[arg-type]


def grid(*clusters: ClusterSpec, **placement: object) -> GridSpec:
    """A grid of those clusters."""
    return GridSpec("shop", clusters, placement=PlacementSpec(**placement))  # type: ignore[arg-type]
