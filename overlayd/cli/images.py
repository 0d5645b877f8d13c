"""`overlayctl image`: add, list, show, rename, remove, save."""

import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from overlayd.api.views import ImageAdded, ImageRow, ImageView
from overlayd.cli import sources
from overlayd.cli.commits import commit
from overlayd.cli.completing import complete_image
from overlayd.cli.failure import USAGE, Failure, failure
from overlayd.cli.image_gc import collect
from overlayd.cli.session import Session, session_of
from overlayd.cli.show import answer, print_lines, print_table
from overlayd.cli.transfers import transfer
from overlayd.cli.words import age, clean, short
from overlayd.ports.images import ImageInfo
from protocol.grid.problem import listed, quoted
from protocol.grid.syntax import PINNED, image_problem
from protocol.image.facts import Firmware, ImageKind
from protocol.terms.architecture import Architecture
from protocol.terms.ids import is_64_digits
from protocol.terms.login import LOGIN_PATTERN
from protocol.terms.quantities import format_size

image_app = typer.Typer(
    no_args_is_help=True,
    help="Images that guests are made of; hosts that need one fetch it from those that have it.",
)
image_app.command("commit")(commit)
image_app.command("gc")(collect)

_BLOCK_BYTES = 64 << 10

Which = Annotated[
    str,
    typer.Argument(
        metavar="IMAGE",
        help="Its name, or at least 8 digits of its digest.",
        autocompletion=complete_image,
    ),
]


@image_app.command("add")
def add(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(metavar="FILE|URL|-", help="A file, an http(s) address, or - to read it."),
    ],
    name: Annotated[
        str | None, typer.Option(help="What grid files call it; made of the file's if left out.")
    ] = None,
    sha256: Annotated[
        str, typer.Option(help="The file's SHA-256, as its publisher says it.", show_default=False)
    ] = "",
    firmware: Annotated[
        Firmware | None,
        typer.Option(help="What boots a disk, if its partition table does not tell."),
    ] = None,
    architecture: Annotated[
        Architecture | None, typer.Option(help="For which cpus it is, if it does not tell.")
    ] = None,
    user: Annotated[
        str,
        typer.Option(help="Who logs in to its guests; otherwise it is root.", show_default=False),
    ] = "",
) -> None:
    """Adds an image to this host. Hosts that need it fetch it from here; adding it again changes nothing
    (but the user, if --user says one).

    A disk image as a distribution publishes it: qcow2, raw, VMDK, VDI, VHDX, each also compressed (xz, gz, zst,
    bz2), or an OVA with one disk. A root file system for containers: tar, squashfs, or an OCI layout in a tar.
    An appliance, as scripts/build-image makes it. What it is, is told from its bytes. The same disk in another
    format is the same image.

    An address is fetched by this command, not by the daemon.

    Example: overlayctl image add debian-12-genericcloud-amd64.qcow2 --name debian --user debian

    Example: overlayctl image add https://cloud.example/debian-12.raw.xz --sha256 3f9a...

    Example: ssh builder cat disk.qcow2 | overlayctl image add - --name mine
    """
    session = session_of(context)
    params = {"name": name, "firmware": firmware, "architecture": architecture}
    given = {key: str(value) for key, value in params.items() if value is not None}
    if user:
        given["user"] = _checked_user(user)
    if sha256:
        given["sha256"] = _checked_sha256(sha256)
    with sources.opened(source) as opened, transfer(session) as moved:
        given |= {"origin": opened.origin[:1024], "import": moved.id}
        raw = session.client.raw("POST", "/images", moved.sent(opened), given, within_s=None)
    answer(session, raw, ImageAdded, _added)


def _checked_sha256(text: str) -> str:
    digest = text.strip().lower().removeprefix("sha256:")
    if not is_64_digits(digest):
        raise failure(f"--sha256: {text!r} is no SHA-256", "64 hexadecimal digits", USAGE)
    return digest


def _checked_user(text: str) -> str:
    if not re.fullmatch(LOGIN_PATTERN, text):
        said = f"--user: {quoted(text)} is no name of a user"
        raise failure(said, "a letter, then at most 31 letters, digits, - and _, as debian", USAGE)
    return text


def _added(image: ImageAdded) -> None:
    _said(image, "known already as" if image.known else "added")
    if image.known and len(image.names) > 1:
        print_lines([f"  its names here: {listed(list(image.names))}"])


def _said(info: ImageInfo, what: str) -> None:
    boots = f"{info.facts.architecture} {info.facts.firmware or ''}".strip()
    size = format_size(info.size_bytes)
    virtual = f" of {format_size(info.facts.content_bytes)}" if _is_disk(info.facts.kind) else ""
    name = info.name or "(no name)"
    print_lines([f"{what} {name}  {info.facts.kind}  {size}{virtual}  {boots}  {info.digest}"])


def _is_disk(kind: str) -> bool:
    return kind == ImageKind.DISK


@image_app.command("list")
def list_images(context: typer.Context) -> None:
    """Images any host is known to have, and which hosts those are. USED BY: grids with guests of it here.

    In a grid file a name means the image that somebody called so at the host that is asked, at its site, or at
    the site of --identity. Any other is named with its digest, as NAME@sha256:DIGITS.

    Example: overlayctl image list
    """
    session = session_of(context)
    answer(session, session.client.raw("GET", "/images"), list[ImageRow], _images)


