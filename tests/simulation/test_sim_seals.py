"""Stewards die for good, one after the other. Others take their places, and the grid is its owner's still."""

import msgspec
from sim_calm import answer, calm_world, node_of

from protocol.grid.model import PlacementSpec, Spread
from protocol.grid.record import GridState, read_register
from protocol.node.events import Leaving
from protocol.node.rows import GridRow
from protocol.node.snapshot import PeerView
from protocol.requesting.events import GridsAsked
from protocol.requesting.request import RequestView
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.quiet import newest_records
from protocol.terms.ids import PeerId
from protocol.terms.limits import SEAL_LOOK_EVERY_S, STEWARD_GONE_S
from protocol.trust.order import Action

REPLACED_WITHIN_S = STEWARD_GONE_S + 5 * SEAL_LOOK_EVERY_S


class Scene:
    """Twelve hosts at three sites; `own` is up on two hosts of s1, whose admin ordered it."""

    def __init__(self) -> None:
        self.world = calm_world(9, 12)
        self.admin = self.world.admins["s1"]
        rules = PlacementSpec(spread=Spread.HOST, sites=("s1",))
        spec = msgspec.structs.replace(grid_spec("own", 2, lease_s=864_000), placement=rules)
        self.asked = next(peer for peer in self.world.peers if peer.site == "s1")
        made = answer(
            self.world,
            self.asked,
            self.world.give(self.asked, self.admin.up(spec, self.world.now_s)),
        )
        assert made.state == "done", made.answer
        self.world.run(5.0)
        (record,) = newest_records(self.world)
        self.grid, self.first, self.carriers = record.id, record.stewards, record.carriers()

    @property
    def stewards(self) -> tuple[PeerId, ...]:
        """Who they are, as the hosts that carry the grid tell it."""
        alive = [self.world.by_id[p] for p in self.carriers if self.world.by_id[p].up]
        rows = [row for peer in alive for row in node_of(peer).host.leases.rows()]
        told = {row.stewards for row in rows}
        assert len(told) == 1, told
        return told.pop()

    def others(self) -> list[SimPeer]:
        """Living peers that neither carry the grid nor keep its record."""
        left = [peer for peer in self.world.peers if peer.up]
        return [p for p in left if p.id not in (*self.carriers, *self.stewards)]

    def row(self, peer: SimPeer) -> GridRow:
        rows = PeerView(node_of(peer)).grids(self.world.now_s)
        return next(row for row in rows if row.name == "own")

    def dies(self, steward: PeerId) -> None:
        peer = self.world.by_id[steward]
        peer.crash(silently=True)
        peer.go()

    def replaced(self, steward: PeerId) -> None:
        def done() -> bool:
            alive = [self.world.by_id[p] for p in self.carriers if self.world.by_id[p].up]
            rows = [row for peer in alive for row in node_of(peer).host.leases.rows()]
            return all(steward not in row.stewards for row in rows)

        assert self.world.run_until(done, REPLACED_WITHIN_S)
        self.world.run(2.0)

    def ends(self, by: SimPeer) -> RequestView:
        order = self.admin.order(Action.DOWN, "own", self.world.now_s)
        return answer(self.world, by, self.world.give(by, order))


def spare(scene: Scene) -> list[PeerId]:
    """Stewards that carry nothing."""
    return [peer for peer in scene.stewards if peer not in scene.carriers]


def test_after_a_stewards_death_that_of_a_second_is_survived() -> None:
    scene = Scene()
    one = spare(scene)[0]
    scene.dies(one)
    scene.replaced(one)
    now = scene.stewards
    assert len(set(now) & set(scene.first)) == 2
    (heir,) = set(now) - set(scene.first)
    assert scene.world.by_id[heir].site == "s1", "who carries it, and whose it is"
    two = next(peer for peer in spare(scene) if peer in scene.first)
    scene.dies(two)
    scene.world.run(20.0)
    for peer in scene.others():
        assert set(scene.row(peer).stewards) == {scene.world.name_of(p) for p in now}
    ended = scene.ends(scene.others()[-1])
    assert ended.state == "done", ended.answer
    (record,) = newest_records(scene.world)
    assert record.state is GridState.DOWN


