"""What a host tells everybody of a grid that it carries: a signed record's body, and hearsay until checked."""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.contract.story import GridStory
from protocol.grid.expand import workspace_name
from protocol.grid.exposed import ExposedPort
from protocol.grid.lifecycle import Status
from protocol.grid.model import GridSpec
from protocol.grid.record import GridRecord, GridState
from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.terms.limits import STORY_CHARACTERS
from protocol.terms.login import Login
from protocol.terms.ranges import Amount, Count, Moment, Name, Number, Place, WholeSeconds, shown
from protocol.trust.grants import GRANTS_MOST
from protocol.trust.order import claimed
from protocol.wire.codec import Malformed, MalformedReason, decode

NOTICE = "grid"
"""The kind of record that has a notice as its body."""
NOWHERE = -1
"""Stands in a placement for a workspace that the grid does not have."""


DecisionDigest = Annotated[bytes, Meta(max_length=32)]


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
    """What the owner is called, as in a record."""
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
    decision: DecisionDigest = b""
    """SHA-256 of what stewards decided, by which this host carries it. Empty: it has none to show."""
    term: Number = 0
    """How often `stewards` were replaced, as far as this host knows."""
    behind: tuple[Name, ...] = ()
    """Workspaces on this host that are still as they were before the grid was changed, or are on their way."""
    lacks: tuple[Name, ...] = ()
    """Workspaces that the grid has on this host, or has larger, and for which there is no room now."""

    exposes: tuple[ExposedPort, ...] = ()
    """The ports of this host that lead to its workspaces. Of very many it tells the first."""
    exposed_at: Place = ""
    """The address where these are, as this host says."""
    member: Name = ""
    """What who ordered it is called within its VO; empty for a site's, or if it has no name."""
    line: Annotated[tuple[KeyId, ...], Meta(max_length=GRANTS_MOST)] = ()
    """The keys behind its owner's, down to that of who ordered it: it counts for them (spends.py)."""

    @property
    def placed(self) -> tuple[tuple[str, PeerId], ...]:
        """The whole placement: (workspace, host)."""
        return self.placement.pairs()


def notice_of(record: GridRecord, spec: GridSpec) -> Notice:
    """What the record of a grid says of it, before any host adds what it has made. `spec` is its order's."""
    owner = claimed(record.order)
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
        member=owner.member,
        line=owner.line[1:],
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
