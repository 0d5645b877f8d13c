"""The hosts file: what some hosts would offer, written by a person, for the engine without daemons.

It is TOML or YAML, by the file's name. `overlayctl place --hosts` and the scenarios under tests/scenarios read
it. Images of one name count as the same image, so names stand in for digests here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, field

from overlayd.config.documents import DocumentError, KeyPath, Source, combined, load
from overlayd.config.gridkeys import Keys
from overlayd.config.toml_source import parse_toml
from overlayd.config.typed import read
from overlayd.config.values import (
    Cpus,
    DiskRate,
    Label,
    Name,
    Operations,
    PortRange,
    Rate,
    Size,
)
from overlayd.config.yaml_source import parse_yaml
from protocol.capacity.advert import GivenPorts, HostFacts
from protocol.capacity.quantum import UNCOUNTED, Quantum
from protocol.grid.model import Driver, GridSpec, ImageRef
from protocol.grid.syntax import label_problem
from protocol.placement.fit import Offer
from protocol.terms.architecture import Architecture
from protocol.terms.coordinate import DIMENSIONS, FAR_S, point
from protocol.terms.ids import PeerId, digest_of

HOSTS_MAX = 10_000
"""Hosts in one file, each of a `count` counted: as many as an overlay may have peers."""


class HostKeys(Keys, frozen=True, kw_only=True):
    """What one host has free, or `count` equal hosts named NAME-1, NAME-2, ..."""

    site: Annotated[Name, Meta(description="Where it is.", examples=["uc"])]
    cpus: Annotated[Cpus, Meta(description="Free cpus.", examples=[8])]
    memory: Annotated[Size, Meta(description="Free memory.", examples=["32G"])]
    disk: Annotated[Size, Meta(description="Free disk.", examples=["200G"])] = Size(0)
    count: Annotated[int, Meta(description="How many such hosts.")] = 1
    labels: Annotated[tuple[Label, ...], Meta(description="Its labels.", examples=[["ssd"]])] = ()
    devices: Annotated[dict[str, int], Meta(description="Free devices.", examples=[{"gpu": 2}])] = (
        field(default_factory=dict)
    )
    images: Annotated[
        tuple[str, ...], Meta(description="Images it has.", examples=[["debian-12"]])
    ] = ()
    carries: Annotated[
        tuple[str, ...], Meta(description="Grids of yours it carries.", examples=[["star"]])
    ] = ()
    at_ms: Annotated[
        tuple[int, ...],
        Meta(
            description="Where it is in the network: a point, distances being milliseconds of"
            " round trip. Not known if left out.",
            examples=[[30, 0]],
        ),
    ] = ()
    architecture: Annotated[Architecture, Meta(description="Its cpus.")] = Architecture.X86_64
    driver: Annotated[Driver, Meta(description="What it runs guests by.")] = Driver.KVM
    encrypts: Annotated[
        bool, Meta(description="Whether it encrypts what its grids send to other hosts.")
    ] = True
    expose: Annotated[
        PortRange,
        Meta(description="Its ports that can lead to workspaces.", examples=["30000-32767"]),
    ] = PortRange()
    network_rate: Annotated[
        Rate | None,
        Meta(description="Free rate of its networks; not counted if left out.", examples=["10G"]),
    ] = None
    disk_rate: Annotated[
        DiskRate | None,
        Meta(description="Free rate of its disks; not counted if left out.", examples=["500M"]),
    ] = None
    disk_operations: Annotated[
        Operations | None,
        Meta(
            description="Free reads and writes a second of its disks; not counted if left out.",
            examples=[20000],
        ),
    ] = None
    egress: Annotated[
        bool, Meta(description="Whether networks with `internet` reach the outside from it.")
    ] = False


class HostsKeys(Keys, frozen=True, kw_only=True):
    """Hosts and what they have free."""

    hosts: Annotated[
        dict[str, HostKeys],
        Meta(
            description="By name.", examples=[{"uc-1": {"site": "uc", "cpus": 8, "memory": "32G"}}]
        ),
    ]


def load_hosts(path: str | Path) -> dict[str, HostKeys]:
    """The hosts of a file, by name. Raises DocumentError with every problem of it."""
    return hosts_of(load(path, parse_toml if str(path).endswith(".toml") else parse_yaml))


def hosts_of(source: Source) -> dict[str, HostKeys]:
    """Like load_hosts, from what was read already."""
    keys, problems = read(source, HostsKeys)
    meaning = [source.problem(at, message) for at, message in _problems(keys)]
    if found := combined(problems, meaning):
        raise DocumentError(found)
    return keys.hosts


def offers_of(hosts: dict[str, HostKeys], spec: GridSpec) -> tuple[Offer, ...]:
    """What the hosts would offer that grid."""
    return tuple(offer for name, keys in hosts.items() for offer in _offers(name, keys, spec))


def with_digests(spec: GridSpec) -> GridSpec:
    """The grid with every image by the digest that stands for its name here."""

    def known(image: ImageRef) -> ImageRef:
        return ImageRef(image.name, digest_of(image.name.encode())) if image.name else image

    clusters = tuple(
        msgspec.structs.replace(c, image=known(c.image), near_image=known(c.near_image))
        for c in spec.clusters
    )
    return msgspec.structs.replace(spec, clusters=clusters)


def _problems(keys: HostsKeys) -> Iterator[tuple[KeyPath, str]]:
    for name, host in keys.hosts.items():
        if problem := label_problem(name):
            yield ("hosts", name), problem
        if not 1 <= host.count <= HOSTS_MAX:
            yield ("hosts", name, "count"), f"found {host.count}; allowed are 1 to {HOSTS_MAX}"
        if len(host.at_ms) > DIMENSIONS or any(abs(x) > FAR_S * 1000 for x in host.at_ms):
            allowed = f"up to {DIMENSIONS} numbers within {FAR_S * 1000:.0f} are allowed"
            yield ("hosts", name, "at-ms"), allowed
        for device, count in host.devices.items():
            if count < 1:
                yield ("hosts", name, "devices", device), f"found {count}; leave it out, or write 1"
    total = sum(max(0, host.count) for host in keys.hosts.values())
    if total > HOSTS_MAX:
        yield ("hosts",), f"found {total} hosts; at most {HOSTS_MAX} are allowed"


def _offers(name: str, keys: HostKeys, spec: GridSpec) -> Iterator[Offer]:
    devices = tuple(sorted((keys.devices | keys.expose.counted).items()))
    for index in range(keys.count):
        host = name if keys.count == 1 else f"{name}-{index + 1}"
        free = Quantum(
            int(keys.cpus),
            int(keys.memory),
            int(keys.disk),
            devices,
            network_bits_s=int(keys.network_rate or UNCOUNTED),
            disk_bytes_s=int(keys.disk_rate or UNCOUNTED),
            disk_operations_s=int(keys.disk_operations or UNCOUNTED),
        )
        kvm = keys.driver is Driver.KVM
        yield Offer(
            peer=PeerId(host),
            host=host,
            site=str(keys.site),
            facts=HostFacts(
                capacity=free,
                architecture=keys.architecture,
                driver=Driver.QEMU if kvm else keys.driver,
                accelerator=Driver.KVM if kvm else "",
                accelerator_why="",
                underlay="",
                encrypts=keys.encrypts,
                egress=keys.egress,
                ports=GivenPorts(*keys.expose.ends),
                labels=tuple(str(label) for label in keys.labels),
            ),
            free=free,
            images=tuple(digest_of(image.encode()) for image in keys.images),
            coordinate=point(*keys.at_ms) if keys.at_ms else None,
            clashes=tuple(grid for grid in keys.carries if grid in spec.placement.apart),
        )
