"""`overlayctl image add|list|remove`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from overlayd.api.views import ImageRow
from overlayd.cli.commits import commit
from overlayd.cli.completing import complete_image
from overlayd.cli.failure import failure
from overlayd.cli.image_gc import collect
from overlayd.cli.session import session_of
from overlayd.cli.show import answer, print_lines, print_table
from overlayd.cli.words import age, short
from overlayd.ports.images import ImageInfo
from protocol.grid.syntax import image_problem
from protocol.terms.quantities import format_size

image_app = typer.Typer(
    no_args_is_help=True, help="Guest images of this host; other hosts fetch them from it."
)
image_app.command("commit")(commit)

_CHUNK_BYTES = 1 << 20


@image_app.command("add")
def add(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="An image, as scripts/build-image makes it.", readable=False)
    ],
    name: Annotated[
        str | None, typer.Option(help="What grid files call it; its own name if left out.")
    ] = None,
) -> None:
    """Adds an image to this host. Hosts that need it fetch it from here; adding again changes nothing.

    Example: overlayctl image add .cache/images/guest.img --name guest
    """
    session = session_of(context)
    try:
        with file.open("rb") as stream, _progress(file, stream, session.plain) as chunks:
            params = {"name": name} if name is not None else {}
            raw = session.client.raw("POST", "/images", chunks, params, within_s=None)
    except OSError as error:
        raise failure(f"{file} cannot be read: {(error.strerror or str(error)).lower()}") from None
    answer(session, raw, ImageInfo, lambda info: _said(info, "added"))


def _said(info: ImageInfo, what: str) -> None:
    size = format_size(info.size_bytes)
    print_lines([f"{what} {info.name}  {size}  {info.facts.architecture}  {info.digest}"])


@contextmanager
def _progress(file: Path, stream: BinaryIO, plain: bool) -> Iterator[Iterator[bytes]]:
    """The file in chunks, with a bar on a terminal."""
    if plain or not sys.stdout.isatty():
        yield _chunks(stream, None, None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True))
    with Progress(*columns, console=Console(), transient=True) as progress:
        task = progress.add_task(file.name, total=file.stat().st_size)
        yield _chunks(stream, progress, task)


def _chunks(stream: BinaryIO, progress: Progress | None, task: TaskID | None) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK_BYTES):
        yield chunk
        if progress is not None and task is not None:
            progress.advance(task, len(chunk))


@image_app.command("list")
def list_images(context: typer.Context) -> None:
    """Images any host is known to have, and which hosts those are.

    Example: overlayctl image list
    """
    session = session_of(context)
    answer(session, session.client.raw("GET", "/images"), list[ImageRow], _images)


def _images(rows: list[ImageRow]) -> None:
    print_table(
        ("name", "digest", "size", "here", "hosts", "age"),
        [
            (
                row.name,
                short(row.digest),
                format_size(row.size_bytes),
                "yes" if row.here else "no",
                ", ".join(
                    host.name
                    if host.health in ("self", "alive")
                    else f"{host.name} ({host.health})"
                    for host in row.hosts
                ),
                age(
                    max((h.age_s for h in row.hosts if h.health != "self"), default=-1.0),
                    "self" if all(h.health == "self" for h in row.hosts) else "",
                ),
            )
            for row in rows
        ],
        "no images; `overlayctl image add FILE` adds one",
        ("here", "size"),
    )


@image_app.command("remove")
def remove(
    context: typer.Context,
    image: Annotated[
        str,
        typer.Argument(
            help="Its name, or at least 8 digits of its digest.", autocompletion=complete_image
        ),
    ],
) -> None:
    """Removes an image from this host, unless workspaces here use it; other hosts keep theirs.

    Example: overlayctl image remove guest
    """
    session = session_of(context)
    if wrong := image_problem(image, ""):
        raise failure(wrong, "`overlayctl image list` lists the images there are")
    raw = session.client.raw("DELETE", f"/images/{image}")
    answer(session, raw, ImageInfo, lambda info: _said(info, "removed"))


image_app.command("gc")(collect)
