"""Files that come with an order or a plan: checked against what its grid names, on disk before the answer."""

import msgspec

from overlayd.api.problems import ApiProblem
from overlayd.api.service import Service
from overlayd.api.views import FileView
from overlayd.ports.attachments import AttachmentError
from protocol.grid.limits import ATTACHMENT_BYTES_MAX, ATTACHMENTS_BYTES_MAX, ATTACHMENTS_MAX
from protocol.grid.record import order_part, spec_of
from protocol.terms.ids import Digest, GridId, RequestId, digest_of
from protocol.terms.quantities import format_size
from protocol.trust.order import Action, Order
from protocol.wire.codec import Malformed

FILES_BODY_BYTES = 2 * ATTACHMENTS_BYTES_MAX
"""What files add to a body at most: they are base64 in JSON."""


class Wanted(msgspec.Struct, frozen=True):
    """The files of a grid, and by what they are kept."""

    key: str
    named: tuple[tuple[str, Digest], ...] = ()
    """(cluster, file) of all that it names."""
    there: tuple[Digest, ...] = ()
    """Those that need not come: hosts of the grid have them."""


def ordered_files(service: Service, order: Order, request: RequestId) -> Wanted:
    """The files of the grid in an order. One that cannot be read is refused where it is believed.

    Those of a grid that is changed are kept with those that it has.
    """
    if order.action not in (Action.UP, Action.HOLD, Action.APPLY):
        return Wanted(request)
    try:
        named = spec_of(order).files
    except Malformed:
        return Wanted(request)
    if order.action is not Action.APPLY:
        return Wanted(request, named)
    grid = GridId(order.grid)
    standing = service.peer.view.standing(grid)
    specs = () if standing is None else (standing.spec, standing.before)
    there = tuple(digest for spec in specs if spec is not None for _, digest in spec.files)
    return Wanted(order_part(grid), named, there)


async def attach(
    service: Service, wanted: Wanted, given: tuple[bytes, ...], quote: str = ""
) -> None:
    """Keeps the files that a grid names; of a `quote` those that came with it. Raises ApiProblem.

    A grid whose files are not all here is refused now, since nobody could start it.
    """
    key, named = wanted.key, dict.fromkeys(digest for _, digest in wanted.named)
    found = _checked(given, named)
    kept = service.peer.attachments
    for digest in [d for d in named if d not in (*found, *wanted.there) and not kept.has(key, d)]:
        content = await kept.read(quote, digest) if quote else None
        if content is None:
            who = [cluster for cluster, its in wanted.named if its == digest]
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


def _checked(given: tuple[bytes, ...], named: dict[Digest, None]) -> dict[Digest, bytes]:
    """The files by digest. Raises ApiProblem for too many, too large ones, and any that is not named."""
    if len(given) > ATTACHMENTS_MAX:
        raise ApiProblem(400, f"found {len(given)} files; at most {ATTACHMENTS_MAX} are taken")
    total_bytes = sum(map(len, given))
    if total_bytes > ATTACHMENTS_BYTES_MAX:
        most = format_size(ATTACHMENTS_BYTES_MAX)
        raise ApiProblem(413, f"the files have {format_size(total_bytes)}; at most {most} in all")
    found: dict[Digest, bytes] = {}
    for content in given:
        digest = digest_of(content)
        if len(content) > ATTACHMENT_BYTES_MAX:
            most = format_size(ATTACHMENT_BYTES_MAX)
            said = f"file {digest[:12]} has {format_size(len(content))}; at most {most} are taken"
            raise ApiProblem(413, said)
        if digest not in named:
            said = f"file {digest[:12]} is none that the order names"
            raise ApiProblem(400, said, "name its SHA-256 as `user_data` of a cluster")
        found[digest] = content
    return found
