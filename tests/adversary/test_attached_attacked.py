"""Whoever says anything about hosts that are attached: who is on a network stays, and nobody else gets there.

Mallory is a member that carries nothing of the grid; or a host that carries part of it, and lies. Each attack
is looked at again after the attacked has begun anew.
"""

from collections.abc import Callable
from random import Random
from typing import get_args

import pytest
from attached_world import AttachedWorld
from golden.vectors import tag_of
from hostile_values import arrived, hostile_frames
from msgspec.structs import replace

from protocol.contract.attaching import AttachAsk, AttachEnd, AttachMessage, AttachTold
from protocol.grid.attached import AttachBody
from protocol.node.events import Arrived
from protocol.peering.quarantine import Quarantines
from protocol.sim.peer import SimPeer
from protocol.sim.sealed import sessions
from protocol.trust.order import Action
from protocol.wire.codec import encode
from protocol.wire.envelope import pack

KINDS = {tag_of(kind): kind for kind in get_args(AttachMessage)}
AT = "10.42.0.201"


class Scene(AttachedWorld):
    """The laptop is attached to the network."""

    def __init__(self) -> None:
        super().__init__()
        self.attach(self.laptop)
        self.world.run(5.0)
        self.before = self.everywhere()
        assert all(self.before)

    def tells(self, victim: SimPeer, sender: SimPeer, message: AttachMessage) -> None:
        """The victim hears that. The sender's faults so far are forgotten: there may be many like it."""
        self.hears(victim, arrived(sender.id, pack(message, "")))

    def hears(self, victim: SimPeer, event: object) -> None:
        assert victim.node is not None
        fresh, node = Quarantines(), victim.node
        fresh.counts = node.overlay.quarantines.counts
        vars(node.overlay.quarantines).update(vars(fresh))
        victim.feed(event)  # type: ignore[arg-type]  # an event, well-formed or not

    def unharmed(self) -> None:
        """The laptop is on the network and Mallory is not, now and after all hosts began anew."""
        for again in ((), self.carriers):
            for victim in again:
                victim.crash()
                self.world.run(0.5)
                victim.start()
            self.world.run(20.0)
            assert self.everywhere() == self.before
            assert self.row(self.laptop).given == 3
            for carrier in self.carriers:
                assert carrier.node is not None
                carrier.node.check()
                assert sessions(carrier, self.laptop)
                assert not sessions(carrier, self.mallory)


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("name", sorted(KINDS))
def test_no_shape_of_a_message_changes_who_is_there(name: str, scene: Scene) -> None:
    for victim in (*scene.carriers, scene.laptop):
        for frame in hostile_frames(KINDS[name], lambda _hint, _name: [], Random(7)):
            scene.hears(victim, arrived(scene.mallory.id, frame))
    scene.unharmed()


def _others_order(scene: Scene) -> AttachAsk:
    return AttachAsk(scene.order(scene.laptop), AT, 0)


def _own_sites_order(scene: Scene) -> AttachAsk:
    site = next(p.site for p in scene.world.peers if p.site != scene.owner)
    return AttachAsk(scene.order(scene.mallory, site), AT, 0)


def _order_of_another_kind(scene: Scene) -> AttachAsk:
    admin = scene.world.admins[scene.owner]
    body = encode(AttachBody(scene.network))
    order = admin.order(
        Action.CONNECT, scene.grid, scene.world.now_s, body=body, via=scene.mallory.id
    )
    return AttachAsk(order, AT, 0)


def _altered_order(scene: Scene) -> AttachAsk:
    order = scene.order(scene.laptop)
    payload = order.payload.replace(scene.laptop.id.encode(), scene.mallory.id.encode())
    assert payload != order.payload
    return AttachAsk(replace(order, payload=payload), AT, 0)


def _old_order(scene: Scene) -> AttachAsk:
    ask = AttachAsk(scene.order(scene.mallory), AT, 0)
    scene.world.run(700.0)
    scene.attach(scene.laptop)  # as its command does every few minutes
    return ask


