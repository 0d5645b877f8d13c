"""Members that say to stewards, or as one, what nobody decided and nobody ordered.

Each attack is told to whole peers in virtual time. What it leaves on their disks is looked at, since that
outlives a restart, and then the owner's grid works as before.
"""

import msgspec
import pytest

from protocol.contract.messages import Decided
from protocol.grid.decision import Ballot, Certificate, sign_acceptance
from protocol.grid.record import GridRecord, GridState, Register, order_part, register_key
from protocol.grid.steps import Commit, End, Lapse, Remove, Step
from protocol.node.events import Arrived
from protocol.node.messages import Message
from protocol.node.node import Node
from protocol.register.messages import Accept, LookAsk, Prepare, StepAsk, StepFailed
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.terms.effects import Send
from protocol.terms.limits import ROUND_MOST
from protocol.trust.order import Action, read_order
from protocol.wire.codec import encode

WITHIN_S = 60.0


class Scene:
    """A grid of one site, and a member of another that is neither its host nor its steward."""

    def __init__(self) -> None:
        self.world = world = World(5, 7, 2)
        world.start_all()
        world.run(5.0)
        self.asked = world.peers[0]
        self.admin = world.admins[self.asked.site]
        self.order = self.admin.up(grid_spec("shop", 2), world.now_s)
        world.give(self.asked, self.order)
        assert world.run_until(lambda: len(self.carriers()) == 2, WITHIN_S)
        world.run(5.0)
        (row,) = _node(self.carriers()[0]).host.leases.rows()
        self.record: GridRecord = row.record
        self.key = order_part(self.record.id)
        self.stewards = [world.by_id[peer] for peer in self.record.stewards]
        used = (*self.record.carriers(), *self.record.stewards)
        own = self.asked.site
        self.mallory = next(p for p in world.peers if p.id not in used and p.site != own)
        self.before = self.standing()

    def carriers(self) -> list[SimPeer]:
        return [p for p in self.world.peers if p.node is not None and p.node.host.leases.rows()]

    def standing(self) -> object:
        """What carriers and stewards have on disk of it."""
        kept = {p.name: dict(p.store.get("steward", {})) for p in self.stewards}
        return kept, [_node(p).host.leases.rows()[0].record for p in self.carriers()]

    def tell(self, to: SimPeer, message: Message) -> list[Message]:
        """Mallory says that. Answers what she is answered."""
        to.feed(Arrived(self.mallory.id, message, ""))
        _, _, effects = to.story[-1]
        return [e.message for e in effects if isinstance(e, Send) and e.peer == self.mallory.id]  # type: ignore[misc]

    def unharmed(self) -> None:
        assert self.standing() == self.before
        for peer in {*self.carriers(), *self.stewards}:
            peer.crash()
            peer.start()
        self.world.run(10.0)
        assert self.standing() == self.before, "after a restart too"


def _node(peer: SimPeer) -> Node:
    assert peer.node is not None
    return peer.node


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


def test_who_is_no_steward_has_nothing_promised_or_accepted(scene: Scene) -> None:
    for steward in scene.stewards:
        for round_ in (1, 9, ROUND_MOST):
            ballot = Ballot(round_, scene.mallory.id)
            theirs = Ballot(round_, scene.stewards[0].id)
            value = encode(Register(scene.record))
            for message in (
                Prepare(register=scene.key, ballot=ballot, order=scene.order),
                Prepare(register=scene.key, ballot=theirs, order=scene.order),
                Accept(register=scene.key, ballot=ballot, value=value),
                Accept(register=scene.key, ballot=theirs, value=value),
                Accept(register=scene.key, ballot=ballot, value=b"\xc1"),
            ):
                assert scene.tell(steward, message) == []
    scene.unharmed()


def invented(scene: Scene) -> dict[str, bytes]:
    """Values that nobody ordered, or that are none."""
    record, change = scene.record, msgspec.structs.replace
    rival = scene.world.admins[scene.mallory.site]
    theirs = rival.up(grid_spec("shop", 2), scene.world.now_s)
    down = rival.order(Action.DOWN, record.id, scene.world.now_s)
    records = {
        "an order of nobody": change(record, order=change(scene.order, payload=b"\xc1")),
        "an order of another": change(record, order=theirs),
        "an epoch beyond all": change(record, epoch=1 << 62),
        "another name": change(record, name="other"),
        "another owner": change(record, owner=rival.signer.key, owner_site=scene.mallory.site),
        "other stewards": change(record, stewards=(scene.mallory.id,)),
        "ended by another": change(record, epoch=2, state=GridState.DOWN, changes=(down,)),
        "a longer lease": change(record, epoch=2, extra_s=3600),
        "what no host granted": change(record, grants=()),
        "other network ids": change(record, vnis=(("lan", 7),)),
    }
    plain = {"noise": b"\xc1\x00", "another type": encode(Ballot(1, scene.mallory.id))}
    return plain | {why: encode(Register(forged)) for why, forged in records.items()}


