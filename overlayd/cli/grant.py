"""`overlayctl grant`: what a VO lets its members do, as a line of text to paste. Works offline."""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from overlayd.adapters import identities, people
from overlayd.adapters.grant_text import MARK, TEXT_MOST, write_chain_text
from overlayd.adapters.identities import Kind
from overlayd.adapters.nacl_keys import NaclVerifier, write_new_file
from overlayd.adapters.revocation_files import revoked_by_vo, write_of_vo
from overlayd.cli.failure import USAGE, failure
from overlayd.cli.grant_words import (
    ceilings_in_words,
    grant_lines,
    holder,
    may,
    until,
    where,
)
from overlayd.cli.passphrase import PassphraseFile
from overlayd.cli.person import errors, folder_of, issuer_of
from overlayd.cli.session import session_of
from overlayd.cli.show import answer, print_lines, print_table
from overlayd.config.moments import Moment
from overlayd.config.values import Cpus, Duration, Size
from overlayd.ports.keys import KeyFileError
from protocol.grid.problem import quoted
from protocol.terms.ids import KeyId
from protocol.terms.ranges import AMOUNT_MOST
from protocol.trust.ceilings import Ceilings
from protocol.trust.certificate import is_key
from protocol.trust.fingerprint import words_of
from protocol.trust.grants import Grant, Grants, check_grants, read_grant
from protocol.trust.record import SignedRecord
from protocol.trust.revocation import revoke_grant, revoke_member
from protocol.trust.signing import Signer, Untrusted
from protocol.trust.verbs import EVERY_VERB, Verb

grant_app = typer.Typer(no_args_is_help=True, help="What a VO lets its members do.")

_USUAL_S, _LONGEST_S = 7 * 86400, 3650 * 86400
_COUNT_MOST = 1_000_000
_BY_KEY = "the member's key in place of the grant: overlayctl grant revoke KEY"
_ASK_AGAIN = "ask who gave it for a new one; `overlayctl grant issue` makes it"

Chain = Annotated[
    str, typer.Argument(help="The line itself, a file with it, or - for standard input.")
]


class GrantView(msgspec.Struct, frozen=True):
    """A chain as it is shown."""

    grants: tuple[Grant, ...]
    """The VO's first."""
    problem: str
    """Why it is not believed now; empty if it is."""


class KeptView(msgspec.Struct, frozen=True):
    """A chain that an identity has."""

    identity: str
    chain: GrantView


