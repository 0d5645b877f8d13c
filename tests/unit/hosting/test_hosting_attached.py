"""Hosts on networks of grids that they carry nothing of, as the hosts that carry it keep them."""

import pytest
from attached_world import AttachedWorld
from msgspec.structs import replace

from protocol.contract.attaching import ATTACH_LIFE_S, AttachAsk, AttachTold
from protocol.grid.attached import Attached, carried
from protocol.hosting import attached
from protocol.hosting.part import part_of
from protocol.node.events import Arrived, RecordGiven
from protocol.policy.policy_record import sign_policy
from protocol.policy.site_policy import SitePolicy
from protocol.sim.peer import SimPeer
from protocol.sim.sealed import opens, sessions
from protocol.terms.effects import Note, Persist, Realise, Send


@pytest.fixture
def scene() -> AttachedWorld:
    return AttachedWorld()


def told(carrier: SimPeer, sender: SimPeer, ask: AttachAsk) -> AttachTold:
    """What a host answers to that."""
    assert carrier.node is not None
    effects = carrier.node.handle(Arrived(sender.id, ask, ""), carrier.node._now)
    sent = [e.message for e in effects if isinstance(e, Send) and e.peer == sender.id]
    (answer,) = (message for message in sent if isinstance(message, AttachTold))
    return answer


def test_every_host_lets_it_in_has_keys_with_it_and_keeps_it_over_a_restart(
    scene: AttachedWorld,
) -> None:
    scene.attach(scene.laptop)
    scene.world.run(5.0)
    row = scene.row(scene.laptop)
    assert (row.given, row.hosts, row.problem, row.over) == (3, 3, "", False)
    expected = Attached(scene.network, scene.laptop.id, row.address, scene.laptop.site)
    assert scene.everywhere() == [(expected,)] * 3
    for carrier in scene.carriers:
        assert opens(carrier, scene.laptop)
        assert opens(scene.laptop, carrier)
    first = scene.carriers[0]
    first.crash()
    first.start()
    assert scene.at(first) == (expected,)
    scene.world.run(ATTACH_LIFE_S + 5.0)
    assert scene.everywhere() == [(expected,)] * 3
    assert opens(first, scene.laptop)


def test_it_is_on_disk_before_it_is_said_and_in_the_plan_of_the_network(
    scene: AttachedWorld,
) -> None:
    node = scene.carriers[0].node
    assert node is not None
    ask = AttachAsk(scene.order(scene.laptop), "10.42.0.200", 0)
    effects = node.handle(Arrived(scene.laptop.id, ask, ""), scene.world.now_s)
    kinds = [type(effect) for effect in effects]
    assert kinds.index(Persist) < kinds.index(Send)
    assert Realise in kinds
    (note,) = (effect for effect in effects if isinstance(effect, Note))
    assert note.detail == f"{scene.laptop.name} is on lan at 10.42.0.200"
    part = part_of(node.host.leases, node.notices, scene.grid)
    assert part is not None
    assert [(a.address, a.peer) for a in part.attached] == [("10.42.0.200", scene.laptop.id)]


def test_it_is_gone_at_once_when_it_leaves_and_soon_when_it_is_silent(scene: AttachedWorld) -> None:
    scene.attach(scene.laptop)
    scene.world.run(5.0)
    scene.detach(scene.laptop)
    scene.world.run(1.0)
    assert scene.everywhere() == [()] * 3
    assert not any(sessions(carrier, scene.laptop) for carrier in scene.carriers)
    scene.attach(scene.laptop)
    scene.world.run(5.0)
    assert all(scene.everywhere())
    scene.laptop.crash()
    scene.world.run(ATTACH_LIFE_S + 1.0)
    assert scene.everywhere() == [()] * 3


def test_an_address_is_one_askers(scene: AttachedWorld) -> None:
    carrier, ask = scene.carriers[0], AttachAsk(scene.order(scene.laptop), "10.42.0.200", 0)
    given = told(carrier, scene.laptop, ask)
    assert (given.problem, given.taken, given.address) == ("", False, "10.42.0.200")
    assert given.shown is not None
    other = AttachAsk(scene.order(scene.mallory), "10.42.0.200", scene.record.epoch)
    refused = told(carrier, scene.mallory, other)
    assert (refused.problem, refused.taken) == ("10.42.0.200 is not free on lan", True)
    moved = told(carrier, scene.mallory, replace(other, address="10.42.0.201"))
    assert (moved.problem, moved.shown) == ("", None), "it knows that certificate"
    assert [a.address for a in scene.at(carrier)] == ["10.42.0.200", "10.42.0.201"]
    assert not told(carrier, scene.laptop, replace(ask, address="10.42.0.202")).problem
    assert [a.address for a in scene.at(carrier)] == ["10.42.0.201", "10.42.0.202"], "in its place"


