"""One run of the daemon: from a configuration to an exit code. No decisions.

Only what it takes to join the overlay is imported here. `hosting` and the API come later.
"""

import asyncio
import contextlib
import gc
import os
import random
import signal
import sys
import time
from pathlib import Path

import msgspec
import sdnotify

from overlayd.adapters.credentials import Credentials, load_credentials
from overlayd.api.listening import SocketError
from overlayd.assembly import Assembly, assemble
from overlayd.config.daemonfile import DaemonConfig, check, load_daemon
from overlayd.config.documents import DocumentError, render
from overlayd.loop.clock_watch import ClockWatch
from overlayd.loop.mishandled import Mishandled
from overlayd.ports.compute import ComputeError
from overlayd.ports.keys import KeyFileError
from overlayd.ports.network import NetworkError
from overlayd.ports.store import StoreError
from overlayd.ports.transport import TransportError
from overlayd.ports.volumes import VolumeError
from overlayd.telemetry import logs
from protocol.node.verdict import is_own
from protocol.terms.effects import Note

PORTS = (StoreError, TransportError, ComputeError, NetworkError, VolumeError, SocketError)
"""Errors of ports that cannot be opened; they say so in words for people."""


_BECAUSE = "OVERLAYD_BEGAN_ANEW"
"""In the environment: why the last life of this process ended and this one began: a Reason, as JSON."""


class Reason(msgspec.Struct, frozen=True):
    """Why another life of this process is to begin at once."""

    kind: str
    """As which event it is told."""
    detail: str
    doubted: bool = False
    """Whether a row of the store may be why."""
    again_s: float = 0.0
    """How many seconds to wait before."""


class Unfit(Exception):
    """This host, or its configuration, cannot run the daemon. The text says what would help."""


def run(config: Path) -> int:
    """Runs until SIGTERM, and answers the exit code. It says on standard error what stopped it.

    If the machine's clock was mended, or an event could not be handled, it does not return: the same process
    begins another life, by that clock or without the event.
    """
    try:
        settings = load_daemon(config)
        logs.configure(settings.log)
        credentials = _credentials(settings)
        because = asyncio.run(_run(settings, credentials))
    except DocumentError as error:
        return _fail(render(error.problems, caret=sys.stderr.isatty()))
    except (Unfit, KeyFileError, *PORTS) as error:
        return _fail(f"overlayd: {error}")
    return _begin_anew(because) if because is not None else 0


def problem_of(config: Path) -> str:
    """Every mistake in a configuration, and everything wrong with the files it names; empty if nothing is."""
    problems = check(config)
    if problems:
        return render(problems, caret=sys.stderr.isatty())
    try:
        _credentials(load_daemon(config))
    except (Unfit, KeyFileError) as error:
        return f"{config}: {error}"
    return ""


async def _run(config: DaemonConfig, credentials: Credentials) -> Reason | None:
    """One life. Answers why another is to begin at once; None if none is."""
    last = _last_life()
    assembly = await _assembled(config, credentials, last is not None and last.doubted)
    if last is not None:
        _tell_of(last, assembly)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: assembly.certificate.look(asked=True))
    notifier = sdnotify.SystemdNotifier()
    driving = asyncio.create_task(assembly.run(), name="driver")
    opening = asyncio.create_task(assembly.open_host(), name="host")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    watching: asyncio.Task[str] | None = None
    because: Reason | None = None
    try:
        await asyncio.wait({driving, stopping, opening}, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            require_opened(opening, config.host.state, config.api.socket)
            _settle()
            notifier.notify("READY=1")
            overlay = assembly.view.status(assembly.now()).overlay
            me, socket = assembly.view.me, config.api.socket
            logs.logger().info("ready", peer=me, socket=socket, overlay=overlay)
            watching = asyncio.create_task(_clock_watch(assembly).watch(), name="clock")
            await asyncio.wait({driving, stopping, watching}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                because = Reason(
                    "clock.followed", f"{watching.result()}; this daemon began anew by it"
                )
        if driving.done() and isinstance(failed := driving.exception(), Mishandled):
            because = _set_aside(failed)
        notifier.notify("STOPPING=1" if because is None else "RELOADING=1")
    finally:
        stopping.cancel()
        if watching is not None:
            watching.cancel()
        await _end(opening)
        await _wind_up(assembly, driving)
    return because


def _clock_watch(assembly: Assembly) -> ClockWatch:
    def tell(note: Note) -> None:
        assembly.ring.add(note, assembly.now())
        logs.logger().warning(note.kind, detail=note.detail)

    name, view = str(assembly.config.host.name), assembly.view
    return ClockWatch(name, assembly.clock, view.follows_clock, tell)


def _set_aside(failed: Mishandled) -> Reason:
    said = f"{str(failed)!a}; this daemon began anew without it, and guests went on"
    return Reason("event.mishandled", said, is_own(failed.event), failed.again_s)


def _begin_anew(because: Reason) -> int:
    """Replaces the process by another life of it. Guests, links and the process id stay."""
    os.environ[_BECAUSE] = msgspec.json.encode(because).decode()
    time.sleep(because.again_s)
    try:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # its own words
    except OSError as error:
        return _fail(f"overlayd: it cannot begin anew: {error.strerror}; {because.detail}")


def _last_life() -> Reason | None:
    try:
        return msgspec.json.decode(os.environ.pop(_BECAUSE, ""), type=Reason)
    except msgspec.DecodeError:
        return None


def _tell_of(last: Reason, assembly: Assembly) -> None:
    name = str(assembly.config.host.name)
    assembly.ring.add(Note(last.kind, name, last.detail), assembly.now())
    logs.logger().warning(last.kind, detail=last.detail)


def _settle() -> None:
    """What the start made stays, so the garbage collector looks through it once and never again."""
    gc.enable()
    gc.collect()
    gc.freeze()


async def _assembled(config: DaemonConfig, credentials: Credentials, doubted: bool) -> Assembly:
    try:
        return await assemble(config, credentials, random.SystemRandom(), doubted)
    except OSError as error:
        raise _unusable(error, config.host.state, config.api.socket) from error


def require_opened(opening: asyncio.Task[None], state: str, socket: str) -> None:
    """Raises what opening the host's side ended with; Unfit for a file that cannot be used."""
    try:
        opening.result()
    except OSError as error:
        raise _unusable(error, state, socket) from error


def _unusable(error: OSError, state: str, socket: str) -> Unfit:
    where, why = error.filename or state, (error.strerror or str(error)).lower()
    return Unfit(
        f"{where}: {why}; host.state ({state}) and api.socket ({socket}) must be in folders overlayd can "
        "write to, with room"
    )


async def _end(opening: asyncio.Task[None]) -> None:
    """The host's side may still be opening when a stop comes. What it failed with was raised already."""
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)


async def _wind_up(assembly: Assembly, driving: asyncio.Task[None]) -> None:
    """In order: takes no more events, says goodbye, ends tasks, closes ports. Guests go on."""
    assembly.driver.stop()
    try:
        with contextlib.suppress(asyncio.CancelledError, Mishandled):
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


def _fail(text: str) -> int:
    sys.stderr.write(text.rstrip("\n") + "\n")
    return 1