@grant_app.command("issue")
def issue(
    context: typer.Context,
    to: Annotated[
        str, typer.Option(help="Whom: the line that `identity export` printed, or a key.")
    ],
    verbs: Annotated[str, typer.Option(help=f"What: some of {', '.join(EVERY_VERB)}.")],
    member: Annotated[
        str, typer.Option(help="What you call them: a-z, 0-9 and hyphens.", show_default=False)
    ] = "",
    sites: Annotated[
        str, typer.Option(help="Where: names of sites with commas.", show_default="as you may")
    ] = "",
    cpus: Annotated[str, typer.Option(help="At once: 4, 0.5.", show_default="as you may")] = "",
    memory: Annotated[str, typer.Option(help="At once: 8G.", show_default="as you may")] = "",
    disk: Annotated[str, typer.Option(help="At once: 100G.", show_default="as you may")] = "",
    workspaces: Annotated[
        int | None, typer.Option(help="At once.", min=0, max=_COUNT_MOST, show_default="as you may")
    ] = None,
    devices: Annotated[
        int | None, typer.Option(help="At once.", min=0, max=_COUNT_MOST, show_default="as you may")
    ] = None,
    longest_lease: Annotated[
        str, typer.Option(help="Of a grid: 12h, 7d.", show_default="as you may")
    ] = "",
    over: Annotated[
        str, typer.Option("--for", help="How long: 12h, 7d.", show_default="7d, or as you may")
    ] = "",
    start: Annotated[
        str, typer.Option("--from", help="tomorrow 9:00, in 2h.", show_default="now")
    ] = "",
    vo: Annotated[
        str, typer.Option(help="Of which VO, if you have grants of several.", show_default=False)
    ] = "",
    file: Annotated[
        Path | None, typer.Option(help="Write it here, not on the screen.", show_default=False)
    ] = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Lets somebody do something in the name of a VO: as the VO, or as a member that may `delegate`.

    What you do not limit is limited as you are. Nobody can grant more than they have: fewer verbs and sites,
    lower ceilings, a shorter time. A chain has at most four grants. The line is no secret: it is worth nothing
    without the key it is given to.

    Example: overlayctl grant issue --as star --to "$(cat ana.pub)" --verbs deploy,act,connect --sites ams,uc
    --cpus 8 --memory 32G --for 7d
    """
    session = session_of(context)
    audience, called = _audience(to)
    ceilings = Ceilings(
        cpus_milli=_amount("--cpus", cpus, Cpus.from_written),
        memory_bytes=_amount("--memory", memory, Size.from_written),
        disk_bytes=_amount("--disk", disk, Size.from_written),
        workspaces=workspaces,
        devices=devices,
        lease_s=_amount("--longest-lease", longest_lease, Duration.from_written),
    )
    chosen = _verbs(verbs)
    now_s = time.time()
    start_s = _start(start, now_s)
    for_s = _amount("--for", over, Duration.from_written, most=_LONGEST_S)
    person = issuer_of(session.acting, passphrase_file)
    with errors():
        held = person.chain(now_s, vo)
        parent, above = people.passed_on(held), read_grant(held[-1])
        usual_s = min(start_s + _USUAL_S, above.not_after_s)
        end_s = usual_s if for_s is None else start_s + for_s
        grant = people.new_grant(parent, person.public, audience, start_s, end_s)
        grant = msgspec.structs.replace(
            grant,
            member=member or called,
            verbs=chosen,
            sites=_listed(sites) or above.sites,
            ceilings=_within(ceilings, above.ceilings),
        )
        try:
            revoked = revoked_by_vo(folder_of(session.acting), person.public.key)
            made = people.pass_on(parent, grant, person.signer, now_s, revoked)
        except KeyFileError as error:
            works = f"what {person.public.name} has: {may(above)} {where(above)}, "
            works += f"{ceilings_in_words(above.ceilings)}, {until(above)}"
            raise failure(str(error), works) from None
        line = write_chain_text(made)
        said = [f"# {said}" for said in grant_lines([read_grant(signed) for signed in made])]
        if file is not None:
            write_new_file(file, "\n".join([*said, line, ""]).encode(), mode=0o644)
    if file is None:
        print_lines(said, err=True)
        typer.echo(line)
    typer.echo(f"# for them: overlayctl grant add {file or 'LINE'}", err=True)


@grant_app.command("add")
def add(chain: Chain) -> None:
    """Takes a grant that was given to one of your identities, and keeps it there.

    Example: overlayctl grant add overlayd-grant.kZGS...

    Example: overlayctl grant add ./from-star.grant
    """
    with errors():
        grants = _chain(chain)
        last = read_grant(grants[-1])
        if problem := _problem(grants, max(time.time(), last.not_before_s)):
            raise failure(f"this grant is not believed: {problem}", _ASK_AGAIN)
        folder = _holder_of(last.audience)
        path = people.keep_grants(folder, grants)
    print_lines(grant_lines([read_grant(signed) for signed in grants]))
    typer.echo(f"wrote {path}")


@grant_app.command("show")
def show(context: typer.Context, chain: Chain) -> None:
    """Says in words who may do what, where, how much and until when. Believes nothing: see `check`.

    Example: overlayctl grant show ./from-star.grant
    """
    with errors():
        view = view_of(_chain(chain))
    answer(session_of(context), msgspec.json.encode(view), GrantView, _show)


@grant_app.command("check")
def check(context: typer.Context, chain: Chain) -> None:
    """Whether a chain holds now; if not, which link breaks it and why. Exit code 1 if it does not hold.

    This is what every host does, except that a host also knows what was revoked, and which VOs its site admits.

    Example: overlayctl grant check ./from-star.grant
    """
    session = session_of(context)
    with errors():
        view = view_of(_chain(chain))
    if session.plain:
        answer(session, msgspec.json.encode(view), GrantView, _show)
    elif not view.problem:
        last = view.grants[-1]
        typer.echo(f"it holds: {holder(last)} may {may(last)} {where(last)}, {until(last)}")
        typer.echo("whether any of it was revoked since is for hosts to say, and was not asked")
    if view.problem:
        raise failure(f"it does not hold: {view.problem}", _ASK_AGAIN)


@grant_app.command("list")
def listing(context: typer.Context) -> None:
    """Lists what was granted to your identities, or to the one that --as names.

    Example: overlayctl grant list
    """
    session = session_of(context)
    with errors():
        folders = (
            [folder_of(session.acting)]
            if session.acting
            else map(identities.folder_of, identities.names())
        )
        views = [
            KeptView(identities.read_public(folder).name, view_of(grants))
            for folder in folders
            for grants in people.read_grants(folder)
        ]
    answer(session, msgspec.json.encode(views), list[KeptView], _list)


@grant_app.command("revoke")
def revoke(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            help="A grant, as for `show`; or a member: a key, or the line of `identity export`."
        ),
    ],
    reason: Annotated[str, typer.Option(help="Why, for people; it is published.")] = "",
    file: Annotated[Path | None, typer.Option(help="File to write.", show_default=False)] = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Takes back, as the VO, a grant that it gave; or all that a member has, for good, and all they passed on.

    It takes effect when `overlayctl revoke FILE` has given it to any peer: every host that hears of it takes no
    new order under it. What was made under it runs to the end of its lease, or until the VO ends it; at sites
    whose policy says `revoked = "at-once"` it ends a minute later. A revoked
    member comes back with a new key. What a member passed on is taken back by the VO, too.

    Example: overlayctl grant revoke --as star ./ana.grant --reason "left"

    Example: overlayctl grant revoke --as star "$(cat ana.pub)"
    """
    acting, now_s = session_of(context).acting, time.time()
    by_key = is_key(what.strip()) or what.split()[:1] in ([Kind.MEMBER], [Kind.VO])
    with errors():
        folder = folder_of(acting)
        vo = identities.read_public(folder)
        if vo.kind is not Kind.VO:
            raise failure(f"{vo.name} is a member, and a VO revokes", "--as with the VO's identity")
        revoking: Callable[[str, float, Signer], SignedRecord] = (
            partial(revoke_member, vo.name, *_audience(what))
            if by_key
            else partial(revoke_grant, read_grant(_chain(what)[-1]))
        )
        signer = issuer_of(acting, passphrase_file).signer
        try:
            signed = revoking(reason, now_s, signer)
        except ValueError as error:
            raise failure(f"this cannot be revoked: {error}", _BY_KEY) from None
        made = write_of_vo(signed, folder, file)
    print_lines([f"revokes {made.revocation.what}", f"wrote {made.path}"])
    typer.echo(f"next, at any peer: overlayctl revoke {made.path}")


def _show(view: GrantView) -> None:
    print_lines(grant_lines(view.grants))
    if view.problem:
        print_lines([f"it does not hold: {view.problem}"])


def _list(kept: list[KeptView]) -> None:
    rows = []
    for one in kept:
        last = one.chain.grants[-1]
        state = one.chain.problem or until(last)
        rows.append(
            (
                one.identity,
                last.name,
                may(last),
                where(last),
                ceilings_in_words(last.ceilings),
                state,
            )
        )
    empty = "nothing was granted yet; `overlayctl grant add` takes what was"
    print_table(("identity", "vo", "verbs", "where", "ceilings", "state"), rows, empty)


def view_of(grants: Grants) -> GrantView:
    """A chain as it is shown, with why it is not believed now."""
    return GrantView(tuple(map(read_grant, grants)), _problem(grants, time.time()))


def _problem(grants: Grants, now_s: float) -> str:
    """Why a chain is not believed at that moment; empty if it is."""
    try:
        check_grants(grants, now_s, NaclVerifier())
    except Untrusted as error:
        return error.detail
    return ""


def _chain(said: str) -> Grants:
    """The chain in what was typed. Raises KeyFileError."""
    if said != "-" and not said.startswith(MARK):
        return people.read_chain_file(Path(said))
    try:
        return people.read_chain(sys.stdin.read(TEXT_MOST + 1) if said == "-" else said)
    except ValueError as error:
        raise KeyFileError(f"this is no grant: {error}") from None


def _holder_of(audience: KeyId) -> Path:
    """The folder of the identity that a grant is given to. Raises KeyFileError."""
    for name in identities.names():
        folder = identities.folder_of(name)
        if identities.read_public(folder).key == audience:
            return folder
    raise KeyFileError(
        f"it is given to key {audience[:16]}... ({words_of(audience)}), and no identity here has that key; "
        "`overlayctl identity show` shows those that are here"
    )


def _audience(to: str) -> tuple[KeyId, str]:
    """The key in a pasted public line, and its name; or a key alone. Raises Failure."""
    if is_key(to.strip()):
        return KeyId(to.strip()), ""
    try:
        public = identities.read_line(to)
    except ValueError as error:
        works = '"$(overlayctl identity export NAME)", or a key'
        raise failure(f"{quoted(to)}: {error}", works, USAGE) from None
    return public.key, public.name


def _verbs(said: str) -> tuple[Verb, ...]:
    chosen = _listed(said)
    for verb in chosen:
        if verb not in EVERY_VERB:
            works = f"--verbs with some of {','.join(EVERY_VERB)}"
            raise failure(f"there is no verb {quoted(verb)}", works, USAGE)
    return tuple(verb for verb in EVERY_VERB if verb in chosen)


def _listed(said: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in said.split(",") if part.strip()))


def _within(asked: Ceilings, above: Ceilings) -> Ceilings:
    """What was asked, and the issuer's own ceiling of what was not."""
    return msgspec.structs.replace(above, **dict(asked.limits()))


def _start(said: str, now_s: float) -> float:
    try:
        start_s = float(Moment.from_written(said)) if said else now_s
    except ValueError as error:
        raise failure(f"--from {quoted(said)}: {error}", code=USAGE) from None
    if not now_s <= start_s <= now_s + _LONGEST_S:
        raise failure(f"--from {quoted(said)} is over, or too far ahead", code=USAGE)
    return start_s


def _amount(
    option: str, said: str, read: Callable[[str], int], most: int = AMOUNT_MOST
) -> int | None:
    """What was typed as a number; None if nothing was. Raises Failure."""
    if not said:
        return None
    try:
        amount = int(read(said))
    except ValueError as error:
        raise failure(f"{option} {quoted(said)}: {error}", code=USAGE) from None
    if not 0 <= amount <= most:
        raise failure(f"{option} {quoted(said)} is more than anybody could use", code=USAGE)
    return amount
