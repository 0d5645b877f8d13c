"""What a grid is now, as faces in other processes read it."""

import msgspec

from protocol.grid.model import ClusterSpec, GridSpec, ImageRef
from protocol.grid.record import GridState, Past
from protocol.node.standing import Placed, Standing
from protocol.terms.ids import GridId


def test_faces_read_what_the_peer_says() -> None:
    spec = GridSpec("star", (ClusterSpec("w", 1, ImageRef("guest", "0" * 64), 1000, 1 << 30),))
    past = (Past(2, "apply", 1e9, "ams", "+1 w"),)
    placed = (Placed("w-1", "ams-1", "ams"),)
    standing = Standing(
        GridId("0" * 20 + ".0"), "star", "ams", 2, GridState.UP, spec, placed, spec, past
    )
    assert msgspec.json.decode(msgspec.json.encode(standing), type=Standing) == standing
