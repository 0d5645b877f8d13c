"""Which orders attach a host, and to what."""

import pytest
from attached_world import AttachedWorld

from protocol.contract.attaching import AttachTold, network_of
from protocol.grid.attached import AttachBody
from protocol.terms.ids import GridId
from protocol.terms.ranges import SAID_MOST
from protocol.trust.order import Action, SignedOrder
from protocol.trust.signing import Untrusted
from protocol.wire.codec import encode


@pytest.fixture(scope="module")
def scene() -> AttachedWorld:
    return AttachedWorld()


def named(scene: AttachedWorld, order: SignedOrder) -> str:
    node = scene.laptop.node
    assert node is not None
    return network_of(node.authority.order(order, scene.world.now_s, fresh=True))


def test_an_order_to_attach_names_a_network(scene: AttachedWorld) -> None:
    assert named(scene, scene.order(scene.laptop)) == "lan"


def test_another_order_attaches_nobody(scene: AttachedWorld) -> None:
    admin, now_s = scene.world.admins[scene.owner], scene.world.now_s
    body = encode(AttachBody("lan"))
    with pytest.raises(Untrusted, match="an order to connect attaches nobody"):
        named(scene, admin.order(Action.CONNECT, scene.grid, now_s, body=body))
    with pytest.raises(Untrusted, match="an order to attach names a network"):
        named(scene, admin.order(Action.ATTACH, scene.grid, now_s, body=b"lan"))


def test_what_a_host_says_to_people_is_cut() -> None:
    told = AttachTold(GridId("g"), "lan", "", "x" * (SAID_MOST + 1))
    assert len(told.problem) == SAID_MOST
