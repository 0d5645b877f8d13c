"""Values of registers that are none: said by stewards, or kept by an earlier build. Nobody ends by them."""

from typing import Any

import msgspec
import pytest
from attacked_world import AttackedWorld

from protocol.node.snapshot import PeerView
from protocol.register.acceptor import Slot
from protocol.register.messages import Ballot, Promise
from protocol.requesting.request import RequestState
from protocol.sim.people import grid_spec
from protocol.terms.effects import Send
from protocol.terms.ids import PeerId
from protocol.wire.codec import encode

BALLOT = Ballot(9, PeerId("e" * 64), 1)
GARBAGE = (b"\xff", b"\x81", b"\x82\xa6record\x01", b"x" * 5000, encode(BALLOT))


@pytest.mark.parametrize("value", GARBAGE, ids=range(len(GARBAGE)))
def test_a_daemon_starts_with_a_kept_value_that_is_none(value: bytes) -> None:
    attacked = AttackedWorld()
    attacked.world.written = lambda peer, row: None  # type: ignore[method-assign]  # it would read the value
    steward = attacked.victims[1]
    for key in list(steward.store["register"]):
        steward.store["register"][key] = encode(Slot(BALLOT, BALLOT, value))
    attacked.restart()
    attacked.settle()
    node = steward.node
    assert node is not None
    view = PeerView(node)
    view.status(attacked.world.now_s)
    view.files()
    view.given_files()
    view.file_keys()
    view.readers(attacked.record.id.partition(".")[0], "0" * 64)
    changed = [what for what in attacked.changed() if not what.startswith(f"{steward.name}: regi")]
    assert changed == []


@pytest.mark.parametrize("value", GARBAGE, ids=range(len(GARBAGE)))
def test_an_up_among_stewards_that_promise_garbage_has_an_answer(value: bytes) -> None:
    attacked = AttackedWorld()
    world, asked = attacked.world, attacked.world.peers[0]
    world.calm_since_s = float(
        "inf"
    )  # A hold does not end while no steward says anything that is believed.
    for peer in world.peers:
        if peer is not asked:
            _lie(peer, value)
    order = world.admins[asked.site].up(grid_spec("next", 2), world.now_s)
    request = world.give(asked, order)
    assert asked.node is not None
    view = PeerView(asked.node)

    def over() -> bool:
        seen = view.request(request)
        return seen is not None and seen.state is not RequestState.RUNNING

    assert world.run_until(over, 120.0)
    assert [row.name for row in view.grids(world.now_s)] == ["shop"]
    asked.crash()
    asked.start()
    attacked.settle()
    assert asked.node is not None
    (shop,) = PeerView(asked.node).grids(world.now_s)
    assert (shop.name, shop.state) == ("shop", "up")


def _lie(peer: Any, value: bytes) -> None:
    """Has a peer promise with that value."""
    carry_out = peer._carry_out

    def lying(effect: Any, followers: Any) -> Any:
        if isinstance(effect, Send) and isinstance(effect.message, Promise):
            bad = msgspec.structs.replace(effect.message, accepted=BALLOT, value=value)
            effect = msgspec.structs.replace(effect, message=bad)
        return carry_out(effect, followers)

    peer._carry_out = lying