def _order_for_anybody(scene: Scene) -> AttachAsk:
    admin = scene.world.admins[scene.owner]
    body = encode(AttachBody(scene.network))
    return AttachAsk(admin.order(Action.ATTACH, scene.grid, scene.world.now_s, body=body), AT, 0)


@pytest.mark.parametrize(
    "made",
    [
        _others_order,
        _own_sites_order,
        _order_of_another_kind,
        _altered_order,
        _old_order,
        _order_for_anybody,
    ],
)
def test_no_order_but_the_owners_for_that_host_lets_one_in(
    made: Callable[[Scene], AttachAsk], scene: Scene
) -> None:
    ask = made(scene)
    for victim in scene.carriers:
        scene.tells(victim, scene.mallory, ask)
        scene.tells(victim, scene.mallory, ask)
    scene.unharmed()


def test_nobody_ends_what_is_another_hosts(scene: Scene) -> None:
    for victim in scene.carriers:
        scene.tells(victim, scene.mallory, AttachEnd(scene.grid, scene.network))
    scene.unharmed()


def test_who_is_let_in_takes_nobodys_address(scene: Scene) -> None:
    """Mallory has an order of the owner for herself, and asks for what others have."""
    order = scene.order(scene.mallory)
    (laptop,) = scene.before[0]
    for address in (laptop.address, "10.42.0.10", "10.42.0.1"):
        for victim in scene.carriers:
            scene.tells(victim, scene.mallory, AttachAsk(order, address, 0))
    assert scene.everywhere() == scene.before
    scene.unharmed()


@pytest.mark.parametrize("taken", [False, True])
def test_one_host_of_several_that_lies_does_not_put_it_off(taken: bool, scene: Scene) -> None:
    """It says again and again that the address is another's, or that it lets nobody in."""
    liar, row = scene.carriers[0], scene.row(scene.laptop)
    lie = AttachTold(scene.grid, scene.network, row.address, "no", taken)
    for _ in range(40):
        scene.tells(scene.laptop, liar, lie)
        assert scene.row(scene.laptop).address == row.address
        scene.world.run(0.2)
    scene.unharmed()


def test_a_certificate_that_is_none_teaches_it_nothing(scene: Scene) -> None:
    liar, row = scene.carriers[0], scene.row(scene.laptop)
    assert liar.node is not None
    shown = liar.node.host.leases.rows()[0].certificate
    assert shown is not None
    for forged in (
        replace(shown, value=shown.value[:-1]),
        replace(shown, votes=shown.votes[:1]),
        replace(shown, register="f" * len(shown.register)),
    ):
        told = AttachTold(scene.grid, scene.network, row.address, "", shown=forged)
        scene.tells(scene.laptop, liar, told)
        assert scene.row(scene.laptop).address == row.address
    assert scene.laptop.node is not None
    assert any(key.startswith("attach-") for key in scene.laptop.node.quarantines.counts)
    scene.unharmed()


def test_what_nobody_asked_for_is_not_heard(scene: Scene) -> None:
    node = scene.mallory.node
    assert node is not None
    told = AttachTold(scene.grid, scene.network, AT, "")
    scene.mallory.feed(Arrived(scene.carriers[0].id, told, ""))
    scene.laptop.feed(Arrived(scene.mallory.id, told, ""))
    assert not list(node.tunnel_partners.visits.rows())
    assert not node.tunnel_partners.visits.partners
    scene.unharmed()


def test_what_comes_before_an_order_was_believed_is_not_heard(scene: Scene) -> None:
    """A host of the grid tells of it though nothing was asked: the order here was of no use."""
    liar, mallory = scene.carriers[0], scene.mallory
    site = next(p.site for p in scene.world.peers if p.site != scene.owner)
    order = scene.order(mallory, site)
    scene.attach(mallory, replace(order, payload=order.payload[:-1]))
    before = scene.row(mallory)
    assert liar.node is not None
    assert before.over
    shown = liar.node.host.leases.rows()[0].certificate
    scene.tells(mallory, liar, AttachTold(scene.grid, scene.network, "", "", shown=shown))
    assert mallory.node is not None
    assert scene.row(mallory) == before
    scene.unharmed()
