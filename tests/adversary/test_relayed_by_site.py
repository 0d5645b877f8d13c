"""A site with many hosts that opens paths, and has much passed on: it has one site's share, and others theirs.

What a relay knows is in memory only, so its next life begins with nothing, and is attacked again.
"""

from random import Random

import pytest
from relay_world import NOW, R1, Surroundings, boxes, peer_id

from protocol.relay.choice import Way
from protocol.relay.forwarding import Forwarding
from protocol.relay.messages import Accepting, Opening, Relayed, Word
from protocol.relay.outcomes import PathUp
from protocol.relay.paths import Paths
from protocol.sim.keys import SimSealer
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import HALF_PATHS, RELAYED_BYTES_PER_S_ALL
from protocol.terms.site_limits import (
    CALLS_OF_SITE,
    HALF_PATHS_OF_SITE,
    PATHS_OF_SITE,
    RELAYED_QUEUE_BYTES_OF_SITE,
)
from protocol.wire.codec import decode, encode

ME, FAR = peer_id("me"), peer_id("far")
LIARS = [peer_id(f"liar-{number}") for number in range(PATHS_OF_SITE + 20)]
HONEST = [peer_id(f"honest-{number}") for number in range(3)]
SITE_OF = dict.fromkeys(LIARS, "s9") | {peer: f"s{n}" for n, peer in enumerate(HONEST)}
LIVES = pytest.mark.parametrize("lives", [1, 2], ids=["at-once", "after-a-restart"])


class End:
    """An end of paths that everybody wants."""

    def __init__(self) -> None:
        ways = [Way(R1, 1)]
        self.paths = Paths(ME, SimSealer(ME), Random(1), lambda _: ways, SITE_OF.__getitem__)  # type: ignore[arg-type]

    def hears(self, peer: PeerId, letter: Opening | Word) -> tuple[list[Effect], list[object]]:
        box = SimSealer(peer).seal(ME, encode(letter))
        assert box is not None
        effects, outcomes = self.paths.arrived(R1, Relayed(ME, peer, 1, 5000, box), NOW)
        self.paths.check()
        return effects, list(outcomes)

    def asked(self, peer: PeerId) -> bytes:
        """It is asked for a path by that peer. Answers the token that the peer would go on with."""
        effects, _ = self.hears(peer, Opening(b"t" * 16))
        ((_, message),) = boxes(effects)
        plain = SimSealer(peer).open(ME, message.box)
        assert plain is not None
        return decode(plain, Accepting).mine

    def uses(self, peer: PeerId, token: bytes) -> bool:
        """The peer goes on. Whether there is a path then."""
        _, outcomes = self.hears(peer, Word(token, b"t" * 16, 1, 0, 0, b"hello"))
        return PathUp(peer) in outcomes


@LIVES
def test_paths_that_one_site_only_asks_for_push_nobody_elses_out(lives: int) -> None:
    for _ in range(lives):
        end = End()
        tokens = {peer: end.asked(peer) for peer in HONEST}
        for peer in LIARS[:200]:
            end.asked(peer)
        assert end.paths.counts["half-paths-full"] == 200 - HALF_PATHS_OF_SITE
        assert [end.uses(peer, token) for peer, token in tokens.items()] == [True] * 3


def test_where_many_sites_do_so_the_one_with_most_loses_its_own_oldest() -> None:
    end = End()
    crowd = {peer_id(f"{s}-{n}"): f"crowd-{s}" for s in range(4) for n in range(HALF_PATHS_OF_SITE)}
    SITE_OF.update(crowd)
    for peer in crowd:
        end.asked(peer)
    assert end.paths.counts["half-paths-full"] == 0
    tokens = {peer: end.asked(peer) for peer in HONEST}
    assert end.paths.counts["half-paths-full"] == len(HONEST)
    assert len(end.paths._half) == HALF_PATHS
    assert [end.uses(peer, token) for peer, token in tokens.items()] == [True] * 3


@LIVES
def test_paths_that_one_site_opens_leave_others_their_places(lives: int) -> None:
    for _ in range(lives):
        end = End()
        up = [end.uses(peer, end.asked(peer)) for peer in LIARS]
        assert up == [True] * PATHS_OF_SITE + [False] * 20
        assert end.paths.counts["paths-full"] == 20
        assert [end.uses(peer, end.asked(peer)) for peer in HONEST] == [True] * 3
        assert end.uses(LIARS[0], end.asked(LIARS[0])), "who has one may begin it anew"


class Post:
    """A relay with many neighbours of one site, and a few of others."""

    def __init__(self) -> None:
        self.around = Surroundings()
        self.around.connected = [*LIARS[:31], *HONEST, FAR]
        for peer, site in SITE_OF.items():
            self.around.tell(peer, site=site)
        self.forwarding = Forwarding(ME, "s", self.around)  # type: ignore[arg-type]
        self.now = NOW

    def give(self, by: PeerId, size: int, to: PeerId = FAR) -> list[Effect]:
        effects, outcomes = self.forwarding.take(
            by, Relayed(to, by, 1, 5000, b"x" * size), self.now
        )
        assert outcomes == []
        self.forwarding.check()
        return effects

    def tick(self, seconds: float) -> list[Effect]:
        self.now += seconds
        effects = self.forwarding.tick(self.now)
        self.forwarding.check()
        return effects


def bytes_of(effects: list[Effect], by: list[PeerId]) -> int:
    messages = [e.message for e in effects if isinstance(e, Send) and e.peer == FAR]
    return sum(len(m.box) for m in messages if isinstance(m, Relayed) and m.origin in by)


@LIVES
def test_what_one_site_has_passed_on_leaves_others_half(lives: int) -> None:
    for _ in range(lives):
        post, size = Post(), 100 << 10
        theirs = ours = 0
        for _ in range(50):
            for peer in LIARS[:31]:
                effects = post.give(peer, size) + post.give(peer, size)
                theirs += bytes_of(effects, LIARS)
                ours += bytes_of(effects, HONEST)
            effects = [e for _ in range(2) for e in post.give(HONEST[0], size)] + post.tick(0.1)
            theirs += bytes_of(effects, LIARS)
            ours += bytes_of(effects, HONEST)
        assert theirs + ours > RELAYED_BYTES_PER_S_ALL * 4
        assert ours >= 2 * 50 * size * 0.9, "all that it gave, beside what waits"
        assert post.forwarding._sites["s9"].queued_bytes <= RELAYED_QUEUE_BYTES_OF_SITE


@LIVES
def test_one_site_does_not_take_all_places_of_what_waits_for_a_dial(lives: int) -> None:
    for _ in range(lives):
        post = Post()
        for number in range(10 * CALLS_OF_SITE):
            to = peer_id(f"to-{number}")
            post.around.tell(to)
            post.give(LIARS[number % 31], 1, to)
        assert post.forwarding.counts["dropped-calls-full"] == 9 * CALLS_OF_SITE
        to = peer_id("to-somebody")
        post.around.tell(to)
        post.give(HONEST[0], 1, to)
        assert post.around.called[-1] == to
        for peer in LIARS[:31]:
            post.forwarding.lost(peer)
            post.forwarding.check()
        assert "s9" not in post.forwarding._sites
