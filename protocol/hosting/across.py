"""What a member has at all sites together, as far as this host can see and prove (contract/spends.py).

Notices reach every host, and name whose a grid is. Nothing follows from that but a question: when somebody who
has a ceiling at several sites asks for room, this host looks what was decided of the grids that are told to be
theirs, from the stewards that their own orders name. It looks again when something else of theirs is told. So a
hold costs nothing beyond what is known already, and a member costs the hosts that it asks.

Who asks for the first time waits a moment until that is known, and no longer: what nobody proves by then does
not count. So a host that tells of grids that there are not costs a member that moment, once in a minute.
"""

from collections.abc import Iterable

import msgspec

from protocol.capacity.allotments import NONE, Amounts
from protocol.capacity.quantum import Quantum
from protocol.contract.messages import HoldAsk
from protocol.contract.notices import Notice
from protocol.contract.outcomes import CheckGrids, Outcome
from protocol.contract.reading import Deployment
from protocol.contract.spends import Spends, amounts_of, total
from protocol.contract.told import Notices
from protocol.hosting.allotting import amounts
from protocol.hosting.spending import Spending
from protocol.hosting.surroundings import HostSurroundings
from protocol.policy.allowing import Forbidden, beyond_everywhere, counted_everywhere
from protocol.policy.demand import Demand
from protocol.terms.effects import Deadline
from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.trust.owner import Owner

WAITS_S = 2.0
"""So long a member is asked to wait that is looked at for the first time: stewards answer within a second."""
_LOOK_AGAIN_S = 60.0
"""After so long it may be asked to wait again: what hosts told meanwhile was looked at when it came."""
_WATCHED_S = 600.0
"""A member that asked for something is watched for so long."""
_WATCHED_MOST = 256
_CHECKED_MOST = 64
"""Grids of one member that are looked at together, sites taking turns: so many a member has, or liars tell."""


class _Watched(msgspec.Struct, frozen=True):
    """A member of which this host knows what it has elsewhere."""

    looked_s: float
    """When it was looked at without knowing anything."""
    asked_s: float
    """When it asked for something last."""


