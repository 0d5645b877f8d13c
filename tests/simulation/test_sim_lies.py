"""A fifth of all members lies all the time, in every way there is. Nobody else comes to harm by it."""

from protocol.membership.liveness import Health
from protocol.sim.faults import FaultPlan
from protocol.sim.run import run


def test_a_fifth_that_lies_changes_no_belief_of_an_honest_peer() -> None:
    """The run itself checks that nobody honest is believed dead, hung up on, or misquoted."""
    outcome = run(5, 15, 3, 12.0, plan=FaultPlan("liars", liars=3))
    honest = [peer for peer in outcome.world.peers if not peer.lies]
    for peer in honest:
        assert peer.node is not None
        liveness = peer.node.membership.liveness
        assert {liveness.health(o.id) for o in honest if o is not peer} == {Health.ALIVE}
        assert not peer.node.broadcast.narrowed
    told = [kind for kind in outcome.world.faults_done if kind.startswith("lie: ")]
    assert len(told) > 6, "test_sim_seeds.py has every one, in many worlds"
