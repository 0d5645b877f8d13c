"""A host of a grid dies: it is told everywhere, who it is and what would work, and that does work."""

import pytest
from sim_calm import answer, calm_world, node_of

from protocol.grid.record import GridState, LeaseChange
from protocol.node.rows import WorkspaceRow
from protocol.node.snapshot import PeerView
from protocol.requesting.request import RequestView
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.quiet import newest_records
from protocol.sim.run import settle
from protocol.trust.order import Action
from protocol.wire.codec import encode


class Scene:
    """Five hosts; `star` is up on three of them. One of those that was not asked dies."""

    def __init__(self) -> None:
        self.world = calm_world(5, 5)
        self.asked = self.world.peers[0]
        self.admin = self.world.admins["s1"]
        spec = grid_spec("star", 3, lease_s=7200)
        made = answer(
            self.world,
            self.asked,
            self.world.give(self.asked, self.admin.up(spec, self.world.now_s)),
        )
        assert made.state == "done", made.answer
        self.victim = next(self.world.by_id[r.peer] for r in self.rows() if r.peer != self.asked.id)
        self.lost = next(r.workspace for r in self.rows() if r.peer == self.victim.id)

    def rows(self, peer: SimPeer | None = None) -> list[WorkspaceRow]:
        seen = PeerView(node_of(peer or self.asked))
        (grid,) = seen.find_grids("star")
        return seen.workspaces(grid, self.world.now_s)

    def phase(self) -> str:
        return next((r.phase for r in self.rows() if r.workspace == self.lost), "none")

    def die(self) -> None:
        self.victim.crash()
        assert self.world.run_until(lambda: self.phase() == "lost", 30.0)

    def order(self, action: Action, workspace: str = "", body: bytes = b"") -> RequestView:
        order = self.admin.order(action, "star", self.world.now_s, workspace=workspace, body=body)
        return answer(self.world, self.asked, self.world.give(self.asked, order))

    def extend(self) -> RequestView:
        return self.order(Action.LEASE, body=encode(LeaseChange(3600)))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_lost_host_is_an_event_at_every_peer_and_so_is_its_return(scene: Scene) -> None:
    scene.die()
    others = [peer for peer in scene.world.peers if peer is not scene.victim]
    assert scene.world.run_until(lambda: all(p.notes["grid.host-lost"] == 1 for p in others), 30.0)
    scene.victim.start()
    assert scene.world.run_until(lambda: all(p.notes["grid.host-back"] == 1 for p in others), 60.0)
    assert scene.world.run_until(lambda: scene.phase() == "ready", 60.0)


def test_what_a_refused_extension_says_would_work_does_work(scene: Scene) -> None:
    scene.die()
    refused = scene.extend()
    assert refused.state == "failed"
    who = f"cannot extend the lease of star now: host {scene.victim.name} ({scene.lost}) was not heard for "
    assert refused.answer[0].startswith(who)
    assert refused.answer[1].startswith(
        f"  would work: `overlayctl terminate star/{scene.lost}` takes it out of the grid, then extend again"
    )
    gone = scene.order(Action.TERMINATE, scene.lost)
    assert gone.state == "done"
    assert f"host {scene.victim.name} ({scene.lost}) was not heard for " in gone.answer[0]
    assert scene.world.run_until(lambda: scene.phase() == "none", 10.0)
    assert scene.extend().state == "done"
    assert scene.order(Action.PAUSE).state == "done"
    assert scene.order(Action.RESUME).state == "done"


def test_what_was_terminated_while_its_host_was_away_frees_its_room_when_it_is_back(
    scene: Scene,
) -> None:
    free = scene.victim.facts.capacity
    assert node_of(scene.victim).host.ledger.free != free
    scene.die()
    scene.order(Action.TERMINATE, scene.lost)
    scene.extend()
    scene.victim.start()
    assert scene.world.run_until(lambda: node_of(scene.victim).host.ledger.free == free, 120.0)
    settle(scene.world)
    (record,) = newest_records(scene.world)
    assert (record.state, record.extra_s) == (GridState.UP, 3600)
    assert scene.lost not in [a.workspace for a in record.assignments]


def test_a_pause_that_a_lost_host_cannot_follow_names_it(scene: Scene) -> None:
    scene.die()
    refused = scene.order(Action.PAUSE)
    assert refused.state == "failed"
    assert refused.answer[0].startswith(
        f"cannot pause star now: host {scene.victim.name} ({scene.lost}) was not heard for "
    )
    assert refused.answer[0].endswith("; the other hosts took it on")


def test_a_grid_with_a_lost_host_is_taken_down_and_comes_up_elsewhere(scene: Scene) -> None:
    scene.die()
    down = scene.order(Action.DOWN)
    assert down.state == "done"
    assert f"host {scene.victim.name} ({scene.lost}) was not heard for " in down.answer[0]
    spec = grid_spec("star", 3, lease_s=7200)
    again = answer(
        scene.world,
        scene.asked,
        scene.world.give(scene.asked, scene.admin.up(spec, scene.world.now_s)),
    )
    assert again.state == "done", again.answer
    assert "lost" not in [row.phase for row in scene.rows()]
