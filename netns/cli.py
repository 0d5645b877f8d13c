"""`python -m netns lab ...`: the lab by hand."""

import os
from pathlib import Path
from typing import Annotated

import typer

from netns.failures import NetnsError
from netns.lab.lab import Lab

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Kernel networking shaped from a plan.",
)
lab_app = typer.Typer(
    no_args_is_help=True, help="Many hosts on one machine, as network namespaces. Needs root."
)
app.add_typer(lab_app, name="lab")

Topology = Annotated[Path, typer.Argument(help="Topology file, e.g. examples/three-sites.toml")]
Name = Annotated[str, typer.Option(help="Another name than the file's: a separate lab.")]


@app.callback()
def main() -> None:
    """Kernel networking shaped from a plan."""


@lab_app.command()
def up(topology: Topology, name: Name = "") -> None:
    """Make the lab. Doing it again changes nothing.

    Example: python -m netns lab up examples/three-sites.toml
    """
    with _Spoken():
        lab = Lab.from_file(topology, name)
        made = lab.up()
        hosts = f"{len(lab.hosts)} hosts at {len(lab.topology.sites)} sites"
        typer.echo(f"lab {lab.name}: {hosts}, {'up' if made else 'was up already'}")


@lab_app.command()
def down(
    topology: Topology,
    name: Name = "",
    force: Annotated[bool, typer.Option(help="End what still runs in it.")] = False,
) -> None:
    """Take the lab away, whole or half made. Refuses while something runs in it.

    Example: python -m netns lab down examples/three-sites.toml --force
    """
    with _Spoken():
        lab = Lab.from_file(topology, name)
        gone = lab.down(force=force)
        typer.echo(f"lab {lab.name}: {'down' if gone else 'was not up'}")


@lab_app.command("exec", context_settings={"ignore_unknown_options": True})
def execute(topology: Topology, host: str, command: list[str], name: Name = "") -> None:
    """Run a command in the network namespace of a host; everything else stays the caller's.

    Example: python -m netns lab exec examples/three-sites.toml uc-1 -- ping -c 1 10.99.3.2
    """
    with _Spoken():
        lab = Lab.from_file(topology, name)
        if not lab.is_up():
            raise NetnsError(f"lab {lab.name} is not up; bring it up first")
        argv = lab.command(host, *command)
        os.execvp(argv[0], argv)  # noqa: S606  no shell is the point


@lab_app.command()
def partition(
    topology: Topology,
    members: Annotated[list[str], typer.Argument(help="Sites and hosts to cut off together.")],
    name: Name = "",
) -> None:
    """Cut sites and hosts off from all others. Among each other they still talk.

    Example: python -m netns lab partition examples/three-sites.toml bnl uc-2
    """
    with _Spoken():
        Lab.from_file(topology, name).partition(*members)
        typer.echo(f"cut off: {', '.join(members)}")


@lab_app.command()
def heal(topology: Topology, name: Name = "") -> None:
    """Undo every partition.

    Example: python -m netns lab heal examples/three-sites.toml
    """
    with _Spoken():
        count = Lab.from_file(topology, name).heal()
        typer.echo(f"partitions undone: {count}")


@lab_app.command("open")
def open_nat(topology: Topology, site: str, name: Name = "") -> None:
    """Let everybody dial the hosts of a site behind NAT, until `close`.

    Example: python -m netns lab open examples/nat.toml home
    """
    with _Spoken():
        opened = Lab.from_file(topology, name).open(site)
        typer.echo(f"{site}: {'open' if opened else 'was open already'}")


@lab_app.command()
def close(topology: Topology, site: str, name: Name = "") -> None:
    """Let in nothing any more that the hosts of a site behind NAT did not ask for.

    Example: python -m netns lab close examples/nat.toml home
    """
    with _Spoken():
        closed = Lab.from_file(topology, name).close(site)
        typer.echo(f"{site}: {'closed' if closed else 'was closed already'}")


@lab_app.command()
def status(topology: Topology, name: Name = "") -> None:
    """Show every host: its address, its namespace, how many processes, whether it is cut off.

    Example: python -m netns lab status examples/three-sites.toml
    """
    with _Spoken():
        for entry in Lab.from_file(topology, name).status():
            state = "cut off" if entry.is_cut else "up" if entry.exists else "absent"
            typer.echo(
                f"{entry.site:10} {entry.host:12} {entry.address:15} {state:8} "
                f"{entry.processes:4} processes  {entry.namespace}"
            )


class _Spoken:
    """Turns our errors into a sentence on stderr and exit status 1."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, NetnsError):
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(1)
