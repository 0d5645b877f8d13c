"""Members that say of others that they have much, so that these are refused elsewhere by their ceilings.

Ann has a ceiling at all sites together, and a grid at site s2. Mallory is a host of s2. Whatever it says,
ann has no more at s3 than what she ordered herself, and that only as long as it may last.
"""

import msgspec
import pytest
from across_sites import STAR, Federation, node

from protocol.contract.notices import NOTICE, Notice, placement
from protocol.grid.lifecycle import Phase, Status
from protocol.node.events import Ticked
from protocol.sim.peer import SimPeer
from protocol.sim.people import Person
from protocol.terms.ids import GridId
from protocol.trust.order import Action
from protocol.wire.codec import encode


class Scene:
    """`first` of ann, two of her four workspaces, runs at s2."""

    def __init__(self) -> None:
        self.fed = fed = Federation()
        self.mallory = fed.at("s2")[0]
        assert fed.up("first", 2, "s2")[0] == "done"
        fed.world.run(3.0)
        rows = [row for peer in fed.at("s2") for row in node(peer).host.leases.rows()]
        self.record = rows[0].record
        self.truth = next(
            heard.notice for heard in node(fed.at("s3")[0]).notices.about(self.record.id).values()
        )

    def tells(self, *lies: Notice, by: SimPeer | None = None) -> None:
        liar = by or self.mallory
        for lie in lies:
            node(liar).broadcast.publish(
                NOTICE, lie.grid, encode(lie), 86400.0, self.fed.world.now_s
            )
        liar.feed(Ticked())
        self.fed.world.run(3.0)

    def up(self, name: str, count: int, by: Person | None = None) -> str:
        return self.fed.up(name, count, "s3", by=by)[0]


def claim(scene: Scene, grid: str, count: int = 4) -> Notice:
    """That Mallory has so many of ann's workspaces, of a grid of that id."""
    names = [f"web-{number}" for number in range(1, count + 1)]
    return msgspec.structs.replace(
        scene.truth,
        grid=GridId(grid),
        stewards=(scene.mallory.id,),
        placement=placement((name, scene.mallory.id) for name in names),
        mine=tuple(Status(name, Phase.READY, "", 0.0) for name in names),
    )


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_what_nobody_decided_counts_nothing(scene: Scene) -> None:
    """Hundreds of them delay ann by a moment, and cost nobody else anything."""
    lies = [claim(scene, f"{number:020x}.0") for number in range(300)]
    for lie in lies:
        node(scene.mallory).broadcast.publish(
            NOTICE, lie.grid, encode(lie), 86400.0, scene.fed.world.now_s
        )
    scene.mallory.feed(Ticked())
    scene.fed.world.run(5.0)
    assert scene.up("second", 2) == "done"
    assert scene.up("third", 1) == "failed", "what she has does count"


def test_more_workspaces_of_a_grid_than_were_decided_count_nothing(scene: Scene) -> None:
    """Also of a host that carries the grid: what it holds is bounded by what was decided of it."""
    carrier = next(p for p in scene.fed.at("s2") if p.id in scene.record.carriers())
    for liar in (scene.mallory, carrier):
        lie = msgspec.structs.replace(claim(scene, scene.record.id, 9), epoch=7)
        scene.tells(lie, by=liar)
    assert scene.up("second", 2) == "done"


def test_a_decision_with_an_order_of_somebody_else_counts_for_who_gave_it(scene: Scene) -> None:
    """Bob's order, told to be ann's. What it takes, it takes of bob's ceiling."""
    bob = scene.fed.member("bob", 4)
    assert scene.fed.up("bobs", 3, "s2", by=bob)[0] == "done"
    scene.fed.world.run(2.0)
    rows = [row for peer in scene.fed.at("s2") for row in node(peer).host.leases.rows()]
    bobs = next(row.record for row in rows if row.record.name == "bobs")
    told = node(scene.mallory).notices.about(bobs.id)
    for peer in scene.fed.at("s2"):
        if peer.id in told:
            lie = msgspec.structs.replace(told[peer.id].notice, line=(STAR.key_of("ann").key,))
            scene.tells(lie, by=peer)
    assert scene.up("second", 2) == "done"


def test_a_host_that_claims_to_hold_what_it_does_not_is_bounded_by_the_order(scene: Scene) -> None:
    """Ann ordered two there; the host says that it has them for ever, and no host says that it has not."""
    assert scene.up("second", 3) == "failed"
    assert scene.up("third", 2) == "done"


def test_what_was_taken_down_is_not_told_back(scene: Scene) -> None:
    """A carrier goes on telling what it told while the grid was up: its stewards say that it is down."""
    carrier = next(p for p in scene.fed.at("s2") if p.id in scene.record.carriers())
    old = node(carrier).notices.about(scene.record.id)[carrier.id].notice
    world = scene.fed.world
    down = scene.fed.ann.order(Action.DOWN, "first", world.now_s)
    state, why = scene.fed.outcome(scene.mallory, world.give(scene.mallory, down))
    assert state == "done", why
    world.run(3.0)
    scene.tells(old, by=carrier)
    assert scene.up("second", 4) == "done"
