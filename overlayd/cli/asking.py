"""Follows a request to its answer: asks soon, then every 0.2 s, and tells a watcher each time."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from shutil import get_terminal_size

import typer

from overlayd.cli.client import Refused, Unreachable
from overlayd.cli.failure import FAILED, Failure, NoRoom, failure
from overlayd.cli.session import Session
from overlayd.cli.show import print_lines, unchanged
from overlayd.cli.words import clean, elapsed
from protocol.requesting.request import RequestState, RequestView
from protocol.terms.refusal import QUANTITIES, Constraint

FIRST_S, EVERY_S = 0.02, 0.2
"""The pause doubles each time: a plan is answered in a tenth of a second, a grid is up after many seconds."""
SOON_S = 1.0
"""What is answered sooner needs no clock."""
CANCEL_WITHIN_S = 15.0
"""How long a daemon is waited for that was asked to let go of a request."""
PATIENCE_S = 10.0
"""How long the daemon may be away in the middle: time for a restart."""

_PASSES = (*QUANTITIES, Constraint.OLDER, Constraint.CONTENDED)
"""What stops a grid only for a while."""

Watch = Callable[[RequestView], None]


def follow(
    session: Session,
    request: str,
    watch: Watch,
    until: Callable[[RequestView], bool] = lambda view: view.state is not RequestState.RUNNING,
    within_s: float = float("inf"),
) -> RequestView:
    """The view, once it is what is waited for or `within_s` has passed. Raises Failure."""
    away_since_s = None
    give_up_s, pause_s = time.monotonic() + within_s, FIRST_S
    while True:
        try:
            view = session.client.get(f"/requests/{request}", RequestView)
        except Unreachable:
            away_since_s = away_since_s or time.monotonic()
            if time.monotonic() > away_since_s + PATIENCE_S:
                raise
        except Refused as refused:
            if refused.status != 404:
                raise
            raise failure(
                f"the daemon does not know request {request} any more; was it restarted?",
                "`overlayctl ps` shows what there is; repeating the command is safe",
            ) from None
        else:
            away_since_s = None
            watch(view)
            if until(view) or time.monotonic() > give_up_s:
                return view
        time.sleep(pause_s)
        pause_s = min(EVERY_S, 2 * pause_s)


def over(view: RequestView, keep_waiting: bool) -> bool:
    """Whether there is nothing more to wait for. For troubled guests it waits only with `keep_waiting`."""
    return view.state is not RequestState.RUNNING or (bool(view.troubles) and not keep_waiting)


def let_go(session: Session, request: str, decided: Callable[[RequestView], bool]) -> RequestView:
    """Asks the daemon to let go of a request whose person interrupted it. The view, once that is answered.

    What is `decided` is not let go of. Raises Failure.
    """
    if not session.plain:
        typer.echo("interrupted; asking the daemon to let go of it", err=True)
    with suppress(Failure):  # The request may have ended meanwhile; the view says how.
        session.client.raw("DELETE", f"/requests/{request}")

    def until(view: RequestView) -> bool:
        return view.state is not RequestState.RUNNING or decided(view)

    return follow(session, request, lambda _: None, until, CANCEL_WITHIN_S)


def planned(session: Session, request: str) -> RequestView:
    """Waits for a plan. Ctrl-C lets go of it."""
    try:
        with waiting(session, lambda _: None) as shown:
            return follow(session, request, shown)
    except KeyboardInterrupt:
        with suppress(Failure):  # In any case its hosts let go when its time is up.
            session.client.raw("DELETE", f"/requests/{request}")
        raise


def as_told(session: Session, request: str) -> None:
    """Prints the request as the daemon tells it, for programs."""
    unchanged(session, session.client.raw("GET", f"/requests/{request}"))


@contextmanager
def waiting(session: Session, watch: Watch) -> Iterator[Watch]:
    """The watch, and on a terminal a line below what it prints, with the time that runs."""
    if session.plain or not sys.stdout.isatty():
        yield watch
        return

    def shown(view: RequestView) -> None:
        _wipe()
        watch(view)
        spent_s = time.time() - view.started_s
        if view.state is RequestState.RUNNING and spent_s >= SOON_S:
            said = clean(f"{view.kind} {view.grid}: {view.stage}, {elapsed(spent_s)}")
            sys.stdout.write(said[: get_terminal_size().columns - 1])
            sys.stdout.flush()

    try:
        yield shown
    finally:
        _wipe()


def _wipe() -> None:
    """Empties the line that the cursor is in."""
    sys.stdout.write("\r\x1b[K")
    sys.stdout.flush()


class StoryLines:
    """Prints a request's story as it grows, for a pipe. Lines that `skip` says are left out."""

    def __init__(self, skip: Callable[[str], bool] = lambda _: False) -> None:
        self._told: set[tuple[float, str]] = set()
        self._skip = skip

    def __call__(self, view: RequestView) -> None:
        """Prints what is new."""
        answer = "; ".join(line.strip() for line in view.answer)
        for line in view.story:
            if (line.at_s, line.text) in self._told:
                continue
            self._told.add((line.at_s, line.text))
            if line.text not in (answer, str(view.state)) and not self._skip(line.text):
                print_lines([line.text])


def ended(view: RequestView, code: int = FAILED) -> None:
    """Prints the answer of a request that is done, or stands. Otherwise raises Failure with its explanation."""
    if view.state in (RequestState.DONE, RequestState.QUEUED, RequestState.HELD):
        print_lines(view.answer)
        return
    lines = view.answer or (f"{view.kind} {view.grid}: {view.state}",)
    kind = NoRoom if lacks_room(view) else Failure
    raise kind([clean(line) for line in lines], code)


def lacks_room(view: RequestView) -> bool:
    """Whether a request failed for want of room, which may come: some host lacks only that, or that as well."""
    found = view.why.missing if view.why is not None else ()
    return bool(found) and all(
        any(obstacle.constraint in _PASSES for obstacle in missing.reasons) for missing in found
    )
