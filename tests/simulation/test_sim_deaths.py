"""A peer dies after every single effect of what is asked.

There is a whole grid or nothing, no hold outlives its time, and the person has an answer.
"""

from collections.abc import Callable

import pytest
from sim_calm import calm_world, node_of
from sim_conversation import HOLD_S, Conversation, Word, cancel, hold, quote, take, up

from protocol.grid.record import GridRecord, GridState
from protocol.sim.peer import SimPeer
from protocol.sim.quiet import newest_records
from protocol.sim.run import settle
from protocol.sim.world import World

SEED = 11
HOLDS_END_WITHIN_S = 40.0
"""Eight seconds, then a vote with one steward dead, of two tries of a second and a pause; or a plan's time."""
ANSWERED_WITHIN_S = 120.0

Pick = Callable[[World], SimPeer]


def _begun(words: tuple[Word, ...]) -> tuple[World, Conversation]:
    world = calm_world(SEED, 5)
    return world, Conversation(world, world.peers[1], words)


def _made(world: World) -> GridRecord | None:
    for epochs in world.invariants.decided.values():
        return epochs[max(epochs)]
    return None


def _requester(world: World) -> SimPeer:
    return world.peers[1]


def _host(world: World) -> SimPeer:
    holders = [peer for peer in world.peers if peer.notes["hold.granted"]]
    return next(peer for peer in holders if peer is not world.peers[1])


def _steward(world: World) -> SimPeer:
    record = _made(world)
    assert record is not None
    stewards = [world.by_id[steward] for steward in record.stewards]
    return next(steward for steward in stewards if steward is not world.peers[1])


@pytest.mark.parametrize(
    ("words", "pick"),
    [
        ((up,), _requester),
        ((up,), _host),
        ((up,), _steward),
        ((quote, take), _requester),
        ((quote, take), _host),
        ((hold, take), _requester),
        ((hold, take), _host),
        ((hold, take), _steward),
        ((hold, cancel), _requester),
        ((hold, cancel), _host),
    ],
)
def test_death_after_every_effect(words: tuple[Word, ...], pick: Pick) -> None:
    world, talk = _begun(words)
    world.run(5.0)
    assert talk.over, talk.answers
    wanted = "cancelled" if cancel in words else "done"
    assert talk.answers[-1].state == wanted, "without a death it does not work either"
    name = pick(world).name
    ends: dict[str, int] = {"whole": 0, "nothing": 0}
    for after in range(1, 2000):
        world = calm_world(SEED, 5)
        victim = next(peer for peer in world.peers if peer.name == name)
        victim.fuse = after
        talk = Conversation(world, world.peers[1], words)
        if not world.run_until(lambda v=victim: not v.up, 3.0):
            break
        _holds_end_without(world, victim)
        victim.start()
        answered = world.run_until(lambda t=talk: t.over, ANSWERED_WITHIN_S)
        assert answered, f"after effect {after} of {name}: no answer"
        settle(world)
        ends["whole" if _is_up(world, talk) else "nothing"] += 1
    else:
        pytest.fail("it never outlived the fuse")
    assert ends["nothing" if cancel in words else "whole"] > 5, ends
    assert cancel not in words or not ends["whole"], ends


def _is_up(world: World, talk: Conversation) -> bool:
    """Whether the grid is up. Checks that the person who asked for it was told the truth."""
    there = [r for r in newest_records(world) if r.state is GridState.UP]
    assert len(there) <= 1, [(r.id, r.assignments) for r in there]
    is_up = bool(there)
    last = talk.answers[-1]
    if last.kind == "up":
        assert (last.state == "done") is is_up, last.answer
    return is_up


def _holds_end_without(world: World, victim: SimPeer) -> None:
    """Checks that no other peer still holds anything, or, for a plan, holds it longer than its time."""
    others = [peer for peer in world.peers if peer is not victim]
    over = world.run_until(
        lambda: all(len(node_of(peer).host.holds) == 0 for peer in others),
        max(HOLDS_END_WITHIN_S, HOLD_S + 5.0),
    )
    holders = [peer.name for peer in others if len(node_of(peer).host.holds)]
    assert over, f"{holders} still hold after the death of {victim.name}"
