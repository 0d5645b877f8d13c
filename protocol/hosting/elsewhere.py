"""Workspaces that came here by a change, and may still run on the host that they were on before.

What a change takes out and a later one brings back may come to another host while its guest still shuts down on
the first. There must never be two of it: they have one address. So it is not started here while another host
tells that it is there. A host that was lost tells nothing any more, and anybody can sign a notice, so nothing
waits longer than its guest has to shut down.
"""

from collections.abc import Mapping

from protocol.contract.told import Notices
from protocol.grid.lifecycle import Phase
from protocol.grid.model import Workspace
from protocol.hosting.lease import Lease
from protocol.hosting.readiness import THERE
from protocol.terms.ids import PeerId
from protocol.terms.limits import CLEAR_S


def told_elsewhere(row: Lease, notices: Notices) -> dict[str, tuple[PeerId, Phase]]:
    """Which workspaces of a lease another host tells of as its own, by name: who, and where they are there."""
    if row.record.applied is None:
        return {}
    mine = {wanted.workspace: row.record.placed.get(wanted.workspace) for wanted in row.wanted}
    return {
        status.workspace: (peer, status.phase)
        for peer, heard in notices.everybody(row.record.id).items()
        for status in heard.notice.mine
        if status.phase in THERE and mine.get(status.workspace, peer) not in (None, peer)
    }


def elsewhere(
    row: Lease, members: Mapping[str, Workspace], notices: Notices, now: float
) -> dict[str, str]:
    """Why workspaces of a lease are not started yet, by name; a line for people."""
    since_s, names = dict(row.came), {host.peer: host.name for host in row.record.hosts}
    waits: dict[str, str] = {}
    for name, (peer, phase) in told_elsewhere(row, notices).items():
        until_s = since_s.get(name, row.made_s) + members[name].stop_within_s + CLEAR_S
        if now < until_s:
            waits[name] = f"waits until it is gone from {names.get(peer, peer[:12])}: {phase} there"
    return waits
