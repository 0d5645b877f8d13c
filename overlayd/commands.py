"""The command line of `overlayd`, whole, with its help."""

from pathlib import Path
from typing import Annotated

import typer

from overlayd import running
from overlayd.config.daemonfile import DEFAULT_CONFIG

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The daemon every host of a federation runs. People talk to it with overlayctl.",
)


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
