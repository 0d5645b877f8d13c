"""What somebody may have at which site, and how much of it is left, as the daemon that is asked has heard."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from overlayd.cli.failure import Failure
from overlayd.cli.grant_words import SAID, ceilings_in_words
from overlayd.cli.session import Session
from protocol.node.rows import SiteRow, SpentRow
from protocol.policy.allowing import counted_everywhere, forbidden
from protocol.policy.demand import NOTHING
from protocol.policy.site_policy import PolicyRow
from protocol.terms.ids import KeyId
from protocol.terms.quantities import counted, cpus_in_words, format_size
from protocol.trust.ceilings import NO_CEILINGS, Ceilings
from protocol.trust.owner import Owner, plain


class Used(msgspec.Struct, frozen=True):
    """What is held and leased."""

    cpus_milli: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    workspaces: int = 0
    devices: int = 0


class SiteView(msgspec.Struct, frozen=True):
    """What somebody may use at a site."""

    site: str
    refused: str
    """Why nothing; empty if something."""
    ceiling: Ceilings
    """What the site lends to the whole VO, as its published policy says."""
    used: Used
    """What the whole VO has there."""
    left: Ceilings
    """What could be asked for there beside that; None of what nothing limits."""


class LeftView(msgspec.Struct, frozen=True):
    """What is left to somebody, for whom they may act."""

    owner: str
    """A site's name, or `vo:` and a VO's."""
    used: Used
    """What they have, and those to whom they granted, over all sites."""
    sites: tuple[SiteView, ...]
    over: str = ""
    """What of it is more than a grant for several sites allows; empty if nothing is."""


class Heard(msgspec.Struct):
    """What a daemon knows of sites."""

    sites: tuple[str, ...]
    policies: dict[str, PolicyRow]
    spent: Callable[[KeyId], list[SpentRow]]


def left_of(session: Session, owners: Iterable[Owner]) -> tuple[tuple[LeftView, ...], str]:
    """What each may have and has, and why nothing is known of sites: empty if a daemon was asked."""
    heard, unasked = _heard(session)
    return tuple(_left_of(owner, heard) for owner in owners), unasked


def left_lines(view: LeftView) -> Iterator[str]:
    """The same for a person."""
    yield f"{plain(view.owner)}: has {_has(view.used)}"
    if view.over:
        yield f"  more than was granted, at all sites together: {view.over}"
        yield "  what was ordered last is asked to go; `overlayctl show GRID` says when"
    for at in view.sites:
        if at.refused:
            yield f"  {at.site}: nothing: {at.refused}"
            continue
        yield f"  {at.site}: {_room(at.left)}"
        lends = ceilings_in_words(at.ceiling)
        yield f"    lends {plain(view.owner)} {lends}; of that is used: {_has(at.used)}"


def _heard(session: Session) -> tuple[Heard, str]:
    def spent(key: KeyId) -> list[SpentRow]:
        return session.client.get(f"/spent/{key}", list[SpentRow])

    try:
        sites = session.client.get("/sites", list[SiteRow])
        policies = session.client.get("/policies", list[PolicyRow])
    except Failure as failed:
        return Heard((), {}, lambda _: []), failed.lines[0]
    named = {row.policy.site: row for row in policies}
    return Heard(tuple(dict.fromkeys([*(row.site for row in sites), *named])), named, spent), ""


def _left_of(owner: Owner, heard: Heard) -> LeftView:
    spent = {key: heard.spent(key) for key in owner.line}
    limits = [(link.ceilings, _sum(spent[owner.counted(link)])) for link in owner.links]
    sites = (_at(site, owner, heard, spent[owner.key], limits) for site in heard.sites)
    over = [
        f"{SAID[name](has)} of {SAID[name](most)}"
        for key, link in counted_everywhere(owner)
        for used in [_sum(spent[key])]
        for name, most in link.ceilings.limits()
        if (has := getattr(used, name, 0)) > most
    ]
    return LeftView(owner.label, _sum(spent[owner.by]), tuple(sites), ", ".join(over))


def _at(
    site: str,
    owner: Owner,
    heard: Heard,
    spent: list[SpentRow],
    limits: list[tuple[Ceilings, Used]],
) -> SiteView:
    """`spent` is what the owner has anywhere, `limits` what the grants allow, and what there is of it."""
    row = heard.policies.get(site)
    key = row.key if row is not None else owner.key if site == owner.site else KeyId("")
    no = forbidden(row.policy if row is not None else None, site, key, owner, NOTHING)
    terms = row.policy.terms(owner.key) if row is not None else None
    ceiling = terms.ceiling if terms is not None else NO_CEILINGS
    used = _sum([each for each in spent if each.site == site])
    left = NO_CEILINGS if no is not None else _left([(ceiling, used), *limits])
    return SiteView(site, str(no) if no is not None else "", ceiling, used, left)


def _sum(rows: list[SpentRow]) -> Used:
    fields = Used.__struct_fields__
    return Used(*(sum(getattr(row, field) for row in rows) for field in fields))


def _left(limits: list[tuple[Ceilings, Used]]) -> Ceilings:
    """The least that any of these ceilings still has room for."""
    least: dict[str, int] = {}
    for most, used in limits:
        for name, limit in most.limits():
            room = max(0, limit - getattr(used, name, 0))
            least[name] = min(room, least.get(name, room))
    return Ceilings(**least)


def _room(left: Ceilings) -> str:
    return ceilings_in_words(left).replace("at most", "left are", 1)


def _has(used: Used) -> str:
    if not used.workspaces and not used.disk_bytes:
        return "nothing"
    said = [counted(used.workspaces, "workspace"), cpus_in_words(used.cpus_milli)]
    said += [
        f"{format_size(used.memory_bytes)} of memory",
        f"{format_size(used.disk_bytes)} of disk",
    ]
    return ", ".join([*said, *([counted(used.devices, "device")] if used.devices else [])])
