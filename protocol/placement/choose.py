"""Which of the hosts that fit: among the best, weighted at random.

Requesters that all rank the same way collide. In a simulation of 64 hosts at 80 % load with adverts one
second old, best fit succeeded 43 % of the time, and a weighted lot 100 %. So each workspace goes to one of
the best hosts by lot; quality.py says what is best.

The problem is vector packing with preferences, which is NP-hard. We do what such packers do (Panigrahy and
others, "Heuristics for vector bin packing", 2011). The hardest cluster comes first, and what is asked for
comes before what is only welcome. There are several attempts in different orders and on different *fields*
(a site or a neighbourhood, where a strict rule needs one), and the best wins. A workspace that finds no
place is squeezed in by moving others. When lots do not place all, the same is done without dice. So `choose`
always places whatever `certain` can place, which makes a counter-offer true (counter.py).
"""

from collections.abc import Iterable, Iterator
from itertools import cycle, islice

import msgspec

from protocol.grid.model import Workspace
from protocol.placement.fit import Offer, Rules, apart_ms, refusals, unsuitable
from protocol.placement.packing import Instance, Kind, Packing
from protocol.placement.quality import degree
from protocol.placement.rearrange import improve, squeeze
from protocol.terms.dice import Dice
from protocol.terms.ids import PeerId
from protocol.terms.refusal import RULED_OUT, Refusal

_RANKINGS = 12_000
"""All attempts together rank a third of so many hosts. That keeps a choice among 1,000 hosts below 0.1 s."""

_ATTEMPTS_MOST = 24
_SQUEEZES = 400
"""Moves tried for one workspace that finds no place."""

_IMPROVED_MOST = 20_000
"""Up to so many workspaces times hosts a choice is improved by moving single workspaces."""


class Unplaced(msgspec.Struct, frozen=True):
    """A workspace that no host carries, and each host's reasons."""

    workspace: Workspace
    refusals: tuple[Refusal, ...]


class Choice(msgspec.Struct, frozen=True):
    """Where each workspace goes, and which go nowhere."""

    placed: dict[str, PeerId]
    """Workspace name to host."""
    unplaced: tuple[Unplaced, ...] = ()
    enough: bool = True
    """Whether what is placed makes a grid: at least `min` of every cluster."""


class _Tried(msgspec.Struct):
    """An attempt and how good it came out."""

    seating: Packing
    missing: int
    """How many workspaces are missing that the grid cannot do without."""
    placed: int
    degree: float

    @property
    def rank(self) -> tuple[int, int, float]:
        return (-self.missing, self.placed, self.degree)


def choose(
    workspaces: tuple[Workspace, ...],
    offers: tuple[Offer, ...],
    rules: Rules,
    kept: dict[str, PeerId],
    dice: Dice,
) -> Choice:
    """Places every workspace that is not in `kept`: held already, and not in the offers' free room."""
    table = Instance(workspaces, offers, rules, kept)
    best = _best(table, dice)
    if best.placed < len(workspaces):
        sure = _best(table, None)
        # What is refused is refused with the same words, whatever the dice.
        if sure.rank > best.rank or best.missing:
            best = max(sure, best, key=lambda tried: tried.rank)
    return _choice(table, best)


def certain(
    workspaces: tuple[Workspace, ...],
    offers: tuple[Offer, ...],
    rules: Rules,
    kept: dict[str, PeerId] | None = None,
    attempts: int | None = None,
) -> Choice:
    """The choice without dice and without reasons. `choose` places with any dice whatever this places.

    That stays so with fewer `attempts` than `choose` makes itself, because they are its first.
    """
    table = Instance(workspaces, offers, rules, kept or {})
    return _choice(table, _best(table, None, attempts), why=False)


def _best(table: Instance, dice: Dice | None, attempts: int | None = None) -> _Tried:
    best: _Tried | None = None
    wanted, plain = len(table.workspaces), not table.preferences
    if table.compact == "none" and wanted * len(table.offers) > _IMPROVED_MOST:
        plain = True  # What ranks alone make of preferences is near the best, and has to do.
    for turn, order, field in islice(_attempts(table, dice), attempts):
        # Welcome workspaces are tried largest first, which helps if all of them fit, and smallest first.
        welcome = order if turn % 3 == 0 else sorted(order, key=table.size)
        tried = _attempt(table, order, welcome, field, dice)
        if best is None or tried.rank > best.rank:
            best = tried
        if best.placed == wanted and (plain or best.degree > 1.0 - 1e-9):
            break
    assert best is not None
    return best


def _attempt(
    table: Instance,
    order: list[Kind],
    welcome_order: list[Kind],
    field: Iterable[int] | None,
    dice: Dice | None,
) -> _Tried:
    seating = Packing(table, field)
    needed = [(kind, kind.names[: kind.least]) for kind in order]
    welcome = [(kind, kind.names[kind.least :]) for kind in welcome_order]
    missing = 0
    for part in (needed, welcome):
        left = [(kind, seating.fill(kind, names, dice)) for kind, names in part if names]
        seating.limit(None)
        left = [(kind, seating.fill(kind, names, dice)) for kind, names in left if names]
        if part is needed and not any(names for _, names in left):
            seating.limit(field)
        for _, names in left:
            while names and squeeze(seating, names[0], _SQUEEZES):
                del names[0]
        if part is needed:
            missing = sum(len(names) for _, names in left)
    if len(table.workspaces) * len(table.offers) <= _IMPROVED_MOST and table.preferences:
        improve(seating, _IMPROVED_MOST)
    where = {name: table.offers[host] for name, host in seating.seats.items()}
    met = degree(table.workspaces, where, table.offers, table.rules) if table.preferences else 1.0
    return _Tried(seating, missing, len(table.all_kept | seating.seats), met)


