"""Images: what this host has, what the others say they have, and how they are added and removed here."""

import asyncio
import errno
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, delete, get, post
from litestar.exceptions import InternalServerException
from litestar.params import FromPath, QueryParameter

from overlayd.api.problems import ApiProblem, ClientGone, no_such
from overlayd.api.service import Here, Service
from overlayd.api.views import ImageHost, ImageRow
from overlayd.ports.images import ImageError, ImageInfo, labels_of
from protocol.capacity.advert import ImageLabel
from protocol.grid.problem import listed, quoted
from protocol.grid.syntax import image_problem
from protocol.terms.ids import Digest
from protocol.terms.quantities import format_size

IMAGE_MAX_BYTES = 64 << 30
"""The most bytes of an upload. No guest image is larger, and a client that never ends must be stopped."""

WRITE_BYTES = 1 << 20
"""How many bytes are collected before each write, which happens in a thread."""

UPLOAD = "upload-"
_PREFIX_MIN = 8

Name = Annotated[
    str | None, QueryParameter(max_length=64, description="A label; the image's own if left out.")
]


@get("/images", summary="Images, and which hosts have each")
async def images(service: Here) -> list[ImageRow]:
    """The images of this host and those in the other hosts' adverts, by name."""
    here = labels_of(await service.peer.images.list())
    found = {(label.name, label.digest): _row(label, here=True) for label in here}
    view = service.peer.view
    hosts: dict[tuple[str, str], list[ImageHost]] = {key: [] for key in found}
    for row in view.peers(service.peer.now()):
        host = ImageHost(row.name, row.site, row.health, row.age_s)
        for label in row.images if row.health != "self" else ():
            key = (label.name, label.digest)
            found.setdefault(key, _row(label, here=False))
            hosts.setdefault(key, []).append(host)
    me = ImageHost(view.name, view.site, "self", 0.0)
    return [
        msgspec.structs.replace(row, hosts=((me,) if row.here else ()) + tuple(hosts[key]))
        for key, row in sorted(found.items())
    ]


def _row(label: ImageLabel, here: bool) -> ImageRow:
    return ImageRow(
        name=label.name,
        digest=label.digest,
        size_bytes=label.size_bytes,
        here=here,
        hosts=(),
        kind=label.kind,
        virtual_bytes=label.virtual_bytes,
    )


@post("/images", request_max_body_size=IMAGE_MAX_BYTES, summary="Add an image to this host")
async def add(request: Request[Any, Any, Any], service: Here, name: Name = None) -> ImageInfo:
    """Adds an image; the body is its file. It is checked before it is kept. Adding it again changes nothing."""
    if name is not None and (wrong := image_problem(name, "")):
        raise ApiProblem(400, f"name: {wrong}")
    async with _uploaded(service, request) as path:
        try:
            info = await service.peer.images.add(path, name)
        except ImageError as error:
            raise ApiProblem(422, str(error)) from None
    await service.peer.images_changed()
    return info


@delete("/images/{which:str}", status_code=200, summary="Remove an image from this host")
async def remove(which: FromPath[str], service: Here) -> ImageInfo:
    """Removes an image by digest, by 8 or more first digits of one, or by name. Other hosts keep theirs.

    One that workspaces on this host use is not removed.
    """
    here = await service.peer.images.list()
    found = [info for info in here if which in (*info.names, info.digest)]
    if not found and len(which) >= _PREFIX_MIN:
        found = [info for info in here if info.digest.startswith(which)]
    if not found:
        raise no_such(
            "image", which, [name for info in here for name in info.names], place=" on this host"
        )
    digests = list(dict.fromkeys(info.digest for info in found))
    if len(digests) > 1:
        shown = " and ".join(digest[:12] for digest in digests)
        said = f"{quoted(which)} means {len(digests)} images here: {shown}"
        raise ApiProblem(409, said, "name the one you mean by its digest")
    if users := service.peer.view.image_users(Digest(digests[0])):
        said = f"image {quoted(which)} is in use here, by {listed(users)}"
        help_ = "take those down first; each start of theirs needs it"
        raise ApiProblem(409, said, help_)
    await service.peer.images.remove(digests[0])
    await service.peer.images_changed()
    return found[0]


@asynccontextmanager
async def _uploaded(service: Service, request: Request[Any, Any, Any]) -> AsyncIterator[Path]:
    """The body as a file. The file is gone afterwards, even when the client goes away in the middle."""
    path = service.uploads / f"{UPLOAD}{secrets.token_hex(8)}"
    try:
        try:
            await _receive(request, path)
        except InternalServerException:
            raise ClientGone from None
        except OSError as error:
            raise _no_room(error, request.content_length) from None
        yield path
    finally:
        await asyncio.to_thread(path.unlink, missing_ok=True)


async def _receive(request: Request[Any, Any, Any], path: Path) -> None:
    buffer = bytearray()
    file = await asyncio.to_thread(path.open, "xb")
    try:
        async for chunk in request.stream():
            buffer += chunk
            if len(buffer) >= WRITE_BYTES:
                await asyncio.to_thread(file.write, bytes(buffer))
                buffer.clear()
        await asyncio.to_thread(file.write, bytes(buffer))
    finally:
        await asyncio.to_thread(file.close)


def _no_room(error: OSError, size_bytes: int | None) -> ApiProblem:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        asked = f" of {format_size(size_bytes)}" if size_bytes else ""
        said = f"no room on this host's disk for an image{asked}"
        return ApiProblem(507, said, "remove an image, or add it at another host")
    return ApiProblem(500, f"the image could not be written: {error.strerror}")


router = Router("/", route_handlers=[images, add, remove], tags=["images"])
