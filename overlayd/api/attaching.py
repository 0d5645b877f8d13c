"""Files that come with an order or a plan: checked against what its grid names, on disk before the answer."""

from overlayd.api.problems import ApiProblem
from overlayd.api.service import Service
from overlayd.api.views import FileView
from overlayd.ports.attachments import AttachmentError
from protocol.grid.limits import ATTACHMENT_BYTES_MAX, ATTACHMENTS_BYTES_MAX, ATTACHMENTS_MAX
from protocol.grid.model import GridSpec
from protocol.grid.record import order_part, spec_of
from protocol.terms.ids import GridId, digest_of
from protocol.terms.quantities import format_size
from protocol.trust.order import Action, Order
from protocol.wire.codec import Malformed

FILES_BODY_BYTES = 2 * ATTACHMENTS_BYTES_MAX
"""What files add to a body at most: they are base64 in JSON."""


def ordered_spec(order: Order) -> GridSpec | None:
    """The grid in an order; None if it has none. One that cannot be read is refused where it is believed."""
    if order.action not in (Action.UP, Action.HOLD):
        return None
    try:
        return spec_of(order)
    except Malformed:
        return None


async def attach(
    service: Service, key: str, spec: GridSpec | None, given: tuple[bytes, ...], quote: str = ""
) -> None:
    """Keeps the files that a grid names, by `key`; of a `quote` those that came with it. Raises ApiProblem.

    A grid whose files are not all here is refused now, since nobody could start it.
    """
    clusters = spec.clusters if spec is not None else ()
    named = dict.fromkeys(cluster.user_data for cluster in clusters if cluster.user_data)
    found = _checked(given, named)
    kept = service.peer.attachments
    for digest in [d for d in named if d not in found and not kept.has(key, d)]:
        content = await kept.read(quote, digest) if quote else None
        if content is None:
            who = [cluster.name for cluster in clusters if cluster.user_data == digest]
            said = f"the user-data of {who[0]}, {digest[:12]}, did not come with the order"
            raise ApiProblem(422, said, "`overlayctl up FILE` sends it along")
        found[digest] = content
    try:
        await kept.keep(key, tuple(found.values()))
    except AttachmentError as error:
        raise ApiProblem(507, str(error)) from None


def files_of(service: Service, grid: GridId) -> tuple[FileView, ...]:
    """The files of a grid, by cluster; none that this peer does not know of."""
    files, kept = service.peer.view.files_of(grid), service.peer.attachments
    named = files.named if files is not None else ()
    key = order_part(grid)
    return tuple(FileView(name, digest, kept.size_bytes(key, digest)) for name, digest in named)


def _checked(given: tuple[bytes, ...], named: dict[str, None]) -> dict[str, bytes]:
    """The files by digest. Raises ApiProblem for too many, too large ones, and any that is not named."""
    if len(given) > ATTACHMENTS_MAX:
        raise ApiProblem(400, f"found {len(given)} files; at most {ATTACHMENTS_MAX} are taken")
    total_bytes = sum(map(len, given))
    if total_bytes > ATTACHMENTS_BYTES_MAX:
        most = format_size(ATTACHMENTS_BYTES_MAX)
        raise ApiProblem(413, f"the files have {format_size(total_bytes)}; at most {most} in all")
    found = {}
    for content in given:
        digest = digest_of(content)
        if len(content) > ATTACHMENT_BYTES_MAX:
            most = format_size(ATTACHMENT_BYTES_MAX)
            said = f"file {digest[:12]} has {format_size(len(content))}; at most {most} are taken"
            raise ApiProblem(413, said)
        if digest not in named:
            said = f"file {digest[:12]} is none that the order names"
            raise ApiProblem(400, said, "name its SHA-256 as `user_data` of a cluster")
        found[str(digest)] = content
    return found
