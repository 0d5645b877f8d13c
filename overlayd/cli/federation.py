"""`overlayctl federation`, `site`, `host`: make the identities of a federation. Works offline."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from overlayd.adapters import credentials, revocation_files
from overlayd.cli.failure import failure
from overlayd.ports.keys import KeyFileError

federation_app = typer.Typer(no_args_is_help=True, help="The key everything else is signed by.")
site_app = typer.Typer(no_args_is_help=True, help="Sites of a federation.")
host_app = typer.Typer(no_args_is_help=True, help="Hosts of a site.")

_HOST_DIR = "/etc/overlayd"
"""Where a host's daemon looks for its configuration, and for its identity beside it."""

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


Reason = Annotated[str, typer.Option(help="Why, for people; it is published.")]
Certificate = Annotated[
    Path | None,
    typer.Option(help="The certificate's file, if it is elsewhere.", show_default=False),
]
OutputFile = Annotated[Path | None, typer.Option(help="File to write.", show_default=False)]


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
        made = credentials.load_host(folder)
        _written("host", made, folder)
        who, toml = made.principal, "examples/overlayd.toml"
        typer.echo(
            f"next: copy {folder} to {_HOST_DIR} on {who.name}, write overlayd.toml beside it"
            f" (host.name {who.name}, host.site {who.site}; {toml}), then there: overlayd run;"
            f" others join {who.key}@HOST:PORT, by its name, its address, or [its IPv6 address]"
        )


@federation_app.command("revoke")
def revoke_any(
    name: Annotated[str, typer.Argument(help="A site (ams), or a host of one (ams/h1).")],
    federation: FederationDir = Path(),
    reason: Reason = "",
    certificate: Certificate = None,
    output: OutputFile = None,
) -> None:
    """Revokes a site, and with it all its hosts and orders, or one host, with the federation's key.

    Written to FEDERATION/revocations unless --output says otherwise. It takes effect when
    `overlayctl revoke FILE` has given it to any peer.

    Example: overlayctl federation revoke ams --reason "key lost" --federation ./federation
    """
    with _errors():
        _revoked(
            revocation_files.revoke_any(
                federation, name, reason=reason, certificate=certificate, output=output
            )
        )


@site_app.command("revoke")
def revoke_host(
    site: Annotated[str, typer.Argument(help="The site's folder, or its name in --federation.")],
    name: Annotated[str, typer.Argument(help="Name of the host.")],
    federation: FederationDir = Path(),
    reason: Reason = "",
    certificate: Certificate = None,
    serial: Annotated[
        str, typer.Option(help="Serial of the certificate, if its file is not at hand.")
    ] = "",
    output: OutputFile = None,
) -> None:
    """Revokes a host, with its site's key: one that was stolen, or does harm. It need not be up.

    Every peer that hears of it shuts out the host's key with all its certificates, for good. If the host is
    to belong again, `host enrol` makes a new key. With --serial only that one certificate is shut out.

    Written to the site's folder under revocations unless --output says otherwise. It takes effect when
    `overlayctl revoke FILE` has given it to any peer.

    Example: overlayctl site revoke ams h1 --reason "stolen" --federation ./federation
    """
    with _errors():
        _revoked(
            revocation_files.revoke_host(
                _site_folder(site, federation),
                name,
                reason=reason,
                certificate=certificate,
                serial=serial,
                output=output,
            )
        )


@site_app.command("renew")
def renew_site(
    name: Annotated[str, typer.Argument(help="Name of the site.")],
    federation: FederationDir = Path(),
    days: Annotated[
        float, typer.Option(help="Days the new certificate is valid.")
    ] = credentials.SITE_DAYS,
    certificate: Certificate = None,
    output: OutputFile = None,
) -> None:
    """Renews a site's certificate: the key stays, the file is replaced. Renew its hosts after it.

    Example: overlayctl site renew ams --federation ./federation
    """
    with _errors():
        folder = federation / "sites" / name
        if folder.is_dir():
            revocation_files.require_unrevoked(certificate or folder / "site.cert", folder)
        path = credentials.renew_site(
            federation, name, days=days, certificate=certificate, output=output
        )
        typer.echo(f"wrote {path}")
        typer.echo("next: give it to the site's admin, then overlayctl host renew for each host")


@host_app.command("renew")
def renew_host(
    site: Annotated[str, typer.Argument(help="The site's folder, or its name in --federation.")],
    name: Annotated[str, typer.Argument(help="Name of the host.")],
    federation: FederationDir = Path(),
    days: Annotated[
        float, typer.Option(help="Days the new certificate is valid.")
    ] = credentials.HOST_DAYS,
    certificate: Certificate = None,
    output: OutputFile = None,
) -> None:
    """Renews a host's certificate: the key stays, the file is replaced.

    Copy it over the old one on the host. The daemon takes it up within a minute, or at once on SIGHUP.
    A key that was revoked is not renewed: `host enrol` makes a new one.

    Example: overlayctl host renew ams h1 --federation ./federation
    """
    with _errors():
        folder = _site_folder(site, federation)
        old = certificate or folder / "hosts" / name / "host.cert"
        revocation_files.require_unrevoked(old, folder)
        path = credentials.renew_host(
            folder,
            name,
            days=days,
            certificate=certificate,
            output=output,
        )
        typer.echo(f"wrote {path}")
        typer.echo("next: copy it over the host's own; its daemon takes it up within a minute")


def _revoked(made: revocation_files.Made) -> None:
    typer.echo(f"revokes {made.revocation.what}, serial {made.revocation.serial}")
    typer.echo(f"wrote {made.path}")
    typer.echo(f"next, at any peer: overlayctl revoke {made.path}")


def _site_folder(site: str, federation: Path) -> Path:
    candidates = (Path(site), federation / "sites" / site)
    for folder in candidates:
        if (folder / "site.key").exists():
            return folder
    known = sorted(path.parent.name for path in federation.glob("sites/*/site.key"))
    have = f"{federation} has {', '.join(known)}" if known else f"{federation} has no site yet"
    add = f"`overlayctl site add {site} --federation {federation}` makes one"
    raise KeyFileError(
        f"there is no site {site!r}: no site.key in {' or '.join(map(str, candidates))}; {have}, {add}"
    )


def _written(role: str, made: credentials.Credentials, folder: Path) -> None:
    who = made.principal.site if role == "site" else f"{made.principal.site}/{made.principal.name}"
    typer.echo(f"{role} {who} {made.principal.key}")
    typer.echo(f"wrote {folder}/{role}.key, {role}.cert, federation.pub")


@contextmanager
def _errors() -> Iterator[None]:
    """Says in one line what cannot be done, with exit code 1."""
    try:
        yield
    except KeyFileError as error:
        raise failure(str(error)) from None
