"""A fifth of all members lies all the time, in every way there is. Nobody else comes to harm by it."""

from collections.abc import Iterator

import pytest
from sim_calm import calm_world, node_of, view

from protocol.membership.liveness import Health
from protocol.membership.presence import KIND as PRESENCE
from protocol.sim.faults import FaultPlan
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.run import run, settle
from protocol.sim.violation import Violation
from protocol.sim.world import World
from protocol.terms.effects import Note
from protocol.terms.ids import KeyId
from protocol.terms.limits import BUILD_S


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


@pytest.mark.parametrize("lies", [True, False])
def test_who_waits_for_what_a_liar_was_to_make_is_told_at_last(lies: bool) -> None:
    """It makes nothing of what it agreed to. For an honest host nobody may have to wait so long."""
    world = calm_world(2002, 5)
    asked, liar = world.peers[0], world.peers[1]
    liar.lies = lies
    liar.machines.kick = lambda grid: None  # type: ignore[method-assign]
    request = world.give(asked, world.admins["s1"].up(grid_spec("shop", 5), world.now_s))
    if not lies:
        with pytest.raises(Violation, match="has no answer, it is building"):
            settle(world)
        return
    assert settle(world) > BUILD_S
    assert view(asked, request).state == "failed"


@pytest.mark.parametrize("often", [True, False])
def test_what_a_liar_keeps_in_motion_is_looked_at_more_than_once(
    often: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody waits for it, and its newest word is on its way at the very end: for once, or always."""
    world = calm_world(2003, 2)
    begun_s = world.now_s

    def unsettled(
        _: World, but_for_liars: bool = False
    ) -> Iterator[tuple[str, tuple[SimPeer, ...]]]:
        second = round(world.now_s - begun_s)
        if second < 310 and not but_for_liars:
            yield "a request has no answer, it is building", ()
        if second < 310 and (often or second % 2 == 0):
            yield "the directories differ", ()

    monkeypatch.setattr("protocol.sim.run.unsettled", unsettled)
    if often:
        with pytest.raises(Violation, match="not quiet after 300 s"):
            settle(world)
    else:
        assert settle(world) == pytest.approx(310.0, abs=1.5)


@pytest.mark.parametrize("expelled", [True, False])
def test_a_record_goes_back_only_where_its_owner_was_shut_out(expelled: bool) -> None:
    """Its newest word was a lie, and another peer has what it said before."""
    world = calm_world(6130, 3)
    one, other = world.peers[:2]
    directory = node_of(one).broadcast.directory
    old = directory.get(KeyId(other.id), PRESENCE)
    assert old is not None

    def is_newer() -> bool:
        held = directory.get(KeyId(other.id), PRESENCE)
        return held is not None and held.record.incarnation > old.record.incarnation

    other.crash()
    other.start()
    assert world.run_until(is_newer, 20.0)
    world.invariants.nobody_is_wronged(world.meter)
    directory.drop(KeyId(other.id))
    assert directory.put(old.record, old.signed, world.now_s, other.site)
    if expelled:
        world.noted(one, Note("peer.expelled", other.name, "its store lied"))
        world.invariants.nobody_is_wronged(world.meter)
    else:
        with pytest.raises(Violation, match="went back"):
            world.invariants.nobody_is_wronged(world.meter)
