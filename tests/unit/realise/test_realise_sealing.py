"""The forwarder runs while a sealed network is here, and is told what is here, with keys for it alone."""

import pytest
from msgspec.structs import replace

from netns.model import Neighbour, NetworkPlan, Port, mac_of, tap_name
from netns.tunnel.sessions import ENDED_MAX, Sessions
from netns.tunnel.tables import (
    NOWHERE,
    PEERS_MAX,
    SESSION_SENDS_S,
    SESSIONS_PER_PEER_MAX,
    OwnCard,
    Peers,
)
from overlayd.fakes.forwarder import FakeForwarder
from overlayd.fakes.network import FakeNetwork
from overlayd.ports.network import NetworkError
from overlayd.realise import sealing
from overlayd.realise.sealing import Sealing, networks_of, peers_of
from protocol.hosting.events import Care, Kept
from protocol.node.events import Event, ForwarderBegan
from protocol.terms.effects import Attach, AttachedCard, Sealed
from protocol.terms.ids import GridId, PeerId
from protocol.terms.sealed import Cipher, SealedPeer, SealedSession, Secret
from protocol.tunnel_keys.limits import PARTNERS_MOST, REKEY_S, SESSION_S, SESSIONS_MOST

TAG, GRID = "t", "f" * 20 + ".0000000-ffffff"
B, C = PeerId("b" * 64), PeerId("c" * 64)


def plan(name: str = "lan", vni: int = 7, remote: bool = True) -> NetworkPlan:
    network = f"{GRID}.{name}"
    head = Port(tap_name(network, "head"), mac_of(network, "10.1.0.2"), "10.1.0.2", "head")
    far = Neighbour(mac_of(network, "10.1.0.3"), "10.1.0.3", "far", peer=B)
    return NetworkPlan(
        network, TAG, vni, "10.1.0.0/24", "10.1.0.1", 1418, "192.0.2.1", "star", 1,
        (head,), (far,) * remote, sealed=True,
    )  # fmt: skip


LAN = plan()


def peer(name: PeerId = B, *indexes: int) -> SealedPeer:
    sessions = tuple(
        SealedSession(i, i + 1, Secret(bytes((i,)) * 32), Secret(bytes((i + 100,)) * 32), 1000.0,
                      Cipher.AES_256_GCM)
        for i in indexes
    )  # fmt: skip
    return SealedPeer(name, "192.0.2.2", 7700, sessions)


class World:
    """A host with a fake kernel and a fake forwarder, and what its node hears."""

    def __init__(self) -> None:
        self.network, self.forwarder = FakeNetwork(TAG), FakeForwarder(7700)
        self.heard: list[Event] = []
        self.begin()

    def begin(self) -> None:
        """A daemon's life."""
        self.sealing = Sealing(self.network, self.forwarder, self.heard.append, lambda: 5000.0)

    async def ensure(self, *plans: NetworkPlan) -> None:
        for each in plans:
            self.forwarder.taps.add(each.tunnel)
            await self.network.ensure(each)

    def began(self) -> list[str]:
        return [e.instance for e in self.heard if isinstance(e, ForwarderBegan)]

    async def sealed(self, *peers: SealedPeer) -> None:
        await self.sealing.settle()
        self.sealing.seal(Sealed(str(self.forwarder.starts), peers))
        await self.sealing.settle()


@pytest.fixture
def world() -> World:
    return World()


async def test_it_runs_while_a_sealed_network_is_here(world: World) -> None:
    await world.ensure(replace(LAN, sealed=False, neighbours=()))
    await world.sealing.settle()
    assert world.forwarder.starts == 0
    await world.ensure(replace(LAN, epoch=2))
    assert await world.sealing.settle() == (LAN.tunnel,)
    (there,) = world.forwarder.networks.networks
    assert (there.vni, there.tap, there.mtu) == (7, "ovs-000007", 1418)
    assert [member.peer for member in there.members] == [B]
    await world.network.remove(LAN.network)
    await world.sealing.settle()
    assert not world.forwarder.runs


async def test_the_node_is_told_until_its_keys_are_for_the_one_that_runs(world: World) -> None:
    await world.ensure(LAN)
    await world.sealing.settle()
    await world.sealing.settle()
    assert world.began() == ["1", "1"], "the first may have been lost"
    world.sealing.seal(Sealed("0", (peer(B, 3),)))
    await world.sealing.settle()
    assert world.forwarder.peers.peers == (), "keys of another instance"
    await world.sealed(peer(B, 4))
    assert [s.index for s in world.forwarder.peers.peers[0].sessions] == [4]
    world.heard.clear()
    await world.sealing.settle()
    assert world.began() == []


