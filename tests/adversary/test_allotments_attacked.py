"""Members that want of a site's ceilings what is not theirs: each step that a steward must not take."""

import msgspec
import pytest
from sharing_site import GUEST, HOST, Shared, node

from protocol.capacity.allotments import Allot, Allotments, Amounts, Line
from protocol.grid.decision import Ballot, Certificate
from protocol.grid.record import Register, register_key
from protocol.grid.steps import Lapse, Step, Vote
from protocol.node.events import Arrived
from protocol.policy.policy_record import check_policy, sign_policy
from protocol.register.messages import Accept, StepAsk, StepFailed
from protocol.sim.keys import SimVerifier
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.terms.effects import Send
from protocol.terms.ids import GridId, PeerId, StoreId
from protocol.trust.order import MAX_VALID_S, Action, Order, SignedOrder, sign_order
from protocol.trust.signing import Untrusted
from protocol.wire.codec import encode

STORE = StoreId("0" * 16)


class Scene:
    """A site whose hosts share its ceilings, and a member of the other site."""

    def __init__(self) -> None:
        self.shared = Shared(1, workspaces=6)
        self.world = self.shared.world
        self.world.run(30.0)
        self.key = register_key(self.shared.counting)
        self.steward, self.host = self.shared.hosts[:2]
        self.mallory = next(peer for peer in self.world.peers if peer.site == GUEST)

    def value(self) -> Allotments:
        """What its stewards have."""
        kept = node(self.steward).registers.acceptor.get(self.key)
        assert kept is not None
        return kept.register.counted

    def certificate(self) -> Certificate:
        """What its stewards decided, as anybody may have it."""
        found = [(p.id, node(p).registers.acceptor.get(self.key)) for p in self.shared.hosts]
        slots = [(peer, kept.slot) for peer, kept in found if kept is not None]
        ballot, value = slots[0][1].accepted, slots[0][1].value
        votes = [(p, s.signature) for p, s in slots if (s.accepted, s.value) == (ballot, value)]
        assert ballot is not None
        assert len(votes) > 1
        return Certificate(self.key, ballot, value, tuple(votes))

    def tell(self, sender: SimPeer, message: object, to: SimPeer | None = None) -> list[bool]:
        """Answers for each refusal whether it is for good."""
        steward = to or self.steward
        steward.feed(Arrived(sender.id, message, ""))  # type: ignore[arg-type]
        _, _, effects = steward.story[-1]
        said = [e.message for e in effects if isinstance(e, Send) and e.peer == sender.id]
        return [one.refused for one in said if isinstance(one, StepFailed)]

    def step(self, host: PeerId, serial: int = 0, store: StoreId = STORE) -> Allot:
        return Allot(host, store, serial, 1, ((self.shared.key, Amounts(1000, 0, 0, 6)),))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("shows", ["order", "evidence", "both"])
def test_a_host_of_another_site_has_no_part(scene: Scene, shows: str) -> None:
    """Whatever it shows: what was decided before is anybody's to show."""
    before, mallory = scene.value(), scene.mallory
    order = scene.shared.counting if shows in ("order", "both") else None
    evidence = scene.certificate() if shows in ("evidence", "both") else None
    ask = StepAsk(f"x{shows}", scene.key, scene.step(mallory.id), order, evidence)
    assert scene.tell(mallory, ask) == [True]
    scene.world.run(5.0)
    assert scene.value().lines == before.lines


def test_a_steward_that_knows_nothing_yet_takes_no_allotment_by_evidence(scene: Scene) -> None:
    lost, certificate = scene.shared.hosts[-1], scene.certificate()
    acceptor = node(lost).registers.acceptor
    kept = acceptor._kept.pop(scene.key)
    ask = StepAsk("n", scene.key, scene.step(scene.mallory.id), None, certificate)
    assert scene.tell(scene.mallory, ask, lost) == [True]
    acceptor._kept[scene.key] = kept


