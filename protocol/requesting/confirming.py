"""Checks what is told of grids, because somebody here asked: whether there was such a decision at all.

Whatever a notice says, the stewards that it names are asked to look, or the hosts that told it if too few of
those are heard. Only a certificate of the stewards that the grid's own order names is believed, and that order
is its owner's, so whoever is asked can prove what is so and nothing else. What nobody proves stays hearsay.

It costs the peer that is asked, and nobody else. It is bounded: so many grids at once, so many claims of each,
sites taking turns. What is known of a grid is followed for a while: a later change that its hosts tell is
checked when it is told, so that a second question is answered at once.
"""

from collections.abc import Iterable
from enum import Enum, auto
from typing import Protocol

from protocol.contract.outcomes import ConfirmGrid, Outcome, Propose
from protocol.contract.told import Claim, Notices
from protocol.grid.decision import Decision
from protocol.grid.record import order_part
from protocol.requesting.silence import Hearing, majority_silent
from protocol.terms.checking import (
    CLAIMS_AT_ONCE,
    CONFIRM_AGAIN_S,
    CONFIRM_WATCHED_S,
    CONFIRMS_AT_ONCE,
    CONFIRMS_QUEUED,
    GRIDS_KNOWN,
)
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import STEWARDS_MOST
from protocol.trust.order import ORDER_KEY_DIGITS

_TELLERS_ASKED = 3
_REMEMBERED = 4096
"""Claims in vain, and grids that somebody asked about."""


class _Whom(Enum):
    """Who is asked about a claim."""

    STEWARDS = auto()
    """Those of a decision that was checked."""
    NAMED = auto()
    """Those that hosts name, whoever they are."""
    TELLERS = auto()
    """The hosts that told it: any certificate will do."""


class Hosts(Hearing, Protocol):
    """The hosts there are."""

    def site(self, peer: PeerId) -> str:
        """The site of a host; empty if it is not known."""