async def test_a_new_process_gets_new_keys_and_it_is_told(world: World) -> None:
    await world.ensure(LAN)
    await world.sealed(peer(B, 4))
    await world.sealed(peer(B, 4))
    world.forwarder.end()
    await world.sealing.settle()
    assert world.forwarder.starts == 2
    assert world.forwarder.networks.networks == networks_of([LAN])
    assert world.forwarder.peers.peers == ()
    assert world.began()[-1] == "2"
    (kept,) = [e for e in world.heard if isinstance(e, Kept)]
    assert (kept.subject, "started again, with new keys" in kept.detail) == ("star/lan", True)
    assert world.sealing.counts["forwarder-restarted"] == 1


async def test_frames_that_the_forwarder_dropped_are_counted(world: World) -> None:
    await world.ensure(LAN)
    world.forwarder.counters = {"sent": 7, "in-replayed": 2}
    await world.sealing.settle()
    assert world.sealing.counts == {"frames-in-replayed": 2, "forwarder-restarted": 0}


async def test_one_that_ends_again_and_again_rests(world: World) -> None:
    await world.ensure(LAN)
    for _ in range(5):
        await world.sealing.settle()
        world.forwarder.end()
    with pytest.raises(NetworkError, match=r"is sealed between hosts, .* again and again"):
        await world.sealing.stands(LAN)
    assert world.forwarder.starts == 5


async def test_keys_of_an_earlier_life_stay_until_there_are_new_ones(world: World) -> None:
    await world.ensure(LAN)
    await world.sealed(peer(B, 4), peer(C, 5))
    world.begin()
    await world.sealing.settle()
    assert (world.forwarder.starts, world.began()[-1]) == (1, "1")
    assert [p.peer for p in world.forwarder.peers.peers] == [B, C], "nothing was told yet"
    await world.sealed(peer(B), peer(C, 6))
    told = {p.peer: p.keep for p in world.forwarder.peers.peers}
    assert told == {B: True, C: True}
    await world.sealed(peer(B))
    assert [p.peer for p in world.forwarder.peers.peers] == [B], "a host that is shut out is gone"


def test_what_is_kept_beside_new_keys_is_kept_for_a_while() -> None:
    peers = (peer(B, 4), peer(C))
    first = peers_of(peers, {B}, 10.0)
    assert [(p.peer, p.keep) for p in first] == [(B, True), (C, True)]
    assert first[0].sessions[0].made_s == 990.0, "by the clock that all processes share"
    assert [p.keep for p in peers_of(peers, set(), 10.0)] == [False, True]


@pytest.mark.parametrize("told", [("", 0), ("", 7700), ("192.0.2.2", 0)])
def test_a_host_that_takes_back_where_it_is_keeps_its_sessions(told: tuple[str, int]) -> None:
    """Left out, its sessions would end, and every table that has them once more would be refused whole."""
    there = peer(B, 4)
    gone = replace(there, address=told[0], port=told[1])
    forwarder = Sessions()
    for row in (there, gone, there):
        forwarder.replace(Peers(1, peers_of((row, peer(C, 5)), set(), 0.0)), 1_000.0)
    assert [s.index for s in forwarder.peers[B].sessions] == [4]
    forwarder.replace(Peers(1, peers_of((gone,), set(), 0.0)), 1_000.0)
    assert forwarder.peers[B].endpoint == NOWHERE


async def test_a_network_that_cannot_be_sealed_is_refused_in_words(world: World) -> None:
    await world.ensure(LAN)
    world.forwarder.refusals = ["UDP port 7700 is taken"]
    with pytest.raises(NetworkError, match=r"lan is sealed .* UDP port 7700 is taken"):
        await world.sealing.stands(LAN)
    await world.sealing.stands(replace(LAN, sealed=False))
    await world.sealing.stands(replace(LAN, neighbours=()))
    world.forwarder.taps.clear()
    with pytest.raises(NetworkError, match="has not got ovs-000007 open"):
        await world.sealing.stands(LAN)
    world.forwarder.taps.add(LAN.tunnel)
    await world.sealing.stands(LAN)


