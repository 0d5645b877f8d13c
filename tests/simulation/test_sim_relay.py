"""Peers that cannot dial each other are full members, whatever their relays do."""

from collections.abc import Callable

import msgspec
import pytest
from sim_calm import answer, node_of

from protocol.grid.model import GridSpec
from protocol.membership.liveness import Health
from protocol.node.messages import Message
from protocol.relay.messages import Relayed
from protocol.sim.crowd import Crowd
from protocol.sim.faults import NONE, SOME, FaultPlan
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.run import knows_all, settle
from protocol.sim.trouble import Trouble
from protocol.sim.world import World
from protocol.terms.ids import PeerId
from protocol.terms.limits import ASK_AGAIN_NAT_S, KNOCK_MOST_S
from protocol.terms.reach import Reach
from protocol.trust.order import Action

FOUND_S = 20.0
"""How many seconds peers take to find out that nobody can dial them, and to say so."""


def at(world: World, *sites: str) -> list[SimPeer]:
    return [peer for peer in world.peers if peer.site in sites]


def ids(peers: list[SimPeer]) -> list[PeerId]:
    return [peer.id for peer in peers]


def hidden_world(
    seed: int, peers: int, sites: int, *nat: str, plan: FaultPlan = NONE, settled: bool = True
) -> World:
    """A world in which nobody gets through to these sites from outside them."""
    world = World(seed, peers, sites, plan=plan)
    for site in nat:
        outside = [peer for peer in world.peers if peer.site != site]
        world.wires.hide(ids(at(world, site)), ids(outside))
    world.start_all()
    assert world.run_until(lambda: knows_all(world), 60.0)
    if settled:
        world.run(FOUND_S)
    return world


def reach(peer: SimPeer) -> Reach:
    return node_of(peer).relay.reachability.reach


def relayed(a: SimPeer, b: SimPeer) -> bool:
    return node_of(a).membership.links.relayed(b.id)


def plain_grid(name: str, count: int) -> GridSpec:
    """One workspace a host, without a network."""
    spec = grid_spec(name, count)
    clusters = tuple(msgspec.structs.replace(c, networks=()) for c in spec.clusters)
    return msgspec.structs.replace(spec, clusters=clusters, networks=())


def wrongly_dead(world: World) -> list[str]:
    """The names of peers that are up, but that another peer that is up does not believe alive."""
    up = [peer for peer in world.peers if peer.up]
    return [
        f"{peer.name} by {other.name}"
        for peer in up
        for other in up
        if peer is not other
        and node_of(other).membership.liveness.health(peer.id) not in (Health.ALIVE, Health.SUSPECT)
    ]


@pytest.mark.parametrize(("peers", "sites"), [(6, 3), (20, 5)])
def test_peers_behind_nat_find_it_out_and_are_full_members(peers: int, sites: int) -> None:
    world = hidden_world(1, peers, sites, "s2", "s3")
    for peer in world.peers:
        assert reach(peer) is (Reach.NAT if peer.site in ("s2", "s3") else Reach.PUBLIC)
        for other in world.peers:
            if other is not peer:
                known = node_of(peer).membership.known[other.id]
                assert known.reach is reach(other)
                assert bool(known.via) == (known.reach is Reach.NAT)
    settle(world)
    assert wrongly_dead(world) == []


def test_a_grid_is_asked_for_and_carried_behind_nat() -> None:
    """The requester, every host and its stewards may be behind different NATs."""
    world = hidden_world(2, 6, 3, "s2", "s3")
    peer = at(world, "s2")[0]
    spec = plain_grid("shop", 6)
    told = answer(world, peer, world.give(peer, world.admins["s1"].up(spec, world.now_s)))
    assert told.state == "done", told.answer
    assert len({planned.peer for planned in told.placement}) == 6
    asked = at(world, "s3")[0]
    down = world.admins["s1"].order(Action.DOWN, "shop", world.now_s)
    assert answer(world, asked, world.give(asked, down)).state == "done"
    settle(world)


def test_a_site_that_only_one_other_reaches_is_relayed_by_it() -> None:
    world = World(3, 6, 3)
    far, near = at(world, "s3"), at(world, "s1")
    rest = at(world, "s2")
    world.wires.hide(ids(far), ids(rest))
    world.wires.hide(ids(rest), ids(far))
    world.start_all()
    assert world.run_until(lambda: knows_all(world), 60.0)
    world.run(FOUND_S)
    assert [reach(peer) for peer in far] == [Reach.RELAYED] * 2
    assert [reach(peer) for peer in near] == [Reach.PUBLIC] * 2
    paths = [(a, b) for a in far for b in rest if relayed(a, b)]
    assert paths, "nobody talks with anybody through a relay"
    for a, b in paths:
        assert node_of(a).relaying.through(b.id) in ids(near)
        assert not relayed(a, near[0])
    settle(world)
    assert wrongly_dead(world) == []


