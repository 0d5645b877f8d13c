"""`overlayctl policy`: what a site lets others use of it. `check` and `sign` work offline."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from overlayd.adapters.policy_files import read_policy_file, sign_policy_file
from overlayd.cli.failure import FAILED, USAGE, DocumentFailure, failure
from overlayd.cli.grant_words import ceilings_in_words
from overlayd.cli.gridfile import read_grid
from overlayd.cli.session import Session, session_of
from overlayd.cli.show import print_lines, unchanged
from overlayd.cli.words import clean
from overlayd.config.documents import DocumentError
from overlayd.config.gridfile import load_grid
from overlayd.config.policyfile import load_policy
from overlayd.ports.keys import KeyFileError
from protocol.capacity.quantum import Quantum
from protocol.grid.expand import workspaces
from protocol.grid.problem import quoted
from protocol.policy.allowing import forbidden
from protocol.policy.demand import NOTHING, Demand, demand_of
from protocol.policy.guaranteed import part_of_alike
from protocol.policy.site_policy import PolicyRow, Priority, Revoked, SitePolicy, VoTerms
from protocol.terms.ids import KeyId, is_64_digits
from protocol.terms.quantities import (
    counted,
    cpus_in_words,
    format_moment,
    format_size,
)
from protocol.trust.fingerprint import words_of
from protocol.trust.owner import Owner

policy_app = typer.Typer(no_args_is_help=True, help="What a site lets others use of it.")

_KEY_DIGITS = 16
_SOME_HOSTS = (2, 4, 8)
"""A policy does not know how many hosts its site has."""
_UNSIGNED = KeyId("unsigned")
"""Stands for the key of a site that has not signed a policy: nobody's."""

PolicyFile = Annotated[
    Path, typer.Argument(help="The policy, TOML.", show_default=False, readable=False)
]


@policy_app.command("check")
def check(file: PolicyFile) -> None:
    """Checks a policy file, and says what it allows. Nothing is signed, and no peer is asked.

    Example: overlayctl policy check policy.toml
    """
    with _errors():
        policy = load_policy(file)
    print_lines([f"{file} is right", *_in_words(policy)])


@policy_app.command("sign")
def sign(
    context: typer.Context,
    file: PolicyFile,
    number: Annotated[
        int, typer.Option("--number", help="Its number; 0 is the next one.", min=0)
    ] = 0,
    into: Annotated[
        Path | None, typer.Option("--into", help="File to write, too.", show_default=False)
    ] = None,
) -> None:
    """Signs a policy with the site's key, under the next number. Once published it replaces all before it.

    Written to the site's folder under policies. The site's folder is --identity. The machine needs no network.

    Example: overlayctl policy sign policy.toml --identity ./ams
    """
    session = session_of(context)
    site = session.credentials
    assert session.identity is not None  # It has credentials.
    with _errors():
        made = sign_policy_file(session.identity, site, load_policy(file), number, into)
    lines = [f"policy {made.policy.number} of site {made.policy.site}", *_in_words(made.policy)]
    lines += [f"wrote {made.path}", f"next, at any peer: overlayctl policy publish {made.path}"]
    print_lines(lines)


@policy_app.command("publish")
def publish(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="As `policy sign` wrote it.", readable=False)],
) -> None:
    """Publishes a site's policy: every host of the site goes by it as soon as it has heard it.

    Any peer can be told, by anybody; the site's key has signed it, and every host keeps it on its disk.

    Example: overlayctl policy publish ams/policies/2.policy
    """
    session = session_of(context)
    with _errors():
        signed = read_policy_file(file)
    row = session.client.post("/policies", signed, PolicyRow)
    print_lines([f"published: {row.policy.title}"])


@policy_app.command("show")
def show(
    context: typer.Context,
    site: Annotated[str, typer.Argument(help="A site; every site if left out.")] = "",
) -> None:
    """Shows the newest policy of each site, or of one, as far as the peer that is asked has heard.

    Example: overlayctl policy show ams

    Example: overlayctl policy show --output json
    """
    session = session_of(context)
    rows = [row for row in _policies(session) if site in ("", row.policy.site)]
    if session.plain:
        unchanged(session, msgspec.json.encode(rows))
    elif not rows:
        said = f"site {site} has published none" if site else "no site has published a policy"
        raise failure(said, "overlayctl policy sign, then overlayctl policy publish")
    else:
        for row in rows:
            made = format_moment(row.policy.made_at_s)
            print_lines([f"{row.policy.title}, {made}", *_in_words(row.policy)])


