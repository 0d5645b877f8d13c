"""`overlayctl plan` and `up`: where a grid would go, and making it so."""

from pathlib import Path
from typing import Annotated

import typer

from overlayd.api.views import Accepted, ImageRow, OrderBody, PlanBody
from overlayd.cli.asking import as_told, ended, follow, let_go, over, planned
from overlayd.cli.changing import Change, make, preview, show_plan
from overlayd.cli.completing import complete_quote
from overlayd.cli.failure import FAILED, INTERRUPTED, USAGE, Failure, failure
from overlayd.cli.gridfile import read_grid
from overlayd.cli.plan_text import plan_lines, quote_lines
from overlayd.cli.room import Wait, until_room
from overlayd.cli.session import ORDER_VALID_S, Session, session_of
from overlayd.cli.show import print_lines
from overlayd.cli.standing import standing_of, standing_of_file
from overlayd.cli.words import NAME, clean
from overlayd.config.userdata import Attachment
from protocol.grid.model import GridSpec
from protocol.grid.problem import quoted
from protocol.grid.record import HoldTerms
from protocol.requesting.proposal import Proposal
from protocol.requesting.request import RequestState
from protocol.requesting.transitions import Stage
from protocol.terms.ids import RequestId
from protocol.terms.limits import PLAN_HOLD_LEAST_S, PLAN_HOLD_MOST_S, QUEUE_S
from protocol.terms.quantities import format_duration, parse_duration
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode

CHANGES = 2
"""Exit code of a plan that would change something, for who asks for it."""

File = Annotated[Path, typer.Argument(help="The grid file.", show_default=False, readable=False)]
Profile = Annotated[
    str | None, typer.Option("--profile", "-p", help="A profile of the file.", show_default=False)
]
SshKeys = Annotated[
    list[Path] | None,
    typer.Option(
        "--ssh-key",
        help="A public key file: who has the key may log in.",
        readable=False,
    ),
]


def plan(
    context: typer.Context,
    file: File,
    profile: Profile = None,
    quote: Annotated[
        bool,
        typer.Option("--quote", help="Keep what was found, for `up --quote` within 10 minutes."),
    ] = False,
    hold: Annotated[
        str,
        typer.Option(
            "--hold",
            metavar="TIME",
            help="Hold it on its hosts for so long, 10s to 10m.",
            show_default=False,
        ),
    ] = "",
    ssh_key: SshKeys = None,
    detailed_exitcode: Annotated[
        bool,
        typer.Option(
            "--detailed-exitcode", help="Exit code 2 if something would change, 0 only if not."
        ),
    ] = False,
) -> None:
    """Shows where a grid would go now: a real round of quotes, nothing is held.

    With --quote it is kept at this peer under an id it prints, and `overlayctl up --quote ID` makes exactly
    that, or says what moved meanwhile.

    With --hold its hosts hold it, too, for so long: it counts as used. `overlayctl up --quote ID` makes it on
    these holds; `overlayctl request cancel ID`, or the end of its time, lets them go.

    Of a grid that is up it shows what the file would change: what comes and where, what goes, what is changed
    while it runs and what is started again. `overlayctl up` of the file makes exactly that. It can be
    quoted and held as well, for the grid as it is now: another change of it, or a longer lease, ends that.

    Exit code 0: it can be made or changed, or is up already. 1: it cannot. 2: a mistake in the file or in
    what was typed. With --detailed-exitcode 0 only if nothing would change, 2 if something would, and 1 for
    all else.

    Example: overlayctl plan examples/star.yaml

    Example: overlayctl plan examples/star.yaml --quote --ssh-key ~/.ssh/id_ed25519.pub

    Example: overlayctl plan examples/star.yaml --hold 60s --identity ./federation/sites/ams

    Example: overlayctl plan examples/star.yaml --profile test --output json
    """
    try:
        hold_s = _hold_s(hold, quote)
        session = session_of(context)
        spec, images, files = read_grid(session, file, profile, ssh_key or (), USAGE)
        standing = standing_of_file(session, spec.name)
        if standing is None or (change := Change(standing, spec, files)).empty:
            changes = _plan(session, spec, images, files, quote, hold_s)
        else:
            show_plan(session, change, keep=quote, hold_s=hold_s)
            changes = True
    except Failure as error:
        if detailed_exitcode:  # Whatever is wrong: 2 would say that something would change.
            error.code = FAILED
        raise
    raise typer.Exit(CHANGES if changes and detailed_exitcode else 0)


