"""What a cluster gets from its image once that is known: the size of its root disk, and its cpus."""

import msgspec

from overlayd.api.views import ImageRow
from protocol.grid.limits import VOLUME_BYTES_MIN
from protocol.grid.model import ClusterSpec, Driver
from protocol.image.facts import ImageKind
from protocol.terms.architecture import Architecture
from protocol.terms.quantities import format_size, write_size

CONTAINER_MORE_BYTES = 32 << 20
"""What a file system takes for itself, beside what is in it."""


def sized(cluster: ClusterSpec, image: ImageRow) -> tuple[ClusterSpec, str]:
    """(the cluster with the size of its root disk, what is wrong with its `disk`; empty if nothing is)."""
    asked, least = cluster.disk_bytes, image.virtual_bytes
    if image.kind == ImageKind.APPLIANCE and asked:
        return cluster, (
            f"found {format_size(asked)}, and image {cluster.image.name} is an appliance, which boots"
            f" without a root disk; an empty disk at /scratch is scratch: {write_size(asked)}"
        )
    if image.kind == ImageKind.CONTAINER:
        # An archive says how much is in it, and not how much room its files take.
        least = least + least // 4 + CONTAINER_MORE_BYTES
    elif image.kind != ImageKind.DISK:
        return cluster, ""
    if not asked and image.kind == ImageKind.CONTAINER:
        return msgspec.structs.replace(cluster, disk_bytes=2 * least), ""
    if not asked:
        return msgspec.structs.replace(cluster, disk_bytes=max(least, VOLUME_BYTES_MIN)), ""
    if asked < least:
        return cluster, (
            f"found {format_size(asked)}, and image {cluster.image.name} has {format_size(least)};"
            f" write {write_size(least)} or more, or leave it out"
        )
    return cluster, ""


def for_its_cpus(cluster: ClusterSpec, image: ImageRow) -> tuple[ClusterSpec, str]:
    """The cluster on hosts whose cpus its disk image is for, or what is wrong with what it asks for."""
    if image.kind != ImageKind.DISK or image.architecture not in tuple(Architecture):
        return cluster, ""
    wanted = Architecture(image.architecture)
    if cluster.architecture not in (None, wanted):
        return (
            cluster,
            f"found {cluster.architecture}, and image {cluster.image.name} is for {wanted}",
        )
    return msgspec.structs.replace(cluster, architecture=wanted), ""


def for_its_driver(cluster: ClusterSpec, image: ImageRow) -> tuple[ClusterSpec, str]:
    """The cluster on hosts that run its image: a container's by containers, a disk by virtual machines, an
    appliance by any. Or what is wrong with its `driver`."""
    asked, name = cluster.driver, cluster.image.name
    match image.kind:
        case ImageKind.CONTAINER if asked not in (None, Driver.LXC):
            return (
                cluster,
                f"found {asked}, and image {name} is a container's: lxc, or leave it out",
            )
        case ImageKind.CONTAINER:
            return msgspec.structs.replace(cluster, driver=Driver.LXC), ""
        case ImageKind.DISK if asked is Driver.LXC:
            return cluster, (
                f"found lxc, and image {name} is a virtual machine's: qemu or kvm, or leave it out"
            )
        case ImageKind.DISK:
            return msgspec.structs.replace(cluster, driver=asked or Driver.QEMU), ""
        case _:  # an appliance, or what a newer version knows
            return cluster, ""
