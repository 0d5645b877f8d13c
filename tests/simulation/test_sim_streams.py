"""A stream between peers that no connection joins: through a relay that loses some of it."""

import random

import pytest
from test_sim_relay import at, hidden_world, relayed

from protocol.node.events import Event, Say
from protocol.relay.messages import Relayed
from protocol.sim.faults import NONE, SOME, FaultPlan
from protocol.sim.peer import SimPeer
from protocol.sim.world import World
from protocol.stream.end import End
from protocol.stream.limits import STREAM_WINDOW_BYTES
from protocol.stream.messages import Flow, StreamData
from protocol.terms.effects import Effect, HandOver, Send

TURN_S = 0.02
WITHIN_S = 120.0


class Far:
    """The two ends, each at its peer, and what was said on the way."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.peers = (at(world, "s2")[0], at(world, "s3")[0])
        now = world.now_s
        self.ends = (End("s", False, now), End("s", True, now))
        self.heard: tuple[list[Flow], list[Flow]] = ([], [])
        self.relayed = self.open = 0
        stepped, said = world.stepped, world.said

        def see(peer: SimPeer, event: Event, effects: list[Effect]) -> None:
            stepped(peer, event, effects)
            for side in (0, 1):
                if peer is self.peers[side]:
                    found = (e.message for e in effects if isinstance(e, HandOver))
                    self.heard[side].extend(m for m in found if isinstance(m, Flow))

        def look(peer: SimPeer, send: Send) -> None:
            said(peer, send)
            if isinstance(send.message, Relayed):
                self.relayed += 1
            if isinstance(send.message, Flow):
                self.open += 1

        monkeypatch.setattr(world, "stepped", see)
        monkeypatch.setattr(world, "said", look)

    def say(self, side: int, messages: list[Flow]) -> None:
        for message in messages:
            self.peers[side].feed(Say(self.peers[1 - side].id, message))

    def turn(self, got: list[bytes]) -> None:
        """A moment passes; both ends do what is due, and read what came."""
        self.world.run(TURN_S)
        now = self.world.now_s
        for side, end in enumerate(self.ends):
            heard = self.heard[side][:]
            self.heard[side].clear()
            for message in heard:
                if end.over is None:
                    self.say(side, end.handle(message, now))
                elif end.over.why is None and isinstance(message, StreamData):
                    self.say(side, [end.farewell(now)])
            data = end.take()
            got[side] += data
            if data or end.readable:
                self.say(side, end.freed(len(data), STREAM_WINDOW_BYTES, now))
            self.say(side, end.tick(now))


@pytest.mark.parametrize(("seed", "plan"), [(1, NONE), (2, SOME), (3, SOME)])
def test_what_a_relay_passes_on_arrives_whole(
    seed: int, plan: FaultPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = hidden_world(seed, 6, 3, "s2", "s3", plan=plan)
    far = Far(world, monkeypatch)
    lots = random.Random(seed).randbytes(400_000)
    got, put, ended = [b"", b""], 0, False
    far.say(1, far.ends[1].greet(world.now_s))
    give_up_s = world.now_s + WITHIN_S
    while not all(end.over for end in far.ends):
        assert world.now_s < give_up_s, (put, [len(g) for g in got])
        if room := min(far.ends[0].room, len(lots) - put):
            far.say(0, far.ends[0].write(lots[put : put + room], world.now_s))
            put += room
        elif put == len(lots) and not ended:
            far.say(0, far.ends[0].end(world.now_s))
            far.say(1, far.ends[1].end(world.now_s))
            ended = True
        far.turn(got)
    assert got == [b"", lots]
    assert [end.over and end.over.why for end in far.ends] == [None, None]
    assert relayed(*far.peers)
    assert far.relayed > 10
    assert far.open == 0, "none of it was said to anybody in the open"
