"""This host on networks of grids that it carries nothing of: what it asks, and when it is there."""

import pytest
from attached_world import AttachedWorld
from msgspec.structs import replace

from protocol.contract.attaching import ATTACH_LIFE_S
from protocol.grid.model import Encryption
from protocol.grid.record import GridState
from protocol.requesting import visiting
from protocol.sim.peer import SimPeer
from protocol.terms.effects import Attach


@pytest.fixture
def scene() -> AttachedWorld:
    return AttachedWorld()


def test_two_that_try_the_same_addresses_never_have_one_at_once(
    scene: AttachedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = visiting.candidates
    monkeypatch.setattr(
        visiting, "candidates", lambda cidr, _, taken: same(cidr, scene.laptop.id, taken)
    )
    two = (scene.laptop, scene.mallory)
    for peer in two:
        scene.attach(peer)
    for _ in range(100):
        scene.world.run(0.1)
        addresses = [row.address for row in map(scene.row, two) if row.address]
        assert len(addresses) == len(dict.fromkeys(addresses))
    assert len(addresses) == 2
    for carrier in scene.carriers:
        assert sorted(a.address for a in scene.at(carrier)) == sorted(addresses)


def test_it_is_there_while_more_than_half_let_it_in(scene: AttachedWorld) -> None:
    scene.attach(scene.laptop)
    scene.world.run(5.0)
    address = scene.row(scene.laptop).address
    scene.carriers[0].crash()
    scene.world.run(ATTACH_LIFE_S + 5.0)
    row = scene.row(scene.laptop)
    assert (row.address, row.given, row.hosts) == (address, 2, 3)
    assert row.problem == "1 of 3 hosts do not answer"
    scene.carriers[1].crash()
    scene.world.run(ATTACH_LIFE_S + 5.0)
    row = scene.row(scene.laptop)
    assert (row.address, row.given, row.over) == ("", 1, False)
    scene.carriers[2].crash()
    scene.world.run(ATTACH_LIFE_S + 5.0)
    row = scene.row(scene.laptop)
    assert (row.given, row.over) == (0, False), "they may come back"
    for carrier in scene.carriers:
        carrier.start()
    scene.world.run(20.0)
    assert scene.row(scene.laptop).address == address


def test_a_newer_order_takes_the_place_of_the_one_before(scene: AttachedWorld) -> None:
    scene.attach(scene.laptop)
    for _ in range(8):
        scene.world.run(120.0)
        scene.attach(scene.laptop)
    # One that had forgotten it would not take the first order any more.
    for carrier in scene.carriers:
        carrier.crash()
    scene.world.run(ATTACH_LIFE_S + 5.0)
    for carrier in scene.carriers:
        carrier.start()
    scene.world.run(20.0)
    assert scene.row(scene.laptop).given == 3


def why(scene: AttachedWorld, peer: SimPeer) -> str:
    scene.world.run(5.0)
    row = scene.row(peer)
    assert (row.over, row.address, scene.everywhere()) == (True, "", [()] * 3)
    return row.problem


def test_another_sites_order_is_refused(scene: AttachedWorld) -> None:
    site = next(peer.site for peer in scene.world.peers if peer.site != scene.owner)
    scene.attach(scene.laptop, scene.order(scene.laptop, site))
    assert f"not to site {site}'s admin" in why(scene, scene.laptop)


def test_an_order_for_another_peer_is_refused(scene: AttachedWorld) -> None:
    scene.attach(scene.laptop, scene.order(scene.mallory))
    assert why(scene, scene.laptop) == "this order is for another host"


def test_an_order_that_is_about_another_network_is_not_even_said(scene: AttachedWorld) -> None:
    scene.attach(scene.laptop, scene.order(scene.laptop, network="wan"))
    assert why(scene, scene.laptop) == "its order is about another network"


def test_a_network_that_is_not_there_is_told(scene: AttachedWorld) -> None:
    scene.attach(scene.laptop, scene.order(scene.laptop, network="wan"), "wan")
    assert why(scene, scene.laptop) == "shop has no network wan; would work: shop/lan"


def test_a_host_with_members_is_not_attached(scene: AttachedWorld) -> None:
    scene.attach(scene.carriers[0])
    assert why(scene, scene.carriers[0]) == (
        "the host carries members of shop/lan itself; would work: "
        "`overlayctl --peer SOCKET attach shop/lan` at a peer that carries none"
    )


def test_only_sealed_networks_take_hosts_in() -> None:
    scene = AttachedWorld(encryption=Encryption.NONE)
    scene.attach(scene.laptop)
    assert "shop/lan is not sealed" in why(scene, scene.laptop)


def test_there_are_not_more_of_them_than_a_limit(
    scene: AttachedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visiting, "VISITS_MOST", 0)
    scene.attach(scene.laptop)
    assert why(scene, scene.laptop) == "this host is attached to 0 networks already"


def test_a_grid_that_ends_takes_it_along(scene: AttachedWorld) -> None:
    from protocol.trust.order import Action

    scene.attach(scene.laptop)
    scene.world.run(5.0)
    admin = scene.world.admins[scene.owner]
    scene.world.give(scene.carriers[0], admin.order(Action.DOWN, scene.grid, scene.world.now_s))
    scene.world.run(ATTACH_LIFE_S + 20.0)
    row = scene.row(scene.laptop)
    assert (row.address, row.over) == ("", True)


def test_a_record_that_lets_nobody_in_may_have_lost_hosts_too(scene: AttachedWorld) -> None:
    scene.attach(scene.laptop)
    scene.world.run(5.0)
    assert scene.laptop.node is not None
    visits, record = scene.laptop.node.tunnel_partners.visits, scene.record
    (visit,) = visits._visits.values()
    ended = replace(record, epoch=record.epoch + 1, state=GridState.DOWN, hosts=record.hosts[1:])
    visits._learn(visit, ended, scene.world.now_s)
    (effect,) = visits.tick(scene.world.now_s)
    assert effect == Attach(())
    assert not visits.partners
