"""What stands in the way of a hold."""

import msgspec
from hosting_world import GRID, ORDER
from negotiating import AUTHORITY, NOW, B

from protocol.contract.messages import HoldAsk
from protocol.hosting.hold_conflicts import conflict
from protocol.hosting.taken import Taken
from protocol.terms.ids import GridId
from protocol.terms.limits import HOLDS_PER_HOST
from protocol.terms.refusal import Constraint

ASK = HoldAsk(GRID, ORDER, ("web-1",), (("lan", 7),), 8.0)
DEPLOYMENT = AUTHORITY.deployment(ORDER, NOW, fresh=True)
OTHER = GridId("other.0")


NONE = Taken({}, {})


def found(taken: Taken = NONE, entries: int = 0, ask: HoldAsk = ASK) -> Constraint | None:
    why = conflict({}, entries, B, ask, DEPLOYMENT, taken, None)
    return why[0] if why is not None else None


def test_nothing_stands_in_the_way_of_a_hold_on_an_empty_host() -> None:
    assert found() is None


def test_a_name_that_is_up_and_one_that_is_held_are_told_apart() -> None:
    assert found(Taken({DEPLOYMENT.key: (OTHER, True)}, {})) is Constraint.NAME
    assert found(Taken({DEPLOYMENT.key: (OTHER, False)}, {})) is Constraint.CONTENDED


def test_a_vxlan_id_is_used_once() -> None:
    assert found(Taken({}, {7: OTHER})) is Constraint.NETWORK_ID
    assert found(Taken({}, {7: GRID})) is None


def test_a_host_carries_no_more_than_it_may() -> None:
    assert found(entries=HOLDS_PER_HOST - 1) is None
    assert found(entries=HOLDS_PER_HOST) is Constraint.LIMIT


def test_an_order_makes_no_other_grid() -> None:
    assert found(ask=msgspec.structs.replace(ASK, grid=OTHER)) is Constraint.AUTHORITY
