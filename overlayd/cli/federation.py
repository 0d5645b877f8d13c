"""`overlayctl federation`, `site`, `host`: make the identities of a federation. Works offline."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from overlayd.adapters import credentials
from overlayd.ports.keys import KeyFileError

federation_app = typer.Typer(no_args_is_help=True, help="The key everything else is signed by.")
site_app = typer.Typer(no_args_is_help=True, help="Sites of a federation.")
host_app = typer.Typer(no_args_is_help=True, help="Hosts of a site.")

Output = Annotated[Path | None, typer.Option(help="Folder to write to.", show_default=False)]
FederationDir = Annotated[
    Path,
    typer.Option(
        "--federation",
        "-f",
        envvar="OVERLAYD_FEDERATION",
        help="Folder of the federation, as made by `federation init`.",
    ),
]


@federation_app.command("init")
def init(
    directory: Annotated[Path, typer.Argument(help="Folder to make the federation in.")],
) -> None:
    """Makes a federation: a new key, which signs its sites.

    Keep federation.key offline: who has it can add sites.

    Example: overlayctl federation init ./federation
    """
    with _errors():
        key = credentials.create_federation(directory)
        typer.echo(f"federation {key}")
        typer.echo(f"next: overlayctl site add NAME --federation {directory}")


@site_app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name of the site: a-z, 0-9 and hyphens.")],
    federation: FederationDir = Path(),
    days: Annotated[
        float, typer.Option(help="Days the certificate is valid.")
    ] = credentials.SITE_DAYS,
    output: Output = None,
) -> None:
    """Adds a site: a new key with a certificate, which is the site admin's identity.

    Written to FEDERATION/sites/NAME unless --output says otherwise.
    Give the folder to the site's admin: it enrols hosts and, as --identity, asks for grids.

    Example: overlayctl site add ams --federation ./federation
    """
    with _errors():
        folder = credentials.add_site(federation, name, days=days, output=output)
        _written("site", credentials.load_site(folder), folder)
        typer.echo(f"next: overlayctl host enrol {folder} HOST")


@host_app.command("enrol")
def enrol(
    site: Annotated[str, typer.Argument(help="The site's folder, or its name in --federation.")],
    name: Annotated[str, typer.Argument(help="Name of the host: a-z, 0-9 and hyphens.")],
    federation: FederationDir = Path(),
    days: Annotated[
        float, typer.Option(help="Days the certificate is valid.")
    ] = credentials.HOST_DAYS,
    output: Output = None,
) -> None:
    """Enrols a host: a new key with a certificate of its site.

    Written to the site's folder under hosts/NAME unless --output says otherwise.
    Move the folder to the host and name its files under `identity` in overlayd.toml.

    Example: overlayctl host enrol ams h1 --federation ./federation --output ./h1
    """
    with _errors():
        folder = credentials.enrol_host(
            _site_folder(site, federation), name, days=days, output=output
        )
        _written("host", credentials.load_host(folder), folder)


def _site_folder(site: str, federation: Path) -> Path:
    candidates = (Path(site), federation / "sites" / site)
    for folder in candidates:
        if (folder / "site.key").exists():
            return folder
    known = sorted(path.parent.name for path in federation.glob("sites/*/site.key"))
    have = f"{federation} has {', '.join(known)}" if known else f"{federation} has no site yet"
    raise KeyFileError(
        f"there is no site {site!r}: no site.key in {' or '.join(map(str, candidates))}; {have}"
    )


def _written(role: str, made: credentials.Credentials, folder: Path) -> None:
    who = made.principal.site if role == "site" else f"{made.principal.site}/{made.principal.name}"
    typer.echo(f"{role} {who} {made.principal.key}")
    typer.echo(f"wrote {folder}/{role}.key, {role}.cert, federation.pub")


@contextmanager
def _errors() -> Iterator[None]:
    """What cannot be done is said in one line, with exit code 1."""
    try:
        yield
    except KeyFileError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