def test_all_of_them_leave_at_once_and_are_stopped_and_the_grid_is_its_owners_still() -> None:
    """No two of them could have died within ten minutes. A restart in between does not bring one back."""
    scene = Scene()
    first = [scene.world.by_id[peer] for peer in spare(scene)]
    assert len(first) >= 2
    for peer in first:
        peer.feed(Leaving(True))
    scene.world.run(1.0)
    first[0].crash()
    scene.world.run(1.0)
    first[0].start()

    def done() -> bool:
        return not any(node_of(peer).registers.seats for peer in first)

    assert scene.world.run_until(done, 8 * SEAL_LOOK_EVERY_S)
    for peer in first:
        scene.dies(peer.id)
    scene.world.run(20.0)
    assert not {peer.id for peer in first} & set(scene.stewards)
    (row, *_) = [
        r for r in PeerView(node_of(scene.others()[0])).peers(0.0) if r.peer == first[0].id
    ]
    assert row.leaving
    ended = scene.ends(scene.others()[0])
    assert ended.state == "done", ended.answer


def test_all_of_them_die_one_after_the_other_and_a_host_then_loses_its_memory() -> None:
    """The machine that runs on names the first stewards, of which none is left. Other hosts tell who is now."""
    scene = Scene()
    for steward in scene.first:
        if steward not in scene.carriers:
            scene.dies(steward)
            scene.replaced(steward)
    host = next(p for p in scene.carriers if p not in scene.first)
    own = [peer for peer in scene.first if peer in scene.carriers]
    assert len(own) <= 1
    now = scene.stewards
    assert set(now) & set(scene.first) == set(own)
    peer = scene.world.by_id[host]
    peer.crash()
    peer.store.clear()
    scene.world.run(3.0)
    peer.start()

    def carried() -> bool:
        return peer.node is not None and bool(peer.node.host.leases.rows())

    assert scene.world.run_until(carried, 120.0)
    assert scene.stewards == now
    ended = scene.ends(scene.others()[0])
    assert ended.state == "done", ended.answer


def test_up_of_its_name_at_a_peer_that_has_only_been_told_of_it_asks_those_that_followed() -> None:
    """None of the stewards that its order names is left to ask."""
    scene = Scene()
    for steward in spare(scene):
        scene.dies(steward)
        scene.replaced(steward)
    asked = scene.others()[-1]
    asked.crash()
    scene.world.run(1.0)
    asked.start()
    scene.world.run(20.0)
    assert not node_of(asked).notices.confirmed(scene.grid)
    order = scene.admin.up(grid_spec("own", 1), scene.world.now_s)
    made = answer(scene.world, asked, scene.world.give(asked, order))
    assert made.state == "failed"
    assert "own is up, and not as the file has it" in made.answer[0]


def test_a_steward_that_has_another_store_is_replaced_though_it_is_heard() -> None:
    """Its disk was lost. Its seat is sealed out, and who follows has a seat that is its own store's."""
    scene = Scene()
    lost = scene.world.by_id[spare(scene)[0]]
    lost.crash()
    lost.store.clear()
    scene.world.run(3.0)
    lost.start()
    scene.replaced(lost.id)
    assert lost.id not in scene.stewards
    (row,) = node_of(scene.world.by_id[scene.carriers[0]]).host.leases.rows()
    assert row.certificate is not None
    seats = read_register(row.certificate.value).seats
    assert seats.pairs == tuple(
        (p, node_of(scene.world.by_id[p]).overlay.past.store.id) for p in scene.stewards
    )
    ended = scene.ends(lost)
    assert ended.state == "done", ended.answer


def test_who_was_cut_off_meanwhile_is_told_when_it_is_back() -> None:
    """A site with a steward is cut off, and its steward replaced. It ends the grid when it is back."""
    scene = Scene()
    one = next(p for p in spare(scene) if scene.world.by_id[p].site != "s1")
    away = [p.id for p in scene.world.peers if p.site == scene.world.by_id[one].site]
    scene.world.wires.cut(away, [p.id for p in scene.world.peers if p.id not in away])
    scene.replaced(one)
    scene.world.wires.heal()
    scene.world.run(60.0)
    ended = scene.ends(scene.world.by_id[one])
    assert ended.state == "done", ended.answer
    (record,) = newest_records(scene.world)
    assert record.state is GridState.DOWN


def test_a_steward_that_missed_the_commit_has_its_seat_until_another_takes_it() -> None:
    scene = Scene()
    leaves = scene.world.by_id[spare(scene)[0]]
    leaves.crash()
    leaves.store.pop("steward")
    leaves.start()
    scene.world.run(20.0)
    view = PeerView(node_of(leaves))
    assert node_of(leaves).registers.seats == 0, "it knows nothing of it by itself"
    leaves.feed(Leaving(True))
    leaves.feed(GridsAsked(""))
    assert view.this_peer().seats == 1, "also before that was checked"
    scene.world.run(3.0)
    assert (view.this_peer().seats, view.status(scene.world.now_s).seats) == (1, 1)
    assert scene.world.run_until(lambda: view.this_peer().seats == 0, 8 * SEAL_LOOK_EVERY_S)
    assert leaves.id not in scene.stewards
