"""Lies about grids: each is well-formed, so it gets as far as a lie can, and none is what was really said."""

from random import Random

import pytest

from protocol.contract.messages import HoldAsk, NameAsk
from protocol.grid.decision import check_certificate
from protocol.node.messages import Message
from protocol.register.messages import Accept, LookAsk, Prepare, StepAsk, StepDone
from protocol.sim.false_statements import FalseStatements
from protocol.sim.keys import SimVerifier
from protocol.sim.overheard import Overheard
from protocol.sim.people import Admin, grid_spec
from protocol.sim.world import World
from protocol.trust.signing import Untrusted
from protocol.wire.envelope import pack, unpack


class Scene:
    """A grid was made, and a liar heard how."""

    def __init__(self) -> None:
        self.world = world = World(4, 4, 2)
        self.overheard = Overheard()
        said = world.said
        world.said = lambda peer, send: (self.overheard.hear(send.message), said(peer, send))  # type: ignore[method-assign]
        world.start_all()
        world.run(4.0)
        first, liar = world.peers[0], world.peers[-1]
        self.stewards = [peer.id for peer in world.peers]
        world.give(first, world.admins[first.site].up(grid_spec("shop"), world.now_s))
        world.run(10.0)
        own = Admin(world.federation, "own", Random(2))
        signer = liar.identity.signer
        self.lies = FalseStatements(signer, liar.site, own, self.overheard, Random(3))
        self.lies.at(world.now_s)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("kind", ["decree", "contest", "step", "meddle"])
def test_each_lie_is_well_formed(kind: str, scene: Scene) -> None:
    for _ in range(20):
        lies = getattr(scene.lies, kind)()
        assert lies
        for lie in lies:
            assert unpack(pack(lie, ""), Message) == ("", lie)


def test_no_decree_is_a_decision(scene: Scene) -> None:
    for _ in range(40):
        for lie in scene.lies.decree():
            certificate = lie.evidence if isinstance(lie, StepAsk) else lie.certificate  # type: ignore[union-attr]
            with pytest.raises(Untrusted):
                check_certificate(certificate, SimVerifier())


def test_it_orders_what_its_own_site_may(scene: Scene) -> None:
    lies = scene.lies.order(scene.stewards)
    assert len({pack(lie, "") for lie in lies}) == len(lies) == 16


@pytest.mark.parametrize("kind", [HoldAsk, Prepare, Accept, StepAsk, LookAsk, NameAsk])
def test_what_it_is_asked_it_answers_falsely(kind: type[Message], scene: Scene) -> None:
    asked = scene.overheard.one(kind, Random(1))
    if asked is None and kind is Prepare:
        done = scene.overheard.one(StepDone, Random(1))
        ask = scene.overheard.one(HoldAsk, Random(1))
        assert done is not None
        assert ask is not None
        certificate = done.certificate
        asked = Prepare(register=certificate.register, ballot=certificate.ballot, order=ask.order)
    if asked is None and kind is LookAsk:
        asked = LookAsk("1.1", "0" * 20)
    assert asked is not None
    answers = list(scene.lies.answer(asked))
    assert answers
    for answer in answers:
        assert unpack(pack(answer, ""), Message) == ("", answer)


def test_one_that_heard_nothing_says_nothing() -> None:
    world = World(1, 1, 1)
    own = Admin(world.federation, "own", Random(2))
    signer = world.peers[0].identity.signer
    lies = FalseStatements(signer, "s1", own, Overheard(), Random(3))
    assert [lies.decree(), lies.contest(), lies.step(), lies.meddle()] == [[]] * 4
