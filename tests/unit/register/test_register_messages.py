"""What is out of range on the wire is no message."""

import pytest
from stewards_world import KEY, ORDER, STEWARDS

from protocol.grid.decision import Ballot
from protocol.register.messages import Accept, Conflict, LookAsk, Prepare, StepFailed
from protocol.terms.limits import ROUND_MOST
from protocol.wire.codec import Malformed, decode, encode

BALLOT = Ballot(1, STEWARDS[0])


def test_ballots_are_ordered_by_round_and_then_by_steward() -> None:
    low, high = sorted(STEWARDS[:2])
    numbers = [Ballot(0, high), Ballot(1, low), Ballot(1, high), Ballot(2, low)]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    "message",
    [
        Prepare(register=KEY, ballot=Ballot(ROUND_MOST + 1, STEWARDS[0]), order=ORDER),
        Prepare(register=KEY, ballot=Ballot(-1, STEWARDS[0]), order=ORDER),
        Accept(register=KEY + "0", ballot=BALLOT, value=b""),
        Accept(register="", ballot=BALLOT, value=b""),
        Conflict(register=KEY, ballot=BALLOT, promised=Ballot(1, "x" * 65)),  # type: ignore[arg-type]
        LookAsk("x" * 81, KEY),
        StepFailed("x", "x" * 401),
    ],
)
def test_beyond_its_range_it_is_no_message(message: object) -> None:
    with pytest.raises(Malformed):
        decode(encode(message), type(message))  # type: ignore[arg-type]
