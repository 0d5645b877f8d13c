"""Images: what this host has, what others say they have, and their names here."""

from typing import Annotated

from litestar import Router, delete, get, post
from litestar.params import FromPath, QueryParameter
from msgspec.structs import replace

from overlayd.api.problems import ApiProblem, no_such
from overlayd.api.service import Here, Service
from overlayd.api.views import ImageHost, ImageRow, ImageView
from overlayd.ports.images import ImageError, ImageInfo, labels_of
from protocol.capacity.advert import ImageLabel
from protocol.grid.problem import listed, quoted
from protocol.grid.syntax import image_name_problem
from protocol.terms.ids import Digest, is_digest_start

Name = Annotated[str, QueryParameter(max_length=64, description="The new name.")]


@get("/images", summary="Images, and which hosts have each")
async def images(service: Here) -> list[ImageRow]:
    """The images of this host and those in the other hosts' adverts, by name."""
    return await image_rows(service)


async def image_rows(service: Service) -> list[ImageRow]:
    """A row for each name of each image that this peer has or has heard of."""
    view = service.peer.view
    me = ImageHost(view.name, view.site, "self", 0.0)
    rows: dict[tuple[str, str], ImageRow] = {}
    hosts: dict[tuple[str, str], list[ImageHost]] = {}
    sites: dict[tuple[str, str], dict[str, None]] = {}
    infos = await service.peer.images.list()
    for label in labels_of(infos):
        key = (label.name, label.digest)
        sites[key] = {} if label.heard else {view.site: None}
        rows[key] = _row(label, True, tuple(view.image_users(Digest(label.digest))))
        hosts[key] = [me]
    for peer in view.peers(service.peer.now()):
        host = ImageHost(peer.name, peer.site, peer.health, peer.age_s)
        for label in peer.images if peer.health != "self" else ():
            key = (label.name, label.digest)
            named = sites.setdefault(key, {})
            if not label.heard:
                named[peer.site] = None
            rows.setdefault(key, _row(label, False, ()))
            hosts.setdefault(key, []).append(host)
    return [
        replace(
            row,
            hosts=tuple(hosts[key]),
            ours=view.site in sites[key],
            named_by=tuple(sorted(sites[key])),
        )
        for key, row in sorted(rows.items())
    ]


def _row(label: ImageLabel, here: bool, used_by: tuple[str, ...]) -> ImageRow:
    return ImageRow(
        name=label.name,
        digest=label.digest,
        size_bytes=label.size_bytes,
        here=here,
        hosts=(),
        kind=label.kind,
        virtual_bytes=label.virtual_bytes,
        firmware=label.firmware,
        architecture=label.architecture,
        used_by=used_by,
        default_user=label.default_user,
    )


@get("/images/{which:str}", summary="One image")
async def image(which: FromPath[str], service: Here) -> ImageView:
    """An image that this host or another has, by name, digest, or 8 or more first digits of one."""
    rows = await image_rows(service)
    digest = meant(which, [(row.name, row.digest) for row in rows])
    named = [row for row in rows if row.digest == digest]
    infos = [info for info in await service.peer.images.list() if info.digest == digest]
    row = next((row for row in named if row.here), named[0])
    hosts = dict.fromkeys(host for row in named for host in row.hosts)
    return ImageView(
        digest=digest,
        names=tuple(dict.fromkeys(row.name for row in named if row.name)),
        kind=row.kind,
        architecture=row.architecture,
        firmware=row.firmware,
        size_bytes=row.size_bytes,
        virtual_bytes=row.virtual_bytes,
        here=row.here,
        hosts=tuple(hosts),
        used_by=row.used_by,
        origin=infos[0].notes.origin if infos else "",
        added_by=infos[0].notes.added_by if infos else "",
        default_user=row.default_user,
    )


@post("/images/{which:str}/name", status_code=200, summary="Give an image another name here")
async def rename(which: FromPath[str], name: Name, service: Here) -> ImageInfo:
    """The name becomes another; an image that is named by its digest has one more.

    Nothing that runs is changed: a grid has its images by their digests.
    """
    if wrong := image_name_problem(name):
        raise ApiProblem(400, f"name: {wrong}")
    info = await here(service, which)
    try:
        renamed = await service.peer.images.rename(
            info.digest, name, which if which in info.names else ""
        )
    except ImageError as error:
        raise ApiProblem(409, str(error)) from None
    await service.peer.images_changed()
    return renamed


@delete("/images/{which:str}", status_code=200, summary="Remove an image from this host")
async def remove(which: FromPath[str], service: Here) -> ImageInfo:
    """Removes an image by digest, by 8 or more first digits of one, or by name. Other hosts keep theirs.

    By one of several names only that name is removed. One that workspaces on this host use is not removed.
    """
    info = await here(service, which)
    if which in info.names and len(info.names) > 1:
        await service.peer.images.unname(which)
        await service.peer.images_changed()
        return await here(service, info.digest)
    if users := service.peer.view.image_users(Digest(info.digest)):
        said = f"image {quoted(which)} is in use here, by {listed(users)}"
        help_ = "take those down first; each start of theirs needs it"
        raise ApiProblem(409, said, help_)
    try:
        await service.peer.images.remove(info.digest)
    except ImageError as error:
        raise ApiProblem(409, str(error), "`overlayctl ps` shows whose they are") from None
    await service.peer.images_changed()
    return info


async def here(service: Service, which: str) -> ImageInfo:
    """The image of this host that is meant. Raises ApiProblem if there is none, or several."""
    infos = await service.peer.images.list()
    named = [(name, info.digest) for info in infos for name in info.names or ("",)]
    digest = meant(which, named, " on this host")
    return next(info for info in infos if info.digest == digest)


def meant(which: str, named: list[tuple[str, str]], place: str = "") -> str:
    """The digest that is meant, of (name, digest) pairs. Raises ApiProblem if there is none, or several."""
    found = {digest for name, digest in named if which in (name, digest) and which}
    if not found and is_digest_start(which):
        found = {digest for _, digest in named if digest.startswith(which)}
    if not found:
        raise no_such("image", which, [name for name, _ in named if name], place=place)
    if len(found) > 1:
        shown = " and ".join(digest[:12] for digest in sorted(found))
        said = f"{quoted(which)} means {len(found)} images{place or ' here'}: {shown}"
        raise ApiProblem(409, said, "name the one you mean by its digest")
    return found.pop()


router = Router("/", route_handlers=[images, image, rename, remove], tags=["images"])
