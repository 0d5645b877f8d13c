"""The composition root: builds the adapters, hands them over, runs. No decisions.

overlayd run --config FILE       the daemon, in the foreground
overlayd check-config FILE       every mistake in a configuration, at once
"""

import asyncio
import contextlib
import random
import signal
import sys
from pathlib import Path
from typing import Annotated

import sdnotify
import typer

from overlayd.adapters.credentials import Credentials, load_credentials
from overlayd.api.server import SocketError
from overlayd.assembly import Assembly, assemble
from overlayd.config.daemonfile import DaemonConfig, check, load_daemon
from overlayd.config.documents import DocumentError, render
from overlayd.ports.compute import ComputeError
from overlayd.ports.keys import KeyFileError
from overlayd.ports.network import NetworkError
from overlayd.ports.store import StoreError
from overlayd.ports.transport import TransportError
from overlayd.telemetry import logs

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The daemon every host of a federation runs. People talk to it with overlayctl.",
)

_CONFIG_FILE = Path("/etc/overlayd/overlayd.toml")

_PORTS = (StoreError, TransportError, ComputeError, NetworkError, SocketError)
"""What cannot be opened says so in words for people."""


class Unfit(Exception):
    """This host, or its configuration, cannot run the daemon; the text says what would help."""


@app.command()
def run(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="TOML file; see examples/overlayd.toml.")
    ] = _CONFIG_FILE,
) -> None:
    """Runs the daemon in the foreground until SIGTERM. Guests go on when it stops.

    Example: overlayd run --config /etc/overlayd/overlayd.toml
    """
    try:
        settings = load_daemon(config)
        logs.configure(settings.log)
        credentials = _credentials(settings)
        asyncio.run(_run(settings, credentials))
    except DocumentError as error:
        _fail(render(error.problems, caret=sys.stderr.isatty()))
    except (Unfit, KeyFileError, *_PORTS) as error:
        _fail(f"overlayd: {error}")


@app.command("check-config")
def check_config(
    config: Annotated[
        Path, typer.Argument(help="The daemon's configuration, TOML; see examples/overlayd.toml.")
    ] = _CONFIG_FILE,
) -> None:
    """Says every mistake in a configuration with file, line and key; exit 1 if there is any.

    Also whether the key and certificate it names are this host's, and still valid.

    Example: overlayd check-config /etc/overlayd/overlayd.toml
    """
    problems = check(config)
    if problems:
        _fail(render(problems, caret=sys.stderr.isatty()))
    try:
        _credentials(load_daemon(config))
    except (Unfit, KeyFileError) as error:
        _fail(f"{config}: {error}")
    typer.echo(f"{config}: no mistakes found")


async def _run(config: DaemonConfig, credentials: Credentials) -> None:
    assembly = await _assembled(config, credentials)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    notifier = sdnotify.SystemdNotifier()
    driving = asyncio.create_task(assembly.run(), name="driver")
    try:
        notifier.notify("READY=1")
        logs.logger().info("ready", peer=assembly.node.me, socket=config.api.socket)
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait({driving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        notifier.notify("STOPPING=1")
        stopping.cancel()
    finally:
        await _wind_up(assembly, driving)


async def _assembled(config: DaemonConfig, credentials: Credentials) -> Assembly:
    try:
        return await assemble(config, credentials, random.SystemRandom())
    except OSError as error:
        where = error.filename or config.host.state
        why = (error.strerror or str(error)).lower()
        raise Unfit(
            f"{where}: {why}; host.state ({config.host.state}) and api.socket "
            f"({config.api.socket}) must be in folders overlayd can write to, with room"
        ) from error


async def _wind_up(assembly: Assembly, driving: asyncio.Task[None]) -> None:
    """In order: no more events, goodbye said, tasks ended, ports closed. Guests go on."""
    assembly.driver.stop()
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await driving
    finally:
        await assembly.close()
        logs.logger().info("stopped")


def _credentials(config: DaemonConfig) -> Credentials:
    identity = config.identity
    credentials = load_credentials(
        Path(identity.key), Path(identity.certificate), Path(identity.federation)
    )
    who = credentials.principal
    if (who.name, who.site) != (config.host.name, config.host.site):
        raise Unfit(
            f"the certificate is of {who.name} at {who.site}, the configuration says "
            f"{config.host.name} at {config.host.site}; make them agree, or enrol this host: "
            f"overlayctl host enrol {config.host.site} {config.host.name}"
        )
    return credentials


def _fail(text: str) -> None:
    typer.echo(text, err=True)
    raise typer.Exit(1)


def main() -> None:
    """The `overlayd` program."""
    app()


if __name__ == "__main__":
    main()
