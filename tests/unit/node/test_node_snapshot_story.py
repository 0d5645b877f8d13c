"""What happened to a grid is told at every peer, also after restarts; its row has what its owner must know."""

import msgspec

from protocol.contract.story import GridLine
from protocol.grid.lifecycle import Phase
from protocol.grid.model import LeaseTerms
from protocol.hosting.events import Progressed
from protocol.node.rows import GridRow, StoryRow
from protocol.node.snapshot import PeerView
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.world import World

LEASE_S, WARN_S = 3600, 600


class Scene:
    """Four hosts at two sites; `shop` is up on two of them, asked for at the first."""

    def __init__(self) -> None:
        self.world = World(3, 4, 2)
        self.world.start_all()
        self.world.run(5.0)
        self.asked = self.world.peers[0]
        spec = grid_spec("shop", 2, lease_s=LEASE_S, lease=LeaseTerms(warn_s=(WARN_S,)))
        admin = self.world.admins[self.asked.site]
        self.world.give(self.asked, admin.up(spec, self.world.now_s))
        assert self.world.run_until(lambda: self.phases() == (("ready", 2),), 40.0)

    def view(self, peer: SimPeer | None = None) -> PeerView:
        node = (peer or self.asked).node
        assert node is not None
        return PeerView(node)

    def phases(self) -> tuple[tuple[str, int], ...]:
        return next((row.phases for row in self.view().grids(self.world.now_s)), ())

    def row(self, peer: SimPeer | None = None) -> GridRow:
        (row,) = self.view(peer).grids(self.world.now_s)
        return row

    def story(self, peer: SimPeer | None = None) -> list[StoryRow]:
        return self.view(peer).story(self.row(peer).grid)

    def hosts(self) -> list[tuple[str, SimPeer]]:
        """(workspace, its host)."""
        rows = self.view().workspaces(self.row().grid, self.world.now_s)
        return [(row.workspace, self.world.by_id[row.peer]) for row in rows]

    def fails(self, peer: SimPeer, workspace: str) -> None:
        peer.feed(Progressed(self.row().grid, workspace, Phase.FAILED, "no such image", 1))


def test_it_is_told_at_every_peer_and_by_later_lives() -> None:
    """A start fails at one host, and the other host dies."""
    scene = Scene()
    (workspace, host), (_, other) = scene.hosts()
    scene.fails(host, workspace)
    other.crash()
    scene.world.run(60.0)
    for peer in scene.world.peers:
        if peer is not other:
            failed, lost = scene.story(peer)
            assert (failed.host, failed.kind) == (host.name, "workspace.phase")
            assert failed.text == f"{workspace}: failed no such image"
            assert (lost.host, lost.kind) == (host.name, "grid.host-lost"), "one host tells it"
            assert lost.text.startswith(f"host {other.name} (")
            assert scene.row(peer).detail == scene.row(peer).lost[0]
    host.crash()
    host.start()
    assert scene.world.run_until(lambda: len(scene.story(host)) == 3, 20.0)
    assert [line.kind for line in scene.story(host)] == [
        "workspace.phase",
        "grid.host-lost",
        "grid.found",
    ]


def test_what_failed_is_what_its_owner_is_to_know() -> None:
    scene = Scene()
    (workspace, host), _ = scene.hosts()
    assert scene.row().detail == ""
    scene.fails(host, workspace)
    assert scene.world.run_until(lambda: scene.row().detail != "", 5.0)
    assert scene.row().detail == f"{workspace} failed: no such image"


def test_a_lease_that_ends_soon_is_too_and_two_hosts_tell_it_once() -> None:
    scene = Scene()
    scene.world.run(scene.row().lease_left_s - WARN_S + 30.0)
    assert scene.row().detail == "lease ends in 9.5 min"
    (warning,) = scene.story()
    assert (warning.kind, warning.text[:15]) == ("lease.warning", "ends in 10 min,")
    scene.world.run(WARN_S + 60.0)
    assert scene.row().detail == ""


def test_a_peer_that_is_no_host_of_the_grid_tells_nothing_of_it() -> None:
    scene = Scene()
    node = scene.asked.node
    assert node is not None
    hosts = [host.id for _, host in scene.hosts()]
    stranger = next(peer.id for peer in scene.world.peers if peer.id not in hosts)
    ((_, heard), *_) = node.notices.about(scene.row().grid).items()
    lie = msgspec.structs.replace(
        heard.notice, halted=True, hindered=("web",), story=(GridLine(1.0, "lease.warning", "x"),)
    )
    node.notices.put(stranger, lie, scene.world.now_s)
    assert (scene.row().detail, scene.story()) == ("", [])
    node.notices.put(hosts[0], lie, scene.world.now_s)
    assert scene.row().detail == "down ordered, waits for 2 of 3 stewards"


def test_what_waits_for_its_turn_or_for_room_says_so() -> None:
    scene = Scene()
    node = scene.asked.node
    assert node is not None
    (one, host), (two, other) = scene.hosts()
    about = node.notices.about(scene.row().grid)
    notices = {peer: about[peer].notice for peer in (host.id, other.id)}

    def waits() -> dict[str, str]:
        rows = scene.view().workspaces(scene.row().grid, scene.world.now_s)
        return {row.workspace: row.detail for row in rows}

    assert waits() == {one: "", two: ""}
    turns = msgspec.structs.replace(notices[host.id], behind=(one,))
    node.notices.put(host.id, turns, scene.world.now_s)
    assert waits() == {one: "is started anew in its turn", two: ""}
    assert scene.row().detail == "being changed: 1 workspace to be started anew"
    (status,) = turns.mine
    rests = msgspec.structs.replace(status, phase=Phase.SUSPENDED)
    node.notices.put(host.id, msgspec.structs.replace(turns, mine=(rests,)), scene.world.now_s)
    assert waits()[one] == "is changed when it goes on"
    lacks = msgspec.structs.replace(notices[other.id], lacks=(two,))
    node.notices.put(other.id, lacks, scene.world.now_s)
    assert waits()[two] == "waits for room: its host promised it, and others have that room"
    assert scene.row().detail == f"no room where it was promised for {two}"