@policy_app.command("why")
def why(
    context: typer.Context,
    vo: Annotated[str, typer.Argument(help="A VO, by its name in policies, or its key.")],
    grid: Annotated[
        Path | None, typer.Argument(help="A grid file.", show_default=False, readable=False)
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="A policy that is not signed yet.", show_default=False),
    ] = None,
) -> None:
    """Says what a VO may use at each site, and which line of which policy forbids a grid of it.

    The grid is taken as a whole, as if all of it were to be at that site, and beside nothing that the VO has
    there now (`whoami` says what is left). With --file no peer is asked, and so
    nothing is said of the grid's images.

    Exit code 0: it is allowed somewhere. 1: it is not.

    Example: overlayctl policy why star star.yaml

    Example: overlayctl policy why star star.yaml --file policy.toml
    """
    session = session_of(context)
    with _errors():
        if file is not None:
            unsigned = msgspec.structs.replace(load_policy(file), site=str(file))
            rows = [PolicyRow(_UNSIGNED, unsigned)]
            spec = load_grid(grid) if grid is not None else None
        else:
            rows = _policies(session)
            spec = read_grid(session, grid, None, (), USAGE)[0] if grid is not None else None
    demand = demand_of(workspaces(spec), spec.lease_s) if spec is not None else NOTHING
    if not rows:
        raise failure("no site has published a policy, and without one a site admits no VO")
    owner = _owner(vo, rows)
    if grid is not None:
        print_lines([f"all of {grid.name} at each site, beside nothing that {vo} has there now:"])
    allowed = [_judged(row, owner, demand) for row in rows]
    if not any(allowed):
        raise typer.Exit(FAILED)


def _judged(row: PolicyRow, owner: Owner, demand: Demand) -> bool:
    """Prints whether that is allowed by a policy, and answers it."""
    policy = row.policy
    no = forbidden(policy, policy.site, row.key, owner, demand)
    if no is not None:
        print_lines([f"{policy.site}: refused: {no.why}", f"  would work: {no.allowed}"])
        return False
    terms = policy.terms(owner.key)
    print_lines([f"{policy.site}: allowed", *(_terms(terms) if terms is not None else [])])
    return True


def _policies(session: Session) -> list[PolicyRow]:
    return session.client.get("/policies", list[PolicyRow])


def _owner(vo: str, rows: list[PolicyRow]) -> Owner:
    """Who is meant by a key, or by the name that a site has for it."""
    digits = vo.removeprefix("vo:").lower()
    if is_64_digits(digits):
        return Owner(KeyId(digits), vo=digits[:_KEY_DIGITS])
    keys = dict.fromkeys(each.key for row in rows for each in row.policy.vos if each.name == vo)
    if len(keys) > 1:
        said = f"sites mean different keys by {quoted(vo)}"
        raise failure(said, " or ".join(keys), USAGE)
    return Owner(next(iter(keys), KeyId("")), vo=vo)


def _in_words(policy: SitePolicy) -> Iterator[str]:
    """What a policy allows, as lines for a person."""
    if policy.priority is Priority.SHARES:
        yield f"the site's own work has a share of {policy.share}"
    else:
        yield "the site's own work comes before what others are not guaranteed"
    if policy.revoked is Revoked.AT_ONCE:
        yield "what was made under a revoked grant, or by a VO that is named no more, ends a minute later"
    if policy.stewards:
        yield f"{counted(len(policy.stewards), 'host')} of the site count what is used of ceilings"
    elif policy.counted:
        yield (
            "note: without `stewards`, hosts count ceilings by what they tell each other: two that are asked "
            "at one moment may hold what only one of them should"
        )
    if not policy.vos:
        yield "nobody but the site itself may use its hosts"
    for terms in policy.vos:
        yield from _terms(terms)


def _terms(terms: VoTerms) -> Iterator[str]:
    yield f"{terms.name}, share {terms.share}, key {terms.key[:_KEY_DIGITS]}..., {words_of(terms.key)}"
    yield f"  {ceilings_in_words(terms.ceiling)}"
    if terms.guaranteed != Quantum():
        kept = terms.guaranteed
        yield f"  guaranteed: {cpus_in_words(kept.cpus_milli)}, {format_size(kept.memory_bytes)} memory"
        yield from _parts(kept)
    images = counted(len(terms.images), "image") if terms.images else "every image"
    ports = ", ".join(map(str, terms.expose)) or "none"
    devices = ", ".join(terms.devices) or "none"
    out = "yes" if terms.egress else "no"
    yield f"  {images}; ports from outside: {ports}; devices: {devices}; out to the internet: {out}"


def _parts(guaranteed: Quantum) -> Iterator[str]:
    """How large a workspace a guarantee can hold: none is larger than its host's part."""
    largest = []
    for hosts in _SOME_HOSTS:
        part = part_of_alike(guaranteed, hosts)
        size = f"{cpus_in_words(part.cpus_milli)} and {format_size(part.memory_bytes)}"
        largest.append(f"{size} of {hosts}")
    yield (
        "  note: each host keeps its part of that, and a larger workspace is guaranteed nothing; "
        f"of hosts that are alike a part is {', '.join(largest)}"
    )


@contextmanager
def _errors() -> Iterator[None]:
    """Says what is wrong with a file, or with a key."""
    try:
        yield
    except DocumentError as error:
        raise DocumentFailure(error.problems, USAGE) from None
    except KeyFileError as error:
        raise failure(clean(str(error))) from None
