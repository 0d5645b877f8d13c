"""Values of registers that are none: said by stewards, or kept by an earlier build. Nobody ends by them."""

from functools import partial
from typing import Any

import msgspec
import pytest
from attacked_world import GRID, AttackedWorld

from protocol.grid.decision import PROMISE, Ballot, Certificate, promise, sign_acceptance
from protocol.node.snapshot import PeerView
from protocol.register.messages import Accepted, Looked, Promise, StepDone
from protocol.register.slot import Slot
from protocol.requesting.request import RequestState
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.terms.effects import Send
from protocol.terms.ids import PeerId, RequestId
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode

BALLOT = Ballot(9, PeerId("e" * 64))
GARBAGE = (b"\xff", b"\x81", b"\x82\xa6record\x01", b"x" * 5000, encode(BALLOT))


@pytest.mark.parametrize("value", GARBAGE, ids=range(len(GARBAGE)))
def test_a_daemon_starts_with_a_kept_value_that_is_none(value: bytes) -> None:
    attacked = AttackedWorld()
    steward = attacked.victims[1]
    assert steward.store["steward"] != {}
    for key in list(steward.store["steward"]):
        steward.store["steward"][key] = encode(Slot(BALLOT, BALLOT, value, b"s"))
    attacked.restart()
    attacked.settle()
    node = steward.node
    assert node is not None
    view = PeerView(node)
    view.status(attacked.world.now_s)
    view.files()
    view.given_files()
    view.file_keys()
    view.readers(attacked.record.id.partition(".")[0], "0" * 64)
    changed = [what for what in attacked.changed() if not what.startswith(f"{steward.name}: stew")]
    assert changed == []


@pytest.mark.parametrize("value", GARBAGE, ids=range(len(GARBAGE)))
def test_an_up_with_a_steward_that_says_garbage_is_done(value: bytes) -> None:
    scene = Lies(value)
    world, admin = scene.world, scene.admin
    honest = {scene.asked.id, scene.attacked.victims[0].id}
    liar = next(p for p in world.peers if p.id not in honest)
    scene.honest = [world.by_id[peer] for peer in honest]
    for first in (0, 1, 2):  # the liar is asked first, second, last
        stewards = [*honest]
        stewards.insert(first, liar.id)
        admin.stewards = lambda asked=tuple(stewards): asked  # type: ignore[misc]
        name = f"next-{first}"
        assert scene.answer(admin.up(grid_spec(name, 1), world.now_s)) is RequestState.DONE
        assert scene.answer(admin.order(Action.DOWN, name, world.now_s)) is RequestState.DONE
    assert scene.told >= {"Accepted", "Promise"}
    scene.unharmed()


@pytest.mark.parametrize("value", GARBAGE, ids=range(len(GARBAGE)))
def test_an_up_among_stewards_that_promise_garbage_has_an_answer(value: bytes) -> None:
    """All its stewards lie: nothing is decided, the person is told so, and what is decided once they stop."""
    scene = Lies(value)
    world = scene.world
    liars = tuple(p.id for p in world.peers if p is not scene.asked)[:3]
    scene.admin.stewards = lambda: liars
    request = world.give(scene.asked, scene.admin.up(grid_spec("next", 1), world.now_s))
    world.run(60.0)
    seen = scene.view.request(request)
    assert seen is not None
    assert "the stewards did not decide" in seen.story[-1].text
    scene.unharmed()
    assert scene.told >= {"Accepted", "Promise"}
    scene.honest = list(world.peers)
    assert world.run_until(lambda: scene.state(request) is not RequestState.RUNNING, 120.0)


class Lies:
    """The federation, where all peers but those that are `honest` lie as stewards."""

    def __init__(self, value: bytes) -> None:
        self.attacked = AttackedWorld()
        self.world = self.attacked.world
        self.asked = self.world.peers[0]
        self.admin = self.world.admins[self.asked.site]
        self.honest = [self.asked]
        self.value = value
        self.told: set[str] = set()
        # A hold does not end while no steward says anything that is believed.
        self.world.calm_since_s = float("inf")
        for peer in self.world.peers:
            self._lie(peer)

    @property
    def view(self) -> PeerView:
        return PeerView(_node(self.asked))

    def state(self, request: RequestId) -> RequestState:
        seen = self.view.request(request)
        assert seen is not None
        return seen.state

    def answer(self, order: SignedOrder) -> RequestState:
        """Orders something of the honest peer, which must say in time what became of it."""
        request = self.world.give(self.asked, order)
        assert self.world.run_until(lambda: self.state(request) is not RequestState.RUNNING, 120.0)
        return self.state(request)

    def unharmed(self) -> None:
        """The grid of before is up, also after a restart of the honest peer."""
        for _ in range(2):
            (shop,) = [row for row in self.view.grids(self.world.now_s) if row.name == GRID]
            assert shop.state == "up"
            self.asked.crash()
            self.asked.start()
            self.attacked.settle()

    def _lie(self, peer: SimPeer) -> None:
        """Has a peer say the value wherever it says one as a steward, signed by itself."""
        carry_out: Any = peer._carry_out

        def lying(effect: Any, followers: Any) -> Any:
            if isinstance(effect, Send) and peer not in self.honest:
                said = _lied(effect.message, self.value, peer)
                if said is not effect.message:
                    self.told.add(type(said).__name__)
                effect = msgspec.structs.replace(effect, message=said)
            return carry_out(effect, followers)

        peer._carry_out = lying  # type: ignore[method-assign]


def _node(peer: SimPeer) -> Any:
    assert peer.node is not None
    return peer.node


def _lied(message: Any, value: bytes, peer: SimPeer) -> Any:
    """What a lying steward says instead, as the store that has its seat."""
    change, liar, signer = msgspec.structs.replace, peer.id, peer.identity.signer
    store = _node(peer).overlay.past.store.id
    sign = partial(sign_acceptance, store=store)
    match message:
        case Promise(register=key, ballot=ballot):
            accepted = Ballot(0, liar)
            signed = signer.sign(PROMISE, promise(key, ballot, accepted, value, store=store))
            return change(message, accepted=accepted, value=value, signature=signed)
        case Accepted(register=key, ballot=ballot):
            return change(message, signature=sign(signer, key, ballot, value))
        case Looked(register=key):
            signed = sign(signer, key, BALLOT, value)
            return change(message, ballot=BALLOT, value=value, signature=signed)
        case StepDone(certificate=Certificate(register=key)):
            votes = ((liar, sign(signer, key, BALLOT, value)),)
            return change(message, certificate=Certificate(key, BALLOT, value, votes))
        case _:
            return message
