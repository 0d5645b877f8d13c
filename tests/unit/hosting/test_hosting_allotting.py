"""What a host makes of its part of its site's ceilings, and what it has on disk of it."""

from random import Random

import msgspec
from hosting_world import Around, One
from negotiating import FEDERATION, NOW, A, B, C

from protocol.capacity.allotments import Allot, Allotments, Amounts, allotted, governed
from protocol.capacity.quantum import Quantum
from protocol.contract.outcomes import AllotSite, Outcome, Propose
from protocol.grid.decision import Ballot, Certificate, Decision
from protocol.grid.record import Register, register_key
from protocol.hosting.allotting import TABLE, Allotting, amounts
from protocol.policy.demand import NOTHING, Demand
from protocol.policy.site_policy import SitePolicy, VoTerms
from protocol.terms.effects import Effect, Note, Persist
from protocol.terms.ids import KeyId
from protocol.trust.ceilings import Ceilings
from protocol.trust.order import MAX_VALID_S, Action, Order, SignedOrder, sign_order

STAR = KeyId("5" * 64)
ONE = Demand(Quantum(500), 1)


def counting(nonce: str = "0" * 16) -> SignedOrder:
    site, chain = FEDERATION.site("s1"), FEDERATION.site_chain("s1")
    order = Order(Action.COUNT, "s1", NOW, MAX_VALID_S, nonce, stewards=(A, B, C))
    return sign_order(order, site, chain)


def policy(number: int = 1, workspaces: int = 4, order: SignedOrder | None = None) -> SitePolicy:
    terms = VoTerms("star", STAR, ceiling=Ceilings(workspaces=workspaces))
    order = order or counting()
    return SitePolicy("s1", number, NOW, (), vos=(terms,), stewards=(A, B, C), counting=order)


class Scene:
    """A host whose site's stewards do at once what they are asked."""

    def __init__(self) -> None:
        self.around, self.rows, self.now, self.lives = Around(), dict[str, bytes](), NOW, 0
        self.around.said, self.around.many = policy(), 2
        self.value = governed(Allotments(), 1, policy().counted)
        self.notes: list[str] = []
        self.begin()

    def begin(self) -> None:
        self.lives += 1
        one, dice = One(), Random(self.lives)
        self.host = Allotting(
            one.me, dict(self.rows), dice, self.around, one.host._spending, self.now
        )
        self.me = one.me
        self.host.heard(self.now)

    def keep(self, answer: tuple[list[Effect], list[Outcome]]) -> list[Allot]:
        effects, outcomes = answer
        for effect in effects:
            if isinstance(effect, Persist):
                self.rows = {row.key: row.value for row in effect.rows if row.value is not None}
                assert all(row.table == TABLE for row in effect.rows)
            elif isinstance(effect, Note):
                self.notes.append(effect.kind)
        assert not outcomes or isinstance(effects[-1], Persist), "it is on disk before it is asked"
        return [self.step(one) for one in outcomes]

    def step(self, outcome: Outcome) -> Allot:
        assert isinstance(outcome, Propose)
        assert isinstance(outcome.step, Allot)
        assert (outcome.purpose, outcome.stewards) == (AllotSite(), (A, B, C))
        return outcome.step

    def tick(self, after_s: float = 1.0) -> list[Allot]:
        self.now += after_s
        return self.keep(self.host.tick(self.now))

    def decided(self, order: SignedOrder | None = None) -> list[Allot]:
        order = order or counting()
        register = Register(order=order, allotments=self.value)
        proof = Certificate(register_key(order), Ballot(1, A), b"", ())
        return self.keep(self.host.settled(Decision(register, proof), self.now))

    def settle(self, steps: list[Allot]) -> None:
        while steps:
            self.value = allotted(self.value, steps[0])
            steps = self.decided()

    def why(self, asked: Demand = ONE, used: Demand = NOTHING) -> str:
        return self.host.refusal(STAR, asked, used, self.now)


def test_a_site_without_stewards_counts_nothing_and_asks_nobody() -> None:
    scene = Scene()
    scene.around.said = msgspec.structs.replace(policy(), stewards=(), counting=None)
    scene.begin()
    assert not scene.host.counts(STAR)
    assert scene.tick() == []
    assert scene.host.next_deadline() is None


def test_who_has_no_ceiling_is_not_counted() -> None:
    scene = Scene()
    assert scene.host.counts(STAR)
    assert not scene.host.counts(KeyId("6" * 64))
    scene.around.said = SitePolicy(
        "s1", 2, NOW, (), vos=(VoTerms("star", STAR),), counting=counting()
    )
    scene.begin()
    assert scene.tick() == []


