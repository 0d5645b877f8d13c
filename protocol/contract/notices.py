"""What hosts tell of grids, put together: any peer can answer for any grid, and say how old its news is."""

from collections.abc import Iterable

import msgspec

from protocol.contract.story import GridStory
from protocol.grid.expand import workspace_name
from protocol.grid.lifecycle import Status
from protocol.grid.model import GridSpec
from protocol.grid.record import GridRecord, GridState, is_about
from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.terms.limits import STORY_CHARACTERS
from protocol.terms.login import Login
from protocol.terms.ranges import Amount, Count, Moment, Name, Number, WholeSeconds, shown
from protocol.wire.codec import Malformed, MalformedReason, decode

NOTICE = "grid"
"""The kind of record that has a notice as its body."""
NOWHERE = -1
"""Stands in a placement for a workspace that the grid does not have."""


class Placement(msgspec.Struct, frozen=True, array_like=True):
    """Where a whole grid is placed, in few bytes: every host of a grid tells it, and every peer hears it.

    Each host is named once, and a workspace is a number. A number that is no host's, as a stranger may send it,
    stands for a workspace that the grid does not have.
    """

    hosts: tuple[PeerId, ...]
    clusters: tuple[tuple[Name, tuple[Amount, ...]], ...]
    """(cluster, for each workspace from the first on: the place of its host in `hosts`, or NOWHERE)."""

    def pairs(self) -> tuple[tuple[str, PeerId], ...]:
        """(workspace, host), in order."""
        return tuple(
            (workspace_name(cluster, index), self.hosts[place])
            for cluster, places in self.clusters
            for index, place in enumerate(places, start=1)
            if 0 <= place < len(self.hosts)
        )


def placement(pairs: Iterable[tuple[str, PeerId]]) -> Placement:
    """The placement of these (workspace, host). Workspaces of one cluster come in order of their numbers."""
    hosts: dict[PeerId, int] = {}
    clusters: dict[str, list[int]] = {}
    for workspace, host in pairs:
        cluster, _, index = workspace.rpartition("-")
        places = clusters.setdefault(cluster, [])
        places += [NOWHERE] * (int(index) - 1 - len(places))
        places.append(hosts.setdefault(host, len(hosts)))
    return Placement(
        tuple(hosts), tuple((cluster, tuple(places)) for cluster, places in clusters.items())
    )


class Notice(msgspec.Struct, frozen=True):
    """What one host tells of a grid it carries: the body of a record of kind `grid`, named by the grid's id."""

    grid: GridId
    name: Name
    owner: KeyId
    owner_site: Name
    epoch: Number
    state: GridState
    stewards: tuple[PeerId, ...]
    placement: Placement
    addresses: tuple[tuple[Name, Name], ...]
    """(workspace, address), of those that this host carries; of several addresses the first comes last.

    A host that carries very many tells only the first address of each.
    """
    mine: tuple[Status, ...]
    """Where the workspaces are that this host carries."""
    made_s: Moment
    lease_s: WholeSeconds
    starts_s: Moment = 0.0
    """Unix seconds by this host's clock, as the next two."""
    ends_s: Moment = 0.0
    kept_until_s: Moment = 0.0
    hindered: tuple[Name, ...] = ()
    """Best-effort clusters for which this host has no room now. All hosts of the grid suspend them."""
    mtus: tuple[tuple[Name, Count], ...] = ()
    """(network, the largest packet it takes), as the host makes it."""
    halted: bool = False
    """Whether its owner ordered it down and this host stopped it, before the stewards have decided that."""
    story: GridStory = ()
    """What happened to the grid here lately. From a stranger it may be of any length: `joined` bounds it."""
    volumes: tuple[tuple[Name, Amount, Name], ...] = ()
    """(volume, bytes, workspace) of those on this host, also after their workspaces were terminated."""
    logins: tuple[tuple[str, Login], ...] = ()
    """(workspace, who logs in) of those on this host whose images say it."""

    @property
    def placed(self) -> tuple[tuple[str, PeerId], ...]:
        """The whole placement: (workspace, host)."""
        return self.placement.pairs()