class Across:
    """What members have at all sites, as one host sees it."""

    def __init__(
        self, me: PeerId, notices: Notices, spending: Spending, around: HostSurroundings
    ) -> None:
        """`notices` has what hosts tell of grids, `spending` what is used here."""
        self._me, self._notices, self._spending, self._around = me, notices, spending, around
        self._watched: dict[KeyId, _Watched] = {}
        """Who asked last comes last."""
        self._unknown: dict[GridId, None] = {}
        self._unknown_s = 0.0

    # -- what is asked for

    def unsure(self, owner: Owner, now: float) -> str:
        """Why somebody is to ask again in a moment; empty if what is known of them will do."""
        for key, _ in counted_everywhere(owner):
            before = self._watched.pop(key, None)
            fresh = before is None or now >= before.looked_s + _LOOK_AGAIN_S
            looked_s = now if before is None or fresh else before.looked_s
            self._watched[key] = _Watched(looked_s, now)
            if len(self._watched) > _WATCHED_MOST:
                del self._watched[next(iter(self._watched))]
            self.look(key, now)
        waits = [
            key
            for key, _ in counted_everywhere(owner)
            if now < self._watched[key].looked_s + WAITS_S and self._untold(key)
        ]
        why = "it looks what the same member has at other sites: try again in a moment"
        return why if waits else ""

    def forbidden(
        self,
        ask: HoldAsk | None,
        owner: Owner,
        deployment: Deployment,
        names: Iterable[str],
        now: float,
    ) -> Forbidden | None:
        """What stops the workspaces of those names, by what their owner has elsewhere; None if nothing.

        An order counts as the least grid that it allows, or as what is asked for here, if that is more.
        """
        if next(counted_everywhere(owner), None) is None:
            return None
        grid = ask.of if ask is not None else GridId("")
        wanted = _of(deployment, names)
        asked = _least(deployment).most(wanted)
        if ask is not None and ask.shown is not None:
            # Room makes more of it, and no order says how much that is by now.
            known = self._notices.spends(grid)
            there = self.has(known, now, self._me) if known is not None else NONE
            asked = asked.most(wanted + there)
        return beyond_everywhere(
            owner, _demand(asked), lambda key: _demand(self._used(key, grid, now))
        )

    # -- what is heard

    def noticed(self, notice: Notice, now: float) -> None:
        """A host tells of a grid."""
        for key in notice.line:
            watched = self._watched.get(key)
            if watched is not None and now < watched.asked_s + _WATCHED_S:
                self.look(key, now)

    def look(self, key: KeyId, now: float) -> None:
        """What is told of a member and not known is to be looked at."""
        untold = self._untold(key)[:_CHECKED_MOST]
        self._unknown |= dict.fromkeys(untold)
        self._unknown_s = now

    def pop_unknown(self) -> list[Outcome]:
        """What is to be looked at of what was told."""
        unknown, self._unknown = self._unknown, {}
        return [CheckGrids(tuple(unknown))] if unknown else []

    def next_deadline(self) -> Deadline | None:
        """When to tick: at once, if something is to be looked at."""
        return Deadline(self._unknown_s, "what members have") if self._unknown else None

    # -- what is known

    def spends(self, grid: GridId) -> Spends | None:
        """What a grid may take of ceilings; None if that is nothing, or it is not known."""
        return self._notices.spends(grid)

    def of(self, key: KeyId, now: float, but: PeerId | None = None) -> list[tuple[Spends, Amounts]]:
        """The grids that take of a key's ceilings, and what each has on all hosts `but` one."""
        known = (self._notices.spends(grid) for grid in self._notices.of_key(key))
        mine = (spends for spends in known if spends is not None and key in spends.line)
        return [(spends, self.has(spends, now, but)) for spends in mine]

    def has(self, spends: Spends, now: float, but: PeerId | None = None) -> Amounts:
        """What a grid has on all hosts `but` one, as far as it is proved."""
        about = self._notices.about(spends.grid).items()
        return total(spends.on(p, heard.notice, now) for p, heard in about if p != but)

    # -- parts

    def _untold(self, key: KeyId) -> list[GridId]:
        """Grids that are told to be a member's of which something is not known, sites taking turns."""
        turns: dict[str, int] = {}
        ranked: list[tuple[int, int, GridId]] = []
        for place, grid in enumerate(self._notices.of_key(key)):
            claims = self._notices.claims(grid)
            if not claims or self._notices.is_over(grid):
                continue
            site = self._around.site(claims[0].tellers[0])
            turns[site] = turns.get(site, 0) + 1
            ranked.append((turns[site], place, grid))
        return [grid for _, _, grid in sorted(ranked)]

    def _used(self, key: KeyId, but: GridId, now: float) -> Amounts:
        """What a member has, here as the ledger has it and elsewhere as it is proved, but for one grid."""
        grids = self.of(key, now, self._me)
        there = (has for spends, has in grids if spends.grid != but)
        return amounts(self._spending.used(key, but)) + total(there)


def _of(deployment: Deployment, names: Iterable[str]) -> Amounts:
    """What some workspaces of an order take."""
    wanted = dict.fromkeys(names)
    return total(amounts_of(each) for each in deployment.workspaces if each.name in wanted)


def _least(deployment: Deployment) -> Amounts:
    """What the least grid takes that an order allows."""
    least = {
        cluster.name: cluster.count if cluster.minimum is None else cluster.minimum
        for cluster in deployment.spec.clusters
    }
    taken: list[Amounts] = []
    for each in deployment.workspaces:
        if least[each.cluster] > 0:
            least[each.cluster] -= 1
            taken.append(amounts_of(each))
    return total(taken)


def _demand(of: Amounts) -> Demand:
    devices = (("device", of.devices),) if of.devices else ()
    return Demand(Quantum(of.cpus_milli, of.memory_bytes, of.disk_bytes, devices), of.workspaces)
