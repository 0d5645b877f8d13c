"""What a register's messages may say at most, and that what is accepted can be promised."""

import msgspec
import pytest

from protocol.register.messages import Accept, Ballot, Prepare, Promise
from protocol.terms.ids import PeerId
from protocol.wire.codec import Malformed, decode, encode
from protocol.wire.limits import MAX_FRAME_BYTES

BALLOT = Ballot(1, PeerId("p1"), 1)
LARGEST = b"v" * (1016 << 10)
"""A frame has 1024 KiB; 8 are for all else."""


def heard(message: msgspec.Struct) -> msgspec.Struct:
    """As it arrives."""
    return decode(encode(message), type(message))


@pytest.mark.parametrize("round_", [0, 2**48])
def test_rounds_in_reach(round_: int) -> None:
    ballot = msgspec.structs.replace(BALLOT, round=round_)
    assert heard(ballot) == ballot


@pytest.mark.parametrize("round_", [-1, 2**48 + 1])
def test_no_round_beyond(round_: int) -> None:
    with pytest.raises(Malformed):
        heard(msgspec.structs.replace(BALLOT, round=round_))


def test_names_have_an_end() -> None:
    prepare = Prepare(key="k" * 256, ballot=msgspec.structs.replace(BALLOT, peer=PeerId("p" * 64)))
    assert heard(prepare) == prepare
    for longer in (
        msgspec.structs.replace(prepare, key="k" * 257),
        msgspec.structs.replace(prepare, ballot=Ballot(1, PeerId("p" * 65), 1)),
    ):
        with pytest.raises(Malformed):
            heard(longer)


def test_the_largest_value_that_is_accepted_can_be_promised() -> None:
    """With the longest key and ballots, in one frame."""
    key, ballot = (
        "\N{GRINNING FACE}" * 256,
        Ballot(2**48, PeerId("\N{GRINNING FACE}" * 64), 2**63 - 1),
    )
    accept = Accept(key=key, ballot=ballot, value=LARGEST)
    assert heard(accept) == accept
    promise = Promise(key=key, ballot=ballot, accepted=ballot, value=accept.value)
    assert heard(promise) == promise
    assert len(encode(promise)) < MAX_FRAME_BYTES


def test_a_larger_value_is_not_accepted() -> None:
    with pytest.raises(Malformed):
        heard(Accept(key="k", ballot=BALLOT, value=LARGEST + b"v"))
