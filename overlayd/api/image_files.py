"""Files that become images, and images that become files: streamed, watched, stopped when the client goes."""

import asyncio
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, get, post
from litestar.exceptions import InternalServerException
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from overlayd.api.image_gc import make_room
from overlayd.api.images import here
from overlayd.api.problems import ApiProblem, ClientGone, no_such
from overlayd.api.service import Here, Service
from overlayd.api.views import ImageAdded, ImportView
from overlayd.ports.images import ImageError, ImportHow, ImportWatch, room_left_bytes
from protocol.grid.syntax import image_problem
from protocol.image.facts import Firmware
from protocol.terms.architecture import Architecture
from protocol.terms.login import LOGIN_PATTERN
from protocol.terms.quantities import format_size

IMAGE_MAX_BYTES = 256 << 30
"""The most bytes of an upload. A client that never ends must be stopped."""

WRITE_BYTES = 1 << 20
"""How many bytes are collected before each write, which happens in a thread."""

AT_ONCE_MOST = 8
"""Imports at once. Each takes a cpu and the disk."""

UPLOAD = "upload-"

Name = Annotated[
    str | None,
    QueryParameter(max_length=64, description="A label; made of the origin if left out."),
]
Origin = Annotated[
    str,
    QueryParameter(max_length=1024, description="The file's name or address: a note for people."),
]
Sha256 = Annotated[
    str,
    QueryParameter(pattern=r"^([0-9a-f]{64})?$", description="What the body's SHA-256 must be."),
]
Watched = Annotated[
    str,
    QueryParameter(
        name="import",
        pattern=r"^([0-9a-f]{16,32})?$",
        description="What GET /imports/{id} is asked for meanwhile.",
    ),
]
Boots = Annotated[Firmware | None, QueryParameter(description="What boots it, if said.")]
Runs = Annotated[Architecture | None, QueryParameter(description="For which cpus it is, if said.")]
User = Annotated[
    str,
    QueryParameter(
        name="user", pattern=LOGIN_PATTERN, description="Who logs in to guests of it, if said."
    ),
]
Form = Annotated[str, QueryParameter(pattern="^(raw|qcow2)$", description="raw or qcow2.")]


@post("/images", request_max_body_size=IMAGE_MAX_BYTES, summary="Add an image to this host")
async def add(
    request: Request[Any, Any, Any],
    service: Here,
    name: Name = None,
    origin: Origin = "",
    sha256: Sha256 = "",
    watched: Watched = "",
    firmware: Boots = None,
    architecture: Runs = None,
    default_user: User = "",
) -> ImageAdded:
    """Adds an image; the body is its file. It is checked before it is kept. Adding it again changes nothing
    but the user, if one is said.

    What the file is, is told from its bytes. `origin` is never opened.
    """
    if name is not None and (wrong := image_problem(name, "")):
        raise ApiProblem(400, f"name: {wrong}")
    how = ImportHow(origin, service.peer.view.name, firmware, architecture, default_user)
    await make_room(service, request.content_length)
    await _require_room(service, request.content_length)
    async with _watching(service, watched) as watch, _a_file(service) as path:
        found = await _received(request, path)
        if sha256 and found != sha256:
            said = f"the file's SHA-256 is {found}; {sha256} was to be"
            raise ApiProblem(422, said, "get the file again, or its publisher's newest digest")
        before = {info.digest for info in await service.peer.images.list()}
        async with _while_client_is_there(service, request, watch):
            try:
                info = await service.peer.images.add(path, name, how, watch)
            except ImageError as error:
                raise ApiProblem(422, str(error)) from None
    await service.peer.images_changed()
    return ImageAdded(**msgspec.structs.asdict(info), known=info.digest in before)


@get("/imports/{watched:str}", summary="How far an import is")
async def progress(watched: FromPath[str], service: Here) -> ImportView:
    """What an import, or the writing of a file, does now, by the `import` that was said when asking for it."""
    if (watch := service.imports.get(watched)) is None:
        raise no_such("import", watched, [])
    return ImportView(watch.stage, watch.done_bytes, watch.total_bytes)


@get("/images/{which:str}/content", summary="An image of this host as a file")
async def content(
    request: Request[Any, Any, Any],
    which: FromPath[str],
    service: Here,
    form: Form = "raw",
    watched: Watched = "",
) -> Stream:
    """A disk image as raw or qcow2; anything else as it is (`raw`)."""
    info = await here(service, which)
    if form == "raw":
        size = info.facts.content_bytes
        return _stream(_raw(service, info.digest, size), size)
    async with AsyncExitStack() as stack:
        path = await stack.enter_async_context(_a_file(service))
        path.unlink()
        async with (
            _watching(service, watched) as watch,
            _while_client_is_there(service, request, watch),
        ):
            try:
                await service.peer.images.save(info.digest, path, watch)
            except ImageError as error:
                raise ApiProblem(422, str(error)) from None
        size = path.stat().st_size
        return _stream(_pieces(path, stack.pop_all()), size)