def test_a_relay_that_dies_is_exchanged_and_nobody_else_is_thought_dead() -> None:
    world = hidden_world(4, 6, 3, "s2", "s3")
    pairs = [(a, b) for a in at(world, "s2") for b in at(world, "s3")]
    used = [node_of(a).relaying.through(b.id) for a, b in pairs]
    first, second = sorted(at(world, "s1"), key=lambda peer: used.count(peer.id))
    assert second.id in used
    second.crash()
    died = world.run_until(lambda: bool(wrongly_dead(world)), 30.0)
    assert not died, wrongly_dead(world)
    for a, b in pairs:
        if relayed(a, b):
            assert node_of(a).relaying.through(b.id) == first.id
    assert all(
        node_of(peer).membership.liveness.health(second.id) is Health.DEAD
        for peer in world.peers
        if peer.up
    )


def lie(world: World, liar: SimPeer, how: Callable[[Relayed], list[Relayed]]) -> list[Relayed]:
    """From now on the liar does that to what it passes on. Answers a list of what comes its way."""
    send, seen = world.wires.send, []

    def bent(peer: SimPeer, to: PeerId, message: Message, cause: str) -> None:
        if peer is not liar or not isinstance(message, Relayed) or message.origin == liar.id:
            send(peer, to, message, cause)
            return
        seen.append(message)
        for passed in how(message):
            send(peer, to, passed, cause)

    world.wires.send = bent  # type: ignore[method-assign]
    return seen


def altered(message: Relayed) -> list[Relayed]:
    box = message.box[:-1] + bytes([message.box[-1] ^ 1])
    return [msgspec.structs.replace(message, box=box)]


@pytest.mark.parametrize("how", ["drop", "alter", "double", "replay"])
def test_a_relay_that_lies_does_no_harm_but_delay(how: str) -> None:
    world = hidden_world(5, 6, 3, "s2", "s3")
    liar = at(world, "s1")[1]
    old: list[Relayed] = []

    def replayed(message: Relayed) -> list[Relayed]:
        old.append(message)
        return [message, *old[-20:]]

    deeds: dict[str, Callable[[Relayed], list[Relayed]]] = {
        "drop": lambda message: [],
        "alter": altered,
        "double": lambda message: [message, message],
        "replay": replayed,
    }
    seen = lie(world, liar, deeds[how])
    died = world.run_until(lambda: bool(wrongly_dead(world)), 30.0)
    assert not died, wrongly_dead(world)
    assert seen, "it had nothing to lie about"
    peer = at(world, "s2")[0]
    spec = plain_grid("shop", 6)
    told = answer(world, peer, world.give(peer, world.admins["s1"].up(spec, world.now_s)))
    assert told.state == "done", told.answer
    settle(world)
    faults = [node_of(p).quarantines.counts for p in world.peers]
    assert not any("relayed-in-relayed" in counts for counts in faults)


def test_a_direct_path_is_taken_up_when_there_is_one() -> None:
    world = hidden_world(6, 6, 3, "s2", "s3")
    ones, others = at(world, "s2"), at(world, "s3")
    pairs = [(a, b) for a in ones for b in others]
    assert any(relayed(a, b) for a, b in pairs)
    world.wires.show(ids(others))
    assert world.run_until(
        lambda: not any(relayed(a, b) or relayed(b, a) for a, b in pairs), KNOCK_MOST_S + 5.0
    )
    assert wrongly_dead(world) == []
    assert world.run_until(
        lambda: all(reach(peer) is Reach.PUBLIC for peer in others), 2 * ASK_AGAIN_NAT_S + 5.0
    )
    settle(world)


def test_connections_made_outwards_that_break_come_back() -> None:
    """A peer behind NAT that restarts is found again, also by those that only relays lead to."""
    world = hidden_world(7, 6, 3, "s2", "s3")
    victim = at(world, "s2")[0]
    victim.crash()
    world.run(20.0)
    victim.start()
    assert world.run_until(lambda: knows_all(world), 30.0)
    world.run(FOUND_S)
    settle(world)
    assert wrongly_dead(world) == []


@pytest.mark.parametrize("seed", range(300, 306))
def test_trouble_on_top(seed: int) -> None:
    """Everything else breaks too. What must hold is checked at every step and at the end."""
    world = hidden_world(seed, 6, 3, "s2", "s3", plan=SOME, settled=False)
    Crowd(world, 3, 8.0, world.new_dice())
    trouble = Trouble(world, world.peers, world.wires, SOME, world.new_dice(), world.federation)
    trouble.begin()
    world.run(10.0)
    trouble.end()
    settle(world)