@pytest.mark.parametrize(
    "address", ["10.42.0.1", "10.42.0.0", "10.42.0.255", "10.43.0.9", "x", "10.42.0.10"]
)
def test_what_is_no_free_address_of_the_range_is_not_given(
    address: str, scene: AttachedWorld
) -> None:
    answer = told(scene.carriers[0], scene.laptop, AttachAsk(scene.order(scene.laptop), address, 0))
    assert (answer.taken, scene.at(scene.carriers[0])) == (True, ())


def test_there_are_not_more_of_them_than_a_limit(
    scene: AttachedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attached, "ATTACHED_MOST", 1)
    carrier = scene.carriers[0]
    assert not told(
        carrier, scene.laptop, AttachAsk(scene.order(scene.laptop), "10.42.0.200", 0)
    ).problem
    answer = told(carrier, scene.mallory, AttachAsk(scene.order(scene.mallory), "10.42.0.201", 0))
    assert answer.problem == "1 hosts are attached to networks of shop already"
    assert not answer.taken


def test_nobody_is_attached_where_the_site_lets_the_owner_in_no_more(scene: AttachedWorld) -> None:
    made, whose = scene.world.federation, scene.record.owner_site
    carrier = next(peer for peer in scene.carriers if peer.site != whose)
    ask = AttachAsk(scene.order(scene.laptop), "10.42.0.200", 0)
    assert not told(carrier, scene.laptop, ask).problem
    papers, site = made.site_chain(carrier.site), made.site(carrier.site)
    said = SitePolicy(carrier.site, 1, scene.world.now_s, papers)
    carrier.feed(RecordGiven(sign_policy(said, site)))
    why = f"policy 1 of site {carrier.site} does not name {whose}"
    assert why in told(carrier, scene.laptop, ask).problem


def test_an_order_that_is_known_need_not_be_fresh(scene: AttachedWorld) -> None:
    carrier, ask = scene.carriers[0], AttachAsk(scene.order(scene.laptop), "10.42.0.200", 0)
    assert not told(carrier, scene.laptop, ask).problem
    for _ in range(70):
        scene.world.run(10.0)
        assert not told(carrier, scene.laptop, ask).problem
    answer = told(scene.carriers[1], scene.laptop, ask)
    assert "sign it again" in answer.problem
    assert scene.at(scene.carriers[1]) == ()


def test_a_workspace_that_comes_takes_the_address_and_its_host_is_attached_no_more() -> None:
    """It comes to one of the two that are attached, which had carried nothing."""
    scene = AttachedWorld(cidr="10.42.0.0/29")
    for peer in (scene.laptop, scene.mallory):
        scene.attach(peer)
    scene.world.run(8.0)
    assert {a.address for a in scene.at(scene.carriers[0])} == {"10.42.0.5", "10.42.0.6"}
    (cluster,) = scene.spec.clusters
    larger = replace(scene.spec, clusters=(replace(cluster, count=4, minimum=4),))
    admin, asked = scene.world.admins[scene.owner], scene.world.peers[0]
    scene.world.give(asked, admin.apply(larger, scene.record.epoch, scene.world.now_s))
    for _ in range(60):
        scene.world.run(0.5)
        for carrier in scene.carriers:
            assert carrier.node is not None
            part = part_of(carrier.node.host.leases, carrier.node.notices, scene.grid)
            assert part is not None
            members = [card.address for card in part.cards]
            members += [each.address for each in part.attached]
            assert len(members) == len(dict.fromkeys(members))
    assert len(members) == 5
    rows = [scene.row(peer) for peer in (scene.laptop, scene.mallory)]
    assert sorted(row.address for row in rows) == ["", "10.42.0.6"]
    (without,) = (row for row in rows if not row.address)
    assert (without.problem, without.over) == (carried("shop", "lan"), True)
