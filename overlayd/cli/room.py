"""Waiting for room: what there is no room for now is made as soon as there is, while its command runs.

Hosts are asked for quotes now and then, and hold nothing meanwhile. So whoever comes in between may be faster:
what is to keep its turn is queued at a peer (`lease: {best-effort: true}`).
"""

import time
from collections.abc import Callable
from typing import Annotated

import typer

from overlayd.cli.failure import NoRoom
from overlayd.cli.session import Session
from overlayd.cli.words import clean
from protocol.terms.quantities import format_duration

TRY_EVERY_S = 30.0

Wait = Annotated[
    bool, typer.Option("--wait", help="If there is no room now, wait and make it once there is.")
]


def until_room(session: Session, fits: Callable[[], object], attempt: Callable[[], None]) -> None:
    """Calls `attempt` once `fits` raises no NoRoom any more. What else they raise ends it."""
    told = False
    while True:
        try:
            fits()
            attempt()
        except NoRoom as short:
            if not told and not session.plain:
                every = format_duration(TRY_EVERY_S)
                waits = f"waiting for room; it is tried every {every}, Ctrl-C ends that"
                typer.echo("\n".join(clean(line) for line in (*short.lines, waits)), err=True)
            told = True
            time.sleep(TRY_EVERY_S)
        else:
            return
