"""`overlayctl`: what people type. Every command asks the daemon of this host, and none decides anything."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from overlayd.cli.client import DEFAULT_SOCKET
from overlayd.cli.failure import FAILED, INTERRUPTED, TABLE, USAGE, Failure, failure
from overlayd.cli.session import Output, Session
from overlayd.program import flowing, lost_output, silence_output, version_of

_DETAILED, _FORM = "--detailed-exitcode", "form"

_OFFLINE = ("federation", "site", "host")
"""Commands that make identities. They have options of their own with the global options' names."""
_OUTPUT = ("--output", "-o")
_GLOBAL = ("--peer", *_OUTPUT, "--identity", "--as")

_COMMANDS = {
    "status": "status:status",
    "peers": "overlay:peers",
    "sites": "overlay:sites",
    "tell": "overlay:tell",
    "leave": "leaving:leave",
    "revoke": "overlay:revoke",
    "plan": "placing:plan",
    "up": "placing:up",
    "diff": "scaling:diff",
    "scale": "scaling:scale",
    "resize": "scaling:resize",
    "rollback": "scaling:rollback",
    "history": "scaling:history",
    "place": "engine:place",
    "capacity": "engine:capacity",
    "timetable": "timetable:timetable",
    "ps": "grids:ps",
    "show": "grids:show",
    "events": "overlay:events",
    "audit": "audit:audit",
    "usage": "usage:usage",
    "explain": "grids:explain",
    "pause": "life:pause",
    "resume": "life:resume",
    "suspend": "life:suspend",
    "restore": "life:restore",
    "restart": "life:restart",
    "rebuild": "rebuilding:rebuild",
    "terminate": "life:terminate",
    "down": "life:down",
    "console": "console:console",
    "ssh": "ssh:ssh",
    "cp": "ssh:cp",
    "forward": "connect:forward",
    "attach": "attach:attach",
    "ssh-config": "ssh:ssh_config",
    "host-keys": "ssh:host_keys",
    "connect": "connect:connect",
    "schema": "schema:schema",
    "image": "images:image_app",
    "request": "grids:request_app",
    "lease": "leases:lease_app",
    "identity": "identity:identity_app",
    "grant": "grant:grant_app",
    "login": "login:login",
    "logout": "login:logout",
    "whoami": "whoami:whoami",
    "federation": "federation:federation_app",
    "site": "federation:site_app",
    "host": "federation:host_app",
    "policy": "policy:policy_app",
}
"""Module and function, or group of commands, of each command. Only what is asked for is imported, because it
takes longer to import all of it than most commands take."""


class Root(TyperGroup):
    """Takes the global options before or after the command, and shows failures."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the help."""
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Imports the command. A person who mistyped it is told which of all commands are like it."""
        if cmd_name not in _COMMANDS:
            for name in _COMMANDS:
                self.get_command(ctx, name)
            return None
        if cmd_name not in self.commands:
            module, _, what = _COMMANDS[cmd_name].partition(":")
            found = getattr(import_module(f"overlayd.cli.{module}"), what)
            alone = typer.Typer()
            if isinstance(found, typer.Typer):
                alone.add_typer(found, name=cmd_name)
            else:
                alone.command(cmd_name)(found)
            self.commands.update(flowing(get_group(alone)).commands)
        return self.commands[cmd_name]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Moves global options to the front."""
        ctx.meta[_DETAILED] = _DETAILED in args
        rest: list[str] = super().parse_args(ctx, hoisted(args))
        return rest

    def make_context(
        self, info_name: Any, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Reads the global options. A mistake in them, too, is told in the form that is asked for."""
        form = form_of(args)
        try:
            made = super().make_context(info_name, args, parent, **extra)
        except typer.TyperException as mistyped:
            raise _told(mistyped, form) from None
        made.meta[_FORM] = form
        return made

    def invoke(self, ctx: Any) -> Any:
        """Runs the command. A failure ends it with the failure's lines and code."""
        try:
            return super().invoke(ctx)
        except Failure as failed:
            failed.show(ctx.meta[_FORM])
            raise typer.Exit(failed.code) from None
        except typer.TyperException as mistyped:
            if ctx.meta[_DETAILED]:
                mistyped.exit_code = FAILED  # The usual 2 would say that something would change.
            raise _told(mistyped, ctx.meta[_FORM]) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # The reader has enough. What is still buffered must not fail again at the exit.
            silence_output()
            raise typer.Exit(0) from None
        except OSError as error:
            if (said := lost_output(error)) is None:
                raise
            silence_output()
            failure(said).show(ctx.meta[_FORM])
            raise typer.Exit(FAILED) from None


def _told(mistyped: typer.TyperException, form: str) -> Exception:
    """What to raise for a mistake in what was typed: people are told by the library, programs here."""
    if form == TABLE:
        return mistyped
    where = getattr(getattr(mistyped, "ctx", None), "command_path", "overlayctl")
    failure(mistyped.format_message(), f"{where} --help").show(form)
    return typer.Exit(mistyped.exit_code)


def form_of(args: list[str]) -> str:
    """The form of answers that these words ask for, as far as they can be understood."""
    form, left = TABLE, hoisted(args)
    while left and left[0].startswith("-") and left[0] != "--":
        name, equals, value = left.pop(0).partition("=")
        if name in _GLOBAL and not equals:
            value = left.pop(0) if left else ""
        if name in _OUTPUT:
            form = value
    return form if form in tuple(Output) else TABLE


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


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version_of("overlayctl"))
        raise typer.Exit(0)


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
    acting: Annotated[
        str,
        typer.Option(
            "--as",
            envvar="OVERLAYD_AS",
            help="Your identity, by the name `overlayctl identity create` gave it, or its folder.",
            show_default=False,
        ),
    ] = "",
    version: Annotated[
        bool,
        typer.Option("--version", help="Say the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Asks the overlayd on this host: who is there, what runs, make this grid so.

    Example: overlayctl --peer /run/overlayd/overlayd.sock peers
    """
    if output is Output.CSV and context.invoked_subcommand != "usage":
        raise failure("only usage is written as CSV", "-o json", USAGE)
    context.obj = Session(peer, output, identity, acting)


def main() -> None:
    """The console script's entry."""
    app(prog_name="overlayctl")


if __name__ == "__main__":
    main()
