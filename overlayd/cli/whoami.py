"""`overlayctl whoami`: for whom orders would be signed, and what they may do. Works offline."""

import time

import msgspec
import typer

from overlayd.adapters import identities, people
from overlayd.adapters.identities import Kind
from overlayd.cli.grant import GrantView, view_of
from overlayd.cli.grant_words import ceilings_in_words, may, until, where
from overlayd.cli.person import errors, folder_of
from overlayd.cli.session import Session, session_of
from overlayd.cli.show import answer, print_lines
from overlayd.cli.words import moment
from protocol.trust.fingerprint import words_of


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


def whoami(context: typer.Context) -> None:
    """Says for whom orders are signed, and what was granted: what, where, how much, until when.

    What a site lends to a VO is the site's to say: see `policy show` and `policy why`.

    Example: overlayctl whoami

    Example: overlayctl whoami --as star
    """
    session = session_of(context)
    with errors():
        view = _who(session, time.time())
    answer(session, msgspec.json.encode(view), WhoView, _show)


def _who(session: Session, now_s: float) -> WhoView:
    if session.identity is not None and not session.acting:
        key = session.credentials.identity.key
        return WhoView("site", session.site, key, words_of(key), 0.0, ())
    folder = folder_of(session.acting)
    public = identities.read_public(folder)
    chains = people.logged_in(public.key, now_s)
    views = tuple(map(view_of, chains or people.read_grants(folder)))
    until_s = max(view.grants[-1].not_after_s for view in views) if chains else 0.0
    return WhoView(public.kind, public.name, public.key, public.words, until_s, views)


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
    print_lines(lines)
