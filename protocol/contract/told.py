"""What hosts tell of grids, put together: any peer can answer for any grid, and say how old its news is.

A notice is its host's word. Anybody can sign one about any grid, so it is hearsay until this peer has seen what
was decided (`know`). From then on name, owner, epoch, state, stewards and placement are those of the decision,
and only its hosts are heard on the rest: where their workspaces are, and their times. Who tells otherwise
changes nothing. What is still to be checked is a `Claim`.
"""

from collections.abc import Iterator

import msgspec

from protocol.contract.notices import Notice, notice_of
from protocol.contract.spends import Spends, spends_of
from protocol.grid.decision import Proof, stewards_by, term_by
from protocol.grid.model import GridSpec
from protocol.grid.record import GridRecord, GridState, is_about, order_part
from protocol.terms.checking import GRIDS_KNOWN
from protocol.terms.ids import GridId, KeyId, PeerId


class HeardNotice(msgspec.Struct, frozen=True):
    """One host's notice, and when it came by this peer's clock."""

    notice: Notice
    received_s: float
    over: bool = False
    """Whether another host that it names told of a later end of the grid, and took that back."""


class KnownGrid(msgspec.Struct, frozen=True):
    """What was decided of a grid: it was checked, or this peer carries the grid by it."""

    facts: Notice
    """What the record says, without what only its hosts can tell."""
    hosts: tuple[PeerId, ...]
    """Who carries it, or has something left of it."""
    own: bool = False
    """Whether this peer is one of them. Then it is never forgotten to make room."""
    spends: Spends | None = None
    """What it may take of its member's ceilings; None if it takes nothing of any."""


class Claim(msgspec.Struct, frozen=True):
    """What some hosts tell alike of a grid, and this peer has not checked."""

    decision: bytes
    stewards: tuple[PeerId, ...]
    """Whom to ask: who is known to decide, or else whoever the notices name."""
    tellers: tuple[PeerId, ...]
    epoch: int


def known_of(
    record: GridRecord,
    spec: GridSpec,
    decision: bytes,
    proof: Proof | None = None,
    own: bool = False,
) -> KnownGrid:
    """What a record says that was decided. `spec` is its order's, `decision` its digest; `proof` says who its
    stewards are now."""
    facts = msgspec.structs.replace(
        notice_of(record, spec),
        decision=decision,
        stewards=stewards_by(record, proof),
        term=term_by(proof),
    )
    hosts = tuple(host.peer for host in record.hosts)
    return KnownGrid(facts, hosts, own, spends_of(record, spec))


