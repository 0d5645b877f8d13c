"""One attempt at a choice: what is where so far, what is left, and the best host for the next workspace.

Workspaces of one cluster are equal. So hosts are ranked once per cluster, and only the host that was just
taken is ranked again: a gang of 64 on 1,000 hosts costs 1,000 rankings, not 64,000. Ranks are kept by site
when a preference speaks of sites, since that part changes for a whole site at once.
"""

from bisect import insort
from collections.abc import Iterable

from protocol.capacity.quantum import total
from protocol.grid.model import Workspace
from protocol.placement.fit import Offer, Rules, conflict, quantum_of, unsuitable
from protocol.placement.quality import Ladder, closeness, label_degree, site_degree
from protocol.terms.dice import Dice
from protocol.terms.ids import PeerId
from protocol.terms.refusal import PORTS

SAME = 1e-9
_POOL = 64
"""One is drawn from so many of the best. When two requesters choose gangs of 4 to 16 at the same instant on 64
hosts at 80 % load, 74 % find all at once with this. A draw from the best 8 gives 54 %, and packs 2 % more."""

_CACHED = 2.0
"""Among equals, a host that has the image is so much likelier."""

_DEVICES_WASTED = 8.0
"""A workspace that asks for no devices spoils as much as so many cpus on a host that has some."""

Entry = tuple[float, float, float, int]
"""Preferences not met, room lacking for the rest (when compact), room spoiled, host. The least is best."""


class Kind:
    """The workspaces of one cluster and one size that are to be placed, and the hosts that suit them."""

    def __init__(self, workspace: Workspace, names: list[str], least: int) -> None:
        self.workspace, self.names = workspace, names
        self.least = least
        """So many of `names` make a grid. The rest are welcome."""
        self.asked = quantum_of(workspace)
        self.hosts: list[int] = []
        self.dislike: dict[int, float] = {}
        """By host: how far preferences that depend on the host alone are not met."""


class Instance:
    """The problem: what does not change between attempts."""

    def __init__(
        self,
        workspaces: tuple[Workspace, ...],
        offers: tuple[Offer, ...],
        rules: Rules,
        kept: dict[str, PeerId],
    ) -> None:
        self.workspaces, self.offers, self.rules = workspaces, offers, rules
        self.room = Ladder()
        self.host_of = {offer.peer: index for index, offer in enumerate(offers)}
        self.all_kept = kept
        self.kept = {n: self.host_of[p] for n, p in kept.items() if p in self.host_of}
        self.kind_of: dict[str, Kind] = {}
        least = dict(rules.least)
        clusters: dict[str, list[Workspace]] = {}
        for workspace in workspaces:
            clusters.setdefault(workspace.cluster, []).append(workspace)
        self.kinds: list[Kind] = []
        for cluster, members in clusters.items():
            here = sum(w.name in kept for w in members)
            needed = max(0, least.get(cluster, len(members)) - here)
            for alike in _alike(members):
                names = [w.name for w in alike if w.name not in kept]
                kind = Kind(alike[0], names, min(needed, len(names)))
                needed -= kind.least
                self._suit(kind)
                self.kinds.append(kind)
                self.kind_of |= dict.fromkeys((w.name for w in alike), kind)
        count = max(2, len(workspaces))
        self.pair_cost = 2.0 / (count * (count - 1))
        self.group_cost = 1.0 / (count - 1)
        self.spread = "none" if rules.strict_spread else rules.spread
        self.compact = "none" if rules.strict_compact else rules.compact
        self.by_site = "site" in (self.spread, self.compact)
        self._all = total([offer.free for offer in offers])

    @property
    def preferences(self) -> bool:
        """Whether one choice can be better than another that places as many."""
        liked = any(any(kind.dislike.values()) or kind.workspace.near_volume for kind in self.kinds)
        return liked or (self.spread, self.compact) != ("none", "none")

    def size(self, kind: Kind) -> tuple[float, float]:
        """How large a workspace is: the largest of the shares it takes of what all hosts have together, and
        the sum of these shares."""
        asked = [amount for _, amount in kind.asked.by_constraint()]
        there = [amount for _, amount in self._all.by_constraint()]
        shares = [a / t if t else 0.0 for a, t in zip(asked, there, strict=True)]
        return max(shares), sum(shares)

    def _suit(self, kind: Kind) -> None:
        workspace, rules = kind.workspace, self.rules
        holders: list[Offer] = []
        if workspace.near_image.name:
            holders = [o for o in self.offers if workspace.near_image.digest in o.images]
        sites = dict.fromkeys(o.site for o in holders)
        members = max(1, len(self.workspaces))
        liking = [w for w in self.workspaces if w.preferred_labels]
        near = [w for w in self.workspaces if w.near_image.name or w.near_volume]
        for host, offer in enumerate(self.offers):
            if offer.refused is not None or unsuitable(workspace, offer, rules):
                continue
            kind.hosts.append(host)
            dislike = 0.0
            if rules.prefer:
                dislike += (1.0 - site_degree(offer.site, rules.prefer)) / members
            if rules.open_hosts and offer.hidden:
                dislike += 1.0 / members
            if workspace.preferred_labels:
                dislike += (1.0 - label_degree(workspace, offer)) / len(liking)
            if holders:
                best = (
                    holders
                    if offer.site not in sites
                    else [o for o in holders if o.site == offer.site]
                )
                close = max(closeness(offer, other) for other in best)
                dislike += (1.0 - close) / len(near)
            kind.dislike[host] = dislike


