"""Whoever says anything about ways of sealed traffic: others' traffic goes where it went, and relays serve no
more than who asked.

`one` and `other` are behind NAT and go by a relay. Mallory is another relay, with a truly signed presence. Eve
is a member that shares nothing with them.
"""

from collections.abc import Callable
from random import Random
from typing import get_args

import pytest
from golden.vectors import tag_of
from hidden_pair import LENT_BYTES_S, HiddenHosts
from hostile_values import arrived, hostile_frames

from protocol.peering.quarantine import Quarantines
from protocol.sim.peer import SimPeer
from protocol.terms.effects import Effect, Probing, Sealed
from protocol.terms.ids import PeerId
from protocol.tunnel_paths.limits import ASKED_S, PAIRS_OF_ONE, PUNCH_S
from protocol.tunnel_paths.messages import (
    TunnelPathsMessage,
    TunnelRelayAsk,
    TunnelRelayTold,
    TunnelSeen,
    TunnelVia,
)
from protocol.wire.envelope import pack

KINDS = {tag_of(kind): kind for kind in get_args(TunnelPathsMessage)}
SOON_S = 60.0
VICTIM = "203.0.113.9"


class Scene(HiddenHosts):
    """The relay in use, and two others."""

    def __init__(self) -> None:
        super().__init__(5, peers=5)
        assert self.world.run_until(lambda: self.relay() is not None and self.hear(), SOON_S)
        relay = self.relay()
        assert relay is not None
        self.used = relay
        self.mallory, self.eve = (peer for peer in self.relays if peer is not relay)
        self.effects: list[tuple[SimPeer, Effect]] = []
        for peer in self.honest:
            self._listen(peer)

    def _listen(self, peer: SimPeer) -> None:
        carry_out: Callable[..., bool] = peer._carry_out  # a listener

        def listening(effect: Effect, followers: list[object]) -> bool:
            self.effects.append((peer, effect))
            return carry_out(effect, followers)

        peer._carry_out = listening  # type: ignore[method-assign]

    @property
    def honest(self) -> tuple[SimPeer, SimPeer, SimPeer]:
        return self.one, self.other, self.used

    def tell(self, victim: SimPeer, sender: SimPeer, message: TunnelPathsMessage) -> None:
        self.hears(victim, arrived(sender.id, pack(message, "")))

    def hears(self, victim: SimPeer, event: object) -> None:
        """The sender's faults so far are forgotten: there may be many like it."""
        assert victim.node is not None
        fresh = Quarantines()
        fresh.counts = victim.node.overlay.quarantines.counts
        vars(victim.node.overlay.quarantines).update(vars(fresh))
        victim.feed(event)  # type: ignore[arg-type]  # an event, well-formed or not

    def ways(self) -> list[tuple[object, ...]]:
        """Where the forwarders of all three send, and what they pass on."""
        found = []
        for peer in self.honest:
            table = peer.sealed
            assert isinstance(table, Sealed)
            rows = [(r.peer, r.address, r.port, r.pair) for r in table.peers]
            found.append((*rows, *((p.number, p.one, p.other) for p in table.pairs)))
        return found

    def aimed(self, *peers: SimPeer) -> list[str]:
        """Where these had probes sent that were to go somewhere."""
        return [
            probe.place.address
            for peer, effect in self.effects
            if peer in (peers or self.honest) and isinstance(effect, Probing)
            for probe in effect.probes
            if probe.place is not None
        ]

    def unharmed(self) -> None:
        self.world.run(5.0)
        assert self.relay() is self.used
        assert self.hear()
        for peer in self.honest:
            assert peer.node is not None
            peer.node.check()


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("who", ["eve", "mallory"])
@pytest.mark.parametrize("name", sorted(KINDS))
def test_no_shape_of_a_message_leads_others_traffic_elsewhere(
    name: str, who: str, scene: Scene
) -> None:
    sender, ways = getattr(scene, who), scene.ways()
    for victim in scene.honest:
        for frame in hostile_frames(KINDS[name], lambda _hint, _name: [], Random(7)):
            scene.hears(victim, arrived(sender.id, frame))
    assert scene.ways()[:2] == ways[:2]
    assert not {address for address in scene.aimed() if not address.startswith("10.")}
    scene.unharmed()


def test_nobody_asks_a_relay_for_others(scene: Scene) -> None:
    """Who asks is an end itself. So the pair of the two hosts is theirs, whatever others say."""
    (before,) = scene.used.sealed.pairs if scene.used.sealed else ()
    for partner in (scene.one, scene.other):
        scene.tell(scene.used, scene.eve, TunnelRelayAsk(partner.id))
    assert scene.used.sealed is not None
    assert scene.used.sealed.pairs == (before,), "nobody asked for a pair with Eve"
    scene.unharmed()


def test_a_flood_of_asks_takes_a_bounded_part_and_ends(scene: Scene) -> None:
    node = scene.used.node
    assert node is not None
    for number in range(300):
        scene.tell(scene.used, scene.eve, TunnelRelayAsk(PeerId(f"{number:064x}")))
    lending = node.tunnel_partners.lending
    assert sum(scene.eve.id in pair.until_s for pair in vars(lending)["_pairs"].values()) <= (
        PAIRS_OF_ONE
    )
    scene.unharmed()
    scene.world.run(ASKED_S)
    assert scene.eve.id not in lending.ends()
    assert scene.used.sealed is not None
    assert sum(pair.bytes_per_s for pair in scene.used.sealed.pairs) <= LENT_BYTES_S
    scene.unharmed()


@pytest.mark.parametrize("who", ["eve", "mallory"])
def test_nobody_else_chooses_a_relay_or_says_its_number(who: str, scene: Scene) -> None:
    sender, ways = getattr(scene, who), scene.ways()
    for victim, partner in ((scene.one, scene.other), (scene.other, scene.one)):
        scene.tell(victim, sender, TunnelVia(scene.mallory.id))
        scene.tell(victim, sender, TunnelRelayTold(partner.id, 99))
        scene.tell(victim, sender, TunnelRelayTold(partner.id, 0))
        scene.tell(victim, sender, TunnelSeen(VICTIM, 53))
    assert scene.ways() == ways
    assert VICTIM not in scene.aimed()
    scene.unharmed()


def test_a_partner_that_lies_about_where_it_is_has_few_probes_sent_there(scene: Scene) -> None:
    scene.world.run(2 * PUNCH_S)
    for number in range(500):
        scene.tell(scene.one, scene.other, TunnelSeen(VICTIM, 1 + number))
        scene.world.run(0.01)
    scene.world.run(5.0)
    aimed = scene.aimed()
    assert 0 < aimed.count(VICTIM) <= PUNCH_S / 0.1 + 10
    scene.unharmed()


@pytest.mark.parametrize("place", ["127.0.0.1", "own", "255.255.255.255", "224.0.0.1", "a name"])
def test_nothing_is_sent_where_nobody_can_be_though_a_partner_says_it_is_there(
    place: str, scene: Scene
) -> None:
    assert scene.one.facts is not None
    address = scene.one.facts.underlay if place == "own" else place
    scene.world.run(2 * PUNCH_S)
    scene.tell(scene.one, scene.other, TunnelSeen(address, 7700))
    scene.world.run(2.0)
    assert address not in scene.aimed(scene.one)
    scene.unharmed()
