"""How large root disks are, once the image that each begins as is known."""

import msgspec

from overlayd.api.views import ImageRow
from protocol.grid.limits import VOLUME_BYTES_MIN
from protocol.grid.model import ClusterSpec
from protocol.image.facts import ImageKind
from protocol.terms.quantities import format_size, write_size


def sized(cluster: ClusterSpec, image: ImageRow) -> tuple[ClusterSpec, str]:
    """(the cluster with the size of its root disk, what is wrong with its `disk`; empty if nothing is)."""
    asked, least = cluster.disk_bytes, image.virtual_bytes
    if image.kind == ImageKind.APPLIANCE and asked:
        return cluster, (
            f"found {format_size(asked)}, and image {cluster.image.name} is an appliance, which boots"
            f" without a root disk; an empty disk at /scratch is scratch: {write_size(asked)}"
        )
    if image.kind != ImageKind.DISK:
        return cluster, ""
    if not asked:
        return msgspec.structs.replace(cluster, disk_bytes=max(least, VOLUME_BYTES_MIN)), ""
    if asked < least:
        return cluster, (
            f"found {format_size(asked)}, and image {cluster.image.name} has {format_size(least)};"
            f" write {write_size(least)} or more, or leave it out"
        )
    return cluster, ""