def _images(rows: list[ImageRow]) -> None:
    print_table(
        ("name", "digest", "kind", "size", "virtual", "here", "used by", "hosts", "age"),
        [
            (
                row.name or "-",
                short(row.digest),
                clean(row.kind),
                format_size(row.size_bytes),
                format_size(row.virtual_bytes) if _is_disk(row.kind) else "-",
                "yes" if row.here else "no",
                listed(_grids(row.used_by), 3) or "-",
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
        ("age", "here", "virtual", "size", "kind"),
    )


def _grids(workspaces: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys(name.partition("/")[0] for name in workspaces))


@image_app.command("show")
def show(context: typer.Context, image: Which) -> None:
    """All that is known of one image: names, what boots it, sizes, who has it, what uses it here.

    Example: overlayctl image show debian
    """
    session = session_of(context)
    answer(session, session.client.raw("GET", f"/images/{_named(image)}"), ImageView, _shown)


def _shown(view: ImageView) -> None:
    hosts = [f"{host.name}@{host.site}" for host in view.hosts]
    lines = {
        "names": ", ".join(view.names) or "none",
        "digest": view.digest,
        "kind": view.kind,
        "boots": f"{view.firmware or 'kernel'} on {view.architecture or 'unknown'}",
        "on disk": format_size(view.size_bytes),
        "virtual": format_size(view.virtual_bytes),
        "hosts": ", ".join(hosts),
        "used by": ", ".join(view.used_by) or ("nobody here" if view.here else "not on this host"),
        "user": view.default_user,
        "origin": view.origin,
        "added by": view.added_by,
    }
    print_lines([f"{name:9} {clean(value)}" for name, value in lines.items() if value])


@image_app.command("rename")
def rename(
    context: typer.Context,
    image: Which,
    name: Annotated[str, typer.Argument(metavar="NEW", help="What it is to be called here.")],
) -> None:
    """Gives an image another name on this host. Named by its digest it keeps the names it has.

    Grids that are up are not changed: they have their images by digest.

    Example: overlayctl image rename debian debian-old
    """
    session = session_of(context)
    raw = session.client.raw("POST", f"/images/{_named(image)}/name", params={"name": name})
    answer(session, raw, ImageInfo, lambda info: _said(info, f"{image} is"))


@image_app.command("remove")
def remove(context: typer.Context, image: Which) -> None:
    """Removes an image from this host, unless workspaces here use it; other hosts keep theirs.

    By one of several names only that name is removed.

    Example: overlayctl image remove guest
    """
    session = session_of(context)
    raw = session.client.raw("DELETE", f"/images/{_named(image)}")

    def said(info: ImageInfo) -> None:
        kept = info.names and image not in info.names and not info.digest.startswith(image)
        _said(info, f"removed the name {image}; it is still" if kept else "removed")

    answer(session, raw, ImageInfo, said)


@image_app.command("save")
def save(
    context: typer.Context,
    image: Which,
    file: Annotated[Path, typer.Argument(help="A new file: FILE.qcow2, or FILE.raw.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Writes an image of this host into a file: a disk as qcow2 or raw by the file's ending, else as it is.

    Example: overlayctl image save debian debian.qcow2
    """
    session = session_of(context)
    if file.exists() and not force:
        raise _taken(file)
    form = "qcow2" if file.suffix.lower() == ".qcow2" else "raw"
    # A name of its own: another save of the same name may be under way.
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as out:
            size = _saved(session, _named(image), form, out.fileno(), file.name)
            out.truncate(size)
        if force:
            part.rename(file)
        else:
            _place(part, file)
    except OSError as error:
        raise failure(
            f"{file} cannot be written: {(error.strerror or str(error)).lower()}"
        ) from None
    finally:
        part.unlink(missing_ok=True)
    if not session.plain:
        print_lines([f"saved {image} as {file}  {format_size(size)}"])


def _place(part: Path, file: Path) -> None:
    """Gives a file its name, if it is free still. Raises Failure, and OSError."""
    try:
        os.link(part, file)
    except FileExistsError:
        raise _taken(file) from None
    except OSError:  # A file system without hard links.
        if file.exists():
            raise _taken(file) from None
        part.rename(file)


def _taken(file: Path) -> Failure:
    return failure(f"{file} is there already", "another name, or --force", USAGE)


def _saved(session: Session, image: str, form: str, out: int, title: str) -> int:
    """Writes an image's content, with its zeros as holes. Answers its length."""
    with transfer(session) as moved:
        params = {"form": form, "import": moved.id}
        with session.client.body(f"/images/{image}/content", params) as (total, chunks):
            offset = 0
            for chunk in moved.came(chunks, total, title):
                for block in _blocks(chunk):
                    if block.count(0) != len(block):
                        os.pwrite(out, block, offset)
                    offset += len(block)
    if offset != total:
        said = (
            f"the daemon sent {offset} bytes of {total}; the image may have been removed meanwhile"
        )
        raise failure(said, "try again")
    return total


def _blocks(chunk: bytes) -> Iterator[bytes]:
    for start in range(0, len(chunk), _BLOCK_BYTES):
        yield chunk[start : start + _BLOCK_BYTES]


def _named(image: str) -> str:
    """What was typed, if it can name an image. Of a name with a digest the digest is enough."""
    if pinned := PINNED.fullmatch(image):
        return pinned["digits"]
    if wrong := image_problem(image, ""):
        raise failure(wrong, "`overlayctl image list` lists the images there are")
    return image