def _hold_s(hold: str, quote: bool) -> float:
    """For how many seconds it is to be held; 0 if it is not. Raises Failure."""
    if not hold:
        return 0.0
    least, most = format_duration(PLAN_HOLD_LEAST_S), format_duration(PLAN_HOLD_MOST_S)
    works = f"--hold 60s; {least} to {most} are taken"
    if quote:
        said = "what is held is a quote already; give --quote or --hold"
        raise failure(said, works, USAGE)
    try:
        hold_s = float(parse_duration(hold))
    except ValueError:
        raise failure(f"--hold: {quoted(hold)} is no duration", works, USAGE) from None
    if not PLAN_HOLD_LEAST_S <= hold_s <= PLAN_HOLD_MOST_S:
        raise failure(f"a plan cannot be held for {hold}", works, USAGE)
    return hold_s


def _plan(
    session: Session,
    spec: GridSpec,
    images: list[ImageRow],
    files: tuple[Attachment, ...],
    keep: bool,
    hold_s: float,
) -> bool:
    """Prints the plan. Answers whether something would change. Raises Failure if it cannot be made."""
    if hold_s:
        order = session.sign(Action.HOLD, spec.name, body=encode(HoldTerms(spec, hold_s)))
        accepted = session.client.post("/orders", _with(order, files), Accepted)
    else:
        params = {"site": session.site} | ({"keep": "true"} if keep else {})
        body = PlanBody.of(spec, tuple(f.content for f in files) if keep else ())
        accepted = session.client.post("/plans", body, Accepted, params)
    view = planned(session, accepted.request)
    if session.plain:
        as_told(session, accepted.request)
    if view.state not in (RequestState.DONE, RequestState.HELD):
        ended(view, FAILED)
    if not session.plain:
        print_lines(view.answer if view.unchanged else plan_lines(spec, view, images, files))
        if view.until_s:
            print_lines(quote_lines(view))
        elif session.acting:
            print_lines(
                ["whether grants and policies allow it was not asked; `plan --hold 60s` asks"]
            )
    return not view.unchanged


def up(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="The grid file.", show_default=False, readable=False)
    ] = None,
    profile: Profile = None,
    ssh_key: SshKeys = None,
    quote: Annotated[
        str,
        typer.Option(
            "--quote",
            metavar="ID",
            help="Exactly what `plan --quote` answered, in place of a file.",
            show_default=False,
            autocompletion=complete_quote,
        ),
    ] = "",
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before a grid that is up is changed.")
    ] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Hand the order over and go.")] = False,
    keep_waiting: Annotated[
        bool,
        typer.Option(
            "--keep-waiting", help="Wait on when a guest says that its first boot failed."
        ),
    ] = False,
    wait: Wait = False,
) -> None:
    """Makes a grid, or changes one that is up: all of it or nothing. Ctrl-C lets go of all that is not decided.

    Of a grid that is up it makes what the file says: it says what that does and asks, or takes -y; what the
    file has as before is not touched.

    It ends when every workspace is ready: set up, as its guest says. A guest that never says anything counts as
    ready a minute after it answers, one with user-data after 15 minutes. Once a guest says that its first boot
    failed it ends with exit code 1, and the grid stays as it is; with --keep-waiting it waits on, for who mends
    the guest. If it ends before all are ready, or is interrupted, it prints what the consoles of those that are
    not said last.

    With `lease: {best-effort: true}` it is queued at this peer if there is no room now; `overlayctl explain`
    says why it waits, `overlayctl down` ends that. With --wait this command waits, also for a change of a grid
    that is up: it asks for quotes every 30 s, and makes it once there is room. Nothing is held meanwhile.

    With --quote a quote, or a plan that is held, is taken up: its grid, or its change of one that is up, on the
    hosts it named. Refused if one of them cannot carry its part any more; nothing is asked elsewhere, and the
    answer says what moved. Nobody is asked again before a change, since the plan has said what it does.

    Example: overlayctl up examples/star.yaml --identity ./federation/sites/ams

    Example: overlayctl up examples/star.yaml -y

    Example: overlayctl up grid.yaml --profile test --ssh-key ~/.ssh/id_ed25519.pub

    Example: overlayctl up star.yaml -y --wait

    Example: overlayctl up --quote quote-4f1c0a9be1d2
    """
    session = session_of(context)
    if (file is None) == (quote == ""):
        said = "up makes what a grid file asks for, or what was quoted; name one of the two"
        raise failure(said, "overlayctl up grid.yaml, or overlayctl up --quote ID", USAGE)
    if file is None:
        if wait:
            said = "a quote is taken up now or not at all, so there is nothing to wait for"
            raise failure(said, "overlayctl up FILE --wait", USAGE)
        proposal = _quoted(session, quote, profile, ssh_key)
        if not proposal.change:
            _make_new(session, proposal.spec, (), quote, no_wait, keep_waiting)
            return
        standing = standing_of(session, proposal.change)
        change = Change(standing, proposal.spec, without=proposal.without)
        again = f"overlayctl up --quote {quote}"
        make(
            session,
            change,
            again,
            yes=True,
            no_wait=no_wait,
            keep_waiting=keep_waiting,
            quote=quote,
        )
        return
    spec, _, files = read_grid(session, file, profile, ssh_key or (), USAGE)

    def changed() -> Change | None:
        """What the file changes; None if it makes a grid, or nothing is to be changed."""
        there = standing_of_file(session, spec.name)
        found = Change(there, spec, files) if there is not None else None
        return None if found is None or found.empty else found

    def attempt() -> None:
        if (change := changed()) is not None:
            again = f"overlayctl up {file}"
            waits = keep_waiting
            make(session, change, again, yes=yes, no_wait=no_wait, keep_waiting=waits)
        else:
            _make_new(session, spec, files, "", no_wait, keep_waiting)

    def fits() -> None:
        if (change := changed()) is not None:
            preview(session, change)
        elif not spec.lease.best_effort:
            _ask_quotes(session, spec)

    if wait:
        until_room(session, fits, attempt)
    else:
        attempt()