def notice_of(record: GridRecord, spec: GridSpec) -> Notice:
    """What the record of a grid says of it, before any host adds what it has made. `spec` is its order's."""
    return Notice(
        grid=record.id,
        name=record.name,
        owner=record.owner,
        owner_site=record.owner_site,
        epoch=record.epoch,
        state=record.state,
        stewards=record.stewards,
        placement=placement((a.workspace, a.host) for a in record.assignments),
        addresses=(),
        mine=(),
        made_s=0.0,
        lease_s=spec.lease_s,
    )


def read_notice(name: str, body: bytes) -> Notice:
    """The notice in a record of that name, its text made harmless to print.

    Raises Malformed, also if it is of another grid than its record.
    """
    notice = decode(body, Notice)
    if notice.grid != name:
        raise Malformed(MalformedReason.BAD_SHAPE, "a notice of another grid than its record")
    replace = msgspec.structs.replace
    mine = tuple(replace(status, detail=shown(status.detail)) for status in notice.mine)
    story = tuple(
        replace(line, kind=shown(line.kind, STORY_CHARACTERS), text=shown(line.text))
        for line in notice.story
    )
    return replace(notice, mine=mine, story=story)


class HeardNotice(msgspec.Struct, frozen=True):
    """One host's notice, and when it came by this peer's clock."""

    notice: Notice
    received_s: float


class Notices:
    """The newest notice of each host about each grid."""

    def __init__(self) -> None:
        self._by_grid: dict[GridId, dict[PeerId, HeardNotice]] = {}

    def put(self, peer: PeerId, notice: Notice, now: float) -> None:
        """Puts a notice in the place of that host's last one about the grid."""
        self._by_grid.setdefault(notice.grid, {})[peer] = HeardNotice(notice, now)

    def drop(self, peer: PeerId, grid: GridId) -> None:
        """The host has nothing to tell of the grid any more.

        If it told that the grid is down, what others told of it before that is over as well: a host that died
        before the end of its grid would else have the grid up again. Only a host that those others name ends
        that.
        """
        hosts = self._by_grid.get(grid, {})
        heard = hosts.pop(peer, None)
        if heard is not None and heard.notice.state is GridState.DOWN:
            before = [p for p, h in hosts.items() if h.notice.epoch < heard.notice.epoch]
            for other in before:
                if peer in hosts[other].notice.placement.hosts:
                    del hosts[other]
        if not hosts:
            self._by_grid.pop(grid, None)

    def about(self, grid: GridId) -> dict[PeerId, HeardNotice]:
        """All hosts' notices of one grid."""
        return self._by_grid.get(grid, {})

    def newest(self, grid: GridId) -> Notice | None:
        """The notice with the highest epoch; None if there is none."""
        heard = [h.notice for h in self._by_grid.get(grid, {}).values()]
        return max(heard, key=lambda notice: notice.epoch, default=None)

    def named(self, name: str, owner: KeyId | None = None) -> Notice | None:
        """The newest notice of the grid with that name or id; a grid that is up goes before one that was."""
        found = [
            notice
            for grid in self._by_grid
            if (notice := self.newest(grid)) is not None
            and name in (notice.name, notice.grid)
            and owner in (None, notice.owner)
        ]
        return max(found, key=lambda n: (n.state is GridState.UP, n.made_s, n.epoch), default=None)

    def meant(self, said: str, owner: KeyId, site: str = "") -> Notice | None:
        """The newest notice of the grid that an order names, if it is that owner's or site's; else None."""
        found = [
            notice
            for grid in self._by_grid
            if is_about(grid, said)
            and (notice := self.newest(grid)) is not None
            and (notice.owner == owner or notice.owner_site == site)
        ]
        return max(found, key=lambda n: (n.state is GridState.UP, n.epoch, n.made_s), default=None)

    def grids(self) -> list[GridId]:
        """Every grid that a host tells of, in the order in which they were first heard of."""
        return list(self._by_grid)
