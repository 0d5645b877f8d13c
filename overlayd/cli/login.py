"""`overlayctl login`, `logout`: a passphrase is typed once for some hours."""

import time
from typing import Annotated

import typer

from overlayd.adapters import people
from overlayd.adapters.identities import read_public
from overlayd.cli.failure import USAGE, failure
from overlayd.cli.passphrase import PassphraseFile
from overlayd.cli.person import errors, folder_of, issuer_of
from overlayd.cli.session import session_of
from overlayd.cli.words import moment
from overlayd.config.values import Duration
from protocol.grid.problem import quoted
from protocol.terms.quantities import counted, format_duration
from protocol.trust.grants import GRANTS_MOST, read_grant

LONGEST_S = 7 * 86400


def login(
    context: typer.Context,
    over: Annotated[str, typer.Option("--for", help="How long: 30m, 8h; at most 7d.")] = "8h",
    passphrase_file: PassphraseFile = None,
) -> None:
    """Acts as you without a passphrase for some hours: a key of its own, in memory, gone at reboot.

    Your grants are passed on to that key until then. It can pass nothing on itself, so `grant issue` still asks
    for the passphrase. A chain has at most four grants and the login is one of them. What is granted to you
    later is in the next login.

    Example: overlayctl login --for 8h

    Example: overlayctl login --as star --for 30m
    """
    session = session_of(context)
    try:
        for_s = int(Duration.from_written(over))
    except ValueError as error:
        raise failure(f"--for {quoted(over)}: {error}", code=USAGE) from None
    if not 0 < for_s <= LONGEST_S:
        raise failure(f"a login lasts at most {format_duration(LONGEST_S)}, not {over}", code=USAGE)
    person = issuer_of(session.acting, passphrase_file)
    now_s = time.time()
    with errors():
        made = people.log_in(person, now_s, now_s + for_s)
    until_s = max(read_grant(chain[-1]).not_after_s for chain in made.chains)
    typer.echo(f"logged in as {person.public.name} until {moment(until_s, to_the_second=True)}")
    if left_out := len(person.chains) - len(made.chains):
        typer.echo(
            f"not with {counted(left_out, 'grant')}, which ended, or has {GRANTS_MOST} links already: "
            "use --as with the passphrase for those",
            err=True,
        )


def logout(context: typer.Context) -> None:
    """Ends a login: its key is deleted.

    Example: overlayctl logout
    """
    session = session_of(context)
    folder = folder_of(session.acting)
    with errors():
        public = read_public(folder)
        ended = people.log_out(public.key)
    typer.echo(f"{public.name} is logged out" if ended else f"{public.name} was not logged in")
