"""Which elastic grids this host has made larger, and when.

The first living host in a grid's record does it, and looks again and again: so nothing is lost when one dies,
or comes too late. Two that both believe to be the first are no harm, as the grid's register takes one change of
an epoch. A look costs nothing until some host seems to have room for one member more; after an attempt of which
nothing came the next one waits longer and longer, up to _MOST_S.
"""

from typing import Protocol

import msgspec

from protocol.contract.authority import Authority
from protocol.contract.outcomes import Answer, Outcome
from protocol.grid.elastic import missing
from protocol.grid.expand import workspaces
from protocol.grid.model import Workspace
from protocol.placement.fit import Offer, quantum_of
from protocol.requesting.applying import Applying
from protocol.requesting.by_room import Grown
from protocol.requesting.growing import Growing
from protocol.requesting.host_directory import HostDirectory
from protocol.requesting.requests import Requests
from protocol.requesting.surroundings import Surroundings
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.trust.signing import Untrusted

_LOOK_S = 3.0
_MOST_S = 60.0
_AT_ONCE = 4
"""So many grids are made larger at once, at most."""


class Carries(Protocol):
    """This peer as a host, as far as growing is concerned."""

    def elastic(self) -> list[Grown]:
        """The elastic grids that it carries part of, that run and are smaller than they may be."""

    def own(self) -> Offer:
        """What it could offer itself."""

    def stewards(self, grid: GridId) -> tuple[PeerId, ...]:
        """Who keeps the register of a carried grid."""


class Nothing:
    """A peer that carries nothing."""

    def elastic(self) -> list[Grown]:
        """None."""
        return []

    def own(self) -> Offer:
        """It is never asked."""
        raise AssertionError("a peer that carries nothing")

    def stewards(self, grid: GridId) -> tuple[PeerId, ...]:
        """Nobody."""
        return ()


class _Tried(msgspec.Struct):
    """How often it was tried in vain to make a grid larger, at an epoch, and when it is again."""

    epoch: int
    tries: int = 0
    again_s: float = 0.0


class Growth:
    """Looks for room for the elastic grids of one host."""

    def __init__(
        self,
        carries: Carries,
        authority: Authority,
        directory: HostDirectory,
        surroundings: Surroundings,
        requests: Requests,
        dice: Dice,
        now: float,
    ) -> None:
        self._carries, self._authority, self._directory = carries, authority, directory
        self._surroundings, self._requests, self._dice = surroundings, requests, dice
        self._look_s = now + _LOOK_S
        self._tried: dict[GridId, _Tried] = {}
        self._number = 0

    def tick(self, now: float) -> Answer:
        """Begins attempts where it is this host's turn, and there seems to be room."""
        grids = self._carries.elastic() if now >= self._look_s else []
        if not grids:
            return [], []
        self._look_s = now + self._pause(1)
        effects: list[Effect] = []
        outcomes: list[Outcome] = []
        self._tried = {g.record.id: self._of(g) for g in grids}
        for seen in grids:
            if not self._due(seen, now):
                continue
            more, then = self._begin(seen, now)
            effects, outcomes = effects + more, outcomes + then
        return effects, outcomes

    def next_deadline(self) -> Deadline | None:
        """When to look again; None while nothing here could grow."""
        return Deadline(self._look_s, "room for elastic grids") if self._carries.elastic() else None

    # -- parts

    def _of(self, seen: Grown) -> _Tried:
        known = self._tried.get(seen.record.id)
        epoch = seen.record.epoch
        return known if known is not None and known.epoch == epoch else _Tried(epoch)

    def _due(self, seen: Grown, now: float) -> bool:
        record = seen.record
        first = next(
            (h.peer for h in record.hosts if record.on(h.peer) and self._directory.alive(h.peer)),
            None,
        )
        if first != self._directory.me or now < self._tried[record.id].again_s:
            return False
        about = self._requests.about(record.id)
        if any(isinstance(running, Growing | Applying) for running in about):
            return False
        return self._requests.growing() < _AT_ONCE and self._roomy(seen)

    def _roomy(self, seen: Grown) -> bool:
        """Whether some host seems to have room for one of those that are missing."""
        spec = self._authority.spec(seen.record.standing)
        lacks = set(missing(seen.record, spec))
        kinds = {w.cluster: w for w in workspaces(spec) if w.name in lacks}
        offers = [self._carries.own()]
        offers += [c.told for c in self._directory.candidates() if c.told is not None]
        return any(_fits(kind, offer) for kind in kinds.values() for offer in offers)

    def _begin(self, seen: Grown, now: float) -> Answer:
        tried = self._tried[seen.record.id]
        tried.tries += 1
        tried.again_s = now + self._pause(1 << min(tried.tries, 6))
        self._number += 1
        request = RequestId(f"grow-{self._surroundings.me[-24:]}-{self._number}".replace("/", "-"))
        try:
            growing = Growing(
                request,
                seen,
                self._directory.me,
                self._carries.stewards(seen.record.id),
                self._surroundings,
                self._authority,
                self._dice,
                now,
            )
        except Untrusted:  # Its owner's authority ended, so it stays as it is.
            return [], []
        self._requests.add(growing)
        return growing.start(now)

    def _pause(self, times: int) -> float:
        return min(_LOOK_S * times, _MOST_S) * self._dice.uniform(0.7, 1.3)


def _fits(kind: Workspace, offer: Offer) -> bool:
    return offer.refused is None and quantum_of(kind).fits(offer.free)
