"""How a grid that is up is changed: what that would do is said, a person is asked, then it is one order."""

import sys
from contextlib import suppress

import msgspec
import typer

from overlayd.api.views import Accepted, OrderBody, PlanBody
from overlayd.cli.asking import as_told, ended, follow, let_go, over, planned
from overlayd.cli.failure import FAILED, INTERRUPTED, USAGE, Failure, failure
from overlayd.cli.plan_text import quote_lines
from overlayd.cli.session import Session
from overlayd.cli.show import print_lines, unchanged
from overlayd.cli.standing import standing_of
from overlayd.cli.words import clean
from overlayd.config.userdata import Attachment
from protocol.grid.apply import Delta, delta
from protocol.grid.apply_faults import fixed_faults, network_faults
from protocol.grid.change_words import change_lines, disrupted, nothing_changes, numbers
from protocol.grid.elastic import by_room_alone
from protocol.grid.expand import workspaces
from protocol.grid.model import GridSpec
from protocol.grid.record import ApplyTerms, HoldTerms
from protocol.node.standing import Standing
from protocol.requesting.request import RequestState, RequestView
from protocol.terms.ids import RequestId
from protocol.trust.order import Action
from protocol.trust.owner import admin, signing_as
from protocol.wire.codec import encode

_AGAIN_MOST = 3
"""So often a change is asked for again, where an elastic grid was faster."""


class Change(msgspec.Struct, frozen=True):
    """A grid that is up, and what it is to become."""

    standing: Standing
    spec: GridSpec
    files: tuple[Attachment, ...] = ()
    without: tuple[str, ...] = ()
    """Workspaces of `spec` that are not to be there."""

    @property
    def delta(self) -> Delta:
        """What becomes of each workspace."""
        placed = [row.workspace for row in self.standing.placed]
        return delta(placed, self.standing.spec, self.spec, frozenset(self.without))

    @property
    def touched(self) -> tuple[str, ...]:
        """The workspaces that come or are changed, in the order of the file: those that are waited for."""
        found = self.delta
        names = {*found.added, *(name for name, _ in found.changed)}
        return tuple(w.name for w in workspaces(self.spec) if w.name in names)

    @property
    def empty(self) -> bool:
        """Whether the grid is that already."""
        return nothing_changes(self.delta, self.standing.spec, self.spec)

    @property
    def faults(self) -> list[str]:
        """What of it cannot be while the grid is up, in lines with what would work; none if it can."""
        old, new = self.standing.spec, self.spec
        return "\n".join((*fixed_faults(old, new), *network_faults(old, new))).splitlines()

    def lines(self, view: RequestView | None = None) -> list[str]:
        """What it does, for people. `view` has where what comes would go."""
        hosts = {row.workspace: row.host for row in self.standing.placed}
        if view is not None:
            hosts |= {row.workspace: row.host for row in view.placement}
        old, new, found = self.standing.spec, self.spec, self.delta
        then = f" > {self.standing.epoch + 1}" if not self.faults else ""
        head = f"{self.standing.name}, epoch {self.standing.epoch}{then}"
        said = [f"  {line}" for line in change_lines(found, old, new, hosts)]
        notes = [f"  note: {line}" for line in view.warnings] if view is not None else []
        return [head, *said, *notes, numbers(found)]


def compared(change: Change) -> bytes:
    """What a change does, for programs, where no request is made of it."""
    standing = change.standing
    lines = [] if change.empty else [line.strip() for line in change.lines()[1:-1]]
    told = {
        "grid": standing.name,
        "epoch": standing.epoch,
        "delta": change.delta,
        "lines": lines,
        "cannot": change.faults,
    }
    return msgspec.json.encode(told)


def preview(
    session: Session, change: Change, *, keep: bool = False, hold_s: float = 0.0
) -> RequestView:
    """Asks where what comes would go; nothing is held unless for `hold_s`. With `keep` it is a quote.

    Raises Failure if it cannot be made.
    """
    standing, contents = change.standing, tuple(file.content for file in change.files)
    if hold_s:
        terms = HoldTerms(change.spec, hold_s, standing.epoch, change.without, standing.ends_s)
        order = session.sign(Action.HOLD, str(standing.grid), body=encode(terms))
        accepted = session.client.post("/orders", OrderBody.of(order, contents), Accepted)
    else:
        params = {"change": str(standing.grid)} | ({"keep": "true"} if keep else {})
        body = PlanBody.of(change.spec, contents if keep else (), without=change.without)
        accepted = session.client.post("/plans", body, Accepted, params)
    view = planned(session, accepted.request)
    if view.state not in (RequestState.DONE, RequestState.HELD):
        ended(view, FAILED)
    return view


def show_plan(session: Session, change: Change, *, keep: bool = False, hold_s: float = 0.0) -> None:
    """Prints what a change would do, and where what comes would go. Raises Failure if it cannot be made."""
    view = preview(session, change, keep=keep, hold_s=hold_s)
    if session.plain:
        as_told(session, view.id)
    else:
        print_lines(change.lines(view))
        if view.until_s:
            held = ["All of this is held."] if view.state is RequestState.HELD else []
            print_lines([*held, *quote_lines(view)])


