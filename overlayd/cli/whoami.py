"""`overlayctl whoami`: for whom orders would be signed, what they may do, and what is left of it."""

import time

import msgspec
import typer

from overlayd.adapters import identities, people
from overlayd.adapters.identities import Kind
from overlayd.cli.grant import GrantView, view_of
from overlayd.cli.grant_words import ceilings_in_words, may, until, where
from overlayd.cli.left import LeftView, left_lines, left_of
from overlayd.cli.person import errors, folder_of
from overlayd.cli.session import Session, session_of
from overlayd.cli.show import answer, print_lines
from overlayd.cli.words import moment
from protocol.trust.fingerprint import words_of
from protocol.trust.grants import owner_of, read_grant
from protocol.trust.owner import Owner


class WhoView(msgspec.Struct, frozen=True):
    """Who acts, and by what."""

    kind: str
    """`vo`, `member`, or `site` for a site's admin."""
    name: str
    key: str
    words: str
    login_until_s: float
    """Until when no passphrase is asked; 0 if there is no login."""
    grants: tuple[GrantView, ...]
    """Of the login, if there is one. A VO needs none."""
    left: tuple[LeftView, ...] = ()
    """For each for whom they may act, what they have and what is left at each site."""
    unasked: str = ""
    """Why nothing is known of sites; empty if a daemon was asked."""


def whoami(context: typer.Context) -> None:
    """Says for whom orders are signed, and what was granted: what, where, how much, until when.

    What is left at a site is as the daemon that is asked has heard: what the site's policy lends to the VO, and
    what hosts tell that they have. Without a daemon only the grants are shown.

    Example: overlayctl whoami

    Example: overlayctl whoami --as star
    """
    session = session_of(context)
    with errors():
        view, owners = _who(session, time.time())
    if owners:
        left, unasked = left_of(session, owners)
        view = msgspec.structs.replace(view, left=left, unasked=unasked)
    answer(session, msgspec.json.encode(view), WhoView, _show)


def _who(session: Session, now_s: float) -> tuple[WhoView, list[Owner]]:
    """Who acts, and for whom they may."""
    if session.identity is not None and not session.acting:
        key = session.credentials.identity.key
        view = WhoView("site", session.site, key, words_of(key), 0.0, ())
        return view, [Owner(key, site=session.site)]
    folder = folder_of(session.acting)
    public = identities.read_public(folder)
    logins = people.logged_in(public.key, now_s)
    chains = logins or people.read_grants(folder)
    views = tuple(map(view_of, chains))
    until_s = max(view.grants[-1].not_after_s for view in views) if logins else 0.0
    view = WhoView(public.kind, public.name, public.key, public.words, until_s, views)
    if public.kind is Kind.VO:
        return view, [Owner(public.key, vo=public.name)]
    believed = [grants for grants, one in zip(chains, views, strict=True) if not one.problem]
    return view, [owner_of(grants, list(map(read_grant, grants))) for grants in believed]


def _show(view: WhoView) -> None:
    lines = [f"{view.kind} {view.name}: key {view.key}, {view.words}"]
    if view.login_until_s:
        lines.append(f"logged in until {moment(view.login_until_s)}")
    if view.kind == "site":
        lines.append(
            "may do everything where a site's policy lets it, and its own work at its site"
        )
    elif view.kind == Kind.VO:
        lines.append("may do everything in the VO's name, where a site's policy admits the VO")
    elif not view.grants:
        lines.append("nothing was granted yet; `overlayctl grant add` takes what was")
    for each in view.grants if view.kind == Kind.MEMBER else ():
        last = each.grants[-1]
        lines.append(f"VO {last.name}: {each.problem or f'may {may(last)} {where(last)}'}")
        lines.append(f"  {ceilings_in_words(last.ceilings)}, {until(last)}")
    for left in view.left if not view.unasked else ():
        lines += left_lines(left)
    if view.unasked:
        lines.append(f"what is left at which site is not known: {view.unasked}")
    print_lines(lines)