def _ask_quotes(session: Session, spec: GridSpec) -> None:
    """A plan of which nothing is shown. Raises Failure if the grid cannot be made."""
    accepted = session.client.post("/plans", PlanBody.of(spec), Accepted, {"site": session.site})
    view = planned(session, accepted.request)
    if view.state is not RequestState.DONE:
        ended(view, FAILED)


def _make_new(
    session: Session,
    spec: GridSpec,
    files: tuple[Attachment, ...],
    quote: str,
    no_wait: bool,
    keep_waiting: bool,
) -> None:
    """Makes a grid, or follows one that is up as it is asked for; with `quote` exactly that. Raises Failure."""
    from overlayd.cli.last_lines import tell_last_lines
    from overlayd.cli.progress import made, watching  # It draws, and `plan` need not wait for it.

    waits = spec.lease.best_effort and not quote
    valid_s = QUEUE_S if waits else ORDER_VALID_S
    order = session.sign(Action.UP, spec.name, body=encode(spec), valid_s=valid_s)
    params = {"quote": quote} if quote else {}
    accepted = session.client.post("/orders", _with(order, files), Accepted, params)
    if no_wait:
        _handed_over(session, accepted, spec.name)
        return
    try:
        with watching(session, made(spec)) as watch:
            view = follow(session, accepted.request, watch, lambda view: over(view, keep_waiting))
    except KeyboardInterrupt:
        why = _interrupted(session, accepted.request, spec)
        tell_last_lines(session, accepted.request)
        raise why from None
    troubled = view.state is RequestState.RUNNING
    if troubled or view.state is RequestState.FAILED:
        tell_last_lines(session, accepted.request)
    if session.plain:
        as_told(session, accepted.request)
        if view.state in (RequestState.DONE, RequestState.QUEUED):
            return
    if troubled:
        raise Failure([clean(line) for line in view.troubles])
    ended(view, FAILED)


def _with(order: SignedOrder, files: tuple[Attachment, ...]) -> OrderBody:
    return OrderBody.of(order, tuple(file.content for file in files))


def _quoted(
    session: Session, quote: str, profile: str | None, ssh_key: list[Path] | None
) -> Proposal:
    """A quote, with its grid as it was read when the quote was asked for. Raises Failure if there is none."""
    if profile is not None or ssh_key:
        said = "a quote is for a grid with everything in it; it takes no --profile and no --ssh-key"
        raise failure(said, "overlayctl plan --quote, with these options", USAGE)
    if NAME.fullmatch(quote) is None:
        listing = "`overlayctl request list` lists them"
        raise failure(f"{quoted(quote)} is no quote's id", listing, USAGE)
    return session.client.get(f"/quotes/{quote}", Proposal)


def _handed_over(session: Session, accepted: Accepted, name: str) -> None:
    if session.plain:
        as_told(session, accepted.request)
        return
    typer.echo(f"request {accepted.request}: `overlayctl explain {name}` tells what becomes of it")


def _interrupted(session: Session, request: RequestId, spec: GridSpec) -> Failure:
    """Asks the daemon to let go, and says what happened."""
    name = spec.name
    take_down = f"`overlayctl down {name}` takes it down"
    view = let_go(session, request, lambda view: view.stage == Stage.BUILDING)
    if view.state is RequestState.DONE:
        return failure(f"{name} was up before it could be cancelled", take_down, INTERRUPTED)
    if view.state is not RequestState.RUNNING:
        return Failure(view.answer or (f"{name}: {view.state}",), INTERRUPTED)
    if view.stage == Stage.BUILDING:
        said = f"{name} is decided already and goes on being built"
        return failure(said, take_down, INTERRUPTED)
    said = f"{name} is not decided yet (it is {view.stage})"
    return failure(said, f"`overlayctl explain {name}` tells what becomes of it", INTERRUPTED)
