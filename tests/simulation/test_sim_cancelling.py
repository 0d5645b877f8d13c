"""A person changes their mind at every step. The request ends with a true answer, nothing is held, and there is
all of a grid or none.
"""

import pytest
from sim_calm import calm_world, node_of
from sim_conversation import Conversation, Word, hold, quote, take, up

from protocol.grid.record import GridState
from protocol.requesting.events import CancelAsked
from protocol.sim.peer import SimPeer
from protocol.sim.quiet import newest_records
from protocol.sim.run import settle
from protocol.sim.world import World

SEED = 31
ENDED = ("done", "failed", "cancelled")


class Steps:
    """Counts the steps of a peer from now on."""

    def __init__(self, peer: SimPeer) -> None:
        self._peer, self._last, self.taken = peer, peer.story[-1], 0

    def reached(self, many: int) -> bool:
        """Whether it took that many. It is asked after each instant, which may have several steps."""
        if self._peer.story[-1] is not self._last:
            self._last = self._peer.story[-1]
            self.taken += 1
        return self.taken >= many


def _cancelled_after(steps: int, words: tuple[Word, ...]) -> tuple[World, Conversation, bool]:
    """A conversation that is cancelled after that many steps; False if everything was over before."""
    world = calm_world(SEED, 5)
    peer = world.peers[1]
    for word in words[:-1]:
        before = Conversation(world, peer, (word,))
        assert world.run_until(lambda b=before: b.over, 10.0)
        first = before.first
    talk = Conversation(world, peer, words[-1:], first if words[1:] else "")
    counted = Steps(peer)
    if not world.run_until(lambda: talk.over or counted.reached(steps), 10.0) or talk.over:
        return world, talk, False
    for _ in range(2):
        peer.feed(CancelAsked(talk.request))
    return world, talk, True


@pytest.mark.parametrize("words", [(up,), (quote,), (hold,), (quote, take), (hold, take)])
def test_cancelled_at_every_step(words: tuple[Word, ...]) -> None:
    ends = dict.fromkeys((*ENDED, "held"), 0)
    for steps in range(1, 500):
        world, talk, early = _cancelled_after(steps, words)
        if not early:
            break
        assert world.run_until(lambda t=talk: t.over, 90.0), f"after step {steps}: no answer"
        answer = talk.answers[-1]
        ends[answer.state] += 1
        if answer.state == "held":
            world.peers[1].feed(CancelAsked(answer.id))
        if answer.state == "cancelled":
            world.run(1.0)
            held = [peer.name for peer in world.peers if len(node_of(peer).host.holds)]
            assert not held, f"after step {steps}: {held} hold, and were told to let go"
        settle(world)
        there = [r for r in newest_records(world) if r.state is GridState.UP]
        assert len(there) == (answer.state == "done" and answer.kind == "up"), answer
    assert ends["cancelled"] > 3, ends
    assert ends["failed"] == 0, ends
