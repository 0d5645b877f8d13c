"""The world itself: links one way, clocks, stalls, stores lost, frozen processes, and what is measured."""

import pytest
from sim_calm import calm_world, node_of

from protocol.membership.liveness import Health
from protocol.sim.clocks import Clock
from protocol.sim.faults import LIES, NONE, FaultPlan
from protocol.sim.run import is_joined, play, settle
from protocol.sim.scenario import Scenario
from protocol.sim.wires import HEARTBEATS_S
from protocol.sim.world import World


def test_a_link_one_way() -> None:
    """What h2 sends to h1 is lost. h1 gives up first, h2 hears of it, and neither gets through again."""
    world = calm_world(1, 2, 1)
    h1, h2 = world.peers
    world.wires.cut([h2.id], [h1.id], one_way=True)
    world.run(HEARTBEATS_S - 0.1)
    assert (world.wires.up(h1), world.wires.up(h2)) == ([h2.id], [h1.id])
    world.run(0.2)
    assert (world.wires.up(h1), world.wires.up(h2)) == ([], [])
    world.run(10.0)
    assert (world.wires.up(h1), world.wires.up(h2)) == ([], [])
    world.wires.heal()
    settle(world, 120.0)


def test_a_peer_behind_nat_is_a_full_member() -> None:
    world = World(2, 8, 2, plan=FaultPlan("nat", behind_nat=0.3))
    hidden = [peer for peer in world.peers if peer.id in world.wires.undialled]
    assert len(hidden) == 2
    world.start_all()
    assert world.run_until(lambda: is_joined(world), 60.0)
    settle(world, 60.0)


def test_a_clock_reads_and_is_found_again() -> None:
    clock = Clock(1000.0, ahead_s=-2.0, rate=1.0001)
    assert clock.read(1000.0) == 998.0
    assert clock.read(11000.0) == pytest.approx(10999.0)
    clock.jump(11000.0, 5.0)
    assert clock.read(11000.0) == pytest.approx(11004.0)
    for local_s in (11004.0, 12345.678):
        assert clock.read(clock.when(local_s)) == pytest.approx(local_s)


def test_clocks_that_drift_and_jump_leave_records_in_order() -> None:
    """The world's invariants look for records that go back. No peer is accused wrongly for its clock."""
    plan = FaultPlan("clocks", drift_ppm=500.0, jump_every_s=2.0, jump_s=30.0)
    outcome = play(Scenario(3, 12, 3, 60.0, plan=plan, tell=6))
    meter = outcome.world.meter
    assert outcome.world.faults_done["clock jump"] > 15
    assert len({peer.clock.rate for peer in outcome.world.peers if peer.clock}) == 12
    assert not meter.false_deaths
    assert [meter.missed(telling) for telling in meter.tellings] == [[]] * 6


def test_a_stalled_peer_catches_up() -> None:
    world = calm_world(4, 5)
    peer = world.peers[3]
    peer.stall(1.5)
    telling = world.meter.tell(world.peers[1])
    world.run(1.4)
    assert world.meter.missed(telling) == [peer.name]
    world.run(0.2)
    assert world.meter.missed(telling) == []
    assert telling.heard_s[peer.name] == pytest.approx(1.5)


def test_a_frozen_peer_is_dead_until_it_thaws() -> None:
    world = calm_world(5, 6)
    peer = world.peers[2]
    peer.stall(40.0, frozen=True)
    others = [other for other in world.peers if other is not peer]

    def all_believe(health: Health) -> bool:
        return all(node_of(o).membership.liveness.health(peer.id) is health for o in others)

    assert world.run_until(lambda: all_believe(Health.DEAD), 20.0)
    (death,) = world.meter.deaths
    assert len(death.known_s) == len(others)
    assert world.run_until(lambda: all_believe(Health.ALIVE), 60.0)
    settle(world)


def test_a_lost_store_is_no_lost_peer() -> None:
    """It comes back under its key without a memory, and is believed again."""
    world = calm_world(6, 6)
    peer = world.peers[4]
    incarnation = node_of(peer).broadcast.incarnation
    peer.crash()
    world.run(10.0)
    peer.store.clear()
    peer.start()
    settle(world)
    assert node_of(peer).broadcast.incarnation > incarnation


def test_one_liar_of_twenty_wrongs_nobody() -> None:
    """No record of another is changed, no honest peer is evicted. play() checks both."""
    outcome = play(Scenario(7, 20, 4, 60.0, plan=LIES, tell=5))
    faults, meter = outcome.world.faults_done, outcome.world.meter
    for kind in ("accuse", "flood", "forge", "garble", "replay"):
        assert faults[f"lie: {kind}"] > 0
    honest = {peer.name for peer in outcome.world.peers if not peer.lies}
    for telling in meter.tellings:
        assert not honest.intersection(meter.missed(telling))


def test_a_light_digest_tells_runs_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The world counts as too large to hash every step in full."""
    monkeypatch.setattr("protocol.sim.trace.FULL_PEERS", 1)
    digests = [
        play(Scenario(seed, 5, 2, 5.0, plan=plan)).world.trace.digest
        for seed, plan in ((1, NONE), (1, NONE), (2, NONE))
    ]
    assert digests[0] == digests[1] != digests[2]
