"""What happened to a grid, and what its owner is to know of it now, as a PeerView answers it."""

from collections.abc import Sequence

from protocol.contract.notices import Notice
from protocol.contract.story import joined
from protocol.contract.told import HeardNotice
from protocol.grid.lifecycle import Phase
from protocol.grid.problem import listed
from protocol.grid.record import GridState
from protocol.node.node import Node
from protocol.node.rows import StoryRow, WorkspaceRow
from protocol.node.snapshot_peers import name_of
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import STORY_KEPT
from protocol.terms.quantities import counted, format_duration

_TROUBLED = (Phase.FAILED, "no-room", "stalled")
_WARNING, _YIELDS = "lease.warning", "grid.yields"
_LEASE = (
    _WARNING,
    "lease.changed",
    "grid.overspent",
    "grid.within",
    "lease.withdrawn",
    "lease.restored",
    "lease.ended",
    "lease.lapsed",
)


def story(node: Node, grid: GridId) -> list[StoryRow]:
    """The story of a grid, oldest first: what its hosts tell, and all that this one keeps."""
    stories = {peer: notice.story for peer, notice in _hosts(node, grid).items()}
    if own := node.host.chronicle.story(grid):
        stories[node.me] = own
    return [
        StoryRow(line.at_s, name_of(node, line.host), line.kind, line.text)
        for line in joined(stories.items(), STORY_KEPT)
    ]


def waits_for(heard: HeardNotice | None, workspace: str, phase: Phase) -> str:
    """For what a workspace waits that its grid's change is to make, or make otherwise; empty if for nothing."""
    if heard is None or phase is Phase.GONE:
        return ""
    if workspace in heard.notice.lacks:
        return "waits for room: its host promised it, and others have that room"
    if workspace not in heard.notice.behind:
        return ""
    if phase in (Phase.PAUSED, Phase.SUSPENDED):
        return "is changed when it goes on"
    return "is started anew in its turn"


def detail(
    node: Node, newest: Notice, members: Sequence[WorkspaceRow], lost: Sequence[str], now: float
) -> str:
    """What the owner of a grid is to know of it now, the worst first; empty if all is well."""
    if newest.state is not GridState.UP:
        return ""
    if any(notice.halted for notice in _hosts(node, newest.grid).values()):
        stewards = len(newest.stewards)
        return f"down ordered, waits for {stewards // 2 + 1} of {stewards} stewards"
    if lost:
        return lost[0]
    for row in members:
        if row.phase in _TROUBLED:
            return f"{row.workspace} {row.phase}: {row.detail}".removesuffix(": ")
    told = story(node, newest.grid)
    if hindered := _hindered(node, newest.grid):
        # Only the hosts that lack the room know for whom; the others say just that they follow.
        whys = (line.text.partition("; ")[2] for line in reversed(told) if line.kind == _YIELDS)
        return next(filter(None, whys), "makes room: " + ", ".join(hindered))
    hosts = _hosts(node, newest.grid).values()
    if lacks := [name for notice in hosts for name in notice.lacks]:
        return f"no room where it was promised for {listed(lacks)}"
    ends = next((line for line in reversed(told) if line.kind in _LEASE), None)
    if ends is not None and ends.kind == _WARNING and now < newest.ends_s:
        return f"lease ends in {format_duration(int(newest.ends_s - now))}"
    turns = sum(len(notice.behind) for notice in hosts)
    return f"being changed: {counted(turns, 'workspace')} to be started anew" if turns else ""


def _hindered(node: Node, grid: GridId) -> list[str]:
    told = _hosts(node, grid).values()
    return list(dict.fromkeys(name for notice in told for name in notice.hindered))


def _hosts(node: Node, grid: GridId) -> dict[PeerId, Notice]:
    """What the hosts of a grid tell of it. Others may tell what they like, and are not heard here."""
    newest = node.notices.newest(grid)
    there = newest.placement.hosts if newest is not None else ()
    about = node.notices.about(grid)
    return {peer: about[peer].notice for peer in there if peer in about}
