"""What a host may tell of its paths: bounded, and as much as fits one frame."""

import pytest

from protocol.node.messages import PathsTold
from protocol.terms.ids import PeerId
from protocol.terms.paths import PATHS_MOST, PathTold
from protocol.terms.ranges import SAID_MOST
from protocol.wire.codec import Malformed, decode, encode
from protocol.wire.limits import MAX_FRAME_BYTES

LONG = "x" * 128
LONGEST = PathTold(
    LONG,
    PeerId("f" * 64),
    LONG,
    LONG,
    LONG,
    9000,
    "x" * 261,
    PeerId("f" * 64),
    1e9,
    1 << 31,
    1 << 31,
)


def test_the_most_that_may_be_told_fits_a_frame() -> None:
    told = PathsTold(LONG, (LONGEST,) * PATHS_MOST, "x" * SAID_MOST)
    assert len(encode(told)) < MAX_FRAME_BYTES
    assert decode(encode(told), PathsTold) == told


def test_more_is_malformed() -> None:
    with pytest.raises(Malformed):
        decode(encode(PathsTold("s", (LONGEST,) * (PATHS_MOST + 1), "")), PathsTold)


def test_what_is_known_of_a_path_at_least() -> None:
    path = PathTold("lan", PeerId("f" * 64), "plain")
    assert (path.round_trip_s, path.relay, path.probes) == (-1.0, None, 0)
    assert decode(encode(path), PathTold) == path
