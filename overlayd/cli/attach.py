"""`overlayctl attach`: this host on a network of a grid, for as long as the command runs."""

import sys
import threading
from contextlib import suppress
from typing import Annotated

import msgspec
import typer

from overlayd.api import frames
from overlayd.api.views import AttachRequest, AttachView
from overlayd.cli.client import Duplex
from overlayd.cli.failure import USAGE, failure
from overlayd.cli.naming import grid_of
from overlayd.cli.session import ORDER_VALID_S, Session, session_of
from overlayd.cli.words import clean
from protocol.grid.attached import WORKS, AttachBody
from protocol.trust.order import Action
from protocol.wire.codec import encode

RENEW_S = 0.8 * ORDER_VALID_S
"""Before an order is too old for a host that comes to the network."""


def attach(
    context: typer.Context,
    target: Annotated[
        str, typer.Argument(metavar="GRID/NETWORK", help="A sealed network of a grid.")
    ],
) -> None:
    """Puts the daemon's host on a network of a grid, for as long as this command runs. Ctrl-C ends it.

    The host gets an address of the network's range, and a route to it: any program here reaches the guests, by
    their IPv4 addresses; IPv6 of a network is for its guests alone. They reach the host by nothing but pings
    and answers. The daemon does all that needs root. Any peer will do that can seal and carries no member of
    the network itself.

    The address is free again a few seconds after the command has ended, however it ended.

    Example: overlayctl attach star/lan

    Example: overlayctl --peer ./laptop/api.sock --identity ./federation/sites/ams attach ams/star/lan
    """
    session = session_of(context)
    grid, _, network = target.rpartition("/")
    if not grid or not network:
        said = f"{clean(target)} is not a network; write GRID/NETWORK"
        name = clean(grid or network) or "GRID"
        raise failure(said, f"`overlayctl show {name} --network` lists a grid's networks", USAGE)
    grid_id = grid_of(session, grid)
    with session.client.duplex("/attach", _order(session, grid_id, network)) as duplex:
        over = threading.Event()
        work = (duplex, session, grid_id, network, over)
        threading.Thread(target=_renew, args=work, daemon=True).start()
        try:
            _follow(session, duplex, target)
        finally:
            over.set()


def _order(session: Session, grid: str, network: str) -> bytes:
    """A frame with a fresh order."""
    order = session.sign(Action.ATTACH, grid, body=encode(AttachBody(network)))
    return frames.frame(frames.ORDER, msgspec.json.encode(AttachRequest(order)))


def _renew(
    duplex: Duplex, session: Session, grid: str, network: str, over: threading.Event
) -> None:
    """What stops it is told by the answer."""
    with suppress(OSError, AttributeError):
        while not over.wait(RENEW_S):
            duplex.send(_order(session, grid, network))


def _follow(session: Session, duplex: Duplex, target: str) -> None:
    """Says how it stands, each time that is otherwise. Raises Failure once nothing will come of it."""
    said, was_up, why = "", False, ""
    while head := duplex.read(frames.HEAD_BYTES):
        _, length = frames.head(head)
        raw = duplex.read(length)
        view = msgspec.json.decode(raw, type=AttachView)
        if session.plain:
            sys.stdout.write(raw.decode() + "\n")
            sys.stdout.flush()
        elif not view.over and (line := _line(view, target, was_up)) != said:
            said = line
            typer.echo(line)
        was_up = was_up or view.up
        why = view.problem
    if why:
        problem, _, would_work = clean(why).partition(WORKS)
        raise failure(f"{target}: {problem}", would_work)
    raise failure("the daemon ended it in the middle", "look at its log; try again")


def _line(view: AttachView, target: str, was_up: bool) -> str:
    problem = f": {clean(view.problem)}" if view.problem else ""
    if view.up:
        return (
            f"attached to {target} as {view.address}, a route leads to {view.cidr}; Ctrl-C ends it"
        )
    given = f"{view.given} of {view.hosts} hosts with members let this one in"
    return f"{'not attached any more' if was_up else 'not attached yet'}, {given}{problem}"