def _alike(members: list[Workspace]) -> list[list[Workspace]]:
    """The workspaces of a cluster by size, the smallest first: where fewer will do, the larger are left out."""
    sizes: dict[tuple[int, ...], list[Workspace]] = {}
    for each in members:
        rates = (each.network_bits_s, each.disk_bytes_s, each.disk_operations_s)
        size = (each.cpus_milli, each.memory_bytes, *rates)
        sizes.setdefault(size, []).append(each)
    return [sizes[size] for size in sorted(sizes)]


class Packing:
    """Which workspace sits on which host."""

    def __init__(self, table: Instance, field: Iterable[int] | None = None) -> None:
        """`field`: the only hosts to consider, or None for all."""
        self.table = table
        self.free = [offer.free for offer in table.offers]
        self.crowd = [0] * len(table.offers)
        self.site_crowd: dict[str, int] = {}
        self.seats = dict(table.kept)
        self._barred: list[bool] = [False] * len(table.offers)
        self._barred_by: dict[object, None] = {}
        self.limit(field)
        for host in table.kept.values():
            self._count(host, 1)

    def limit(self, field: Iterable[int] | None) -> None:
        """Considers only these hosts from now on, or all for None."""
        self._field = None if field is None else dict.fromkeys(field)

    # -- the next seat

    def fill(self, kind: Kind, names: list[str], dice: Dice | None) -> list[str]:
        """Places as many as it can of some equal workspaces, one after another; answers those left over."""
        near = self.near(kind)
        ranks: dict[str, list[Entry]] = {}
        for host in kind.hosts:
            if self.possible(kind, host) and (self._field is None or host in self._field):
                ranks.setdefault(self._group(host), []).append(
                    self._entry(kind, host, near, len(names))
                )
        for entries in ranks.values():
            entries.sort()
        left = list(names)
        while left:
            found = self._draw(kind, ranks, len(left), dice)
            if found is None:
                break
            group, at = found
            host = ranks[group].pop(at)[-1]
            self.sit(left.pop(0), host)
            if self.possible(kind, host):
                insort(ranks[group], self._entry(kind, host, near, len(left)))
        return left

    def _draw(
        self, kind: Kind, ranks: dict[str, list[Entry]], left: int, dice: Dice | None
    ) -> tuple[str, int] | None:
        """One of the best, weighted at random: its group and its place there. Without dice, the very best."""
        heads: list[tuple[float, float, str]] = []
        for group, entries in ranks.items():
            while entries and self._barred[entries[0][-1]]:
                entries.pop(0)
            if entries:
                cost, short = self.group_cost(kind, group, entries, left)
                heads.append((cost + entries[0][0], short, group))
        if not heads:
            return None
        best, short, _ = min(heads)
        pool: list[tuple[float, float, str, int]] = []
        each = max(8, 2 * _POOL // len(heads))
        for cost, lacks, group in heads:
            if cost > best + SAME or lacks > short:
                continue
            entries, taken = ranks[group], 0
            first = entries[0]
            for at, entry in enumerate(entries):
                if entry[0] > first[0] + SAME or entry[1] > first[1] or taken == each:
                    break
                if not self._barred[entry[-1]]:
                    pool.append((entry[2], entry[1], group, at))
                    taken += 1
        pool.sort()
        del pool[_POOL:]
        at = 0 if dice is None else self._lot(kind, pool, ranks, dice)
        return pool[at][2], pool[at][3]

    def _lot(
        self,
        kind: Kind,
        pool: list[tuple[float, float, str, int]],
        ranks: dict[str, list[Entry]],
        dice: Dice,
    ) -> int:
        """A host is half as likely for each workspace's worth of room it spoils more than the best does."""
        unit = max(0.05, kind.asked.cpus_milli / 1000)
        digest = kind.workspace.image.digest
        weights = []
        for spoiled, _, group, at in pool:
            offer = self.table.offers[ranks[group][at][-1]]
            weight = 2.0 ** max(-40.0, (pool[0][0] - spoiled) / unit)
            weights.append(weight * (_CACHED if digest in offer.images else 1.0))
        mark = dice.random() * sum(weights)
        for place, weight in enumerate(weights):
            mark -= weight
            if mark <= 0:
                return place
        return len(pool) - 1

    def possible(self, kind: Kind, host: int) -> bool:
        """Whether one more fits there, beside the members that are placed."""
        return not self._barred[host] and kind.asked.fits(self.free[host])

    def _entry(self, kind: Kind, host: int, near: dict[int, float], left: int) -> Entry:
        dislike = kind.dislike[host] + near.get(host, 0.0) + self.crowding(host)
        short = 0.0
        if self.table.compact == "host":
            short = -float(min(left, kind.asked.times_in(self.free[host])))
        return (dislike, short, self.spoiled(kind, host), host)

    def spoiled(self, kind: Kind, host: int) -> float:
        free = self.free[host]
        spoiled = self.table.room.spoiled(free, kind.asked)
        if not kind.asked.devices and any(name != PORTS for name, _ in free.devices):
            spoiled += _DEVICES_WASTED
        return spoiled

    def crowding(self, host: int) -> float:
        """What one more member there costs in spread and compactness, if those go by host."""
        cost = 0.0
        if self.table.spread == "host":
            cost += self.table.pair_cost * self.crowd[host]
        if self.table.compact == "host" and not self.crowd[host]:
            cost += self.table.group_cost
        return cost

    def _group(self, host: int) -> str:
        return self.table.offers[host].site if self.table.by_site else ""

    def group_cost(
        self, kind: Kind, site: str, entries: list[Entry], left: int
    ) -> tuple[float, float]:
        """What one more member at that site costs and, if it would be the first, how many the site can take."""
        cost = short = 0.0
        crowd = self.site_crowd.get(site, 0)
        if self.table.spread == "site":
            cost += self.table.pair_cost * crowd
        if self.table.compact == "site":
            if not crowd:
                cost += self.table.group_cost
            slots = 0
            for entry in entries:
                slots += kind.asked.times_in(self.free[entry[-1]])
                if slots >= left:
                    break
            short = -float(min(left, slots))
        return cost, short

    def near(self, kind: Kind) -> dict[int, float]:
        """By host: how far it is from the volume that the workspaces want to be near, if that has a host."""
        wanted = kind.workspace.near_volume
        if not wanted:
            return {}
        holders = [w.name for w in self.table.workspaces if wanted in [m.volume for m in w.mounts]]
        at = [self.table.offers[self.seats[name]] for name in holders if name in self.seats]
        near = [w for w in self.table.workspaces if w.near_image.name or w.near_volume]
        return {
            host: (1.0 - closeness(self.table.offers[host], target)) / len(near)
            for host in kind.hosts
            for target in at[:1]
        }

    # -- sitting down and getting up

    def sit(self, name: str, host: int) -> None:
        """Takes a seat, which must be possible."""
        self.seats[name] = host
        self.free[host] = self.free[host] - self.table.kind_of[name].asked
        self._count(host, 1)

    def stand(self, name: str) -> int:
        """Gives up the seat; answers which host it was."""
        host = self.seats.pop(name)
        self.free[host] = self.free[host] + self.table.kind_of[name].asked
        self._count(host, -1)
        return host

    def _count(self, host: int, by: int) -> None:
        site = self.table.offers[host].site
        self.crowd[host] += by
        self.site_crowd[site] = self.site_crowd.get(site, 0) + by
        if not self.table.rules.pairs:
            return
        if by > 0:
            self._bar(host)
        else:
            self._barred = [False] * len(self._barred)
            self._barred_by = {}
            for other, crowd in enumerate(self.crowd):
                if crowd:
                    self._bar(other)

    def _bar(self, host: int) -> None:
        """Rules out the hosts that may not carry a member once this one does."""
        rules, offers = self.table.rules, self.table.offers
        offer = offers[host]
        if conflict(offer, offer, rules):
            self._barred[host] = True
        alone = rules.sealed and not offer.facts.encrypts
        by_host = rules.within_ms or alone or (rules.strict_compact and rules.compact == "host")
        like = host if by_host else (offer.site, offer.facts.encrypts, offer.hidden, offer.by_ipv6)
        if like in self._barred_by:
            return
        self._barred_by[like] = None
        if rules.spread == "host" and not (
            rules.within_ms or rules.crossing or rules.strict_compact
        ):
            return
        for other, barred in enumerate(self._barred):
            if not barred and other != host and conflict(offers[other], offer, rules):
                self._barred[other] = True