async def _pieces(path: Path, stack: AsyncExitStack) -> AsyncIterator[bytes]:
    """What is in a file that is gone afterwards."""
    async with stack:
        with path.open("rb") as file:
            while data := await asyncio.to_thread(file.read, WRITE_BYTES):
                yield data


def _stream(pieces: AsyncIterator[bytes], size: int) -> Stream:
    headers = {"Content-Length": str(size)}
    return Stream(pieces, media_type="application/octet-stream", headers=headers)


async def _raw(service: Service, digest: str, size: int) -> AsyncIterator[bytes]:
    offset = 0
    while offset < size:
        data, _ = await service.peer.images.read(digest, offset, WRITE_BYTES)
        if not data:
            return  # removed meanwhile; the client sees that it is too short
        offset += len(data)
        yield data


@asynccontextmanager
async def _watching(service: Service, name: str) -> AsyncIterator[ImportWatch]:
    """A watch that others find by that name for as long as it runs."""
    if len(service.imports) >= AT_ONCE_MOST or name in service.imports:
        said = f"this host makes {len(service.imports)} images already, or one of that id"
        raise ApiProblem(503, said, "try again when one is done")
    name = name or secrets.token_hex(16)
    watch = service.imports[name] = ImportWatch()
    try:
        yield watch
    finally:
        del service.imports[name]


@asynccontextmanager
async def _while_client_is_there(
    service: Service, request: Request[Any, Any, Any], watch: ImportWatch
) -> AsyncIterator[None]:
    """Stops the work when nobody waits for it any more, or the daemon stops. Raises ClientGone then."""
    gone = False

    async def wait_gone() -> None:
        nonlocal gone
        stop = asyncio.ensure_future(service.stopping.wait())
        leave = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait((stop, leave), return_when=asyncio.FIRST_COMPLETED)
            gone = True
            watch.stop()
        finally:
            stop.cancel()
            leave.cancel()

    waiting = asyncio.ensure_future(wait_gone())
    try:
        yield
    except ApiProblem:
        if gone:
            raise ClientGone from None
        raise
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def _disconnected(request: Request[Any, Any, Any]) -> None:
    """Returns when the client has gone. The body must have been read."""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            return


@asynccontextmanager
async def _a_file(service: Service) -> AsyncIterator[Path]:
    """The path of a file to write to. It is gone afterwards, even when the client goes away in the middle."""
    path = service.uploads / f"{UPLOAD}{secrets.token_hex(8)}"
    path.touch(mode=0o600)
    try:
        yield path
    finally:
        await asyncio.to_thread(path.unlink, missing_ok=True)


async def _received(request: Request[Any, Any, Any], path: Path) -> str:
    """Writes the body into the file, and answers its SHA-256."""
    try:
        return await _receive(request, path)
    except InternalServerException:
        raise ClientGone from None
    except OSError as error:
        raise _no_room(error, request.content_length) from None


async def _require_room(service: Service, size_bytes: int | None) -> None:
    """Before a byte is read: whether there is room for as much as was announced. Raises ApiProblem."""
    disk = await asyncio.to_thread(shutil.disk_usage, service.uploads)
    if size_bytes is not None and disk.free - size_bytes < room_left_bytes(disk.total):
        raise _no_room(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), size_bytes)


async def _receive(request: Request[Any, Any, Any], path: Path) -> str:
    buffer, made = bytearray(), hashlib.sha256()
    file = await asyncio.to_thread(path.open, "wb")

    def put(data: bytes) -> None:
        disk = shutil.disk_usage(path.parent)
        if disk.free - len(data) < room_left_bytes(disk.total):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        file.write(data)
        made.update(data)

    try:
        async for chunk in request.stream():
            buffer += chunk
            if len(buffer) >= WRITE_BYTES:
                await asyncio.to_thread(put, bytes(buffer))
                buffer.clear()
        await asyncio.to_thread(put, bytes(buffer))
    finally:
        await asyncio.to_thread(file.close)
    return made.hexdigest()


def _no_room(error: OSError, size_bytes: int | None) -> ApiProblem:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        asked = f" of {format_size(size_bytes)}" if size_bytes else ""
        said = f"no room on this host's disk for an image{asked}"
        return ApiProblem(507, said, "remove an image, or add it at another host")
    return ApiProblem(500, f"the image could not be written: {error.strerror}")


router = Router("/", route_handlers=[add, progress, content], tags=["images"])