def test_a_steward_takes_no_value_that_nobody_ordered(scene: Scene) -> None:
    """Another steward of the same grid says it, under a ballot that it may use."""
    liar, honest = scene.stewards[0], scene.stewards[1:]
    for why, value in invented(scene).items():
        for steward in honest:
            faults = _node(steward).overlay.quarantines.faults(liar.id)
            accept = Accept(register=scene.key, ballot=Ballot(9, liar.id), value=value)
            steward.feed(Arrived(liar.id, accept, ""))
            assert _node(steward).overlay.quarantines.faults(liar.id) == faults + 1, why
    scene.unharmed()


def steps(scene: Scene) -> list[Step]:
    """What nobody ordered, or another site's admin did."""
    grid, now = scene.record.id, scene.world.now_s
    rival = scene.world.admins[scene.mallory.site]
    down = rival.order(Action.DOWN, grid, now)
    gone = rival.order(Action.TERMINATE, grid, now, workspace="web-1")
    moved = msgspec.structs.replace(scene.record, assignments=())
    pause = scene.admin.order(Action.PAUSE, grid, now)
    return [
        End(grid, down),
        End(grid, pause),
        End(grid, scene.order),
        Remove(grid, "web-1", gone),
        Lapse(grid),
        Commit(moved),
    ]


@pytest.mark.parametrize("number", range(6))
def test_a_step_that_the_owner_did_not_order_is_refused(scene: Scene, number: int) -> None:
    step = steps(scene)[number]
    steward, said = scene.stewards[0], scene.world.said
    heard: list[object] = []

    def listen(peer: SimPeer, send: Send) -> None:
        if send.peer == scene.mallory.id and isinstance(send.message, StepFailed):
            heard.append(send.message.refused)
        said(peer, send)

    scene.world.said = listen  # type: ignore[method-assign]
    before = [r.record for _, r in _node(steward).registers.acceptor.values()]
    scene.tell(steward, StepAsk("attack", scene.key, step, scene.order))
    scene.world.run(10.0)
    scene.world.said = said  # type: ignore[method-assign]
    assert [r.record for _, r in _node(steward).registers.acceptor.values()] == before
    if not isinstance(step, Commit):
        assert heard == [True]
    scene.before = scene.standing()
    scene.unharmed()


def test_an_order_of_the_owner_that_cannot_be_read_is_no_other_stewards_fault(scene: Scene) -> None:
    """Its first half is a good order, so it gets as far as a majority's promises."""
    steward, others = scene.stewards[0], scene.stewards[1:]
    quarantines = _node(steward).overlay.quarantines
    faults = [quarantines.faults(other.id) for other in others]
    before = [r.record for _, r in _node(steward).registers.acceptor.values()]
    garbled = scene.admin.order(Action.DOWN, scene.record.id, scene.world.now_s, body=b"\xc1")
    scene.tell(steward, StepAsk("garbled", scene.key, End(scene.record.id, garbled), scene.order))
    scene.world.run(10.0)
    assert [quarantines.faults(other.id) for other in others] == faults
    assert [r.record for _, r in _node(steward).registers.acceptor.values()] == before
    scene.before = scene.standing()
    scene.unharmed()


def test_what_a_majority_did_not_sign_is_not_decided(scene: Scene) -> None:
    """Mallory and one steward that lies with her say that it is down."""
    order = scene.admin.order(Action.DOWN, scene.record.id, scene.world.now_s)
    down = msgspec.structs.replace(scene.record, epoch=2, state=GridState.DOWN, changes=(order,))
    key, value = register_key(scene.order), encode(Register(down))
    ballot = Ballot(9, scene.stewards[0].id)
    liars = (scene.mallory, scene.stewards[0])
    stores = read_order(scene.order).store_of
    votes = tuple(
        (p.id, sign_acceptance(p.identity.signer, key, ballot, value, store=stores(p.id)))
        for p in liars
    )
    twice = (*votes, votes[-1])
    for carrier in scene.carriers():
        for said in ((), votes[:1], votes, twice):
            assert scene.tell(carrier, Decided(Certificate(key, ballot, value, said))) == []
    scene.unharmed()


def test_an_order_of_her_own_makes_her_a_steward_of_nothing_else(scene: Scene) -> None:
    rival = scene.world.admins[scene.mallory.site]
    rival.stewards, before = (lambda: (scene.mallory.id,)), rival.stewards
    mine = rival.up(grid_spec("shop", 2), scene.world.now_s)
    rival.stewards = before
    forged = msgspec.structs.replace(scene.record, order=mine, epoch=9, state=GridState.DOWN)
    key, value = register_key(mine), encode(Register(forged))
    ballot = Ballot(0, scene.mallory.id)
    store = read_order(mine).store_of(scene.mallory.id)
    vote = sign_acceptance(scene.mallory.identity.signer, key, ballot, value, store=store)
    shown = Certificate(key, ballot, value, ((scene.mallory.id, vote),))
    for carrier in scene.carriers():
        scene.tell(carrier, Decided(shown))
    scene.unharmed()


def test_anybody_may_look_and_changes_nothing_by_it(scene: Scene) -> None:
    (looked,) = scene.tell(scene.stewards[0], LookAsk("x", scene.key))
    assert looked.value != b""  # type: ignore[union-attr]
    scene.unharmed()