@pytest.mark.parametrize("site", [HOST, GUEST])
def test_nobody_changes_anothers_line(scene: Scene, site: str) -> None:
    """Neither takes it away, nor ends the line of the store that the other has."""
    before = scene.value()
    sender = scene.host if site == HOST else scene.mallory
    line = next(one for one in before.lines if one.host == scene.steward.id)
    take = Allot(line.host, line.store, line.serial, 1)
    ends = msgspec.structs.replace(scene.step(sender.id), gone=(line.store,))
    assert scene.tell(sender, StepAsk("x", scene.key, take, scene.shared.counting)) == [True]
    scene.tell(sender, StepAsk("y", scene.key, ends, scene.shared.counting))
    scene.world.run(5.0)
    assert line in scene.value().lines


def test_a_host_gets_no_more_than_is_free_however_much_it_asks_for(scene: Scene) -> None:
    scene.tell(
        scene.host, StepAsk("x", scene.key, scene.step(scene.host.id), scene.shared.counting)
    )
    scene.world.run(5.0)
    assert scene.value().sum(scene.shared.key).workspaces <= 6


def test_an_order_to_count_makes_no_grid_and_a_grid_has_no_allotments(scene: Scene) -> None:
    before, now = scene.value(), scene.world.now_s
    steps: tuple[Step, ...] = (Vote(3), Lapse(GridId(f"{scene.key}.0")))
    for number, step in enumerate(steps):
        scene.tell(scene.host, StepAsk(f"n{number}", scene.key, step, scene.shared.counting))
    order = scene.world.admins[HOST].up(grid_spec("shop", 1), now)
    own = scene.world.by_id[node(scene.steward).me]
    scene.tell(scene.host, StepAsk("up", register_key(order), scene.step(scene.host.id), order))
    scene.world.run(5.0)
    assert scene.value().lines == before.lines
    kept = node(scene.steward).registers.acceptor.get(scene.key)
    assert kept is not None
    assert (kept.register.first, kept.register.record) == (0, None)
    assert all(
        not r.counted.lines for k, r in node(own).registers.acceptor.values() if k != scene.key
    )


def values(scene: Scene) -> list[tuple[SignedOrder, Register]]:
    """Registers of which a steward that lies says that they are decided."""
    counting = scene.shared.counting
    line = Line(scene.mallory.id, STORE, 1, 1, ((scene.shared.key, Amounts(1, 1, 1, 1)),))
    much = Allotments(9, 9, lines=(line,))
    up = scene.world.admins[HOST].up(grid_spec("shop", 1), scene.world.now_s)
    return [
        (up, Register(order=up, allotments=much)),
        (counting, Register(order=counting, first=3)),
        (counting, Register(order=up, allotments=much)),
    ]


@pytest.mark.parametrize("number", range(3))
def test_a_steward_accepts_no_register_of_two_kinds(scene: Scene, number: int) -> None:
    order, value = values(scene)[number]
    liar = scene.host
    faults = node(scene.steward).overlay.quarantines.faults(liar.id)
    accept = Accept(register=register_key(order), ballot=Ballot(40, liar.id), value=encode(value))
    before = scene.value()
    scene.tell(liar, accept)
    assert scene.value() == before
    if order == scene.shared.counting:
        assert node(scene.steward).overlay.quarantines.faults(liar.id) == faults + 1


def test_a_policy_names_no_stewards_but_those_of_its_sites_own_order(scene: Scene) -> None:
    shared, world = scene.shared, scene.world
    policy = node(scene.steward).overlay.policies.of(shared.site.key)
    assert policy is not None
    other = world.federation.site(GUEST)
    forged = Order(Action.COUNT, HOST, world.now_s, MAX_VALID_S, "1" * 16, stewards=shared.stewards)
    theirs = sign_order(forged, other, world.federation.site_chain(GUEST))
    up = world.admins[HOST].up(grid_spec("shop", 1), world.now_s)
    for changed in (
        msgspec.structs.replace(policy, counting=None),
        msgspec.structs.replace(policy, stewards=shared.stewards[:1]),
        msgspec.structs.replace(policy, counting=theirs),
        msgspec.structs.replace(policy, counting=up),
        msgspec.structs.replace(policy, stewards=()),
    ):
        with pytest.raises(Untrusted):
            check_policy(sign_policy(changed, shared.site), world.federation.key, SimVerifier())
    check_policy(sign_policy(policy, shared.site), world.federation.key, SimVerifier())
