"""Owners that want everything get their shares; `scripts/bench shares` has a week of 50 hosts."""

import pytest
from msgspec import structs

from protocol.sim.experiments.sharing import Demand, share

DEMAND = Demand(hosts=12, hours=72, waiting=12)
DUE = {"atlas": 0.6, "cms": 0.3, "star": 0.1}
POINTS = 0.03


def test_each_has_its_share_and_it_is_the_same_again() -> None:
    found = share(DEMAND)
    assert found.parts() == pytest.approx(DUE, abs=POINTS)
    few = structs.replace(DEMAND, hosts=3, hours=12)
    assert share(few) == share(few) != share(structs.replace(few, seed=2))


def test_who_was_away_gets_what_it_is_due() -> None:
    found = share(structs.replace(DEMAND, away="cms", away_from=12, away_until=36))
    assert found.parts(first=16, last=36)["cms"] < POINTS, "what ran when it left is over"
    assert found.parts(first=36, last=48)["cms"] > 2 * DUE["cms"]
    assert found.parts() == pytest.approx(DUE, abs=POINTS)


def test_hosts_with_a_wrong_view_do_no_harm_beyond_themselves() -> None:
    found = share(structs.replace(DEMAND, wrong=3))
    assert found.parts(slice(3))["atlas"] < POINTS, (
        "they believe that it had more than all there is"
    )
    assert found.parts(slice(3, None)) == pytest.approx(DUE, abs=POINTS)
