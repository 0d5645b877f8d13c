"""What a host makes of its line. Each schedule here let two hosts use one amount when the rule was left out."""

from protocol.capacity.allotments import NONE, Allot, Allotments, Amounts, allotted, governed
from protocol.policy.own_allotment import Heard, KeptAllotment, OwnAllotment
from protocol.terms.ids import KeyId, PeerId, StoreId

STAR, HOST, STORE = KeyId("star"), PeerId("a"), StoreId("1")


class Scene:
    """A register, and a host that may begin anew from its disk."""

    def __init__(self, cpus: int = 8, hosts: int = 2) -> None:
        self.value = governed(Allotments(), 1, ((STAR, Amounts(cpus)),))
        self.cpus, self.hosts, self.life = 0, hosts, 0
        self.own = self.begin(None)

    def begin(self, disk: KeptAllotment | None, store: StoreId = STORE) -> OwnAllotment:
        self.life += 1
        self.own = OwnAllotment(HOST, store, disk, self.life, lambda: self.hosts)
        return self.own

    def used(self, owner: KeyId) -> Amounts:
        return Amounts(self.cpus)

    def step(self, *, ask: bool = False) -> Allot:
        step = self.own.propose(self.used, ask=ask)
        assert step is not None
        return step

    def decide(self, step: Allot) -> Heard:
        self.value = allotted(self.value, step)
        return self.own.decided(self.value)

    def settle(self) -> None:
        """As many steps as are due."""
        while (step := self.own.propose(self.used)) is not None:
            self.decide(step)

    def other(self, cpus: int) -> None:
        """Another host takes so much."""
        line = self.value.of(PeerId("b"), STORE)
        wants = ((STAR, Amounts(cpus)),)
        self.value = allotted(self.value, Allot(line.host, STORE, line.serial, 99, wants))

    @property
    def limit(self) -> int:
        return self.own.limit(STAR).cpus_milli


def test_a_host_that_has_nothing_takes_its_part_unasked_and_then_nothing_is_due() -> None:
    scene = Scene(cpus=8, hosts=2)
    scene.settle()
    assert scene.limit == 4
    assert scene.own.propose(scene.used) is None


def test_what_is_lacking_is_asked_for_and_forgotten_in_time() -> None:
    scene = Scene()
    scene.settle()
    scene.own.lacks(STAR, Amounts(6))
    assert scene.own.short == ((STAR, Amounts(2)),)
    scene.settle()
    assert (scene.limit, scene.own.short) == (6, ())
    scene.own.lacks(STAR, Amounts(60))
    scene.own.content()
    assert scene.own.short == ()


def test_what_is_not_free_as_far_as_is_known_is_asked_for_only_now_and_then() -> None:
    scene = Scene()
    scene.settle()
    scene.other(4)
    assert scene.own.decided(scene.value) is Heard.OLD
    scene.own.lacks(STAR, Amounts(6))
    assert scene.own.propose(scene.used) is None
    assert dict(scene.step(ask=True).wants) == {STAR: Amounts(6)}


def test_what_is_given_back_is_not_used_from_then_on_and_what_is_used_is_not_given() -> None:
    scene = Scene()
    scene.settle()
    scene.cpus = 1
    scene.own.give(STAR, Amounts(2), scene.used)
    assert scene.limit == 2
    scene.own.give(STAR, Amounts(20), scene.used)
    assert scene.limit == 1
    scene.settle()
    assert scene.value.sum(STAR) == Amounts(1)


def test_one_that_lacks_as_well_gives_first_and_asks_after_that() -> None:
    scene = Scene()
    scene.settle()
    scene.own.lacks(STAR, Amounts(6))
    scene.own.give(STAR, Amounts(4), scene.used)
    assert dict(scene.step().wants) == {STAR: NONE}


def test_what_is_beyond_a_lowered_ceiling_is_given_back_as_far_as_it_is_not_used() -> None:
    scene = Scene()
    scene.settle()
    scene.cpus = 1
    scene.value = governed(scene.value, 2, ((STAR, Amounts(2)),))
    scene.own.decided(scene.value)
    scene.own.trim(scene.used)
    assert scene.limit == 2
    scene.own.trim(scene.used)
    scene.settle()
    assert scene.value.sum(STAR) == Amounts(2)


def test_a_new_life_uses_nothing_before_a_step_of_its_own_is_decided() -> None:
    scene = Scene()
    scene.settle()
    scene.begin(scene.own.kept)
    assert scene.limit == 0
    assert scene.own.decided(scene.value) is Heard.OLD
    assert scene.limit == 0
    scene.settle()
    assert scene.limit == 4


def test_a_step_of_an_earlier_life_may_still_be_decided_and_allows_nothing_by_itself() -> None:
    scene = Scene()
    scene.settle()
    scene.own.give(STAR, Amounts(4), scene.used)
    late = scene.step()
    scene.begin(scene.own.kept)
    begins = scene.step()
    assert scene.decide(late) is Heard.NEW
    assert scene.limit == 0
    before = scene.value
    assert scene.decide(begins) is Heard.OLD
    assert scene.value == before
    assert scene.decide(scene.step()) is Heard.NEW
    assert scene.own.confirmed


def test_an_old_decision_that_is_shown_again_in_a_new_life_allows_nothing() -> None:
    scene = Scene()
    scene.settle()
    scene.own.lacks(STAR, Amounts(6))
    step, disk = scene.step(), scene.own.kept
    scene.value = allotted(scene.value, step)
    old = scene.value
    scene.value = governed(scene.value, 1, (), removed=(HOST,))
    scene.begin(disk)
    scene.step()
    scene.own.decided(old)
    assert scene.limit == 0


def test_a_disk_from_a_backup_is_found_and_its_store_begins_with_nothing() -> None:
    scene = Scene()
    scene.settle()
    backup = scene.own.kept
    scene.own.give(STAR, Amounts(4), scene.used)
    scene.settle()
    scene.own.lacks(STAR, Amounts(1))
    scene.settle()
    scene.begin(backup)
    assert scene.decide(scene.step()) is Heard.RESTORED
    scene.own.renewed(StoreId("2"))
    assert scene.limit == 0


def test_what_an_earlier_store_worked_on_becomes_that_of_the_new_one_once_it_is_found() -> None:
    scene = Scene()
    scene.settle()
    scene.cpus = 3
    scene.begin(scene.own.kept, StoreId("2"))
    scene.decide(scene.step())
    step = scene.own.propose(scene.used, found=False)
    assert step is None or not step.gone
    scene.settle()
    assert [line.store for line in scene.value.lines] == [StoreId("2")]
    assert scene.limit >= 3


def test_a_removed_host_finds_that_its_line_is_gone() -> None:
    scene = Scene()
    scene.settle()
    scene.value = governed(scene.value, 1, (), removed=(HOST,))
    assert scene.own.decided(scene.value) is Heard.RESTORED


def test_a_newer_policy_is_a_reason_to_ask_though_nothing_else_is() -> None:
    scene = Scene()
    scene.settle()
    assert scene.own.propose(scene.used, policy=1) is None
    assert scene.own.propose(scene.used, policy=2) is not None