class Notices:
    """The newest notice of each host about each grid, and what is known of each grid."""

    def __init__(self) -> None:
        self._by_grid: dict[GridId, dict[PeerId, HeardNotice]] = {}
        self._known: dict[GridId, KnownGrid] = {}
        """Oldest first."""
        self._stale: dict[GridId, None] = {}
        """Known grids of which a host told something later, and took it back unchecked."""
        self._newest: dict[GridId, Notice | None] = {}
        """What `newest` answered, while nothing has changed."""
        self._by_key: dict[KeyId, dict[GridId, None]] = {}
        """By the keys behind its owner's that a host tells."""

    # -- what comes in

    def put(self, peer: PeerId, notice: Notice, now: float) -> None:
        """Puts a notice in the place of that host's last one about the grid."""
        hosts = self._by_grid.setdefault(notice.grid, {})
        before = hosts.get(peer)
        hosts[peer] = HeardNotice(notice, now)
        if before is None or _keys(before.notice) != _keys(notice):
            self._index(notice.grid, before)
        self._newest.pop(notice.grid, None)

    def drop(self, peer: PeerId, grid: GridId) -> None:
        """The host has nothing to tell of the grid any more.

        If it told that the grid is down, what others told of it before that is over as well: a host that died
        before the end of its grid would else have the grid up again. Only a host that those others name ends
        that, and not what is known to be up.
        """
        hosts, known = self._by_grid.get(grid, {}), self._known.get(grid)
        heard = hosts.pop(peer, None)
        self._newest.pop(grid, None)
        if not hosts:
            self._by_grid.pop(grid, None)
        if heard is None:
            return
        self._index(grid, heard)
        if known is not None and peer in known.hosts and _age(heard.notice) > _age(known.facts):
            self._stale[grid] = None
        if heard.notice.state is GridState.DOWN:
            for other, told in hosts.items():
                earlier = told.notice.epoch < heard.notice.epoch
                if earlier and peer in told.notice.placement.hosts:
                    hosts[other] = msgspec.structs.replace(told, over=True)

    def know(self, known: KnownGrid) -> None:
        """That was decided of a grid. An older decision than what is known changes nothing."""
        grid = known.facts.grid
        before = self._known.get(grid)
        if before is not None and _age(before.facts) > _age(known.facts):
            return
        self._known.pop(grid, None)
        self._known[grid] = known
        self._stale.pop(grid, None)
        self._newest.pop(grid, None)
        if len(self._known) > GRIDS_KNOWN:
            oldest = next((g for g, k in self._known.items() if not k.own), grid)
            del self._known[oldest]
            self._stale.pop(oldest, None)
            self._newest.pop(oldest, None)

    def doubt(self, grid: GridId) -> None:
        """What is known of a grid is to be looked at again, though nobody has told otherwise."""
        if grid in self._known:
            self._stale[grid] = None

    # -- what is answered

    def confirmed(self, grid: GridId) -> bool:
        """Whether it is known that such a grid was decided."""
        return grid in self._known

    def is_over(self, grid: GridId) -> bool:
        """Whether it is known that it was decided to take that grid down."""
        known = self._known.get(grid)
        return known is not None and known.facts.state is GridState.DOWN

    def about(self, grid: GridId) -> dict[PeerId, HeardNotice]:
        """The notices of a grid that count: those of its hosts, or everybody's while it is not known."""
        return dict(self._counting(grid))

    def everybody(self, grid: GridId) -> dict[PeerId, HeardNotice]:
        """The notices of a grid that anybody told, also of hosts that carry nothing of it (any more)."""
        return dict(self._by_grid.get(grid, {}))

    def newest(self, grid: GridId) -> Notice | None:
        """What there is to say of a grid; None if no host that counts tells of it.

        Of a known grid it is what was decided, with its times as a host tells them; of another the notice with
        the highest epoch, those first whose hosts name themselves.
        """
        if grid not in self._newest:
            self._newest[grid] = self._compose(grid)
        return self._newest[grid]

    def meant(self, said: str, owner: KeyId, site: str = "") -> Notice | None:
        """The notice of the grid that an order names, if it is that owner's or site's; else None.

        What is known goes before what is told, and a grid that is up before one that was. Of a grid that is not
        known, each host's word is looked at.
        """
        found: list[tuple[bool, Notice]] = []
        for grid in self._by_grid:
            if not is_about(grid, said):
                continue
            if self.confirmed(grid):
                newest = self.newest(grid)
                found += [(True, newest)] if newest is not None else []
            else:
                found += [(False, heard.notice) for _, heard in self._counting(grid)]
        mine = [(k, n) for k, n in found if n.owner == owner or (site and n.owner_site == site)]
        best = max(
            mine,
            key=lambda f: (f[0], f[1].state is GridState.UP, f[1].epoch, f[1].made_s),
            default=None,
        )
        return best[1] if best is not None else None

    def of_key(self, key: KeyId) -> list[GridId]:
        """Every grid that a host tells to be ordered by a key, or by somebody below it. An owner's is none."""
        return list(self._by_key.get(key, ()))

    def spends(self, grid: GridId) -> Spends | None:
        """What a grid may take of ceilings, if it is known; else None."""
        known = self._known.get(grid)
        return known.spends if known is not None else None

    def grids(self) -> list[GridId]:
        """Every grid that a host tells of that counts, in the order in which they were first heard of."""
        return [grid for grid in self._by_grid if next(self._counting(grid), None) is not None]

    def stewards(self, register: str) -> tuple[PeerId, ...]:
        """Who keeps the register of an order by now, as hosts tell it; nobody if none tells of its grid."""
        told = [
            heard.notice
            for grid in self._by_grid
            if order_part(grid) == register
            for _, heard in self._counting(grid)
        ]
        newest = max(told, key=lambda notice: (notice.term, notice.epoch), default=None)
        return newest.stewards if newest is not None else ()

    # -- what is to be checked

    def told(self, said: str = "") -> list[GridId]:
        """Every grid that anybody tells of by that name or id; all of them if none is said."""
        return [
            grid
            for grid, hosts in self._by_grid.items()
            if not said
            or is_about(grid, said)
            or any(heard.notice.name == said for heard in hosts.values())
        ]

    def claims(self, grid: GridId) -> list[Claim]:
        """What is told of a grid and not checked: of a known one only what its hosts tell of a later epoch."""
        known = self._known.get(grid)
        alike: dict[tuple[bytes, tuple[PeerId, ...]], list[PeerId]] = {}
        epochs: dict[tuple[bytes, tuple[PeerId, ...]], int] = {}
        for peer, heard in self._by_grid.get(grid, {}).items():
            notice = heard.notice
            if known is not None:
                facts = known.facts
                if peer not in known.hosts or _age(notice) <= _age(facts):
                    continue
            stewards = known.facts.stewards if known is not None else notice.stewards
            what = (notice.decision, stewards)
            alike.setdefault(what, []).append(peer)
            epochs[what] = max(notice.epoch, epochs.get(what, 0))
        if known is not None and grid in self._stale:
            what = (b"", known.facts.stewards)
            alike.setdefault(what, list(known.hosts))
            epochs.setdefault(what, known.facts.epoch)
        return [Claim(*what, tuple(peers), epochs[what]) for what, peers in alike.items()]

    # -- parts

    def _index(self, grid: GridId, before: HeardNotice | None) -> None:
        """Finds a grid by the keys that its hosts tell of it now. `before` is what one told last."""
        told = [
            key for heard in self._by_grid.get(grid, {}).values() for key in _keys(heard.notice)
        ]
        for key in told:
            self._by_key.setdefault(key, {})[grid] = None
        for key in _keys(before.notice) if before is not None else ():
            if key not in told:
                grids = self._by_key[key]
                del grids[grid]
                if not grids:
                    del self._by_key[key]

    def _counting(self, grid: GridId) -> Iterator[tuple[PeerId, HeardNotice]]:
        known = self._known.get(grid)
        up = known is not None and known.facts.state is GridState.UP
        for peer, heard in self._by_grid.get(grid, {}).items():
            if (known is None or peer in known.hosts) and (up or not heard.over):
                yield peer, heard

    def _compose(self, grid: GridId) -> Notice | None:
        told = [(peer, heard.notice) for peer, heard in self._counting(grid)]
        known = self._known.get(grid)
        if not told:
            return None
        if known is None:
            return max(told, key=lambda t: (t[0] in t[1].placement.hosts, _age(t[1])))[1]
        facts = known.facts
        last = max(told, key=lambda t: (t[1].epoch <= facts.epoch, t[1].epoch))[1]
        return msgspec.structs.replace(
            facts,
            made_s=last.made_s,
            starts_s=last.starts_s,
            ends_s=last.ends_s,
            kept_until_s=last.kept_until_s,
        )


def _age(notice: Notice) -> tuple[int, int]:
    """What a later decision has more of: changes of the grid, and then of its stewards."""
    return notice.epoch, notice.term


def _keys(notice: Notice) -> tuple[KeyId, ...]:
    """By which a grid is found; none of one that is a site's, or a VO's own."""
    return tuple(dict.fromkeys(notice.line))