async def test_a_host_that_cannot_seal_when_it_starts_is_tried_again(world: World) -> None:
    world.forwarder.refusals = ["UDP port 7700 is taken"]
    assert await world.sealing.probe() == "UDP port 7700 is taken"
    await world.sealing.settle()
    assert world.sealing.why == "UDP port 7700 is taken", "nothing is to be sealed here yet"
    world.forwarder.refusals.clear()
    await world.sealing.settle()
    assert world.sealing.why == ""


async def test_a_host_that_seals_can(world: World) -> None:
    world.forwarder.refusals = ["UDP port 7700 is taken"]
    await world.sealing.probe()
    world.forwarder.refusals.clear()
    await world.ensure(LAN)
    await world.sealing.settle()
    assert world.sealing.why == ""


def test_a_forwarder_takes_whatever_the_node_may_tell_it() -> None:
    """A table that is too large is refused whole: then nobody has new keys."""
    assert PARTNERS_MOST <= PEERS_MAX
    assert SESSIONS_MOST <= SESSIONS_PER_PEER_MAX
    rekeys = round(SESSION_SENDS_S / REKEY_S)
    assert PARTNERS_MOST * (rekeys + SESSIONS_MOST) < ENDED_MAX
    assert round(SESSION_S) == round(SESSION_SENDS_S)


async def test_first_keys_are_first_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(sealing.time, "monotonic", lambda: now)
    await world.ensure(LAN)
    await world.sealed(peer(B, 4))
    assert world.forwarder.peers.peers[0].keep
    now += 60
    await world.sealed(peer(B, 5))
    assert not world.forwarder.peers.peers[0].keep


CARD = AttachedCard(
    GridId(GRID), "wan", 9, "10.2.0.200", "10.2.0.0/24", 1386, (("10.2.0.10", B), ("10.2.0.11", C))
)


async def test_a_card_of_the_host_itself_is_carried_without_any_network_here(world: World) -> None:
    world.sealing.attach(Attach((CARD,)))
    assert await world.sealing.settle() == ("ova-000009-00c8",)
    assert world.sealing.cards == {(GRID, "wan"): ""}
    (network,) = world.forwarder.networks.networks
    mac = mac_of(f"{GRID}.wan", CARD.address)
    assert (network.card, network.local) == (OwnCard(mac, CARD.address, 24), (mac,))
    assert [(m.address, m.peer) for m in network.members] == list(CARD.members)
    assert network.gateway_mac == mac_of(f"{GRID}.wan", "10.2.0.1")
    world.sealing.attach(Attach((replace(CARD, address="10.2.0.201"),)))
    assert await world.sealing.settle() == ("ova-000009-00c9",), "it is not the same card"
    world.sealing.attach(Attach(()))
    assert await world.sealing.settle() == ()
    assert (world.forwarder.runs, world.sealing.cards) == (False, {})


async def test_a_card_that_cannot_be_made_is_told_and_stops_nobody(world: World) -> None:
    await world.ensure(LAN)
    await world.sealed()
    assert world.sealing._again_s == sealing.EVERY_S
    world.forwarder.card_faults = {"ova-000009-00c8": "no room"}
    world.sealing.attach(Attach((CARD, replace(CARD, network="lan", vni=LAN.vni))))
    assert await world.sealing.settle() == (LAN.tunnel,)
    assert world.sealing.cards == {
        (GRID, "wan"): "no room",
        (GRID, "lan"): "this host carries another network of that VXLAN id",
    }
    assert world.sealing._again_s < sealing.EVERY_S, "it is tried again soon"


async def test_a_tap_whose_carrier_somebody_took_has_it_again_and_it_is_told(world: World) -> None:
    await world.ensure(LAN, plan("wan", 8))
    await world.sealed(peer(B, 4))
    world.network.dark = {LAN.tunnel, "ovt-0123456789a"}
    await world.sealing.settle()
    await world.sealing.settle()
    (kept,) = [e for e in world.heard if isinstance(e, Kept)]
    assert (kept.subject, kept.care) == ("star/lan", Care.MENDED)
    assert kept.detail == "tunnel device ovs-000007 had no carrier; given back"
    assert world.network.dark == {"ovt-0123456789a"}, "a guest's, which is no business of this"
    for _ in range(20):
        world.network.dark = {LAN.tunnel}
        await world.sealing.settle()
    assert len([e for e in world.heard if isinstance(e, Kept)]) < 10, "told ever more seldom"