class Confirming:
    """What this peer is checking."""

    def __init__(self, notices: Notices, hosts: Hosts) -> None:
        self._notices, self._hosts = notices, hosts
        self._asking: dict[GridId, dict[int, tuple[Claim, _Whom]]] = {}
        """By look that is under way: what it is about, and who is asked."""
        self._queued: dict[GridId, None] = {}
        self._vain: dict[tuple[GridId, bytes, tuple[PeerId, ...], int], float] = {}
        """By claim that nobody showed: until when it is not asked about again. Oldest first."""
        self._wanted_s: dict[GridId, float] = {}
        """When somebody asked about a grid last. Oldest first."""
        self._count = 0

    def open(self, grid: GridId, now: float) -> bool:
        """Whether something told of a grid is being checked, or can be."""
        return grid in self._asking or grid in self._queued or bool(self._left(grid, now))

    def busy(self) -> bool:
        """Whether anything is being checked."""
        return bool(self._asking)

    def want(self, grids: Iterable[GridId], now: float) -> list[Outcome]:
        """Somebody asks about these. What is told of them and not checked is."""
        for grid in grids:
            self._wanted_s.pop(grid, None)
            self._wanted_s[grid] = now
            self._queue(grid, now)
        while len(self._wanted_s) > GRIDS_KNOWN:
            del self._wanted_s[next(iter(self._wanted_s))]
        return self._pump(now)

    def noticed(self, grid: GridId, now: float) -> list[Outcome]:
        """A host told something. It is checked if somebody asked about that grid lately, and it is known."""
        lately = now - self._wanted_s.get(grid, -CONFIRM_WATCHED_S) < CONFIRM_WATCHED_S
        if not lately or not self._notices.confirmed(grid):
            return []
        self._queue(grid, now)
        return self._pump(now)

    def settled(self, looked: ConfirmGrid, decision: Decision | None, now: float) -> list[Outcome]:
        """Somebody showed what was decided, which the notices know by now; or most say that nothing is."""
        grid = looked.grid
        looks = self._asking.get(grid, {})
        if looked.number not in looks:
            return []
        claim, whom = looks.pop(looked.number)
        if decision is None and whom is _Whom.NAMED:
            return self._ask(grid, claim, _Whom.TELLERS, now)
        self._give_up(grid, claim, now)
        if decision is None:
            return self._next(grid, now)
        record, stewards = decision.register.record, decision.register.stewards
        if record is None or record.id != grid:
            # Its order made another grid, or none, so whatever else is told of this one is false.
            for other in self._notices.claims(grid):
                self._give_up(grid, other, now)
        elif not _own(claim, whom, stewards) and self._heard(stewards, now):
            # What was shown was decided once. What is decided now, only its own stewards say.
            newest = Claim(claim.decision, stewards, record.carriers(), record.epoch)
            return self._ask(grid, newest, _Whom.STEWARDS, now)
        del self._asking[grid]
        return self._pump(now)

    def unsettled(self, looked: ConfirmGrid, now: float) -> list[Outcome]:
        """Too few of those asked answered."""
        return self.settled(looked, None, now)

    # -- parts

    def _queue(self, grid: GridId, now: float) -> None:
        more = len(self._queued) < CONFIRMS_QUEUED and grid not in self._asking
        if more and self._left(grid, now):
            self._queued[grid] = None

    def _pump(self, now: float) -> list[Outcome]:
        outcomes: list[Outcome] = []
        while self._queued and len(self._asking) < CONFIRMS_AT_ONCE:
            grid = next(iter(self._queued))
            del self._queued[grid]
            self._asking[grid] = {}
            outcomes += self._begin(grid, now)
        return outcomes

    def _next(self, grid: GridId, now: float) -> list[Outcome]:
        """A claim came to nothing. Others go on, or are begun when all are through."""
        if self._asking[grid]:
            return []
        return self._begin(grid, now) + self._pump(now)

    def _begin(self, grid: GridId, now: float) -> list[Outcome]:
        claims = self._left(grid, now)[:CLAIMS_AT_ONCE]
        if not claims:
            del self._asking[grid]
            return []
        known = self._notices.confirmed(grid)
        outcomes: list[Outcome] = []
        for claim in claims:
            whom = _Whom.STEWARDS if known else _Whom.NAMED
            whom = whom if self._heard(claim.stewards, now) else _Whom.TELLERS
            outcomes += self._ask(grid, claim, whom, now)
        return outcomes

    def _ask(self, grid: GridId, claim: Claim, whom: "_Whom", now: float) -> list[Outcome]:
        asked = claim.stewards
        if whom is _Whom.TELLERS:
            first = sorted(claim.tellers, key=lambda p: self._hosts.silence(p, now) is not None)
            asked = tuple(first[:_TELLERS_ASKED])
        self._count += 1
        self._asking[grid][self._count] = claim, whom
        purpose, shown = ConfirmGrid(grid, self._count), whom is _Whom.TELLERS
        return [Propose(purpose, order_part(grid), asked, None, shown=shown)]

    def _heard(self, stewards: tuple[PeerId, ...], now: float) -> bool:
        """Whether enough of them are heard to say what is decided."""
        few = 0 < len(stewards) <= STEWARDS_MOST
        return few and not majority_silent(stewards, self._hosts, now)

    def _left(self, grid: GridId, now: float) -> list[Claim]:
        """What can be asked about a grid, sites taking turns, and of one site what most hosts tell first."""
        if len(order_part(grid)) != ORDER_KEY_DIGITS:
            return []
        claims = [
            claim
            for claim in self._notices.claims(grid)
            if now >= self._vain.get(_key(grid, claim), 0.0)
        ]
        claims.sort(key=lambda claim: (-len(claim.tellers), -claim.epoch))
        turns: dict[str, int] = {}
        ranked: list[tuple[int, int, Claim]] = []
        for place, claim in enumerate(claims):
            sites = dict.fromkeys(self._hosts.site(peer) for peer in claim.tellers)
            turn = min(turns.get(site, 0) for site in sites)
            for site in sites:
                turns[site] = turns.get(site, 0) + 1
            ranked.append((turn, place, claim))
        return [claim for _, _, claim in sorted(ranked, key=lambda ranks: ranks[:2])]

    def _give_up(self, grid: GridId, claim: Claim, now: float) -> None:
        self._vain.pop(_key(grid, claim), None)
        self._vain[_key(grid, claim)] = now + CONFIRM_AGAIN_S
        if len(self._vain) > _REMEMBERED:
            del self._vain[next(iter(self._vain))]


def _key(grid: GridId, claim: Claim) -> tuple[GridId, bytes, tuple[PeerId, ...], int]:
    return grid, claim.decision, claim.stewards, claim.epoch


def _own(claim: Claim, whom: _Whom, stewards: tuple[PeerId, ...]) -> bool:
    """Whether it was the grid's own stewards that were asked."""
    return whom is not _Whom.TELLERS and claim.stewards == stewards
