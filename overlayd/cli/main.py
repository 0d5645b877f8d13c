"""`overlayctl`: what people type. Every command asks the daemon of this host; none decides anything."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from overlayd.cli import console, engine, grids, images, life, overlay, placing
from overlayd.cli.client import DEFAULT_SOCKET
from overlayd.cli.failure import INTERRUPTED, Failure
from overlayd.cli.federation import federation_app, host_app, site_app
from overlayd.cli.leases import lease_app
from overlayd.cli.session import Output, Session, session_of
from overlayd.cli.show import yaml_text
from overlayd.cli.timetable import timetable
from overlayd.config.schema import grid_schema_text

_OFFLINE = ("federation", "site", "host")
"""Commands that make identities: they have options of their own with these names."""
_GLOBAL = ("--peer", "--output", "-o", "--identity")


class Root(TyperGroup):
    """Takes the global options before or after the command, and shows failures."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Moves global options to the front."""
        rest: list[str] = super().parse_args(ctx, hoisted(args))
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; a failure ends it with its lines and code."""
        try:
            return super().invoke(ctx)
        except Failure as failed:
            failed.show()
            raise typer.Exit(failed.code) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # Whoever read it has enough. What is still buffered must not fail again at the exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None


def hoisted(args: list[str]) -> list[str]:
    """`peers --output json` as `--output json peers`; what follows `--` stays."""
    front: list[str] = []
    rest: list[str] = []
    left = list(args)
    while left:
        arg = left.pop(0)
        if arg == "--":
            rest += [arg, *left]
            break
        if not rest and arg in _OFFLINE:
            return args
        if arg in _GLOBAL and left:
            front += [arg, left.pop(0)]
        elif arg.startswith(tuple(f"{name}=" for name in _GLOBAL if name[:2] == "--")):
            front.append(arg)
        else:
            rest.append(arg)
    return front + rest


app = typer.Typer(
    cls=Root,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Asks the overlayd on this host: who is there, what runs, make this grid so.",
    epilog="Global options may also follow the command: overlayctl peers --output json",
)


@app.callback()
def root(
    context: typer.Context,
    peer: Annotated[
        Path,
        typer.Option(
            envvar="OVERLAYD_SOCKET",
            help="Socket of the daemon to ask.",
            readable=False,  # whether it may be used is said when it is, and better
        ),
    ] = DEFAULT_SOCKET,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="How answers are written.")
    ] = Output.TABLE,
    identity: Annotated[
        Path | None,
        typer.Option(
            envvar="OVERLAYD_IDENTITY",
            help="Folder of a site admin's identity, as `overlayctl site add` wrote it.",
            show_default=False,
            readable=False,
        ),
    ] = None,
) -> None:
    """Asks the overlayd on this host: who is there, what runs, make this grid so.

    Example: overlayctl --peer /run/overlayd/overlayd.sock peers
    """
    context.obj = Session(peer, output, identity)


_COMMANDS: dict[str, Callable[..., None]] = {
    "peers": overlay.peers,
    "sites": overlay.sites,
    "tell": overlay.tell,
    "revoke": overlay.revoke,
    "plan": placing.plan,
    "up": placing.up,
    "place": engine.place,
    "capacity": engine.capacity,
    "timetable": timetable,
    "ps": grids.ps,
    "show": grids.show,
    "events": overlay.events,
    "explain": grids.explain,
    "pause": life.pause,
    "resume": life.resume,
    "suspend": life.suspend,
    "restore": life.restore,
    "restart": life.restart,
    "terminate": life.terminate,
    "down": life.down,
    "console": console.console,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)
app.add_typer(images.image_app, name="image")
app.add_typer(grids.request_app, name="request")
app.add_typer(lease_app, name="lease")


@app.command("schema")
def schema(context: typer.Context) -> None:
    """Prints the JSON Schema of the grid file, for editors.

    Example: overlayctl schema > grid.schema.json
    """
    text = grid_schema_text()
    yaml = session_of(context).output is Output.YAML
    typer.echo(yaml_text(text.encode()) if yaml else text, nl=False)


app.add_typer(federation_app, name="federation")
app.add_typer(site_app, name="site")
app.add_typer(host_app, name="host")


def main() -> None:
    """The console script."""
    app(prog_name="overlayctl")


if __name__ == "__main__":
    main()
