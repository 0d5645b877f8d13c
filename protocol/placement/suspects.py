"""Names in a grid that nobody has, and what they may have been meant to be.

A label that no host has may come with the next host, and an excluded host may have left. So such a name is no
mistake by itself: it is told beside a placement, and among the reasons of a refusal.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

import msgspec

from protocol.grid.model import GridSpec
from protocol.grid.problem import listed
from protocol.grid.written import keys_of
from protocol.placement.fit import Offer
from protocol.terms.quantities import counted

SUSPECTS_MOST = 8
"""So many are said; more are counted."""


class Known(msgspec.Struct, frozen=True):
    """All names that somebody has, and on how many hosts."""

    hosts: tuple[str, ...]
    """Also those that are not alive."""
    sites: dict[str, int]
    labels: dict[str, int]
    devices: dict[str, int]
    grids: tuple[str, ...] | None = None
    """Of the same owner; None if they are not known."""


def known_of(offers: Iterable[Offer], grids: tuple[str, ...] | None = None) -> Known:
    """What these hosts have."""
    offers = tuple(offers)
    return Known(
        hosts=tuple(offer.host for offer in offers),
        sites=dict(Counter(offer.site for offer in offers)),
        labels=dict(Counter(label for offer in offers for label in offer.facts.labels)),
        devices=dict(Counter(n for offer in offers for n, _ in offer.facts.capacity.devices)),
        grids=grids,
    )


def suspects(spec: GridSpec, known: Known, *, refused: bool = False) -> tuple[str, ...]:
    """A line for each name that nobody has, with what somebody has. Empty if nobody is known.

    Where the grid is `refused`, its reasons tell already what nobody has, so that alone is no line.
    """
    if not known.hosts:
        return ()
    said: dict[str, str] = {}
    for where, line, instead in _lines(spec, known):
        if instead or not refused:
            said.setdefault(line, f"{where}: {line}{instead}")
    lines = list(said.values())
    if len(lines) > SUSPECTS_MOST:
        more = counted(len(lines) - SUSPECTS_MOST, "more name")
        return (*lines[:SUSPECTS_MOST], f"and {more} that nobody has")
    return tuple(lines)


def _lines(spec: GridSpec, known: Known) -> Iterator[tuple[str, str, str]]:
    """(where it is in the file, what nobody has, what somebody has)."""
    placement = spec.placement
    for field in ("sites", "exclude_sites", "prefer"):
        for site in getattr(placement, field):
            if site not in known.sites:
                near = _near(site, known.sites, "{0} has {1}")
                yield _at("placement", field), f"no host is at site {site}", near
    for host in placement.exclude:
        if host not in known.hosts:
            near = _near(host, known.hosts, "{0} is one")
            yield _at("placement", "exclude"), f"no host is called {host}", near
    for grid in placement.apart:
        if known.grids is not None and grid not in known.grids:
            near = _near(grid, known.grids, "{0} is one")
            yield _at("placement", "apart"), f"no grid of this owner is called {grid}", near
    for cluster in spec.clusters:
        at = f"clusters.{cluster.name}"
        for field in ("labels", "preferred_labels"):
            for label in getattr(cluster, field):
                if label not in known.labels:
                    near = _near(label, known.labels, "{0} is on {1}")
                    yield _at(at, field), f"no host has {label}", near
        for device in cluster.devices:
            if device.name not in known.devices:
                near = _near(device.name, known.devices, "{0} is on {1}")
                yield f"{at}.devices", f"no host has device {device.name}", near


def _at(above: str, field: str) -> str:
    return ".".join((above, *keys_of(field)))


def _near(name: str, there: dict[str, int] | Sequence[str], said: str) -> str:
    """The nearest name that there is, in the words of `said`; else what there is."""
    near = get_close_matches(name, list(there), n=1)
    if near:
        many = there[near[0]] if isinstance(there, dict) else ""
        return f"; {said.format(near[0], many)}"
    are = "is" if len(there) == 1 else "are"
    return f"; there {are} {listed(sorted(there), 4)}" if there else ""