def make(
    session: Session,
    change: Change,
    command: str,
    *,
    yes: bool,
    no_wait: bool,
    keep_waiting: bool = False,
    quote: str = "",
    again: int = _AGAIN_MOST,
) -> None:
    """Makes a change, after a person agreed. `command` is what was typed; with `keep_waiting` also guests are
    waited for that say that their first boots failed; `quote` is what it is to be exactly. If room alone has
    changed the grid meanwhile, it is asked for at most `again` times more. Raises Failure."""
    from overlayd.cli.progress import Watched, watching  # They draw; `plan` need not wait for it.

    name = change.standing.name
    if change.empty:
        if session.plain:
            unchanged(session, compared(change))
        else:
            print_lines([f"{name} is up already, as asked; nothing changes"])
        return
    if faults := change.faults:
        raise Failure([f"cannot change {name}: {faults[0]}", *faults[1:]])
    _may_sign(session, change.standing)
    if not yes:
        _agree(session, change, command)
    elif not session.plain:
        print_lines(change.lines())
    standing = change.standing
    terms = ApplyTerms(change.spec, standing.epoch, change.without, standing.ends_s)
    order = session.sign(Action.APPLY, str(standing.grid), body=encode(terms))
    contents = tuple(file.content for file in change.files)
    params = {"quote": quote} if quote else {}
    accepted = session.client.post("/orders", OrderBody.of(order, contents), Accepted, params)
    if no_wait:
        if session.plain:
            as_told(session, accepted.request)
        else:
            typer.echo(f"request {accepted.request}")
        return
    try:
        with watching(session, Watched(change.touched, standing)) as watch:
            view = follow(session, accepted.request, watch, lambda view: over(view, keep_waiting))
    except KeyboardInterrupt:
        raise _interrupted(session, accepted.request, standing) from None
    failed = view.state is RequestState.FAILED and not quote
    if failed and again and (now := _moved_by_room(session, standing)):
        if not session.plain:
            last = now.past[-1]
            said = f"{clean(last.said)} by {clean(last.by)}"
            typer.echo(f"{name} was changed meanwhile ({said}); asked again", err=True)
        anew = msgspec.structs.replace(change, standing=now)
        make(
            session,
            anew,
            command,
            yes=True,
            no_wait=no_wait,
            keep_waiting=keep_waiting,
            again=again - 1,
        )
        return
    if session.plain:
        as_told(session, accepted.request)
        if view.state is RequestState.DONE:
            return
    if view.state is RequestState.RUNNING:
        raise Failure([clean(line) for line in view.troubles])
    ended(view, FAILED)


def _may_sign(session: Session, standing: Standing) -> None:
    """Raises Failure if the identity that would sign a change is none, or not of the grid's owner."""
    owner, mine = standing.owner_site, session.label or session.credentials.principal.site
    if mine != owner:
        said = f"{standing.name} is a grid of {admin(owner)}, and an identity of {admin(mine)} was named"
        raise failure(said, f"the same {signing_as(owner)}", USAGE)


def _moved_by_room(session: Session, standing: Standing) -> Standing | None:
    """The grid as it is now, if nothing but room has changed it since that was read; else None."""
    with suppress(Failure):
        now = standing_of(session, str(standing.grid))
        if now.epoch > standing.epoch and by_room_alone(now.past, standing.epoch):
            return now
    return None


def _agree(session: Session, change: Change, command: str) -> None:
    """Says what a change does, and asks. Raises Failure if it is not wanted, or nobody can be asked."""
    name = change.standing.name
    if session.plain or not sys.stdin.isatty():
        said = f"{name} is up, and this changes it: {numbers(change.delta)}"
        lines = change.lines()[1:-1]
        raise Failure([said, *lines, f"  would work: {command} -y"], USAGE)
    print_lines(change.lines(preview(session, change)))
    again = disrupted(change.delta)
    question = f"end or restart {', '.join(again[:5])}?" if again else f"change {name}?"
    try:
        agreed = typer.confirm(question)
    except typer.Abort:  # Ctrl-C, or the end of what is typed
        agreed = False
    if not agreed:
        raise failure(f"{name} is as it was", command, INTERRUPTED)


def _interrupted(session: Session, request: RequestId, standing: Standing) -> Failure:
    """Asks the daemon to let go of a change, and says what happened."""
    name = standing.name

    def decided(view: RequestView) -> bool:
        return view.state is RequestState.DONE or view.epoch > standing.epoch

    view = let_go(session, request, decided)
    if view.state in (RequestState.DONE, RequestState.RUNNING) and decided(view):
        said = f"the change of {name} was decided before it could be cancelled"
        return failure(said, f"`overlayctl rollback {name}` goes back", INTERRUPTED)
    if view.state is not RequestState.RUNNING:
        return Failure(view.answer or (f"{name}: {view.state}",), INTERRUPTED)
    said = f"the change of {name} is not decided yet (it is {view.stage})"
    return failure(said, f"`overlayctl explain {request}` tells what becomes of it", INTERRUPTED)
