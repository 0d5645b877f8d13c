"""The command line of `overlayd`, whole, with its help."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from overlayd import running
from overlayd.config.daemonfile import DEFAULT_CONFIG
from overlayd.config.documents import DocumentError, render
from overlayd.ports.keys import KeyFileError
from overlayd.program import flowing, lost_output, version_of


class Root(TyperGroup):
    """Its commands' help is wrapped where the terminal ends."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name, or None."""
        found = super().get_command(ctx, cmd_name)
        return found and flowing(found)


app = typer.Typer(
    cls=Root,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The daemon every host of a federation runs. People talk to it with overlayctl.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version_of("overlayd"))
        raise typer.Exit(0)


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Say the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """The daemon every host of a federation runs. People talk to it with overlayctl.

    Example: overlayd --version
    """


@app.command()
def run(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="TOML file; see examples/overlayd.toml.")
    ] = DEFAULT_CONFIG,
) -> None:
    """Runs the daemon in the foreground until SIGTERM. Guests go on when it stops.

    Example: overlayd run --config /etc/overlayd/overlayd.toml
    """
    raise typer.Exit(running.run(config))


@app.command("check-config")
def check_config(
    config: Annotated[
        Path, typer.Argument(help="The daemon's configuration, TOML; see examples/overlayd.toml.")
    ] = DEFAULT_CONFIG,
) -> None:
    """Says every mistake in a configuration with file, line and key; exit 1 if there is any.

    Also whether the key and certificate it names are this host's, and still valid.

    Example: overlayd check-config /etc/overlayd/overlayd.toml
    """
    problem = running.problem_of(config)
    if problem:
        typer.echo(problem, err=True)
        raise typer.Exit(1)
    typer.echo(f"{config}: no mistakes found")


@app.command()
def recover(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="TOML file; see examples/overlayd.toml.")
    ] = DEFAULT_CONFIG,
    yes: Annotated[bool, typer.Option("--yes", help="Do it, without asking.")] = False,
    forget: Annotated[
        str | None, typer.Option("--forget", help="End what is here of this grid, by its id.")
    ] = None,
    delete_volumes: Annotated[
        bool, typer.Option("--delete-volumes", help="With --forget: its disks, too.")
    ] = False,
) -> None:
    """Says how the daemon's store is, and what of it can be saved; asks before anything is changed.

    It runs while the daemon does not. A damaged store is moved aside, never deleted, and a new one is made
    of what can be read. Guests go on. When the daemon starts, it asks the stewards about the rest. --forget
    ends the machines and networks of a grid that this host does not carry, when nobody answers for it.

    Example: overlayd recover

    Example: overlayd recover --forget 4f2a90c1d2e3f4a5b6c7.0
    """
    from overlayd import recovering

    agree = (lambda _: True) if yes else (_asked if sys.stdin.isatty() else None)
    try:
        if forget is not None:
            code = recovering.forget(config, forget, delete_volumes, agree, typer.echo)
        else:
            stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
            code = recovering.recover(config, agree, typer.echo, stamp, time.time())
    except DocumentError as error:
        typer.echo(render(error.problems, caret=sys.stderr.isatty()), err=True)
        code = 1
    except (recovering.Unrecovered, *running.PORTS, KeyFileError) as error:
        typer.echo(f"overlayd: {error}", err=True)
        code = 1
    except OSError as error:
        if lost_output(error) is not None:
            raise
        typer.echo(f"overlayd: {error}", err=True)
        code = 1
    raise typer.Exit(code)


def _asked(question: str) -> bool:
    return typer.confirm(question)
