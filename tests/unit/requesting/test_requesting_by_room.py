"""What fits of an elastic grid is taken, and the rest is left for another time."""

from elastic_world import RECORD
from negotiating import asks
from test_requesting_growing import LATER, Growing

from protocol.capacity.quantum import Quantum
from protocol.requesting.by_room import AsMuchAsFits

ONE = Quantum(600, 1 << 30, 1 << 40)


def test_it_asks_its_hosts_in_any_case_and_takes_what_is_held() -> None:
    policy = AsMuchAsFits(RECORD.carriers())
    assert policy.opening(()).sure == RECORD.carriers()
    assert policy.queueing is None
    assert policy.kind == "grow"


def test_half_of_it_is_better_than_nothing() -> None:
    scene = Growing()
    effects, _ = scene.answer_quotes(scene.look(), ONE, LATER)
    holds = asks(effects)
    assert holds
    proposal = scene.held(effects)
    record = proposal.step.record  # type: ignore[union-attr]
    assert 3 < len(record.assignments) <= 5