def test_a_host_uses_nothing_before_the_stewards_have_decided_and_then_its_part() -> None:
    scene = Scene()
    assert "used up" in scene.why()
    scene.settle(scene.tick())
    assert scene.why() == ""
    assert scene.why(Demand(workspaces=2)) == ""
    assert "try again" in scene.why(used=Demand(workspaces=2))


def test_what_is_lacking_is_asked_for_and_then_told_to_others() -> None:
    scene = Scene()
    scene.settle(scene.tick())
    assert scene.why(used=Demand(workspaces=2)) != ""
    scene.settle(scene.tick())
    assert scene.why(used=Demand(workspaces=2)) == ""
    assert scene.host.lacking == ()
    assert scene.why(used=Demand(workspaces=4)) != ""
    scene.settle(scene.tick())
    assert [more.workspaces for _, more in scene.host.lacking] == [1]
    for _ in range(20):
        scene.settle(scene.tick(2.0))
    assert scene.host.lacking == (), "nobody wants it any more"


def test_what_others_lack_is_given_back() -> None:
    scene = Scene()
    scene.settle(scene.tick())
    scene.around.lacks = ((STAR, Amounts(workspaces=9)),)
    scene.host.heard(scene.now)
    scene.settle(scene.tick())
    assert scene.value.sum(STAR).workspaces == 0


def test_a_new_life_goes_on_with_what_is_on_disk_once_that_is_confirmed() -> None:
    scene = Scene()
    scene.settle(scene.tick())
    line = scene.value.lines
    scene.begin()
    assert scene.why() != ""
    scene.settle(scene.tick())
    assert scene.why() == ""
    assert [(one.store, one.parts) for one in scene.value.lines] == [
        (one.store, one.parts) for one in line
    ]


def test_an_older_disk_is_found_and_begins_with_nothing() -> None:
    scene = Scene()
    scene.settle(scene.tick())
    backup = scene.rows
    scene.around.lacks = ((STAR, Amounts(workspaces=1)),)
    scene.host.heard(scene.now)
    scene.settle(scene.tick())
    scene.around.lacks = ()
    scene.why(used=Demand(workspaces=2))
    scene.settle(scene.tick())
    scene.rows = backup
    scene.begin()
    (late,) = scene.tick()
    assert allotted(scene.value, late) == scene.value
    steps = scene.decided()
    assert scene.notes == ["allotment.lost"]
    assert scene.why() != ""
    assert steps[0].store != late.store
    scene.settle(steps)
    scene.now += 100.0
    scene.settle(scene.tick())
    assert len(scene.value.lines) == 1, "all that runs is known by now, and counts as the new one's"


def test_stewards_that_do_not_answer_are_asked_again_with_the_same_serial() -> None:
    scene = Scene()
    (first,) = scene.tick()
    assert scene.tick() == []
    scene.host.unsettled(scene.now)
    assert scene.tick() == []
    (again,) = scene.tick(10.0)
    assert again == first


def test_a_decision_of_before_is_no_answer_and_not_asked_about_at_once() -> None:
    scene = Scene()
    scene.settle(scene.tick())
    scene.why(used=Demand(workspaces=2))
    (step,) = scene.tick()
    assert scene.decided() == []
    assert scene.tick(0.5) == []
    assert scene.tick(1.0) == [step]
    assert scene.keep(scene.host.settled(None, scene.now)) == []


def test_another_order_to_count_begins_anew() -> None:
    scene = Scene()
    scene.settle(scene.tick())
    other = counting("1" * 16)
    scene.around.said = policy(2, order=other)
    scene.host.heard(scene.now)
    assert scene.why() != ""
    assert scene.decided() == [], "it is of another register"
    (step,) = scene.tick()
    assert (step.serial, step.wants) == (0, ())


def test_a_newer_policy_is_a_reason_to_ask() -> None:
    scene = Scene()
    scene.settle(scene.tick())
    assert scene.tick(60.0) == []
    scene.around.said = policy(2, workspaces=1)
    scene.host.heard(scene.now)
    (step,) = scene.tick()
    scene.value = governed(scene.value, 2, policy(2, workspaces=1).counted)
    scene.settle([step])
    scene.settle(scene.tick(2.0))
    assert scene.value.sum(STAR).workspaces <= 1


def test_a_demand_is_counted_without_what_is_less_than_nothing() -> None:
    demand = Demand(Quantum(500, 2, -3, (("gpu", 2), ("nic", 1))), 1)
    assert amounts(demand) == Amounts(500, 2, 0, 1, 3)