def _attempts(
    table: Instance, dice: Dice | None
) -> Iterator[tuple[int, list[Kind], Iterable[int] | None]]:
    """Orders and fields that are worth a try, as many as there is time for."""
    cost = sum(len(kind.hosts) for kind in table.kinds) + 8 * len(table.workspaces) + 1
    most = max(2, min(_ATTEMPTS_MOST, _RANKINGS // (cost * 3)))
    fields = list(_fields(table))
    if dice is not None:
        fields = dice.sample(fields, len(fields))
    orders = _orders(table)
    count = 0
    # With dice each attempt comes out differently. Without them the same one would only repeat.
    for turn, order in enumerate(cycle(orders) if dice is not None else orders):
        for field in fields[: max(1, most)]:
            yield turn, order, field
            count += 1
        if count >= most or not fields:
            return


def _orders(table: Instance) -> list[list[Kind]]:
    """Orders of clusters: first what others want to be near, then the largest, or what suits few hosts."""
    near = [kind.workspace.near_volume for kind in table.kinds if kind.workspace.near_volume]

    def anchors(kind: Kind) -> bool:
        return not any(mount.volume in near for mount in kind.workspace.mounts)

    def slots(kind: Kind) -> float:
        fitting = sum(kind.asked.times_in(table.offers[host].free) for host in kind.hosts)
        return fitting / max(1, len(kind.names))

    large = sorted(
        table.kinds, key=lambda kind: (anchors(kind), *(-share for share in table.size(kind)))
    )
    if len(table.kinds) == 1:
        return [large, large]
    rare = sorted(table.kinds, key=lambda kind: (anchors(kind), slots(kind)))
    by_cpus = sorted(table.kinds, key=lambda kind: -kind.asked.cpus_milli)
    by_memory = sorted(table.kinds, key=lambda kind: -kind.asked.memory_bytes)
    return [large, rare, by_cpus, by_memory]


def _fields(table: Instance) -> Iterator[list[int] | None]:
    """Where to look: everywhere, or only where a rule about pairs can be kept, the roomiest field first."""
    rules, offers = table.rules, table.offers
    hosts = range(len(offers))
    if not rules.pairs or rules.strict_spread:
        yield None
    seals = [offer.facts.encrypts or not rules.sealed for offer in offers]
    together = [host for host in hosts if seals[host]]
    alone = [host for host in hosts if not seals[host]]
    by_site: dict[tuple[str, bool], list[int]] = {}
    by_family: dict[bool, list[int]] = {}
    for host in together:
        ipv6 = rules.families and offers[host].by_ipv6
        by_site.setdefault((offers[host].site, ipv6), []).append(host)
        if not (offers[host].hidden and rules.tunnels):
            by_family.setdefault(ipv6, []).append(host)
    roomy = sorted(by_site.values(), key=lambda those: -_roominess(table, those))

    def roomiest(those: Iterable[int]) -> list[int]:
        return sorted(those, key=lambda host: -_roominess(table, [host]))[:_ATTEMPTS_MOST]

    if rules.strict_compact and rules.compact == "host":
        yield from ([h] for h in roomiest(hosts))
        return
    if rules.crossing and not rules.strict_compact:
        families = list(by_family.values()) or [[]]
        yield from sorted(families, key=lambda those: -_roominess(table, those))
    if rules.crossing or "site" in (rules.compact, table.compact):
        yield from roomy[:_ATTEMPTS_MOST]
    yield from ([host] for host in roomiest(alone))
    if rules.within_ms:
        for those in roomy[:_ATTEMPTS_MOST]:
            yield those
            anchor = offers[those[0]]
            yield [h for h in hosts if apart_ms(offers[h], anchor) <= rules.within_ms / 2]
    elif rules.pairs and not (rules.strict_spread or rules.crossing or rules.strict_compact):
        yield None


def _roominess(table: Instance, hosts: list[int]) -> int:
    """How many of the asked workspaces fit there, cluster by cluster."""
    return sum(
        min(
            len(kind.names),
            sum(
                kind.asked.times_in(table.offers[host].free)
                for host in hosts
                if host in kind.dislike
            ),
        )
        for kind in table.kinds
    )


def _choice(table: Instance, best: _Tried, why: bool = True) -> Choice:
    """The choice, with each host's reasons against what is not placed while everything else stays put."""
    seating, offers = best.seating, table.offers
    placed = table.all_kept | {name: offers[host].peer for name, host in seating.seats.items()}
    reasons: dict[Kind, tuple[Refusal, ...]] = {}
    unplaced = []
    for workspace in table.workspaces:
        if workspace.name in placed:
            continue
        kind = table.kind_of[workspace.name]
        if kind not in reasons:
            reasons[kind] = _reasons(table, seating, workspace) if why else ()
        unplaced.append(Unplaced(workspace, reasons[kind]))
    return Choice(placed, tuple(unplaced), best.missing == 0)


def _reasons(table: Instance, seating: Packing, workspace: Workspace) -> tuple[Refusal, ...]:
    offers = table.offers
    crowded = enumerate(seating.crowd) if table.rules.pairs else ()
    company = [offers[host] for host, crowd in crowded if crowd]
    found = (
        _ruled_out(workspace, offer, table.rules)
        or refusals(workspace, offer, seating.free[host], table.rules, company)
        for host, offer in enumerate(offers)
    )
    return tuple(why[-1] for why in found if why)


def _ruled_out(workspace: Workspace, offer: Offer, rules: Rules) -> list[Refusal]:
    """Why the grid does not want this host. It is then not short of room, and no nearest miss."""
    found = unsuitable(workspace, offer, rules)
    return [refusal for refusal in found if refusal.constraint in RULED_OUT]
