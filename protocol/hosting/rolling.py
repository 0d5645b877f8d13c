"""Whose turn it is to be started anew: a change goes through a cluster by and by, and stops where it fails.

There is no coordinator. All hosts have the record. A workspace is changed when, of those before it in its
cluster, fewer than may be at once are not yet through: changed, and as far as its grid file says. Hosts tell
that in their notices. So the first that does not come so far, or whose host is silent, stops the rest.
"""

from collections.abc import Iterable, Mapping

from protocol.contract.authority import Authority
from protocol.contract.told import Notices
from protocol.grid.apply import Manner
from protocol.grid.lifecycle import Phase, Status
from protocol.grid.model import ClusterSpec, Wait
from protocol.hosting.lease import Lease
from protocol.terms.ids import GridId, PeerId

_RUNS = (Phase.RUNNING, Phase.REACHABLE, Phase.READY, Phase.PAUSED)
_RESTS = (Phase.PAUSED, Phase.SUSPENDED, Phase.EXPIRED)
"""What rests is changed when it runs again. Nobody waits for that."""


class Rolling:
    """The turns of the workspaces of one host."""

    def __init__(
        self,
        me: PeerId,
        authority: Authority,
        told: Mapping[GridId, Mapping[str, Status]],
        notices: Notices | None = None,
    ) -> None:
        """`told` is where the workspaces here are, `notices` what hosts tell of grids."""
        self._me, self._authority, self._told = me, authority, told
        self._notices = notices if notices is not None else Notices()

    def in_turn(self, row: Lease, workspace: str) -> bool:
        """Whether a workspace here is to be changed now."""
        ordered = self._authority.ordered(row.record)
        mine = ordered.members[workspace]
        cluster = next(c for c in ordered.spec.clusters if c.name == mine.cluster)
        before = {
            name
            for name in row.record.placed
            if name in ordered.members
            and ordered.members[name].cluster == mine.cluster
            and ordered.members[name].index < mine.index
        }
        if len(before) < cluster.update_at_once:
            return True
        through = self._through(row, cluster)
        return sum(name not in through for name in before) < cluster.update_at_once

    def not_yet(self, row: Lease) -> tuple[str, ...]:
        """Workspaces here that are as they were, or whose start that is wanted is not reported yet."""
        told = self._told.get(row.record.id, {})
        names = {b.workspace.name: None for b in row.behind if b.manner is not Manner.LIVE}
        for wanted in row.wanted:
            status = told.get(wanted.workspace)
            if status is not None and status.boot < wanted.boot:
                names[wanted.workspace] = None
        return tuple(names)

    def _through(self, row: Lease, cluster: ClusterSpec) -> dict[str, None]:
        """The workspaces of a grid that are changed, and as far as the cluster waits for."""
        here = self._told.get(row.record.id, {}).values()
        through = _far(here, self.not_yet(row), cluster.update_wait)
        for peer, heard in self._notices.about(row.record.id).items():
            notice = heard.notice
            if peer != self._me and notice.epoch >= row.record.epoch:
                placed = row.record.on(peer)
                far = _far(notice.mine, notice.behind, cluster.update_wait)
                through |= {name: None for name in far if name in placed}
        return through


def _far(statuses: Iterable[Status], not_yet: tuple[str, ...], wait: Wait) -> dict[str, None]:
    """The workspaces that are through, or rest."""
    return {
        status.workspace: None
        for status in statuses
        if status.phase in _RESTS or (status.workspace not in not_yet and _is_far(status, wait))
    }


def _is_far(status: Status, wait: Wait) -> bool:
    match wait:
        case Wait.READY:
            return status.settled
        case Wait.RUNNING:
            return status.settled or status.phase in _RUNS
